"""The whole test of a clip's maps: occlusion relevance of each detector, and what its maps are worth.

Detectors whose maps say something about time are tested: SLS (its layer x time map, summed over the layers)
and Fake-Mamba (its attention), each beside the occlusion of the same detector.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from detectors.audio import SAMPLE_RATE
from detectors.detection import Detection
from detectors.faithfulness import Faithfulness, Trials, order_of
from detectors.progress import Progress
from detectors.relevance import Relevance, occlusion
from detectors.removal import Removable
from detectors.robustness import loudest_start

OCCLUSION = "occlusion"

#: Map of a detection -> how much each frame is marked, [frames].
MARKS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "layer_time": lambda logits: np.asarray(logits.sum(axis=0)),
    "attention": lambda shares: shares,
}
NO_MAP = "it has no map over time"


def has_marks(detection: Detection) -> bool:
    """Whether a detection has a map that can be tested."""
    return any(key in detection.maps for key in MARKS)


class Examinee(Protocol):
    """What of a loaded detector is needed."""

    def analyze(self, wave: np.ndarray) -> Detection: ...

    def scores(self, waves: Sequence[np.ndarray]) -> np.ndarray: ...


@dataclass(frozen=True)
class Effort:
    """How much a test may cost. seconds: longer clips are tested on the stretch of this length with the most
    sound in it. column: its width in seconds. bands: of the occlusion. pairs: of random orders.
    """

    seconds: float
    column: float
    bands: int
    pairs: int

    def columns(self, seconds: float) -> int:
        """Columns of a clip of this length; at least as many as the curves have steps."""
        return max(10, round(seconds / self.column))


def effort_for(device: str, preset: str) -> Effort:
    """Fixed by device and model size, never by the time it takes: the same clip gives the same result."""
    if device != "cpu":
        return Effort(seconds=12.0, column=0.25, bands=8, pairs=10)
    if preset == "mini":
        return Effort(seconds=4.5, column=0.25, bands=8, pairs=10)
    return Effort(seconds=4.0, column=0.4, bands=2, pairs=3)


@dataclass(frozen=True)
class Examined:
    """One detector. found: for each of its maps and for its occlusion, in this order."""

    detector: str
    relevance: Relevance
    found: tuple[Faithfulness, ...]


@dataclass(frozen=True)
class MapTest:
    """start, seconds: the stretch of the clip that was tested. columns: that it was cut into. left_out:
    detector -> reason.
    """

    start: float
    seconds: float
    columns: int
    examined: tuple[Examined, ...]
    left_out: dict[str, str]

    def report(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "start": self.start,
            "seconds": self.seconds,
            "columns": self.columns,
            "detectors": {
                of.detector: {
                    "maps": [found.report() for found in of.found],
                    "relevance": of.relevance.cells.tolist(),
                    "relevance_edges_hz": of.relevance.edges.round(1).tolist(),
                }
                for of in self.examined
            },
            "left_out": dict(self.left_out),
        }


def map_test(
    wave: np.ndarray, detectors: Mapping[str, Examinee], effort: Effort, progress: Progress | None = None
) -> MapTest:
    """Test the maps of a clip, float32 [s], 16 kHz mono.

    progress hears the share done and a detector's name. Raises DetectorError when one refuses the clip.
    """
    tell = progress or (lambda share, doing: None)
    begin = loudest_start(wave, effort.seconds)
    part = wave[begin : begin + round(effort.seconds * SAMPLE_RATE)]
    clip = Removable(part, effort.columns(len(part) / SAMPLE_RATE), effort.bands)
    examined: list[Examined] = []
    left_out: dict[str, str] = {}
    for turn, (name, detector) in enumerate(detectors.items()):

        def telling(share: float, turn: int = turn, name: str = name) -> None:
            tell((turn + share) / len(detectors), name)

        telling(0.0)
        detection = detector.analyze(part)
        marks = {key: of(detection.maps[key]) for key, of in MARKS.items() if key in detection.maps}
        if marks:
            examined.append(_examine(name, clip, detection, marks, detector, effort.pairs, telling))
        else:
            left_out[name] = NO_MAP
    tell(1.0, "")
    return MapTest(begin / SAMPLE_RATE, clip.seconds, clip.columns, tuple(examined), left_out)


def _examine(
    name: str,
    clip: Removable,
    detection: Detection,
    marks: Mapping[str, np.ndarray],
    detector: Examinee,
    pairs: int,
    tell: Callable[[float], None],
) -> Examined:
    cells, orders = clip.bands * clip.columns, 18 * pairs
    half = cells / (cells + orders)  # where the progress is once the occlusion is done
    relevance = occlusion(clip, detection.score, detector.scores, lambda share: tell(half * share))
    trials = Trials(clip, detection.score, detector.scores)
    control = trials.control(pairs, lambda share: tell(half + (1 - half) * share))
    found = [trials.judge(key, order_of(marked, clip.columns), control) for key, marked in marks.items()]
    # First goes what sets the score apart from that of an empty clip, to whichever side that is.
    side = 1 if detection.score >= trials.empty else -1
    found.append(trials.judge(OCCLUSION, order_of(side * relevance.over_time(), clip.columns), control))
    return Examined(name, relevance, tuple(found))
