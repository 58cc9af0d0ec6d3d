"""Puts what models say about frames of overlapping windows onto the whole clip's time axis."""

import math
from collections.abc import Callable

import numpy as np

#: Maps of long clips are averaged down to this many columns, so that hours of audio stay small.
MAX_FRAMES = 6000

#: Lays what a model says of each window's frames, [windows, rows, t], onto the clip: [rows, frames].
OverTime = Callable[[np.ndarray], np.ndarray]


class Timeline:
    """Averages [rows, t] arrays of windows into one [rows, frames] array over the clip.

    seconds: length of the clip. rate: frames a second that the model gives.
    """

    def __init__(self, rows: int, seconds: float, rate: float) -> None:
        self.seconds, self.rate = seconds, rate
        self.frames = min(MAX_FRAMES, max(1, math.floor(seconds * rate)))
        self._sum = np.zeros((rows, self.frames))
        self._count = np.zeros(self.frames)

    def add(self, start: float, values: np.ndarray) -> None:
        """values [rows, t] of a window that starts at `start` seconds. Frames past the clip's end
        (a short clip is repeated to fill its window) are dropped."""
        times = start + (np.arange(values.shape[1]) + 0.5) / self.rate
        inside = times < self.seconds
        cells = (times[inside] / self.seconds * self.frames).astype(int)
        np.add.at(self._sum.T, cells, values[:, inside].T)
        np.add.at(self._count, cells, 1)

    def mean(self) -> np.ndarray:
        """[rows, frames]; a cell that rounding left empty takes its neighbours' interpolation."""
        known = np.flatnonzero(self._count)
        means = self._sum[:, known] / self._count[known]
        cells = np.arange(self.frames)
        return np.stack([np.interp(cells, known, row) for row in means]).astype(np.float32)
