"""Readers of the files that say what a trial is (keys, protocols) and how it was scored.

Keys, told apart by their content:

    ASVspoof 2019    SPEAKER UTT - ATTACK bonafide|spoof
    ASVspoof 2021    SPEAKER UTT CODEC TRANSMISSION ATTACK bonafide|spoof TRIM PHASE ...
    In-the-Wild      - 0.wav - - - bona-fide|spoof
    CSV              a header line; label and utt_id or path, and optionally attack, source or
                     generator, phase or split. Paths are relative to the CSV's folder.

Scores: "UTT SCORE" lines, or the JSONL or CSV that the score command writes. ASV scores: the
ASV folder of the ASVspoof 2021 keys, or a 2019 file of "ATTACK target|nontarget|spoof SCORE" lines.

Columns are kept as plain lists: 600,000 trials are read in about a second. Whatever does not fit
raises DetectorError with the file, the line and what was expected there.
"""

import csv
import json
import math
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np

from detectors.errors import DetectorError
from detectors.metrics import AsvScores

_LABELS = {"bonafide": True, "bona-fide": True, "spoof": False}
_AUDIO_ENDINGS = frozenset(
    {".wav", ".flac", ".ogg", ".opus", ".mp3", ".m4a", ".aac", ".webm", ".mp4", ".amr"}
)

# Column names that a CSV may use, the preferred one first.
_ID_COLUMNS = ("utt_id", "utt")
_PATH_COLUMNS = ("path", "file_name", "file")
_LABEL_COLUMNS = ("label", "key")
_GROUP_COLUMNS = ("attack", "source", "generator")
_PHASE_COLUMNS = ("phase", "split")
_CSV_COLUMNS = {*_ID_COLUMNS, *_PATH_COLUMNS, *_LABEL_COLUMNS, *_GROUP_COLUMNS, *_PHASE_COLUMNS, "score"}

_KEY_FORMATS = (
    'ASVspoof 2019 ("SPEAKER UTT - ATTACK bonafide"), ASVspoof 2021 (8 or more columns, label in the 6th, '
    'phase in the 8th), In-the-Wild ("- 0.wav - - - bona-fide"), or a CSV whose header names '
    "label and utt_id or path"
)


@dataclass(frozen=True)
class Trials:
    """The trials of one key file, column by column; all columns have the same length.

    is_bonafide: bool [n]. groups: attack or source of the trial, '' when not stated.
    paths: audio file, '' when the key does not name one. phases: '' when the format has none.
    """

    format: str
    utt_ids: list[str]
    is_bonafide: np.ndarray
    groups: list[str]
    paths: list[str]
    phases: list[str]

    def __len__(self) -> int:
        return len(self.utt_ids)

    def select(self, phase: str) -> "Trials":
        """Only the trials of one phase (progress, eval, hidden, or a CSV's own, such as dev)."""
        keep = _in_phase(self.phases, phase, f"The keys ({self.format})")
        return Trials(
            format=self.format,
            utt_ids=list(compress(self.utt_ids, keep)),
            is_bonafide=self.is_bonafide[keep],
            groups=list(compress(self.groups, keep)),
            paths=list(compress(self.paths, keep)),
            phases=list(compress(self.phases, keep)),
        )


@dataclass(frozen=True)
class ScoreTable:
    """One score per utterance, higher = bona fide. llrs are calibrated scores where the file has them.

    scores, llrs: float64 [n], in the order of utt_ids.
    """

    utt_ids: list[str]
    scores: np.ndarray
    llrs: np.ndarray | None = None


@dataclass(frozen=True)
class _Table:
    """Rows of a file with the line number of each, for messages.

    Rows are tuples because the garbage collector lets go of tuples of strings; as lists,
    half a million rows take three times as long to make.
    """

    path: Path
    lines: list[int]
    rows: list[tuple[str, ...]]

    def column(self, index: int) -> list[str]:
        return [row[index] for row in self.rows]

    def error(self, row: int, message: str) -> DetectorError:
        return DetectorError(f"{self.path}, line {self.lines[row]}: {message}")


@dataclass(frozen=True)
class _Layout:
    """Where a whitespace-separated key format keeps its columns, counted from 0."""

    name: str
    label: int
    group: int
    phase: int | None = None
    utterance: int = 1


