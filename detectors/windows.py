"""Cutting a clip of any length into the fixed windows that the models take."""

from typing import NamedTuple

import numpy as np


class Span(NamedTuple):
    """A stretch of a clip in samples: `start` is inside, `end` is just past it."""

    start: int
    end: int


def tile(wave: np.ndarray, length: int) -> np.ndarray:
    """Repeat a clip [samples] from its start up to [length]; a longer clip is cut there.

    This is how the published systems fill their window, so silence is never made up.
    """
    if not wave.size:
        raise ValueError("a clip without samples cannot be repeated")
    # np.resize repeats as needed and always copies, so the clip itself is never changed.
    return np.resize(wave, length) if wave.size < length else wave[:length]


def spans(samples: int, window: int, hop: int) -> list[Span]:
    """Sliding windows over a clip of `samples`, `hop` apart, all three in samples.

    The last window is aligned to the end, so every sample is in some window and each window
    is full. A clip no longer than the window is one span, (0, samples): see `cut`.
    """
    if samples < 1:
        raise ValueError(f"a clip needs at least 1 sample, not {samples}")
    if not 1 <= hop <= window:
        raise ValueError(f"hop must be between 1 and the window of {window} samples, not {hop}")
    if samples <= window:
        return [Span(0, samples)]
    last = samples - window
    starts = [*range(0, last, hop), last]
    return [Span(start, start + window) for start in starts]


def cut(wave: np.ndarray, span: Span, window: int) -> np.ndarray:
    """One span of a clip as a full [window], repeated when the clip is shorter."""
    return tile(wave[span.start : span.end], window)
