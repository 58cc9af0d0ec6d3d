"""`robustness`: error rates on labelled clips under codecs, noise, band limits, changes of speed and length.

    python -m detectors robustness --manifest data/manifest.csv --out assets/robustness.json
    python -m detectors robustness --manifest data/manifest.csv --only g711 mp3

Prints a Markdown table for each detector and one for all together (see fusion.py), or with --json the same as
data, which --out also keeps in a file as it goes. Every condition is kept in --cache once it is done: run
again, the command goes on from there. A clip is decoded once, changed once for each condition, and heard once
by detectors that have the same front-end. The last two columns are at the fixed threshold LLR = 0. Exit
codes: 0 done, 2 unusable arguments.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from detectors.calibration import Calibration
from detectors.cards import NAMES, PRESETS
from detectors.checkpoints import load_countermeasure, read_config, weights_digest
from detectors.conditions import as_is
from detectors.corpus import Clip, ClipCache, bonafide_mask, build_cache, read_manifest
from detectors.dev_scores import eer_by_source, score_cache
from detectors.errors import DetectorError
from detectors.frontends.heard_once import remember_together
from detectors.fusion import way_of, weighing_of
from detectors.metrics import cllr, rates_at
from detectors.models import Countermeasure
from detectors.progress import in_terminal
from detectors.registry import resolve_device, weights_in_use
from detectors.results import TOGETHER, UNCHANGED, robustness_tables
from detectors.robustness import STRESSES, Change
from detectors.shared_hearing import share_front_ends, together
from detectors.whole_files import written_whole

#: Raise it when a stress changes, or how a clip's score is made: kept scores are then made again.
KEPT_FORMAT = 3


@dataclass(frozen=True)
class Candidate:
    """A detector to be measured: its weights in use, their digest and its calibration."""

    name: str
    model: Countermeasure
    digest: str
    calibration: Calibration


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `python -m detectors robustness`."""
    parser.add_argument(
        "--detector", choices=(*NAMES, "all"), default="all", help="all (default): those that can run"
    )
    parser.add_argument("--preset", choices=PRESETS, default="mini", help="model size (default: mini)")
    parser.add_argument(
        "--manifest", type=Path, required=True, help="CSV with path, utt_id, label, split, source"
    )
    parser.add_argument("--split", default="dev")
    parser.add_argument(
        "--cache", type=Path, default=Path("runs/cache"), help="where decoded clips and scores are kept"
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument("--data", type=Path, help="data folder whose fine-tuned versions are to be used")
    parser.add_argument("--limit", type=int, metavar="N", help="only so many clips, spread over the list")
    parser.add_argument(
        "--only",
        nargs="+",
        metavar="CONDITION",
        choices=[stress.key for stress in STRESSES],
        help="beside the clips as they are: "
        + ", ".join(stress.key for stress in STRESSES)
        + " (default: all)",
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="JSON of what is measured, written after every condition"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")


def run(args: argparse.Namespace) -> int:
    """Measure and print. DetectorError: unusable arguments, or no detector can be loaded."""
    device = resolve_device(args.device)
    clips = _some(read_manifest(args.manifest, args.split), args.limit)
    bonafide = bonafide_mask(clips)
    if bonafide.all() or not bonafide.any():
        raise DetectorError("The clips are all of one class, and error rates need both. Raise --limit.")
    candidates = _candidates(args.detector, args.preset, args.data, device)
    where = args.split if args.limit is None else f"{args.split}-{len(clips)}"
    cache = build_cache(args.cache / where, clips, 0, 0)
    stresses = [stress for stress in STRESSES if not args.only or stress.key in args.only]
    left_out = {stress.title: stress.missing() for stress in stresses if stress.missing()}
    conditions: dict[str, Change] = {UNCHANGED: as_is}
    conditions |= {stress.title: stress.apply for stress in stresses if not stress.missing()}
    llrs: dict[str, dict[str, np.ndarray]] = {candidate.name: {} for candidate in candidates}
    versions = {candidate.name: candidate.digest for candidate in candidates}
    report: dict[str, Any] = {}
    for title, change in conditions.items():
        scores = _scores(candidates, cache, device, title, change, args.cache / "robustness")
        found = {each.name: each.calibration.llr(scores[each.name]) for each in candidates}
        if len(candidates) > 1:
            found[TOGETHER] = _together(found, versions)
        for name, values in found.items():
            llrs.setdefault(name, {})[title] = values
        report = _report(cache.clips, args, versions, llrs, left_out)
        if args.out:
            with written_whole(args.out) as part:
                part.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2) if args.json else robustness_tables(report))
    return 0


