"""`assess`: measure trained detectors on labelled clips, calibrate them, print model-card tables.

    python -m detectors assess assets/sls-mini assets/fake_mamba-mini --manifest data/manifest.csv

Every clip is scored as it is and with the shortcuts removed. The calibration is fitted on both, so
that an LLR means the same for a clean recording and for one that has been through a telephone.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from detectors.calibration import fit_calibration
from detectors.checkpoints import CONFIG, load_countermeasure, read_config
from detectors.conditions import CONDITIONS
from detectors.corpus import ClipCache, bonafide_mask, build_cache, read_manifest
from detectors.dev_scores import eer_by_source, score_cache, single
from detectors.metrics import cllr, rates_at
from detectors.progress import in_terminal
from detectors.registry import resolve_device


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folders", nargs="+", type=Path, help="checkpoint folders; several are also fused")
    parser.add_argument(
        "--manifest", type=Path, required=True, help="CSV with path, utt_id, label, split, source"
    )
    parser.add_argument("--split", default="dev")
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"), help="where decoded clips are kept")
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--calibrate", action="store_true", help="fit the calibration and save it in config.json"
    )


def run(args: argparse.Namespace) -> int:
    clips = read_manifest(args.manifest, args.split)
    cache = build_cache(args.cache / args.split, clips, 0, 0)
    device = resolve_device(args.device)
    llrs: dict[str, list[np.ndarray]] = {condition: [] for condition in CONDITIONS}
    for folder in args.folders:
        scores = _scores(folder, cache, device)
        _save_scores(folder, cache, scores)
        if args.calibrate:
            _calibrate(folder, cache, scores)
        fitted = read_config(folder).get("calibration", {"scale": 1.0, "offset": 0.0})
        for name, values in scores.items():
            llrs[name].append(fitted["scale"] * values + fitted["offset"])
        print(f"\n### {folder.name}\n")
        print(report(cache, {name: values[-1] for name, values in llrs.items()}))
    if len(args.folders) > 1:
        print("\n### all, mean of the LLRs\n")
        print(report(cache, {name: np.mean(values, axis=0) for name, values in llrs.items()}))
    return 0


def _scores(folder: Path, cache: ClipCache, device: str) -> dict[str, np.ndarray]:
    """CM scores [clips] under each condition."""
    detector = read_config(folder)["detector"]
    model = load_countermeasure(folder, detector, device, in_terminal())
    judge = single(detector, model)
    return {
        name: score_cache(judge, model.config, cache, device, f"{folder.name}, {name}", change)[detector]
        for name, change in CONDITIONS.items()
    }


def _save_scores(folder: Path, cache: ClipCache, scores: dict[str, np.ndarray]) -> None:
    """Score files beside the checkpoint, for `evaluate`; not committed."""
    for condition, values in scores.items():
        lines = [f"{clip.utt_id} {value:.5f}\n" for clip, value in zip(cache.clips, values, strict=True)]
        (folder / f"{condition.replace(' ', '-')}.scores").write_text("".join(lines))


def _calibrate(folder: Path, cache: ClipCache, scores: dict[str, np.ndarray]) -> None:
    bonafide = bonafide_mask(cache.clips)
    fitted = fit_calibration(np.concatenate(list(scores.values())), np.tile(bonafide, len(scores)))
    config = read_config(folder)
    config["calibration"] = {"scale": fitted.scale, "offset": fitted.offset}
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n")


def report(cache: ClipCache, llrs: dict[str, np.ndarray]) -> str:
    """Markdown: a summary line for each condition, then EERs per spoof source."""
    bonafide = bonafide_mask(cache.clips)
    by_condition = {name: eer_by_source(cache.clips, values) for name, values in llrs.items()}
    lines = [
        f"{bonafide.sum()} bona fide and {(~bonafide).sum()} spoof clips.",
        "",
        "| | EER % pooled | EER % macro | Cllr | real called fake % | fake called real % |",
        "|---|---|---|---|---|---|",
    ]
    for name, values in llrs.items():
        lines.append(f"| {name} | {_summary(by_condition[name], values[bonafide], values[~bonafide])} |")
    lines += ["", f"| spoof source | clips | {' | '.join(f'EER %, {name}' for name in llrs)} |"]
    lines.append("|---|---|" + "---|" * len(llrs))
    first = next(iter(by_condition.values()))
    for source, facts in first["sources"].items():
        eers = " | ".join(f"{by_condition[name]['sources'][source]['eer']:.1f}" for name in llrs)
        lines.append(f"| {source} | {facts['spoof']} | {eers} |")
    return "\n".join(lines)


def _summary(eers: dict[str, Any], bonafide: np.ndarray, spoof: np.ndarray) -> str:
    """The cells of one condition; the last two are at the fixed threshold LLR = 0."""
    miss, false_alarm = rates_at(bonafide, spoof, 0.0)
    return (
        f"{eers['pooled']:.1f} | {eers['macro']:.1f} | {cllr(bonafide, spoof):.3f} | "
        f"{100 * miss:.1f} | {100 * false_alarm:.1f}"
    )
