"""What the app knows about one clip, and the short memory of recent clips."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from detectors.clip_report import clip_report, devices_of
from detectors.detection import (
    Detection,
    Reason,
    Step,
    Verdict,
    Window,
    abstained_of,
    p_spoof_of,
    step_of,
    verdict_of,
)
from detectors.fusion import uncounted
from detectors.map_test import MapTest
from detectors.robustness import StressTest


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """All detectors' judgement of one clip.

    id: unguessable, so that one visitor cannot name another's clip. sha256: of the original bytes.
    path: the clip as uploaded. wave: float32 [s], 16 kHz mono. detections and versions: by detector,
    for those that ran; unavailable: the reason, for those that did not. llr: natural log, bona fide
    over spoof, all detectors together; None when none ran. created: UTC, ISO 8601. stress, map_test: the
    stress test and the test of the maps, once they were asked for. notes: what a visitor should know of how
    it was made, in sentences.
    """

    id: str
    created: str
    path: str
    sha256: str
    wave: np.ndarray
    seconds: float
    preset: str
    detections: dict[str, Detection]
    versions: dict[str, str]
    unavailable: dict[str, str]
    llr: float | None
    stress: StressTest | None = None
    map_test: MapTest | None = None
    notes: tuple[str, ...] = ()

    @property
    def p_spoof(self) -> float | None:
        """Probability of spoof at prior 0.5: 1.00 = certainly machine-made."""
        return None if self.llr is None else p_spoof_of(self.llr)

    @property
    def verdict(self) -> Verdict | None:
        """ "bonafide", "spoof" or "inconclusive"; None when no detector ran."""
        return None if self.llr is None else verdict_of(self.llr, self.abstained)

    @property
    def step(self) -> Step | None:
        """The verdict in five steps; None when no detector ran."""
        return None if self.llr is None else step_of(self.llr, self.abstained)

    @property
    def abstained(self) -> tuple[Reason, ...]:
        """Why the clip gets no verdict, whatever the scores."""
        return abstained_of(self.detections.values())

    @property
    def left_out(self) -> list[str]:
        """Detectors that ran, but do not count in what all say together."""
        return uncounted({name: self.versions[name] for name in self.detections})

    @property
    def device(self) -> str | None:
        """The device or devices that the detectors ran on; None when none ran."""
        return devices_of(self.detections)

    def worst_window(self) -> tuple[str, Window] | None:
        """The detector and the window with the highest probability of spoof."""
        windows = [(name, w) for name, d in self.detections.items() for w in d.windows]
        return max(windows, key=lambda pair: pair[1].p_spoof, default=None)

    def scores(self) -> dict[str, dict[str, float]]:
        """Per detector, the numbers that a person saw: what a label keeps beside the answer."""
        return {
            name: {"score": d.score, "llr": d.llr, "p_spoof": d.p_spoof}
            for name, d in self.detections.items()
        }

    def report(self) -> dict[str, Any]:
        """The analysis as plain JSON values: what the `/analyze` endpoint answers."""
        return clip_report(
            detections=self.detections,
            versions=self.versions,
            unavailable=self.unavailable,
            llr=self.llr,
            sha256=self.sha256,
            seconds=self.seconds,
            preset=self.preset,
            created=self.created,
            analysis_id=self.id,
            notes=self.notes,
        )


class RecentAnalyses:
    """The latest analyses by id, bounded in number and in seconds of audio held. Thread-safe.

    The newest one is always kept, however long its clip is, until nobody has asked for it for `age` seconds.
    """

    def __init__(
        self,
        count: int = 256,
        seconds: float = 2 * 3600,
        age: float = 2 * 3600,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.count, self.seconds, self.age, self._clock = count, seconds, age, clock
        self._items: OrderedDict[str, Analysis] = OrderedDict()
        self._used: dict[str, float] = {}
        self._deleted: set[str] = set()
        self._lock = threading.Lock()

    def add(self, analysis: Analysis) -> None:
        """Remember an analysis and forget the least recently used ones beyond the bounds."""
        with self._lock:
            self._items[analysis.id] = analysis
            self._used[analysis.id] = self._clock()
            self._deleted.discard(analysis.sha256)
            while len(self._items) > 1 and self._over():
                del self._used[self._items.popitem(last=False)[0]]

    def renew(self, analysis_id: str, **found: Any) -> None:
        """Add to an analysis what was found out (its fields), unless it was forgotten or deleted."""
        with self._lock:
            if analysis_id in self._items:
                self._items[analysis_id] = replace(self._items[analysis_id], **found)

    def get(self, analysis_id: str) -> Analysis | None:
        """The analysis, now the most recently used one, or None when it is unknown or forgotten."""
        self.tidy()
        with self._lock:
            if analysis_id in self._items:
                self._items.move_to_end(analysis_id)
                self._used[analysis_id] = self._clock()
            return self._items.get(analysis_id)

    def forget(self, sha256: str) -> None:
        """Drop all analyses of the clip with these bytes, which was deleted on request."""
        with self._lock:
            self._deleted.add(sha256)
            for id in [id for id, analysis in self._items.items() if analysis.sha256 == sha256]:
                del self._items[id], self._used[id]

    def is_deleted(self, sha256: str) -> bool:
        """Whether a clip was deleted on request, and not analysed again since."""
        with self._lock:
            return sha256 in self._deleted

    def is_kept(self, analysis_id: str) -> bool:
        """Whether `get` would give an analysis. To ask is not to use it."""
        self.tidy()
        with self._lock:
            return analysis_id in self._items

    def drop(self, analysis_id: str) -> None:
        """Forget one analysis."""
        with self._lock:
            self._items.pop(analysis_id, None)
            self._used.pop(analysis_id, None)

    def tidy(self) -> None:
        """Drop all analyses that nobody has asked for in a long time: a clip is not kept for ever."""
        with self._lock:
            oldest = self._clock() - self.age
            for id in [id for id, used in self._used.items() if used <= oldest]:
                del self._items[id], self._used[id]

    def _over(self) -> bool:
        held = sum(analysis.seconds for analysis in self._items.values())
        return len(self._items) > self.count or held > self.seconds