def _together(llrs: Mapping[str, np.ndarray], versions: Mapping[str, str]) -> np.ndarray:
    weighing = weighing_of(versions)
    return weighing.llr(llrs) if weighing else np.mean(list(llrs.values()), axis=0)


def _some(clips: list[Clip], limit: int | None) -> list[Clip]:
    """At most `limit` clips, evenly spread, so that both classes and all sources keep their share."""
    if limit is None or limit >= len(clips):
        return clips
    if limit < 2:
        raise DetectorError(f"--limit is {limit}; error rates need at least 2 clips, one of each class.")
    return [clips[i] for i in np.linspace(0, len(clips) - 1, limit).round().astype(int)]


def _candidates(name: str, preset: str, data: Path | None, device: str) -> list[Candidate]:
    found = []
    for each in NAMES if name == "all" else (name,):
        try:
            _, folder = weights_in_use(each, preset, data)
            model = load_countermeasure(folder, each, device, in_terminal())
        except DetectorError as error:
            if name != "all":
                raise
            print(f"Without {each}: {error}", file=sys.stderr)
            continue
        fitted = Calibration.of_config(read_config(folder))
        found.append(Candidate(each, model, weights_digest(folder), fitted))
    if not found:
        raise DetectorError(f"No detector of the {preset} preset can be loaded; the reasons are above.")
    share_front_ends([each.model for each in found])
    for candidate in found:  # where they have but one frozen network in common, it hears a window once
        remember_together(candidate.model)
    return found


def _scores(
    candidates: Sequence[Candidate], cache: ClipCache, device: str, title: str, change: Change, kept: Path
) -> dict[str, np.ndarray]:
    """CM scores [clips] of each detector under one condition; from an earlier run where it was done."""
    marks = {
        each.name: sha256(f"{KEPT_FORMAT} {cache.made_from} {each.digest} {title}".encode()).hexdigest()
        for each in candidates
    }
    files = {name: kept / f"{name}-{mark[:24]}.npy" for name, mark in marks.items()}
    scores = {name: np.load(file) for name, file in files.items() if file.is_file()}
    todo = [each for each in candidates if each.name not in scores]
    # A clip is changed once for all detectors that cut it in the same way: codecs cost as much as a model.
    for size in dict.fromkeys(_sizes(each) for each in todo):
        group = [each for each in todo if _sizes(each) == size]
        judge = together({each.name: each.model for each in group})
        doing = f"{title}, {' + '.join(each.name for each in group)}"
        found = score_cache(judge, group[0].model.config, cache, device, doing, change)
        for name, values in found.items():
            _keep(files[name], values)
        scores |= found
    return scores


def _sizes(candidate: Candidate) -> tuple[int, int]:
    return candidate.model.config.window_samples, candidate.model.config.hop_samples


def _keep(file: Path, values: np.ndarray) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(file) as part, part.open("wb") as out:
        np.save(out, values)


def _measured(clips: list[Clip], llrs: dict[str, np.ndarray]) -> dict[str, dict[str, Any]]:
    """Error rates in % by condition; real_called_fake and fake_called_real at LLR = 0."""
    bonafide = bonafide_mask(clips)
    found = {}
    for title, values in llrs.items():
        eers = eer_by_source(clips, values)
        miss, false_alarm = rates_at(values[bonafide], values[~bonafide], 0.0)
        found[title] = {
            "eer_pooled": eers["pooled"],
            "eer_macro": eers["macro"],
            "cllr": cllr(values[bonafide], values[~bonafide]),
            "real_called_fake": 100 * miss,
            "fake_called_real": 100 * false_alarm,
            "sources": {source: of["eer"] for source, of in eers["sources"].items()},
        }
    return found


def _report(
    clips: list[Clip],
    args: argparse.Namespace,
    versions: dict[str, str],
    llrs: dict[str, dict[str, np.ndarray]],
    left_out: dict[str, str],
) -> dict[str, Any]:
    """Plain JSON values; llrs: by detector and condition [clips]."""
    bonafide = int(bonafide_mask(clips).sum())
    return {
        "split": args.split,
        "bonafide": bonafide,
        "spoof": len(clips) - bonafide,
        "preset": args.preset,
        "weights_sha256": versions,
        "fusion": way_of(versions),
        "detectors": {name: _measured(clips, of) for name, of in llrs.items()},
        "left_out": left_out,
    }
