"""Error rates of a score file against the keys of its protocol.

    python -m detectors evaluate scores.txt --keys ASVspoof2019.LA.cm.eval.trl.txt
    python -m detectors evaluate scores.txt --keys keys/LA --phase eval --asv keys/LA
    python -m detectors evaluate results.jsonl --keys my_clips.csv --json
    python -m detectors evaluate raw.scores --without-shortcuts shortcuts-removed.scores \\
        --keys manifest.csv --phase dev --plots plots

Scores are HIGHER for bona fide. Every trial of the keys must be scored once, and nothing else:
a figure over some of the trials cannot be compared with anybody's. Each EER has a 95 % interval
(see intervals.py); --plots also draws a DET and a reliability plot. `assess` writes scores of clips
as they are and with the shortcuts removed.
"""

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from detectors import metrics
from detectors.errors import DetectorError
from detectors.intervals import PERCENT, SEED, EerIntervals, Interval, eer_intervals
from detectors.protocols import ScoreTable, Trials, read_asv_scores, read_scores, read_trials
from detectors.step_rates import FIELD as STEPS
from detectors.step_rates import StepRates
from detectors.within_sources import SMALLEST, WithinSources, within_sources

#: The two conditions that scores may come from.
RAW, WITHOUT_SHORTCUTS = "raw", "shortcuts removed"
_NAMED = 5  # how many utterances an error message lists


@dataclass(frozen=True)
class SourceResult:
    """One attack or source: its spoofed trials against all bona fide ones. eer in percent."""

    eer: float
    spoof: int


