"""`robustness`: error rates on labelled clips under codecs, noise, band limits, changes of speed and length.

    python -m detectors robustness --detector all --manifest data/manifest.csv

Prints a Markdown table for each detector and one for all together (mean of their LLRs), or with --json the
same as data. Every condition is kept in --cache once it is done: run again, the command goes on from there.
The last two columns are at the fixed threshold LLR = 0. Exit codes: 0 done, 2 unusable arguments.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from detectors.calibration import Calibration
from detectors.cards import NAMES, PRESETS
from detectors.checkpoints import load_countermeasure, read_config, weights_digest
from detectors.conditions import as_is
from detectors.corpus import Clip, ClipCache, bonafide_mask, build_cache, read_manifest
from detectors.dev_scores import Judge, eer_by_source, score_cache
from detectors.errors import DetectorError
from detectors.metrics import cllr, rates_at
from detectors.models import Countermeasure
from detectors.progress import in_terminal
from detectors.registry import resolve_device, weights_in_use
from detectors.robustness import STRESSES, Change
from detectors.whole_files import written_whole

UNCHANGED = "as it is"
TOGETHER = "all"
#: Raise it when a stress changes: kept scores are then made again.
KEPT_FORMAT = 1


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
    conditions: dict[str, Change] = {UNCHANGED: as_is}
    left_out = {stress.title: stress.missing() for stress in STRESSES if stress.missing()}
    conditions |= {stress.title: stress.apply for stress in STRESSES if not stress.missing()}
    llrs: dict[str, dict[str, np.ndarray]] = {candidate.name: {} for candidate in candidates}
    for title, change in conditions.items():
        scores = _scores(candidates, cache, device, title, change, args.cache / "robustness")
        for candidate in candidates:
            llrs[candidate.name][title] = candidate.calibration.llr(scores[candidate.name])
    if len(candidates) > 1:
        llrs[TOGETHER] = {title: np.mean([of[title] for of in llrs.values()], axis=0) for title in conditions}
    measured = {name: _measured(cache.clips, of) for name, of in llrs.items()}
    versions = {candidate.name: candidate.digest for candidate in candidates}
    report = _report(cache.clips, args.split, args.preset, versions, measured, left_out)
    print(json.dumps(report, indent=2) if args.json else tables(report))
    return 0


def tables(report: dict[str, Any]) -> str:
    """Markdown from what `--json` prints."""
    lines = [f"{report['bonafide']} bona fide and {report['spoof']} spoof clips."]
    for name, conditions in report["detectors"].items():
        heading = "all, mean of the LLRs" if name == TOGETHER else name
        lines += [
            "",
            f"### {heading}",
            "",
            "| | EER % pooled | EER % macro | Cllr | real called fake % | fake called real % |",
            "|---|---|---|---|---|---|",
        ]
        lines += [
            f"| {title} | {of['eer_pooled']:.1f} | {of['eer_macro']:.1f} | {of['cllr']:.3f} | "
            f"{of['real_called_fake']:.1f} | {of['fake_called_real']:.1f} |"
            for title, of in conditions.items()
        ]
    lines += [f"\nNot measured: {title} ({reason})." for title, reason in report["left_out"].items()]
    return "\n".join(lines)


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
        fitted = Calibration(**read_config(folder).get("calibration", {}))
        found.append(Candidate(each, model, weights_digest(folder), fitted))
    if not found:
        raise DetectorError(f"No detector of the {preset} preset can be loaded; the reasons are above.")
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
        doing = f"{title}, {' + '.join(each.name for each in group)}"
        found = score_cache(_judge(group), group[0].model.config, cache, device, doing, change)
        for name, values in found.items():
            _keep(files[name], values)
        scores |= found
    return scores


def _sizes(candidate: Candidate) -> tuple[int, int]:
    return candidate.model.config.window_samples, candidate.model.config.hop_samples


def _judge(group: Sequence[Candidate]) -> Judge:
    def judge(windows: Tensor) -> dict[str, Tensor]:
        return {each.name: each.model(windows).cm_scores for each in group}

    return judge


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
    split: str,
    preset: str,
    versions: dict[str, str],
    measured: dict[str, Any],
    left_out: dict[str, str],
) -> dict[str, Any]:
    bonafide = int(bonafide_mask(clips).sum())
    return {
        "split": split,
        "bonafide": bonafide,
        "spoof": len(clips) - bonafide,
        "preset": preset,
        "weights_sha256": versions,
        "detectors": measured,
        "left_out": left_out,
    }
