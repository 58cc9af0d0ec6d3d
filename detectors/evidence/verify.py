"""`verify`: whether a report of an evidence package holds for a clip, here and now.

    python -m detectors verify report.json clip.wav

Checks that the clip has the bytes and the detectors the weights that the report names, judges the clip again
and compares every score. Labels, figures and the stress test are not checked. On the same kind of device the
LLRs must agree within 0.001, on another within 0.05, as rounding differs. Exit codes: 0 agrees, 1 differs,
2 unusable: a report or clip that cannot be read, or detectors that cannot run here.
"""

import argparse
import json
import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detectors.audio import load_audio, sha256_of
from detectors.cards import NAMES, PRESETS
from detectors.detection import REASONS, Detection, Reason, abstained_of, verdict_of
from detectors.errors import DetectorError
from detectors.evidence.report import FORMAT, FORMAT_VERSION
from detectors.fusion import fused

#: How far LLRs may be apart: on the same kind of device, and on another.
SAME_DEVICE, OTHER_DEVICE = 1e-3, 5e-2
#: Larger files are not reports: hours of windows of three detectors take a few megabytes.
MAX_BYTES = 64 << 20


@dataclass(frozen=True)
class Scores:
    """What is compared of one detector: LLR and score of the clip; windows [(start, end, score, llr)]."""

    llr: float
    score: float
    windows: list[tuple[float, ...]]

    @classmethod
    def of(cls, found: Detection) -> "Scores":
        return cls(found.llr, found.score, [(w.start, w.end, w.score, w.llr) for w in found.windows])


@dataclass(frozen=True)
class Reported:
    """What is read of a report. weights: by detector, the SHA-256 or its first digits."""

    sha256: str
    preset: str
    device: str | None
    llr: float
    verdict: str
    abstained: list[str]
    weights: dict[str, str]
    scores: dict[str, Scores]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `python -m detectors verify`."""
    parser.add_argument("report", type=Path, metavar="REPORT.json", help="report.json of an evidence package")
    parser.add_argument("clip", type=Path, metavar="CLIP", help="the recording that it is about")
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), help="default: as in the report, where it is here"
    )
    parser.add_argument(
        "--data", type=Path, metavar="FOLDER", help="data folder whose fine-tuned versions were in use"
    )
    parser.add_argument(
        "--tolerance", type=float, metavar="LLR", help="how far LLRs may be apart (default: see above)"
    )


def run(args: argparse.Namespace) -> int:
    """Print each check; 0 when all agree, 1 when one differs. DetectorError: it cannot be checked here."""
    reported = read_report(args.report)
    if sha256_of(args.clip) != reported.sha256:
        print(f"DIFFERS  clip: its SHA-256 is not {reported.sha256}. This is not the file of the report.")
        return 1
    print(f"agrees   clip: SHA-256 {reported.sha256}")
    device = _device(args.device, reported.device)
    tolerance = args.tolerance
    if tolerance is None:
        tolerance = SAME_DEVICE if device == reported.device else OTHER_DEVICE
    wave = load_audio(args.clip)
    here: dict[str, Scores] = {}
    digests: dict[str, str] = {}
    judged: list[Detection] = []
    faults = 0
    for name, digest in reported.weights.items():
        detector, found_digest = _detector(name, reported.preset, device, args.data)
        faults += _told(f"{name}: weights", _differing_weights(found_digest, digest))
        digests[name] = found_digest
        found = detector.analyze(wave)
        judged.append(found)
        here[name] = Scores.of(found)
        faults += _told(
            f"{name}: LLR {here[name].llr:+.4f}, {len(here[name].windows)} windows",
            differences(here[name], reported.scores[name], tolerance),
        )
    together = fused({name: scores.llr for name, scores in here.items()}, digests)
    faults += _told(f"together: LLR {together:+.4f}", _differing_verdict(together, reported, tolerance))
    reasons = abstained_of(judged)
    if reasons or reported.abstained:
        told = f"no verdict because of: {', '.join(reasons) or 'nothing'}"
        faults += _told(told, _differing_reasons(reasons, reported))
    print(_conclusion(faults, tolerance, device))
    return 1 if faults else 0


def read_report(path: Path) -> Reported:
    """What is checked of a report.json. Anybody can have written it, so nothing in it is taken on trust.

    Raises DetectorError when it cannot be read, is no report of this version, or has no scores.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DetectorError(
                f"{path} is too large to be a report. Name report.json of an evidence package."
            )
        report = json.loads(path.read_text(encoding="utf-8"))
        if (report["format"], report["format_version"]) != (FORMAT, FORMAT_VERSION):
            raise DetectorError(f"{path} is a report of another version than this program reads.")
        if not report["detectors"]:
            raise DetectorError(
                f"{path} holds no verdict: no detector could judge the clip, so nothing to check."
            )
        return _reported(report)
    except OSError as error:
        raise DetectorError(f"{path} cannot be read: {error.strerror}. Check the name.") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise DetectorError(f"{path} is no report of an evidence package, or it is damaged.") from error


