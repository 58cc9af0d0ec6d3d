"""CM scores: "UTT SCORE" lines, or the JSONL or CSV that the score command writes."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from detectors.errors import DetectorError
from detectors.protocols.tables import ID_COLUMNS, Table, csv_table, is_csv, read_text, text_table


@dataclass(frozen=True)
class ScoreTable:
    """One score per utterance, higher = bona fide. llrs are calibrated scores where the file has them.

    scores, llrs: float64 [n], in the order of utt_ids.
    """

    utt_ids: list[str]
    scores: np.ndarray
    llrs: np.ndarray | None = None


def read_scores(path: str | Path) -> ScoreTable:
    """Read CM scores from "UTT SCORE" lines or from the score command's JSONL or CSV.

    In the latter, clips with an error instead of a score are left out. Raises DetectorError for a
    score that is not a finite number, an utterance scored twice, or scores of several detectors.
    """
    file = Path(path)
    text = read_text(file)
    if text.lstrip().startswith("{"):
        return _scores_of_records(file, _json_records(file, text))
    if is_csv(text):
        header, table = csv_table(file, text)
        records = [dict(zip(header, row, strict=True)) for row in table.rows]
        return _scores_of_records(file, list(zip(table.lines, records, strict=True)))
    # Split at the last gap: file names, and so utterance ids, may hold spaces.
    table = text_table(file, text, split=lambda line: line.strip().rsplit(None, 1))
    table.check_widths(2, 'expected "UTT SCORE"')
    utt_ids = table.column(0)
    table.refuse_duplicates(utt_ids)
    return ScoreTable(utt_ids, table.numbers(table.column(1)))


def _json_records(file: Path, text: str) -> list[tuple[int, dict]]:
    records = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise DetectorError(f"{file}, line {number}: not a JSON object ({error.msg}).") from error
        if not isinstance(record, dict):
            raise DetectorError(f"{file}, line {number}: not a JSON object.")
        records.append((number, record))
    return records


def _scores_of_records(file: Path, records: Sequence[tuple[int, dict]]) -> ScoreTable:
    """Scores out of what the score command writes: path or utt_id, detector, score, llr, error."""
    scored = [(number, record) for number, record in records if record.get("score") not in (None, "")]
    if not scored:
        raise DetectorError(f"{file} holds no score: it has no score field, or every clip in it failed.")
    detectors = sorted({str(record["detector"]) for _, record in scored if record.get("detector")})
    if len(detectors) > 1:
        raise DetectorError(
            f"{file} holds scores of {', '.join(detectors)}: evaluate one detector at a time."
        )
    table = Table(file, [number for number, _ in scored], [(_record_id(record),) for _, record in scored])
    utt_ids = table.column(0)
    if "" in utt_ids:
        raise table.error(utt_ids.index(""), "neither utt_id nor path says which clip was scored.")
    table.refuse_duplicates(utt_ids)
    llrs = [record.get("llr") for _, record in scored]
    return ScoreTable(
        utt_ids=utt_ids,
        scores=table.numbers([record["score"] for _, record in scored]),
        llrs=None if any(llr in (None, "") for llr in llrs) else table.numbers(llrs),
    )


def _record_id(record: dict) -> str:
    named = next((record[column] for column in ID_COLUMNS if record.get(column)), None)
    return str(named) if named else Path(str(record.get("path") or "")).stem
