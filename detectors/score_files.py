"""The result files of the score command: three formats, written row by row, resumable."""

import csv
import io
import json
import os
import sys
from collections.abc import Collection
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import IO, Any, Protocol

from detectors.errors import DetectorError


@dataclass(frozen=True)
class Row:
    """One file judged by one detector; what is not known is None.

    A file that no detector can take is one row with `detector` None and `error` set.
    seconds: length of the recording. version: short sha256 of the detector's weights.
    windows: one {"start", "end", "score", "llr", "p_spoof"} for each scored stretch.
    step: the verdict in five steps. abstained: why there is no verdict (see detection.Reason), joined by "+";
    "" when there is one. mean_llr: of a long clip judged by its worst stretch, what the mean would give.
    """

    path: str
    utt_id: str
    sha256: str | None = None
    seconds: float | None = None
    detector: str | None = None
    preset: str | None = None
    version: str | None = None
    score: float | None = None
    llr: float | None = None
    p_spoof: float | None = None
    verdict: str | None = None
    windows: list[dict[str, float]] | None = None
    error: str | None = None
    step: str | None = None
    abstained: str | None = None
    mean_llr: float | None = None


class RowFormat(Protocol):
    """How rows become text and come back. `parse` raises ValueError on text it did not write."""

    header: str

    def line(self, row: Row) -> str: ...

    def parse(self, text: str) -> list[Row]: ...

    def may_begin(self, text: str) -> bool:
        """Whether an unfinished first line can be the beginning of such a file."""
        ...

    def name(self, row: Row) -> str:
        """What tells files apart: an earlier run's row with this name is not made again."""
        ...


class JsonLines:
    """One JSON object a line, with everything that is known."""

    header = ""

    def line(self, row: Row) -> str:
        return json.dumps(asdict(row)) + "\n"

    def parse(self, text: str) -> list[Row]:
        try:
            return [Row(**json.loads(line)) for line in text.splitlines()]
        except TypeError as error:
            raise ValueError(f"other fields: {error}") from error

    def may_begin(self, text: str) -> bool:
        start = '{"path": "'
        return text.startswith(start) or start.startswith(text)

    def name(self, row: Row) -> str:
        return row.path


class CsvTable:
    """A table with a header, for spreadsheets; without the windows."""

    columns = tuple(field.name for field in fields(Row) if field.name != "windows")
    numbers = ("seconds", "score", "llr", "p_spoof", "mean_llr")
    header = ",".join(columns) + "\n"

    def line(self, row: Row) -> str:
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerow(getattr(row, column) for column in self.columns)
        return text.getvalue()

    def parse(self, text: str) -> list[Row]:
        if not text.startswith(self.header):
            raise ValueError("another header")
        return [self._row(cells) for cells in csv.reader(io.StringIO(text[len(self.header) :], newline=""))]

    def _row(self, cells: list[str]) -> Row:
        values: dict[str, Any] = dict(zip(self.columns, (cell or None for cell in cells), strict=True))
        for column in self.numbers:
            values[column] = float(values[column]) if values[column] else None
        return Row(**values)

    def may_begin(self, text: str) -> bool:
        return self.header.startswith(text)

    def name(self, row: Row) -> str:
        return row.path


class ScoreLines:
    """ "UTT SCORE" lines as the evaluation packages read them; failed files have no line."""

    header = ""

    def line(self, row: Row) -> str:
        return "" if row.score is None else f"{row.utt_id} {row.score!r}\n"

    def parse(self, text: str) -> list[Row]:
        rows = []
        for line in text.splitlines():
            # Split at the last space: file names, and so ids, may hold some.
            utt_id, _, score = line.rpartition(" ")
            if not utt_id:
                raise ValueError(f'"{line[:40]}" is not UTT SCORE')
            rows.append(Row(path="", utt_id=utt_id, score=float(score)))
        return rows

    def may_begin(self, text: str) -> bool:
        return text.isprintable()

    def name(self, row: Row) -> str:
        return row.utt_id


FORMATS: dict[str, RowFormat] = {"jsonl": JsonLines(), "csv": CsvTable(), "scores": ScoreLines()}