def _reported(report: dict[str, Any]) -> Reported:
    detectors = report["detectors"]
    settings = report["settings"]
    if not set(detectors) <= set(NAMES) or settings["preset"] not in PRESETS:
        raise ValueError("unknown detectors or preset")
    return Reported(
        sha256=str(report["clip"]["sha256"]),
        preset=settings["preset"],
        device=settings["device"],
        llr=float(report["result"]["llr"]),
        verdict=str(report["result"]["verdict"]),
        # Reports of earlier versions have none.
        abstained=[str(reason) for reason in report["result"].get("abstained", [])],
        weights={name: str(of["weights_sha256"] or of["version"]) for name, of in detectors.items()},
        scores={
            name: Scores(
                float(of["llr"]),
                float(of["score"]),
                [tuple(float(w[key]) for key in ("start", "end", "score", "llr")) for w in of["windows"]],
            )
            for name, of in detectors.items()
        },
    )


def differences(here: Scores, there: Scores, tolerance: float) -> list[str]:
    """What differs by more than `tolerance`, in words; empty when the scores agree."""
    found = []
    if not _close([here.llr, here.score], [there.llr, there.score], tolerance):
        found.append(f"the report has LLR {there.llr:+.4f} and score {there.score:+.4f}")
    if len(here.windows) != len(there.windows):
        found.append(f"the report has {len(there.windows)} windows")
    else:
        apart = sum(
            not _close(mine, theirs, tolerance)
            for mine, theirs in zip(here.windows, there.windows, strict=True)
        )
        if apart:
            found.append(f"{apart} windows have other scores or times")
    return found


def _close(mine: Sequence[float], theirs: Sequence[float], tolerance: float) -> bool:
    # NaN is close to nothing, which is right.
    return all(abs(a - b) <= tolerance for a, b in zip(mine, theirs, strict=True))


def _differing_weights(found: str, reported: str) -> list[str]:
    # A report that did not know the whole hash has its first digits; fewer than 12 prove nothing.
    if len(reported) >= 12 and found.startswith(reported):
        return []
    return [f"here they have SHA-256 {found}, in the report {reported}"]


def _differing_verdict(llr: float, reported: Reported, tolerance: float) -> list[str]:
    found = []
    if not _close([llr], [reported.llr], tolerance):
        found.append(f"the report has LLR {reported.llr:+.4f}")
    # Taken from the report's own LLR: near a threshold, rounding may tip the one from here.
    known = [reason for reason in REASONS if reason in reported.abstained]
    if not math.isfinite(reported.llr) or verdict_of(reported.llr, known) != reported.verdict:
        found.append(f"the report's verdict, {reported.verdict!r}, does not follow from its LLR")
    return found


def _differing_reasons(found: Sequence[Reason], reported: Reported) -> list[str]:
    if sorted(found) == sorted(reported.abstained):
        return []
    return [f"the report gives {', '.join(map(repr, reported.abstained)) or 'none'}"]


def _told(what: str, differing: Iterable[str]) -> int:
    """Print the outcome of one check; 1 when it differs."""
    reasons = "; ".join(differing)
    print(f"DIFFERS  {what}: {reasons}" if reasons else f"agrees   {what}")
    return 1 if reasons else 0


def _conclusion(faults: int, tolerance: float, device: str) -> str:
    checked = f"on {device}, LLRs within {tolerance:g}"
    if faults:
        return f"The report DIFFERS from what was found here in {faults} of the checks above ({checked})."
    return f"The report agrees with what was found here ({checked})."


def _device(asked: str | None, recorded: str | None) -> str:
    # Imported here: torch takes seconds to load, and most refusals need none of it.
    from detectors.registry import resolve_device

    if asked or recorded not in ("cpu", "cuda"):
        return resolve_device(asked or "auto")
    try:
        return resolve_device(recorded)
    except DetectorError:
        print(f"The report was made on {recorded}, which is not here.", file=sys.stderr)
        return resolve_device("auto")


def _detector(name: str, preset: str, device: str, data: Path | None) -> tuple[Any, str]:
    """The detector and the SHA-256 of its weights."""
    from detectors.checkpoints import weights_digest
    from detectors.progress import in_terminal
    from detectors.registry import load_detector, weights_in_use

    detector = load_detector(name, preset, device=device, data=data, progress=in_terminal())
    return detector, weights_digest(weights_in_use(name, preset, data)[1])
