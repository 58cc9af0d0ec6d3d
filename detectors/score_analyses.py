"""`score --format analysis`: one line of JSON a clip, all detectors together, as `/analyze` answers."""

import json
import os
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from detectors.clip_report import clip_report, now
from detectors.detection import REASONS, Detection, Window, p_spoof_of
from detectors.errors import DetectorError
from detectors.fusion import fused
from detectors.score_files import Row, check_weights, open_text, text_of


class AnalysisLines:
    """A result file, or stdout, that takes up what an earlier run left in it. Used as score_files.ScoreFile.

    A line is `clip_report` with two fields before it: path, and error, which is null unless the clip could
    not be judged. A clip's rows must come one after the other: its line is written when the next clip's come,
    or at the end.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._preset = self._device = ""
        self._unavailable: dict[str, str] = {}
        self._lines = _earlier(path, text_of(path)) if path else []
        self._done = {line["path"] for line in self._lines if line["error"] is None}
        self._rows: list[Row] = []
        self._sink: IO[str] = sys.stdout

    def know(self, preset: str, device: str, unavailable: Mapping[str, str]) -> None:
        """What rows do not say: where the detectors run, and why others cannot."""
        self._preset, self._device, self._unavailable = preset, device, dict(unavailable)

    def name(self, row: Row) -> str:
        """What tells files apart."""
        return row.path

    def has(self, row: Row, detector: str) -> bool:
        """Whether an earlier run judged the file: then it did with every detector."""
        return row.path in self._done

    def check_same_model(self, detector: str, preset: str, version: str) -> None:
        """DetectorError when earlier lines of this detector come from other weights."""
        earlier = {
            (name, line["preset"], known) for line in self._lines for name, known in line["versions"].items()
        }
        check_weights(self.path, earlier, (detector, preset, version))

    def open(self, retry: Collection[tuple[str, str | None]]) -> None:
        """Make the file ready for new lines; those of clips that failed and are tried again are dropped."""
        again = {name for name, _ in retry}
        kept = [line for line in self._lines if line["error"] is None or line["path"] not in again]
        if self.path is None:
            return
        fresh = self.path.with_name(self.path.name + ".tmp")
        with open_text(fresh, "w") as file:
            file.writelines(json.dumps(line) + "\n" for line in kept)
        os.replace(fresh, self.path)
        self._sink = open_text(self.path, "a")

    def write(self, row: Row) -> None:
        """Add what one detector says of a clip."""
        if self._rows and self._rows[0].path != row.path:
            self._flush()
        self._rows.append(row)

    def close(self) -> None:
        """Write the last clip's line."""
        self._flush()
        if self._sink is not sys.stdout:
            self._sink.close()

    def _flush(self) -> None:
        if self._rows:
            self._sink.write(json.dumps(self._line(self._rows)) + "\n")
            self._sink.flush()
        self._rows = []

    def _line(self, rows: Sequence[Row]) -> dict[str, Any]:
        found = {row.detector: self._detection(row) for row in rows if row.detector and not row.error}
        versions = {row.detector: row.version or "" for row in rows if row.detector in found}
        reasons = {row.detector: row.error for row in rows if row.detector and row.error}
        first = rows[0]
        report = clip_report(
            detections=found,
            versions=versions,
            unavailable=self._unavailable | reasons,
            llr=fused({name: each.llr for name, each in found.items()}, versions) if found else None,
            sha256=first.sha256,
            seconds=first.seconds,
            preset=self._preset,
            created=now(),
        )
        return {"path": first.path, "error": None if found else first.error, **report}

    def _detection(self, row: Row) -> Detection:
        assert row.detector is not None  # rows with a detector and no error have all numbers
        assert row.score is not None
        assert row.llr is not None
        windows = [Window(**window) for window in row.windows or ()]
        heard = windows, row.seconds or 0.0, self._device
        abstained = tuple(reason for reason in REASONS if reason in (row.abstained or "").split("+"))
        own = row.detector, row.score, row.llr, p_spoof_of(row.llr)
        return Detection(*own, *heard, abstained=abstained, mean_llr=row.mean_llr)


def _earlier(path: Path, text: str) -> list[dict[str, Any]]:
    """Lines of an earlier run, less an unfinished last one; DetectorError when they are something else."""
    lines = text.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines.pop()
    try:
        found = [json.loads(line) for line in lines]
        if all({"path", "error", "versions", "preset", "analysis_id"} <= line.keys() for line in found):
            return found
        reason = "other fields"
    except (ValueError, AttributeError) as error:
        reason = str(error)
    raise DetectorError(
        f"--out {path} exists and is not a result in this format ({reason}). "
        "Choose another --out, or the --format that it was written with."
    )
