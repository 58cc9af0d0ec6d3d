"""Occlusion relevance: how much a detector's score changes when one cell of the spectrogram is removed.

After Zeiler & Fergus, "Visualizing and Understanding Convolutional Networks" (2014), on cells of time by
frequency that are removed as removal.py says. It asks the detector itself, whatever is inside it; several
are asked about the same removals. What it cannot show: cells that only matter together, and evidence that
is there twice.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from detectors.mel_scale import mel_edges
from detectors.removal import Removable

#: Clips [s] each -> CM scores [clips, detectors], higher = bona fide. Nothing else is asked of detectors.
Rescore = Callable[[Sequence[np.ndarray]], np.ndarray]
#: Clips that are handed over at once: enough to fill batches, few enough that what one detector heard is
#: still remembered when the next one asks (see frontends/heard_once.py).
AT_ONCE = 8

Item = TypeVar("Item")


@dataclass(frozen=True)
class Relevance:
    """cells: [bands, columns], lowest band first: CM score of the clip less that without the cell. Above 0:
    the cell speaks for a human voice, below 0 for a machine. score: of the whole clip.
    """

    cells: np.ndarray
    score: float

    @property
    def edges(self) -> np.ndarray:
        """Edges of the bands in Hz, [bands + 1]."""
        return mel_edges(len(self.cells))

    def over_time(self) -> np.ndarray:
        """[columns]: the bands of each column together."""
        return np.asarray(self.cells.sum(axis=0))


def occlusion(
    clip: Removable,
    scores: np.ndarray,
    rescore: Rescore,
    progress: Callable[[float], None] = lambda share: None,
) -> list[Relevance]:
    """Remove each cell of the clip's grid alone; one Relevance for each detector.

    scores: of the clip as it is, [detectors]. progress: the share done.
    """
    places = [(band, column) for band in range(clip.bands) for column in range(clip.columns)]

    def without(place: tuple[int, int]) -> np.ndarray:
        cells = np.zeros((clip.bands, clip.columns), dtype=bool)
        cells[place] = True
        return clip.without(cells)

    removed = score_in_turn(without, places, rescore, progress)
    cells = (scores - removed).reshape(clip.bands, clip.columns, -1)
    return [Relevance(cells[..., turn], float(score)) for turn, score in enumerate(scores)]


def score_in_turn(
    make: Callable[[Item], np.ndarray],
    items: Sequence[Item],
    rescore: Rescore,
    progress: Callable[[float], None] = lambda share: None,
) -> np.ndarray:
    """CM scores [items, detectors] of the clips that `make` gives; at most AT_ONCE are ever in memory."""
    scores: list[np.ndarray] = []
    for first in range(0, len(items), AT_ONCE):
        scores += list(rescore([make(item) for item in items[first : first + AT_ONCE]]))
        progress(len(scores) / len(items))
    return np.array(scores, dtype=float)
