"""What the readers of keys and scores share: finding a file, its rows, checks of columns, phases.

A table is either whitespace-separated lines or a CSV, told apart by the first line.
"""

import csv
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from detectors.errors import DetectorError

# Column names that a CSV may use, the preferred one first.
ID_COLUMNS = ("utt_id", "utt")
PATH_COLUMNS = ("path", "file_name", "file")
LABEL_COLUMNS = ("label", "key")
GROUP_COLUMNS = ("attack", "source", "generator")
PHASE_COLUMNS = ("phase", "split")
_KNOWN_COLUMNS = {*ID_COLUMNS, *PATH_COLUMNS, *LABEL_COLUMNS, *GROUP_COLUMNS, *PHASE_COLUMNS, "score"}


@dataclass(frozen=True)
class Table:
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

    def check_widths(self, width: int | None = None, expected: str = "") -> None:
        """DetectorError unless every row has `width` columns, or as many as the first row."""
        wanted = width or len(self.rows[0])
        expected = expected or f"the first line has {wanted}"
        for row, columns in enumerate(self.rows):
            if len(columns) != wanted:
                raise self.error(row, f"{len(columns)} columns; {expected}.")

    def refuse_duplicates(self, utt_ids: list[str]) -> None:
        """DetectorError names the first line whose utterance an earlier line has, and that line."""
        if len(set(utt_ids)) == len(utt_ids):
            return
        seen: dict[str, int] = {}
        for row, utt_id in enumerate(utt_ids):
            if utt_id in seen:
                raise self.error(
                    row, f"utterance {utt_id} is there already, on line {self.lines[seen[utt_id]]}."
                )
            seen[utt_id] = row

    def numbers(self, texts: Sequence[Any]) -> np.ndarray:
        """float64 [n]; DetectorError names the first line that holds no finite number."""
        values = np.array([_number(text) for text in texts])
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            raise self.error(bad[0], f"the score is {texts[bad[0]]!r}; expected a finite number.")
        return values


def _number(text: Any) -> float:
    """NaN for what is no number, so that one check finds both."""
    try:
        return float(text)
    except (TypeError, ValueError):
        return math.nan


# Files


def find_shallowest(folder: Path, pattern: str) -> list[Path]:
    """Matches of `pattern` at the shallowest level that has any; key packages nest to keys/LA/."""
    for depth in range(4):
        found = sorted(folder.glob("*/" * depth + pattern))
        if found:
            return found
    return []


def the_only(found: list[Path], folder: Path) -> Path:
    """The one file of `found`, which is not empty; DetectorError lists them when there are several."""
    if len(found) > 1:
        names = ", ".join(str(path.relative_to(folder)) for path in found)
        raise DetectorError(f"{folder} holds several candidates ({names}): give the one that is meant.")
    return found[0]


def read_text(file: Path) -> str:
    """The text of a file; DetectorError when it cannot be read, is not text or is blank."""
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


# Rows


def text_table(file: Path, text: str, split: Callable[[str], list[str]] = str.split) -> Table:
    """The lines of a text in columns, split at whitespace unless told otherwise; blank lines are left out."""
    rows = [tuple(split(line)) for line in text.split("\n")]
    return Table(file, [number for number, row in enumerate(rows, 1) if row], [row for row in rows if row])


def is_csv(text: str) -> bool:
    """Whether the first line is a CSV header, that is, names one of the columns we know."""
    return bool(_KNOWN_COLUMNS & set(_header_names(text.lstrip().split("\n", 1)[0].split(","))))


def csv_table(file: Path, text: str) -> tuple[list[str], Table]:
    """Column names in lower case, and the rows below them."""
    reader = csv.reader(text.split("\n"))
    header = _header_names(next(row for row in reader if row))
    numbered = [(reader.line_num, row) for row in reader if row]
    if not numbered:
        raise DetectorError(f"{file} has a header and nothing below it.")
    table = Table(file, [number for number, _ in numbered], [tuple(row) for _, row in numbered])
    table.check_widths(len(header), f"the header has {len(header)}")
    return header, table


def _header_names(fields: Iterable[str]) -> list[str]:
    return [field.strip().strip('"').lower() for field in fields]


def has_column(header: list[str], names: tuple[str, ...]) -> bool:
    """Whether a CSV has any of these columns."""
    return any(name in header for name in names)


def csv_column(header: list[str], table: Table, names: tuple[str, ...]) -> list[str] | None:
    """The first of these columns that exists and is not blank all the way; None when there is none."""
    for name in names:
        if name in header:
            column = [text.strip() for text in table.column(header.index(name))]
            if any(column):
                return column
    return None


# Phases


def phase_name(text: str) -> str:
    """The first ASVspoof 2021 key package says hidden_track where the full one says hidden."""
    return "hidden" if text == "hidden_track" else text


def in_phase(phases: list[str], phase: str, what: str) -> np.ndarray:
    """bool [n]: which rows are of this phase. DetectorError when none is."""
    known = sorted(set(phases) - {""})
    if not known:
        raise DetectorError(f"{what} have no phases: leave out --phase.")
    wanted = phase_name(phase)
    if wanted not in known:
        raise DetectorError(f"{what} have no phase {phase!r}; they have {', '.join(known)}.")
    return np.array([value == wanted for value in phases])