_ASVSPOOF_2019 = _Layout("ASVspoof 2019", label=4, group=3)
_IN_THE_WILD = _Layout("In-the-Wild", label=5, group=4)
_ASVSPOOF_2021 = _Layout("ASVspoof 2021", label=5, group=4, phase=7)


def read_trials(path: str | Path, phase: str | None = None) -> Trials:
    """Read a key file, or find it in the folder of an ASVspoof 2021 key package.

    phase keeps the trials of one phase only. Raises DetectorError for an unknown format, a label
    other than bonafide, bona-fide or spoof, and an utterance that is listed twice.
    """
    file = _key_file(Path(path))
    text = _read_text(file)
    trials = _csv_trials(file, text) if _is_csv(text) else _text_trials(file, text)
    return trials if phase is None else trials.select(phase)


def read_paths(path: str | Path) -> list[tuple[str, str]]:
    """(utterance id, audio path) of every line of a CSV, a key file or a bare list; no label needed.

    The path is '' where the file names an utterance only, as ASVspoof protocols do. Ids that are
    taken from file names may repeat, since files in different folders can share a name.
    """
    file = Path(path)
    text = _read_text(file)
    if _is_csv(text):
        header, table = _csv_table(file, text)
        if not _has(header, _PATH_COLUMNS):
            raise DetectorError(f"{file} has no path column; its columns are {', '.join(header)}.")
        utt_ids, paths = _ids_and_paths(header, table)
        if _has(header, _ID_COLUMNS):
            _refuse_duplicates(table, utt_ids)
        return list(zip(utt_ids, paths, strict=True))
    table = _text_table(file, text)
    if len(table.rows[0]) == 1:
        _check_widths(table)
        names = table.column(0)
        return [
            (Path(name).stem, _resolve(file, name)) if _names_file(name) else (name, "") for name in names
        ]
    trials = _text_trials(file, text)
    return list(zip(trials.utt_ids, trials.paths, strict=True))


def read_scores(path: str | Path) -> ScoreTable:
    """Read CM scores from "UTT SCORE" lines or from the score command's JSONL or CSV.

    In the latter, clips with an error instead of a score are left out. Raises DetectorError for a
    score that is not a finite number, an utterance scored twice, or scores of several detectors.
    """
    file = Path(path)
    text = _read_text(file)
    if text.lstrip().startswith("{"):
        return _scores_of_records(file, _json_records(file, text))
    if _is_csv(text):
        header, table = _csv_table(file, text)
        records = [dict(zip(header, row, strict=True)) for row in table.rows]
        return _scores_of_records(file, list(zip(table.lines, records, strict=True)))
    # Split at the last gap: file names, and so utterance ids, may hold spaces.
    table = _text_table(file, text, split=lambda line: line.strip().rsplit(None, 1))
    _check_widths(table, 2, 'expected "UTT SCORE"')
    utt_ids = table.column(0)
    _refuse_duplicates(table, utt_ids)
    return ScoreTable(utt_ids, _numbers(table, table.column(1)))


def read_asv_scores(path: str | Path, phase: str | None = None) -> AsvScores:
    """Read the ASV scores that min t-DCF needs.

    path: a folder that holds ASV/trial_metadata.txt and ASV/*/score.txt at most three levels down (the
    ASVspoof 2021 LA key package), or a 2019 score file, or a folder with one. phase applies to 2021 only:
    the 2019 file is of a single one.
    """
    source = Path(path)
    if source.is_file():
        return _asv_scores_2019(source)
    if not source.is_dir():
        raise DetectorError(f"{source} does not exist: give the folder of the ASVspoof keys.")
    metadata = _find(source, "ASV/trial_metadata.txt") or sorted(source.glob("trial_metadata.txt"))
    if metadata:
        key_file = _only(metadata, source)
        score_files = sorted(key_file.parent.glob("*/score.txt"))
        if not score_files:
            raise DetectorError(
                f"{key_file.parent} has no score.txt in a folder of its own (ASV/*/score.txt)."
            )
        return _asv_scores_2021(key_file, _only(score_files, key_file.parent), phase)
    score_files = _find(source, "*asv*scores.txt")
    if not score_files:
        raise DetectorError(
            f"{source} holds neither ASV/trial_metadata.txt (ASVspoof 2021 keys) nor a file "
            "*asv*scores.txt (ASVspoof 2019)."
        )
    return _asv_scores_2019(_only(score_files, source))


