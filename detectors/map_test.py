"""The whole test of a clip's maps: occlusion relevance of each detector, and what its maps are worth.

Detectors whose maps say something about time are tested: SLS (its layer x time map, summed over the layers)
and Fake-Mamba (its attention), each beside the occlusion of the same detector and, where they hear a speaker
network, what each moment makes of that network's judge.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from detectors.audio import SAMPLE_RATE
from detectors.detection import VOICE_TIME, Detection
from detectors.faithfulness import STEPS, Faithfulness, Trials, order_of
from detectors.relevance import Relevance, occlusion
from detectors.removal import Removable
from detectors.robustness import loudest_start

OCCLUSION = "occlusion"

#: Map of a detection, and the side to which the clip's score goes (1: bona fide, -1: spoof) -> how much
#: each frame is marked, [frames].
MARKS: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "layer_time": lambda logits, side: np.asarray(logits.sum(axis=0)),
    "attention": lambda shares, side: shares,
    VOICE_TIME: lambda odds, side: side * odds,
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
    wave: np.ndarray,
    detectors: Mapping[str, Examinee],
    effort: Effort,
    progress: Callable[[float], None] = lambda share: None,
) -> MapTest:
    """Test the maps of a clip, float32 [s], 16 kHz mono.

    progress hears the share done. Raises DetectorError when a detector refuses the clip.
    """
    begin = loudest_start(wave, effort.seconds)
    part = wave[begin : begin + round(effort.seconds * SAMPLE_RATE)]
    clip = Removable(part, effort.columns(len(part) / SAMPLE_RATE), effort.bands)
    progress(0.0)
    detections = {name: detector.analyze(part) for name, detector in detectors.items()}
    marked = {name: detection for name, detection in detections.items() if has_marks(detection)}
    examined = _examine(clip, marked, detectors, effort.pairs, progress) if marked else ()
    progress(1.0)
    left_out = {name: NO_MAP for name in detectors if name not in marked}
    return MapTest(begin / SAMPLE_RATE, clip.seconds, clip.columns, examined, left_out)


def _examine(
    clip: Removable,
    detections: Mapping[str, Detection],
    detectors: Mapping[str, Examinee],
    pairs: int,
    progress: Callable[[float], None],
) -> tuple[Examined, ...]:
    """What the detections' maps are worth. All detectors are asked together, as what they hear alike is then
    heard once."""
    scores = np.array([detection.score for detection in detections.values()])
    asked = [detectors[name] for name in detections]

    def ask_all(waves: Sequence[np.ndarray]) -> np.ndarray:
        return np.stack([detector.scores(waves) for detector in asked], axis=-1)

    cells, orders = clip.bands * clip.columns, 2 * (STEPS - 1) * pairs
    most = pairs / (pairs + len(MARKS))  # the rest is for the orders of the maps themselves
    half = most * cells / (cells + orders)
    relevances = occlusion(clip, scores, ask_all, lambda share: progress(half * share))
    trials = Trials(clip, scores, ask_all)
    control = trials.control(pairs, lambda share: progress(half + (most - half) * share))
    examined = []
    for turn, (name, detection) in enumerate(detections.items()):
        progress(most + (1 - most) * turn / len(detections))
        empty = float(trials.empty[turn])
        found = tuple(
            Faithfulness(key, detection.score, empty, trials.curves(order).of(turn), control.of(turn))
            for key, order in _orders(detection, relevances[turn], empty, clip.columns).items()
        )
        examined.append(Examined(name, relevances[turn], found))
    return tuple(examined)


def _orders(detection: Detection, relevance: Relevance, empty: float, columns: int) -> dict[str, np.ndarray]:
    """Of each map, and then of the occlusion: the columns [columns], what is marked most first.

    empty: CM score of the clip with everything removed.
    """
    # First goes what sets the score apart from that of an empty clip, to whichever side that is.
    side = 1 if detection.score >= empty else -1
    marks = {key: of(detection.maps[key], side) for key, of in MARKS.items() if key in detection.maps}
    marks[OCCLUSION] = side * relevance.over_time()
    return {key: order_of(marked, columns) for key, marked in marks.items()}
