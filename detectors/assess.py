"""`assess`: measure trained detectors on labelled clips, calibrate them, print model-card tables.

    python -m detectors assess assets/sls-mini assets/fake_mamba-mini --manifest data/manifest.csv --calibrate
    python -m detectors assess assets/sls-mini assets/fake_mamba-mini --manifest data/manifest.csv \\
        --calibrate --scores

Every clip is scored as it is and with the shortcuts removed; the windows' scores are kept beside the weights,
and --scores starts from them. With --calibrate, all of this is fitted on both conditions and kept:

    calibration   of each detector (config.json), so that an LLR means the same for a clean recording and for
                  one that has been through a telephone
    long clips    how their worst stretch counts (config.json; see long_clips.py)
    fusion        weights for each set of two or more detectors (fusion.json beside them; see fusion.py)

The figures are honest about that: Cllr, the rates at fixed thresholds and all figures of several detectors
together are of LLRs from fits that saw nothing of a clip's own source (see held_out.py). Without --calibrate
they are of the LLRs that the checkpoints give, which flatters those on the clips that they were fitted on.

What is printed is also kept as results.json in each checkpoint folder, and for several together beside
the first of them; `python -m detectors results` makes a README's table of these files.
"""

import argparse
from dataclasses import replace
from pathlib import Path