# Keys


def _key_file(path: Path) -> Path:
    """The key file itself: `path`, or the one that a folder of keys holds."""
    if not path.is_dir():
        return path
    found = _find(path, "CM/trial_metadata.txt") or sorted(path.glob("trial_metadata.txt"))
    found = found or sorted(path.glob("meta.csv"))
    if not found:
        raise DetectorError(
            f"The folder {path} holds no CM/trial_metadata.txt (ASVspoof 2021) or meta.csv (In-the-Wild): "
            "give the key file itself."
        )
    return _only(found, path)


def _find(folder: Path, pattern: str) -> list[Path]:
    """Matches of `pattern` at the shallowest level that has any; key packages nest to keys/LA/."""
    for depth in range(4):
        found = sorted(folder.glob("*/" * depth + pattern))
        if found:
            return found
    return []


def _only(found: list[Path], folder: Path) -> Path:
    if len(found) > 1:
        names = ", ".join(str(path.relative_to(folder)) for path in found)
        raise DetectorError(f"{folder} holds several candidates ({names}): give the one that is meant.")
    return found[0]


def _text_trials(file: Path, text: str) -> Trials:
    table = _text_table(file, text)
    layout = _layout_of(table)
    _check_widths(table)
    names = table.column(layout.utterance)
    utt_ids = [_without_ending(name) for name in names]
    _refuse_duplicates(table, utt_ids)
    phases = [""] * len(utt_ids) if layout.phase is None else table.column(layout.phase)
    return Trials(
        format=layout.name,
        utt_ids=utt_ids,
        is_bonafide=_labels(table, table.column(layout.label)),
        groups=_group_names(table.column(layout.group)),
        paths=[_resolve(file, name) if _names_file(name) else "" for name in names],
        phases=[_phase_name(phase) for phase in phases],
    )


def _layout_of(table: _Table) -> _Layout:
    first = table.rows[0]
    layouts = {5: _ASVSPOOF_2019, 6: _IN_THE_WILD}
    layout = layouts.get(len(first), _ASVSPOOF_2021 if len(first) >= 8 else None)
    if layout is None or first[layout.label].lower() not in _LABELS:
        raise table.error(0, f"no known key format. Expected {_KEY_FORMATS}.")
    return layout


def _csv_trials(file: Path, text: str) -> Trials:
    header, table = _csv_table(file, text)
    labels = _csv_column(header, table, _LABEL_COLUMNS)
    if labels is None or not _has(header, _ID_COLUMNS + _PATH_COLUMNS):
        raise DetectorError(f"{file} needs the columns label and utt_id or path; it has {', '.join(header)}.")
    utt_ids, paths = _ids_and_paths(header, table)
    _refuse_duplicates(table, utt_ids)
    blank = [""] * len(utt_ids)
    return Trials(
        format="CSV",
        utt_ids=utt_ids,
        is_bonafide=_labels(table, labels),
        groups=_group_names(_csv_column(header, table, _GROUP_COLUMNS) or blank),
        paths=paths,
        phases=[_phase_name(phase) for phase in _csv_column(header, table, _PHASE_COLUMNS) or blank],
    )


def _ids_and_paths(header: list[str], table: _Table) -> tuple[list[str], list[str]]:
    names = _csv_column(header, table, _PATH_COLUMNS)
    utt_ids = _csv_column(header, table, _ID_COLUMNS)
    paths = [_resolve(table.path, name) for name in names] if names else [""] * len(table.rows)
    if utt_ids is None:
        utt_ids = [Path(name).stem for name in names or []]
    if "" in utt_ids:
        raise table.error(utt_ids.index(""), "the utterance has no name.")
    return utt_ids, paths


def _labels(table: _Table, texts: list[str]) -> np.ndarray:
    """bool [n], True for bona fide."""
    labels = [_LABELS.get(text.lower()) for text in texts]
    if None in labels:
        row = labels.index(None)
        raise table.error(row, f"the label is {texts[row]!r}; expected bonafide, bona-fide or spoof.")
    return np.array(labels, dtype=bool)


