"""`assess`: measure trained detectors on labelled clips, calibrate them, print model-card tables.

    python -m detectors assess assets/sls-mini assets/fake_mamba-mini --manifest data/manifest.csv

Every clip is scored as it is and with the shortcuts removed. The calibration is fitted on both, so
that an LLR means the same for a clean recording and for one that has been through a telephone.
What is printed is also kept as results.json in each checkpoint folder, and for several together beside
the first of them; `python -m detectors results` makes a README's table of these files.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from detectors.calibration import Calibration, fit_calibration
from detectors.checkpoints import CONFIG, load_countermeasure, read_config, weights_digest
from detectors.conditions import CONDITIONS
from detectors.corpus import ClipCache, bonafide_mask, build_cache, read_manifest
from detectors.dev_scores import score_cache, single
from detectors.evaluate import Report, as_fields, evaluate
from detectors.intervals import PERCENT
from detectors.plots import save_plots
from detectors.progress import in_terminal
from detectors.protocols import ScoreTable, Trials
from detectors.registry import resolve_device
from detectors.results import Results, eer_cell, results_file, save_results


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `assess`."""
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
    parser.add_argument(
        "--plots", type=Path, metavar="FOLDER", help="also draw a DET and a reliability plot of each there"
    )


def run(args: argparse.Namespace) -> int:
    """Print the tables on stdout; DetectorError for an unusable manifest, clip or checkpoint."""
    clips = read_manifest(args.manifest, args.split)
    cache = build_cache(args.cache / args.split, clips, 0, 0)
    device = resolve_device(args.device)
    llrs: dict[str, list[np.ndarray]] = {condition: [] for condition in CONDITIONS}
    for folder in args.folders:
        scores = _scores(folder, cache, device)
        _save_scores(folder, cache, scores)
        if args.calibrate:
            _calibrate(folder, cache, scores)
        fitted = Calibration(**read_config(folder).get("calibration", {}))
        for name, values in scores.items():
            llrs[name].append(fitted.llr(values))
        print(f"\n### {folder.name}\n")
        _tell(args, [folder], cache, {name: values[-1] for name, values in llrs.items()})
    if len(args.folders) > 1:
        print("\n### all, mean of the LLRs\n")
        _tell(args, args.folders, cache, {name: np.mean(values, axis=0) for name, values in llrs.items()})
    return 0


def _tell(
    args: argparse.Namespace, folders: list[Path], cache: ClipCache, llrs: dict[str, np.ndarray]
) -> None:
    """Print, keep and, if asked, draw what these checkpoints reach together; llrs: condition -> [clips]."""
    clips = cache.clips
    trials = Trials(
        format="CSV",
        utt_ids=[clip.utt_id for clip in clips],
        is_bonafide=bonafide_mask(clips),
        groups=[clip.group for clip in clips],
        paths=[clip.path for clip in clips],
        phases=[args.split] * len(clips),
    )
    tables = {name: ScoreTable(trials.utt_ids, values, values) for name, values in llrs.items()}
    reports = {name: evaluate(trials, table, phase=args.split) for name, table in tables.items()}
    print(markdown(reports))
    fields = {name: as_fields(report) for name, report in reports.items()}
    weights = [weights_digest(folder) for folder in folders]
    names = [folder.name for folder in folders]
    save_results(results_file(folders), Results(args.split, names, weights, fields))
    if args.plots is not None:
        save_plots(args.plots, tables, trials.is_bonafide, name="+".join(names))


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


def markdown(reports: dict[str, Report]) -> str:
    """For a model card: a line for each condition, EERs by spoof source, what the intervals are."""
    first = next(iter(reports.values()))
    lines = [
        f"{first.bonafide} bona fide and {first.spoof} spoof clips.",
        "",
        "| | EER % pooled | EER % macro | Cllr | real called fake % | fake called real % |",
        "|---|---|---|---|---|---|",
        *(f"| {name} | {_summary(report)} |" for name, report in reports.items()),
        "",
        f"| spoof source | clips | {' | '.join(f'EER %, {name}' for name in reports)} |",
        "|---|---|" + "---|" * len(reports),
    ]
    for source, facts in first.per_source.items():
        eers = [
            eer_cell(report.per_source[source].eer, report.intervals.per_source[source])
            for report in reports.values()
        ]
        lines.append(f"| {source} | {facts.spoof} | {' | '.join(eers)} |")
    return "\n".join([*lines, "", _interval_note(first)])


def _summary(report: Report) -> str:
    """The cells of one condition; the last two are at the fixed threshold LLR = 0."""
    return (
        f"{eer_cell(report.eer, report.intervals.pooled)} | "
        f"{eer_cell(report.macro_eer, report.intervals.macro)} | {report.cllr:.3f} | "
        f"{report.miss_rate:.1f} | {report.false_alarm_rate:.1f}"
    )


def _interval_note(report: Report) -> str:
    return (
        f"In brackets: {PERCENT} % intervals, {report.intervals.resamples} bootstrap resamples of the clips "
        "within each class and, for the macro average over sources, of the sources. Each source stands "
        f"against all {report.bonafide} bona fide clips."
    )
