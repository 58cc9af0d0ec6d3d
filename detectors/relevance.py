"""Occlusion relevance: how much a detector's score changes when one cell of the spectrogram is removed.

After Zeiler & Fergus, "Visualizing and Understanding Convolutional Networks" (2014), on cells of time by
frequency that are removed as removal.py says. It asks the detector itself, whatever is inside it. What it
cannot show: cells that only matter together, and evidence that is there twice.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from detectors.mel_scale import mel_edges
from detectors.removal import Removable

#: Clips [s] each -> their CM scores [clips], higher = bona fide. Nothing else is asked of a detector here.
Rescore = Callable[[Sequence[np.ndarray]], np.ndarray]
#: Clips that are handed over at once: enough to fill batches, few enough to hear of progress.
AT_ONCE = 16

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
    clip: Removable, score: float, rescore: Rescore, progress: Callable[[float], None] = lambda share: None
) -> Relevance:
    """Remove each cell of the clip's grid alone. score: of the clip as it is. progress: the share done."""
    places = [(band, column) for band in range(clip.bands) for column in range(clip.columns)]

    def without(place: tuple[int, int]) -> np.ndarray:
        cells = np.zeros((clip.bands, clip.columns), dtype=bool)
        cells[place] = True
        return clip.without(cells)

    scores = score_in_turn(without, places, rescore, progress)
    return Relevance(score - scores.reshape(clip.bands, clip.columns), score)


def score_in_turn(
    make: Callable[[Item], np.ndarray],
    items: Sequence[Item],
    rescore: Rescore,
    progress: Callable[[float], None] = lambda share: None,
) -> np.ndarray:
    """CM scores [items] of the clips that `make` gives; only AT_ONCE of them are ever in memory."""
    scores: list[float] = []
    for first in range(0, len(items), AT_ONCE):
        scores += list(rescore([make(item) for item in items[first : first + AT_ONCE]]))
        progress(len(scores) / len(items))
    return np.array(scores, dtype=float)
