"""Score results as a folder of Parquet files: `pandas.read_parquet(FOLDER)` reads it as one table.

A Parquet file cannot grow, so every so many rows become a file of their own. That is also how several
processes and machines can write to one folder. pyarrow is an optional extra (requirements-corpora.txt).
"""

import os
import sys
import time
import uuid
from collections.abc import Collection, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from detectors.errors import DetectorError
from detectors.score_files import Row, check_weights

#: A file is written after so many rows or seconds, whichever comes first; a kill loses that much.
PART_ROWS, PART_SECONDS = 5_000, 60.0
WINDOW_FIELDS = ("start", "end", "score", "llr", "p_spoof")
NUMBERS = ("seconds", "score", "llr", "p_spoof", "mean_llr")


def need_pyarrow() -> Any:
    """The module. Raises DetectorError when it is not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise DetectorError(
            "--format parquet needs pyarrow: pip install -r requirements-corpora.txt, or use --format jsonl."
        ) from error
    return pyarrow


def schema() -> Any:
    """The columns: those of Row, windows as a list of records."""
    pa = need_pyarrow()
    window = pa.struct([(name, pa.float64()) for name in WINDOW_FIELDS])
    kinds = {"windows": pa.list_(window), **dict.fromkeys(NUMBERS, pa.float64())}
    return pa.schema([(field.name, kinds.get(field.name, pa.string())) for field in fields(Row)])


def table_of(rows: Sequence[Row]) -> Any:
    """Rows as a pyarrow Table."""
    records = [asdict(row) for row in rows]
    for record in records:
        record["path"], record["utt_id"] = storable(record["path"]), storable(record["utt_id"])
    return need_pyarrow().Table.from_pylist(records, schema=schema())


def put_rows(rows: Sequence[Row], part: Path) -> None:
    """Write a file, beside first and then into place, so that no reader ever sees half of it."""
    # Readers of Parquet folders pass over names with a dot in front.
    fresh = part.with_name(f".{part.name}.tmp")
    need_pyarrow().parquet.write_table(table_of(rows), fresh)
    os.replace(fresh, part)


def storable(name: str) -> str:
    """A file name as text that any reader takes: bytes that are not valid UTF-8 are written as \\udcff."""
    return name.encode("utf-8", "backslashreplace").decode()


class ScoreFolder:
    """A folder of results that takes up what earlier runs, here or on other machines, left in it.

    Used as score_files.ScoreFile is.
    """

    def __init__(self, path: Path | None) -> None:
        self._pq = need_pyarrow().parquet
        if path is None:
            raise DetectorError("--format parquet writes a folder of files. Name it with --out.")
        if path.exists() and not path.is_dir():
            raise DetectorError(f"--out {path} is a file; --format parquet needs a folder. Name another.")
        if not path.absolute().parent.is_dir():
            raise DetectorError(f"The folder of --out {path} does not exist. Make it first.")
        self.path = path
        self._done: set[tuple[str, str | None]] = set()
        self._weights: set[tuple[str, str, str]] = set()
        self._failed: dict[Path, set[tuple[str, str | None]]] = {}
        self._damaged: list[Path] = []
        self._rows: list[Row] = []
        self._since = time.monotonic()
        for part in sorted(path.glob("*.parquet")):
            self._take_up(part)

    def name(self, row: Row) -> str:
        """What tells files apart: an earlier run's row with this name is not made again."""
        return storable(row.path)

    def has(self, row: Row, detector: str) -> bool:
        """Whether an earlier run, or this one, scored the file of `row` with this detector."""
        return (self.name(row), detector) in self._done

    def check_same_model(self, detector: str, preset: str, version: str) -> None:
        """DetectorError when earlier rows of this detector come from other weights."""
        check_weights(self.path, self._weights, (detector, preset, version))

    def open(self, retry: Collection[tuple[str, str | None]]) -> None:
        """Drop failed rows whose (name, detector) is in `retry`, and files that a kill left unfinished."""
        self.path.mkdir(exist_ok=True)
        for part in self._damaged:
            print(f"{part} was not written to its end and is removed.", file=sys.stderr)
            part.unlink()
        for part, failed in self._failed.items():
            if failed & set(retry):
                rows = [
                    Row(**record)
                    for record in self._pq.read_table(part, schema=schema()).to_pylist()
                    if record["error"] is None or (record["path"], record["detector"]) not in retry
                ]
                if rows:
                    put_rows(rows, part)
                else:
                    part.unlink()
        self._since = time.monotonic()

    def write(self, row: Row) -> None:
        """Add a row; it is on disk once the file that it goes to is full or a minute has passed."""
        if row.error is None:
            self._done.add((self.name(row), row.detector))
        self._rows.append(row)
        if len(self._rows) >= PART_ROWS or time.monotonic() - self._since >= PART_SECONDS:
            self._flush()

    def close(self) -> None:
        """Write what is left."""
        self._flush()

    def _flush(self) -> None:
        if self._rows:
            put_rows(self._rows, self.path / f"scores-{uuid.uuid4().hex}.parquet")
        self._rows, self._since = [], time.monotonic()

    def _take_up(self, part: Path) -> None:
        import pyarrow as pa

        columns = ["path", "detector", "preset", "version", "error"]
        try:
            if not set(columns) <= set(self._pq.read_schema(part).names):
                raise DetectorError(
                    f"{part} is not a result of this command. Choose another --out, or move it away."
                )
            found = self._pq.read_table(part, columns=columns).to_pylist()
        except pa.ArrowInvalid:
            self._damaged.append(part)
            return
        for record in found:
            key = (record["path"], record["detector"])
            if record["error"] is not None:
                self._failed.setdefault(part, set()).add(key)
            else:
                self._done.add(key)
            if record["version"]:
                self._weights.add((record["detector"], record["preset"], record["version"]))