class ScoreFile:
    """A result file, or stdout, that takes up what an earlier run left in it.

    Reading happens at once, so that a file of another kind is refused before any model is
    loaded; nothing is changed until `open`.
    """

    def __init__(self, path: Path | None, row_format: RowFormat) -> None:
        self.path = path
        self.format = row_format
        self._found = "" if path is None else text_of(path)
        self.rows = _earlier_rows(path, self._found, row_format) if path and self._found else []
        self._done = {(row_format.name(row), row.detector) for row in self.rows if row.error is None}
        self._sink: IO[str] = sys.stdout

    def name(self, row: Row) -> str:
        """What tells files apart: an earlier run's row with this name is not made again."""
        return self.format.name(row)

    def has(self, row: Row, detector: str) -> bool:
        """Whether an earlier run, or this one, scored the file of `row` with this detector.

        A "UTT SCORE" line does not name its detector and counts for any.
        """
        name = self.format.name(row)
        return (name, detector) in self._done or (name, None) in self._done

    def check_same_model(self, detector: str, preset: str, version: str) -> None:
        """DetectorError when earlier rows of this detector come from other weights."""
        earlier = {(row.detector, row.preset, row.version) for row in self.rows if row.version}
        check_weights(self.path, earlier, (detector, preset, version))

    def open(self, retry: Collection[tuple[str, str | None]]) -> None:
        """Make the file ready for new rows.

        Failed rows whose (name, detector) is in `retry` are dropped, and so is the unfinished
        last line of a run that was killed.
        """
        kept = [
            row for row in self.rows if not (row.error and (self.format.name(row), row.detector) in retry)
        ]
        text = self.format.header + "".join(self.format.line(row) for row in kept)
        if self.path is not None:
            if self._found not in ("", text):
                _replace(self.path, text)
            self._sink = open_text(self.path, "a")
        if not self._found:
            self._sink.write(text)
        self._found, self.rows = "", []  # a million earlier rows need not be held while scoring

    def write(self, row: Row) -> None:
        """Add a row and hand it to the system at once, so that a kill loses one row at most."""
        if row.error is None:
            self._done.add((self.format.name(row), row.detector))
        self._sink.write(self.format.line(row))
        self._sink.flush()

    def close(self) -> None:
        if self._sink is not sys.stdout:
            self._sink.close()


def check_weights(
    path: Path | None, earlier: Collection[tuple[str | None, ...]], now: tuple[str, str, str]
) -> None:
    """DetectorError when results hold scores of `now`'s detector from another preset or version.

    Each is (detector, preset, version).
    """
    for detector, preset, version in earlier:
        if detector == now[0] and (preset, version) != now[1:]:
            raise DetectorError(
                f"{path} holds scores of {detector} {preset} {version}; this run uses "
                f"{now[1]} {now[2]}. Choose another --out."
            )


def open_text(path: Path, mode: str) -> IO[str]:
    # File names need not be valid UTF-8; surrogateescape carries their bytes both ways.
    try:
        return open(path, mode, encoding="utf-8", errors="surrogateescape", newline="")
    except OSError as error:
        raise DetectorError(
            f"--out {path} cannot be opened: {error.strerror}. Choose another --out."
        ) from error


def _replace(path: Path, text: str) -> None:
    """Write beside and move into place, so that a run killed here loses no earlier row."""
    target = path.resolve()
    fresh = target.with_name(target.name + ".tmp")
    with open_text(fresh, "w") as file:
        file.write(text)
    os.replace(fresh, target)


def text_of(path: Path) -> str:
    """What a result file holds; nothing for a new one and for a device such as /dev/null."""
    if path.is_dir():
        raise DetectorError(f"--out {path} is a folder. Name a file in it.")
    if not path.parent.is_dir():
        raise DetectorError(f"The folder of --out {path} does not exist. Make it first.")
    if not path.is_file():
        return ""
    with open_text(path, "r") as file:
        return file.read()


def _earlier_rows(path: Path, text: str, row_format: RowFormat) -> list[Row]:
    """Rows of an earlier run, less an unfinished last one; DetectorError when they are something else."""
    end = text.rfind("\n") + 1
    if not end and row_format.may_begin(text):
        return []
    try:
        return row_format.parse(text[:end] or text)
    except (ValueError, csv.Error) as error:
        raise DetectorError(
            f"--out {path} exists and is not a result in this format ({error}). "
            "Choose another --out, or the --format that it was written with."
        ) from error