def _group_names(texts: list[str]) -> list[str]:
    """Attack names; "-" and the "bonafide" that some keys repeat there mean none."""
    return ["" if text == "-" or text.lower() in _LABELS else text for text in texts]


def _phase_name(text: str) -> str:
    """The first ASVspoof 2021 key package says hidden_track where the full one says hidden."""
    return "hidden" if text == "hidden_track" else text


def _in_phase(phases: list[str], phase: str, what: str) -> np.ndarray:
    """bool [n]: which rows are of this phase. DetectorError when none is."""
    known = sorted(set(phases) - {""})
    if not known:
        raise DetectorError(f"{what} have no phases: leave out --phase.")
    wanted = _phase_name(phase)
    if wanted not in known:
        raise DetectorError(f"{what} have no phase {phase!r}; they have {', '.join(known)}.")
    return np.array([value == wanted for value in phases])


def _without_ending(name: str) -> str:
    """ "0.wav" -> "0", as the score command names utterances; "v1.5" stays."""
    if "." not in name:  # most names, and much quicker than splitext
        return name
    stem, ending = os.path.splitext(name)
    return stem if ending.lower() in _AUDIO_ENDINGS else name


def _names_file(name: str) -> bool:
    return "/" in name or _without_ending(name) != name


def _resolve(list_file: Path, name: str) -> str:
    """A path that a list names, relative to the list's folder unless absolute; '' stays ''."""
    return os.path.join(list_file.parent, name) if name else ""


# Scores


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
    table = _Table(file, [number for number, _ in scored], [(_record_id(record),) for _, record in scored])
    utt_ids = table.column(0)
    if "" in utt_ids:
        raise table.error(utt_ids.index(""), "neither utt_id nor path says which clip was scored.")
    _refuse_duplicates(table, utt_ids)
    llrs = [record.get("llr") for _, record in scored]
    return ScoreTable(
        utt_ids=utt_ids,
        scores=_numbers(table, [record["score"] for _, record in scored]),
        llrs=None if any(llr in (None, "") for llr in llrs) else _numbers(table, llrs),
    )


def _record_id(record: dict) -> str:
    named = next((record[column] for column in _ID_COLUMNS if record.get(column)), None)
    return str(named) if named else Path(str(record.get("path") or "")).stem


def _numbers(table: _Table, texts: Sequence[Any]) -> np.ndarray:
    """float64 [n]; DetectorError names the first line that holds no finite number."""
    values = np.array([_number(text) for text in texts])
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise table.error(bad[0], f"the score is {texts[bad[0]]!r}; expected a finite number.")
    return values


def _number(text: Any) -> float:
    """NaN for what is no number, so that one check finds both."""
    try:
        return float(text)
    except (TypeError, ValueError):
        return math.nan


# ASV scores


def _asv_scores_2021(key_file: Path, score_file: Path, phase: str | None) -> AsvScores:
    keys = _text_table(key_file, _read_text(key_file))
    _check_widths(keys, 8, "expected SPEAKER UTT CODEC TRANSMISSION ATTACK target|nontarget|spoof TRIM PHASE")
    scores = _text_table(score_file, _read_text(score_file))
    _check_widths(scores, 3, "expected SPEAKER UTT SCORE")
    values = _asv_values_in_key_order(keys, scores)
    kinds = np.array(keys.column(5))
    if phase is not None:
        phases = [_phase_name(text) for text in keys.column(7)]
        keep = _in_phase(phases, phase, f"The ASV keys {key_file}")
        kinds, values = kinds[keep], values[keep]
    return _split_asv(kinds, values, key_file)