@dataclass(frozen=True)
class Report:
    """What one score file achieves on one protocol.

    eer, miss_rate and false_alarm_rate are in percent, cllr and min_cllr in bits. cllr_of names the
    numbers that were read as natural-log likelihood ratios: "score", or "llr" where the file has them.
    """

    protocol: str
    phase: str | None
    bonafide: int
    spoof: int
    eer: float
    eer_threshold: float
    threshold: float
    miss_rate: float
    false_alarm_rate: float
    min_dcf: float
    cllr: float
    min_cllr: float
    cllr_of: str
    min_tdcf: float | None
    asv_eer: float | None
    per_source: dict[str, SourceResult]
    intervals: EerIntervals
    steps: StepRates
    within: WithinSources | None

    @property
    def macro_eer(self) -> float | None:
        """Mean EER over attacks or sources, each counting the same; None when the keys name none."""
        if not self.per_source:
            return None
        return float(np.mean([source.eer for source in self.per_source.values()]))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `evaluate`."""
    parser.add_argument(
        "scores", metavar="SCORES", type=Path, help='"UTT SCORE" lines, or the JSONL or CSV of `score`'
    )
    parser.add_argument(
        "--keys",
        required=True,
        type=Path,
        metavar="KEYS",
        help="ASVspoof 2019 or 2021 keys, an In-the-Wild protocol, a CSV with utt_id,label columns, "
        "or the folder of the ASVspoof 2021 keys",
    )
    parser.add_argument(
        "--phase", help="only the trials of this phase: progress, eval, hidden (or a CSV's phase or split)"
    )
    parser.add_argument(
        "--asv",
        type=Path,
        metavar="KEYS_FOLDER",
        help="also min t-DCF, with the ASV scores of the ASVspoof 2021 LA keys or a 2019 ASV score file",
    )
    parser.add_argument(
        "--threshold",
        type=float,
        default=0.0,
        help="score at which error rates at a fixed operating point are given (default: 0)",
    )
    parser.add_argument(
        "--without-shortcuts",
        type=Path,
        metavar="SCORES",
        help="scores of the same trials with the shortcuts removed, reported beside the others",
    )
    parser.add_argument(
        "--plots", type=Path, metavar="FOLDER", help="also draw det.png and reliability.png there"
    )
    parser.add_argument(
        "--resamples",
        type=int,
        metavar="N",
        help="for the intervals; 1000 by default, and down to 200 for more than 50,000 bona fide trials",
    )
    parser.add_argument("--seed", type=int, default=SEED, help=f"of the resamples (default: {SEED})")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")


def run(args: argparse.Namespace) -> int:
    """Print the report on stdout; DetectorError when files do not fit together."""
    keys = read_trials(args.keys)
    files = {RAW: args.scores}
    if args.without_shortcuts is not None:
        files[WITHOUT_SHORTCUTS] = args.without_shortcuts
    tables = {name: aligned(read_scores(file), keys, args.phase) for name, file in files.items()}
    trials = keys if args.phase is None else keys.select(args.phase)
    asv = None if args.asv is None else metrics.asv_rates(read_asv_scores(args.asv, args.phase))
    reports = [
        evaluate(trials, table, args.phase, asv, args.threshold, args.resamples, args.seed)
        for table in tables.values()
    ]
    print(as_json(*reports) if args.json else as_text(*reports))
    if args.plots is not None:
        _save_plots(args.plots, tables, trials)
    return 0


def _save_plots(folder: Path, tables: dict[str, ScoreTable], trials: Trials) -> None:
    from detectors.plots import save_plots  # here: matplotlib takes a second, and most runs draw nothing

    calibrated = all(table.llrs is not None for table in tables.values())
    llrs_are = "the files' LLRs" if calibrated else "scores read as natural-log LLRs"
    for path in save_plots(folder, tables, trials.is_bonafide, llrs_are):
        print(f"Drawn: {path}", file=sys.stderr)


def aligned(table: ScoreTable, keys: Trials, phase: str | None = None) -> ScoreTable:
    """The scores in the order of the keys' trials (of `phase`).

    Raises DetectorError that counts and names trials without a score, and scores of utterances
    that are not in the keys at all. Scores of other phases than the wanted one are no error.
    """
    trials = keys if phase is None else keys.select(phase)
    row_of = {utt_id: row for row, utt_id in enumerate(table.utt_ids)}
    rows = np.array([row_of.get(utt_id, -1) for utt_id in trials.utt_ids])
    missing = [trials.utt_ids[i] for i in np.flatnonzero(rows < 0)]
    known = set(keys.utt_ids)
    unknown = [utt_id for utt_id in table.utt_ids if utt_id not in known]
    problems = []
    if missing:
        problems.append(
            f"{len(missing)} of {len(trials)} trials in the keys have no score ({_some(missing)})"
        )
    if unknown:
        problems.append(f"{len(unknown)} scored utterances are not in the keys ({_some(unknown)})")
    if problems:
        raise DetectorError("; ".join(problems) + "." + _phase_hint(keys, phase, bool(missing)))
    return ScoreTable(trials.utt_ids, table.scores[rows], None if table.llrs is None else table.llrs[rows])


def _phase_hint(keys: Trials, phase: str | None, missing: bool) -> str:
    phases = sorted(set(keys.phases) - {""})
    if not missing or phase is not None or len(phases) < 2:
        return ""
    return f" If only one phase was scored, name it: --phase {'|'.join(phases)}."


def _some(utt_ids: list[str]) -> str:
    named = ", ".join(utt_ids[:_NAMED])
    return f"{named}, ..." if len(utt_ids) > _NAMED else named


def evaluate(
    trials: Trials,
    table: ScoreTable,
    phase: str | None = None,
    asv: metrics.AsvRates | None = None,
    threshold: float = 0.0,
    resamples: int | None = None,
    seed: int = SEED,
) -> Report:
    """Every figure of the report; `table` is in the order of `trials`.

    resamples, seed: of the intervals, see intervals.eer_intervals. Raises DetectorError when a class is
    missing or a score is not finite.
    """
    bonafide, spoof = table.scores[trials.is_bonafide], table.scores[~trials.is_bonafide]
    eer, eer_threshold = metrics.compute_eer(bonafide, spoof)
    miss, false_alarm = metrics.rates_at(bonafide, spoof, threshold)
    llrs = table.scores if table.llrs is None else table.llrs
    bonafide_llrs, spoof_llrs = llrs[trials.is_bonafide], llrs[~trials.is_bonafide]
    by_source = spoofs_by_source(trials, table.scores)
    return Report(
        protocol=trials.format,
        phase=phase,
        bonafide=len(bonafide),
        spoof=len(spoof),
        eer=100 * eer,
        eer_threshold=eer_threshold,
        threshold=threshold,
        miss_rate=100 * miss,
        false_alarm_rate=100 * false_alarm,
        min_dcf=metrics.min_dcf(bonafide, spoof),
        cllr=metrics.cllr(bonafide_llrs, spoof_llrs),
        min_cllr=metrics.min_cllr(bonafide_llrs, spoof_llrs),
        cllr_of="score" if table.llrs is None else "llr",
        min_tdcf=None if asv is None else metrics.min_tdcf(bonafide, spoof, asv),
        asv_eer=None if asv is None else 100 * asv.eer,
        per_source={
            source: SourceResult(100 * metrics.compute_eer(bonafide, scores)[0], len(scores))
            for source, scores in by_source.items()
        },
        intervals=eer_intervals(bonafide, spoof, by_source, resamples, seed),
        steps=StepRates.of_llrs(bonafide_llrs, spoof_llrs),
        within=within_sources(trials, table.scores),
    )


def spoofs_by_source(trials: Trials, scores: np.ndarray) -> dict[str, np.ndarray]:
    """Scores of the spoofs of each attack or source by name; empty when the keys name none for any of them.

    scores: float64 [n], in the order of `trials`.
    """
    rows: dict[str, list[int]] = {}
    for row in np.flatnonzero(~trials.is_bonafide).tolist():
        rows.setdefault(trials.groups[row], []).append(row)
    if set(rows) <= {""}:
        return {}
    return {source or "(not stated)": scores[rows[source]] for source in sorted(rows)}


def as_fields(report: Report) -> dict[str, Any]:
    """Plain JSON values: the fields of Report, macro_eer, and the intervals as [lower, upper] in percent."""
    fields = {
        name: value
        for name, value in vars(report).items()
        if name not in ("per_source", "intervals", STEPS, "within")
    }
    found = report.intervals
    return {
        **fields,
        "macro_eer": report.macro_eer,
        "per_source": {name: dict(vars(result)) for name, result in report.per_source.items()},
        "eer_interval": list(found.pooled),
        "macro_eer_interval": None if found.macro is None else list(found.macro),
        "per_source_intervals": {name: list(interval) for name, interval in found.per_source.items()},
        "interval_percent": PERCENT,
        "interval_resamples": found.resamples,
        "interval_seed": found.seed,
        STEPS: report.steps.as_fields(),
        "within_sources": None if report.within is None else asdict(report.within),
    }


def as_json(report: Report, without_shortcuts: Report | None = None) -> str:
    """One JSON object of `as_fields`; without_shortcuts is an object alike. Absent figures are null."""
    second = None if without_shortcuts is None else as_fields(without_shortcuts)
    return json.dumps({**as_fields(report), "without_shortcuts": second})


def as_text(report: Report, without_shortcuts: Report | None = None) -> str:
    """The report for a reader: one figure a line, then the table of attacks or sources."""
    lines = [
        f"Protocol    {report.protocol}" + (f", phase {report.phase}" if report.phase else ""),
        f"Trials      {report.bonafide} bona fide, {report.spoof} spoof",
        *_figure_lines(report),
    ]
    reports = [report]
    if without_shortcuts is not None:
        reports.append(without_shortcuts)
        lines[2:2] = ["", "As they are"]
        lines += ["", "Shortcuts removed", *_figure_lines(without_shortcuts)]
    return "\n".join([*lines, *_source_lines(reports), "", _interval_note(report)])


def _figure_lines(report: Report) -> list[str]:
    r = report
    of = "the file's llr field" if r.cllr_of == "llr" else "the given scores, read as natural-log LLRs"
    lines = [
        f"EER         {r.eer:.2f} %  (at score {r.eer_threshold:.4g}); "
        f"{PERCENT} % interval {_interval_text(r.intervals.pooled)}",
        f"At {r.threshold:<8g} {r.miss_rate:.2f} % of bona fide rejected, "
        f"{r.false_alarm_rate:.2f} % of spoof accepted",
        f"minDCF      {r.min_dcf:.4f}  (P(spoof) 0.05, cost of a miss 1, of a false alarm 10)",
        f"Cllr        {r.cllr:.4f} bits of {of}; {r.min_cllr:.4f} after the best calibration",
    ]
    if r.min_tdcf is not None:
        lines.append(f"min t-DCF   {r.min_tdcf:.4f}  (ASVspoof 2021 form; EER of the ASV {r.asv_eer:.2f} %)")
    if r.within is not None:
        lines.append(
            f"Within      {r.within.area:.4f} area under the ROC among the clips of one source, mean over "
            f"the {r.within.sources} with {SMALLEST} of each class"
        )
    return lines


def _source_lines(reports: list[Report]) -> list[str]:
    """The table of attacks or sources, an EER and its interval for each report; [] when none is named."""
    first = reports[0]
    if not first.per_source:
        return []
    mean = f"Mean over {len(first.per_source)}"
    width = max(len("Attack or source"), *map(len, first.per_source))
    heading = f"{'Attack or source':<{width}}  {'Spoof':>7}"
    lines = ["", heading + f"  {'EER %':>6}  {f'{PERCENT} % interval':<15}" * len(reports)]
    if len(reports) > 1:
        lines.insert(1, " " * (len(heading) + 2) + f"{'As they are':<25}Shortcuts removed")
    for name, result in first.per_source.items():
        cells = [_cell(r.per_source[name].eer, r.intervals.per_source[name]) for r in reports]
        lines.append(f"{name:<{width}}  {result.spoof:>7}" + "".join(cells))
    cells = [_cell(r.macro_eer, r.intervals.macro) for r in reports]
    lines.append(f"{mean:<{width}}  {first.spoof:>7}" + "".join(cells))
    return [line.rstrip() for line in lines]


def _cell(eer: float | None, interval: Interval | None) -> str:
    return "" if eer is None or interval is None else f"  {eer:>6.2f}  {_interval_text(interval):<15}"


def _interval_text(interval: Interval) -> str:
    return f"{interval[0]:.2f} - {interval[1]:.2f}"


def _interval_note(report: Report) -> str:
    """What the intervals in the text are, and which trials each EER is over."""
    found = report.intervals
    against, sources = "", ""
    if found.per_source:
        against = f"Each source stands against all {report.bonafide} bona fide trials. "
        sources = ", and of the sources for their mean"
    return (
        f"{against}Intervals: {found.resamples} bootstrap resamples of the trials within each class"
        f"{sources}; seed {found.seed}."
    )
