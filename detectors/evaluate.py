"""Error rates of a score file against the keys of its protocol.

    python -m detectors evaluate scores.txt --keys ASVspoof2019.LA.cm.eval.trl.txt
    python -m detectors evaluate scores.txt --keys keys/LA --phase eval --asv keys/LA
    python -m detectors evaluate results.jsonl --keys my_clips.csv --json

Scores are HIGHER for bona fide. Every trial of the keys must be scored once, and nothing else:
a figure over some of the trials cannot be compared with anybody's.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from detectors import metrics
from detectors.errors import DetectorError
from detectors.protocols import ScoreTable, Trials, read_asv_scores, read_scores, read_trials

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
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")


def run(args: argparse.Namespace) -> int:
    """Print the report on stdout; DetectorError when files do not fit together."""
    keys = read_trials(args.keys)
    table = aligned(read_scores(args.scores), keys, args.phase)
    trials = keys if args.phase is None else keys.select(args.phase)
    asv = None if args.asv is None else metrics.asv_rates(read_asv_scores(args.asv, args.phase))
    report = evaluate(trials, table, phase=args.phase, asv=asv, threshold=args.threshold)
    print(as_json(report) if args.json else as_text(report))
    return 0


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
) -> Report:
    """Every figure of the report; `table` is in the order of `trials`."""
    bonafide, spoof = table.scores[trials.is_bonafide], table.scores[~trials.is_bonafide]
    eer, eer_threshold = metrics.compute_eer(bonafide, spoof)
    miss, false_alarm = metrics.rates_at(bonafide, spoof, threshold)
    llrs = table.scores if table.llrs is None else table.llrs
    bonafide_llrs, spoof_llrs = llrs[trials.is_bonafide], llrs[~trials.is_bonafide]
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
        per_source=per_source(trials, table.scores),
    )


def per_source(trials: Trials, scores: np.ndarray) -> dict[str, SourceResult]:
    """EER of each attack or source by name; empty when the keys name none for any spoofed trial.

    scores: float64 [n], in the order of `trials`.
    """
    bonafide = scores[trials.is_bonafide]
    rows: dict[str, list[int]] = {}
    for row in np.flatnonzero(~trials.is_bonafide).tolist():
        rows.setdefault(trials.groups[row], []).append(row)
    if set(rows) <= {""}:
        return {}
    return {
        source or "(not stated)": SourceResult(
            100 * metrics.compute_eer(bonafide, scores[rows[source]])[0], len(rows[source])
        )
        for source in sorted(rows)
    }


def as_json(report: Report) -> str:
    """One JSON object; its keys are the fields of Report, and macro_eer. Absent figures are null."""
    fields = {name: value for name, value in vars(report).items() if name != "per_source"}
    fields["macro_eer"] = report.macro_eer
    fields["per_source"] = {name: vars(result) for name, result in report.per_source.items()}
    return json.dumps(fields)


def as_text(report: Report) -> str:
    """The report for a reader: one figure a line, then the table of attacks or sources."""
    r = report
    of = "the file's llr field" if r.cllr_of == "llr" else "the given scores, read as natural-log LLRs"
    lines = [
        f"Protocol    {r.protocol}" + (f", phase {r.phase}" if r.phase else ""),
        f"Trials      {r.bonafide} bona fide, {r.spoof} spoof",
        f"EER         {r.eer:.2f} %  (at score {r.eer_threshold:.4g})",
        f"At {r.threshold:<8g} {r.miss_rate:.2f} % of bona fide rejected, "
        f"{r.false_alarm_rate:.2f} % of spoof accepted",
        f"minDCF      {r.min_dcf:.4f}  (P(spoof) 0.05, cost of a miss 1, of a false alarm 10)",
        f"Cllr        {r.cllr:.4f} bits of {of}; {r.min_cllr:.4f} after the best calibration",
    ]
    if r.min_tdcf is not None:
        lines.append(f"min t-DCF   {r.min_tdcf:.4f}  (ASVspoof 2021 form; EER of the ASV {r.asv_eer:.2f} %)")
    return "\n".join(lines + _source_lines(report))


def _source_lines(report: Report) -> list[str]:
    if not report.per_source:
        return []
    width = max(len("Attack or source"), *map(len, report.per_source))
    lines = ["", f"{'Attack or source':<{width}}  {'Spoof':>7}  {'EER %':>6}"]
    for name, result in report.per_source.items():
        lines.append(f"{name:<{width}}  {result.spoof:>7}  {result.eer:>6.2f}")
    lines.append(f"{'Mean over ' + str(len(report.per_source)):<{width}}  {'':>7}  {report.macro_eer:>6.2f}")
    return lines