from detectors.assessed import Entry, as_shipped, fitted
from detectors.checkpoints import weights_digest
from detectors.conditions import CONDITIONS
from detectors.corpus import Clip, bonafide_mask, build_cache, read_manifest
from detectors.evaluate import Report, as_fields, evaluate
from detectors.fusion import FILE as FUSION
from detectors.fusion import fusion_table, read_fusion
from detectors.intervals import PERCENT
from detectors.judged import judge_cache, read_judged
from detectors.long_clips_fit import LongFit, long_table
from detectors.metrics import rates_at
from detectors.plots import save_plots
from detectors.protocols import ScoreTable, Trials
from detectors.registry import resolve_device
from detectors.results import (
    RATES_HEADING,
    Results,
    eer_cell,
    rates_row,
    results_file,
    save_results,
)
from detectors.within_sources import SMALLEST


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `assess`."""
    parser.add_argument(
        "folders", nargs="+", type=Path, help="checkpoint folders; any two or more are also fused"
    )
    parser.add_argument(
        "--manifest", type=Path, required=True, help="CSV with path, utt_id, label, split, source"
    )
    parser.add_argument("--split", default="dev")
    parser.add_argument(
        "--scores", action="store_true", help="judge nothing: take the scores that an earlier run kept"
    )
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"), help="where decoded clips are kept")
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--calibrate", action="store_true", help="fit calibration, long clips and fusion, and save them"
    )
    parser.add_argument(
        "--plots", type=Path, metavar="FOLDER", help="also draw a DET and a reliability plot of each there"
    )


def run(args: argparse.Namespace) -> int:
    """Print the tables on stdout; DetectorError for an unusable manifest, clip or checkpoint."""
    clips = read_manifest(args.manifest, args.split)
    if args.scores:
        judged = [read_judged(folder, clips) for folder in args.folders]
    else:
        cache = build_cache(args.cache / args.split, clips, 0, 0)
        device = resolve_device(args.device)
        judged = [judge_cache(folder, cache, device) for folder in args.folders]
    entries = fitted(judged, clips, args.split) if args.calibrate else as_shipped(judged)
    for entry in entries:
        print(f"\n### {entry.title}\n")
        _tell(args, clips, entry)
    fusion = read_fusion(args.folders[0].parent / FUSION)
    if args.calibrate and len(entries) > len(judged) and fusion:
        print(f"\n### Ways of fusing\n\n{fusion_table(fusion)}")
    return 0


def _tell(args: argparse.Namespace, clips: list[Clip], entry: Entry) -> None:
    """Print, keep and, if asked, draw what was measured."""
    trials = Trials(
        format="CSV",
        utt_ids=[clip.utt_id for clip in clips],
        is_bonafide=bonafide_mask(clips),
        groups=[clip.group for clip in clips],
        paths=[clip.path for clip in clips],
        phases=[args.split] * len(clips),
    )
    rows = zip(CONDITIONS, entry.scores, entry.llrs, strict=True)
    tables = {name: ScoreTable(trials.utt_ids, scores, llrs) for name, scores, llrs in rows}
    reports = {name: _report(trials, table, args.split) for name, table in tables.items()}
    print(markdown(reports, entry.how))
    if entry.long and entry.long.rows:
        print(f"\n{long_section(entry.long)}")
    fields = {name: as_fields(report) for name, report in reports.items()}
    weights = [weights_digest(folder) for folder in entry.folders]
    names = [folder.name for folder in entry.folders]
    long = entry.long.facts() if entry.long else []
    save_results(results_file(entry.folders), Results(args.split, names, weights, fields, entry.how, long))
    if args.plots is not None:
        save_plots(args.plots, tables, trials.is_bonafide, name="+".join(names))


def _report(trials: Trials, table: ScoreTable, split: str) -> Report:
    """`evaluate`, with the rates at the fixed threshold of the LLRs too."""
    assert table.llrs is not None
    miss, false_alarm = rates_at(table.llrs[trials.is_bonafide], table.llrs[~trials.is_bonafide], 0.0)
    report = evaluate(trials, table, phase=split)
    return replace(report, miss_rate=100 * miss, false_alarm_rate=100 * false_alarm)


def long_section(long: LongFit) -> str:
    """For a model card: what clips made long show, and what counts of them therefore."""
    told = (
        f"Clips made long, by the mean over all windows and by the worst stretch:\n\n{long_table(long.rows)}"
    )
    if long.long is None:
        return f"{told}\n\nThe mean counts at every length."
    adjacent = long.long.adjacent
    worst = "the lowest window" if adjacent == 1 else f"the lowest mean of {adjacent} neighbouring windows"
    return f"{told}\n\nFrom {long.long.from_windows} windows on the worst stretch counts: {worst}."


def markdown(reports: dict[str, Report], llrs: str) -> str:
    """For a model card: a line for each condition, EERs by spoof source, what the intervals are.

    llrs: where those of Cllr and the rates are from.
    """
    first = next(iter(reports.values()))
    lines = [
        f"{first.bonafide} bona fide and {first.spoof} spoof clips.",
        "",
        *RATES_HEADING,
        *(_summary(name, report) for name, report in reports.items()),
        "",
        f"Cllr and the last two columns (at the fixed threshold LLR = 0): {llrs}.",
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
    lines += ["", _interval_note(first)]
    if first.within is not None:
        areas = ", ".join(
            f"{report.within.area:.2f} {name}" for name, report in reports.items() if report.within
        )
        lines += ["", _within_note(areas, first.within.sources)]
    return "\n".join(lines)


def _within_note(areas: str, sources: int) -> str:
    return (
        f"Among the clips of one source, human and machine, the area under the ROC is {areas} (0.5 is "
        f"chance): mean over the {sources} sources with at least {SMALLEST} of each class."
    )


def _summary(name: str, report: Report) -> str:
    """The line of one condition; the last two columns are at the fixed threshold LLR = 0."""
    eers = [
        eer_cell(report.eer, report.intervals.pooled),
        eer_cell(report.macro_eer, report.intervals.macro),
    ]
    return rates_row(name, eers, report.cllr, report.miss_rate, report.false_alarm_rate)


def _interval_note(report: Report) -> str:
    return (
        f"In brackets: {PERCENT} % intervals, {report.intervals.resamples} bootstrap resamples of the clips "
        "within each class and, for the macro average over sources, of the sources. Each source stands "
        f"against all {report.bonafide} bona fide clips."
    )