def _asv_values_in_key_order(keys: _Table, scores: _Table) -> np.ndarray:
    """float64 [n]: the score of each ASV trial, a trial being one utterance against one claimed speaker."""
    values = _numbers(scores, scores.column(2))
    trials = list(zip(keys.column(0), keys.column(1), strict=True))
    scored = list(zip(scores.column(0), scores.column(1), strict=True))
    if trials == scored:
        return values
    by_trial = dict(zip(scored, values, strict=True))
    if len(by_trial) < len(scored):
        raise DetectorError(f"{scores.path} scores some ASV trial twice, in another order than {keys.path}.")
    missing = [trial for trial in trials if trial not in by_trial]
    if missing:
        raise DetectorError(
            f"{scores.path} lacks {len(missing)} of {len(trials)} ASV trials, "
            f"such as speaker {missing[0][0]}, utterance {missing[0][1]}."
        )
    return np.array([by_trial[trial] for trial in trials])


def _asv_scores_2019(file: Path) -> AsvScores:
    table = _text_table(file, _read_text(file))
    _check_widths(table, 3, "expected ATTACK target|nontarget|spoof SCORE")
    return _split_asv(np.array(table.column(1)), _numbers(table, table.column(2)), file)


def _split_asv(kinds: np.ndarray, values: np.ndarray, file: Path) -> AsvScores:
    strange = set(kinds.tolist()) - {"target", "nontarget", "spoof"}
    if strange:
        raise DetectorError(
            f"{file} names ASV trials {', '.join(sorted(strange))}; expected target, nontarget and spoof."
        )
    return AsvScores(
        target=values[kinds == "target"],
        nontarget=values[kinds == "nontarget"],
        spoof=values[kinds == "spoof"],
    )


# Files and tables


def _read_text(file: Path) -> str:
    try:
        # File names need not be valid UTF-8; surrogateescape keeps their bytes apart.
        text = file.read_text(encoding="utf-8-sig", errors="surrogateescape")
    except OSError as error:
        raise DetectorError(f"{file} cannot be read: {error.strerror}.") from error
    if "\0" in text:
        raise DetectorError(f"{file} is not a text file.")
    if not text.strip():
        raise DetectorError(f"{file} is empty.")
    return text


def _text_table(file: Path, text: str, split: Callable[[str], list[str]] = str.split) -> _Table:
    rows = [tuple(split(line)) for line in text.split("\n")]
    return _Table(file, [number for number, row in enumerate(rows, 1) if row], [row for row in rows if row])


def _check_widths(table: _Table, width: int | None = None, expected: str = "") -> None:
    """Every row has `width` columns, or as many as the first row."""
    wanted = width or len(table.rows[0])
    expected = expected or f"the first line has {wanted}"
    for row, columns in enumerate(table.rows):
        if len(columns) != wanted:
            raise table.error(row, f"{len(columns)} columns; {expected}.")


def _refuse_duplicates(table: _Table, utt_ids: list[str]) -> None:
    if len(set(utt_ids)) == len(utt_ids):
        return
    seen: dict[str, int] = {}
    for row, utt_id in enumerate(utt_ids):
        if utt_id in seen:
            raise table.error(
                row, f"utterance {utt_id} is there already, on line {table.lines[seen[utt_id]]}."
            )
        seen[utt_id] = row


def _is_csv(text: str) -> bool:
    """Whether the first line is a CSV header, that is, names one of the columns we know."""
    return bool(_CSV_COLUMNS & set(_header_names(text.lstrip().split("\n", 1)[0].split(","))))


def _header_names(fields: Iterable[str]) -> list[str]:
    return [field.strip().strip('"').lower() for field in fields]


def _csv_table(file: Path, text: str) -> tuple[list[str], _Table]:
    """Column names in lower case, and the rows below them."""
    reader = csv.reader(text.split("\n"))
    header = _header_names(next(row for row in reader if row))
    numbered = [(reader.line_num, row) for row in reader if row]
    if not numbered:
        raise DetectorError(f"{file} has a header and nothing below it.")
    table = _Table(file, [number for number, _ in numbered], [tuple(row) for _, row in numbered])
    _check_widths(table, len(header), f"the header has {len(header)}")
    return header, table


def _has(header: list[str], names: tuple[str, ...]) -> bool:
    return any(name in header for name in names)


def _csv_column(header: list[str], table: _Table, names: tuple[str, ...]) -> list[str] | None:
    """The first of these columns that exists and is not blank all the way; None when there is none."""
    for name in names:
        if name in header:
            column = [text.strip() for text in table.column(header.index(name))]
            if any(column):
                return column
    return None
