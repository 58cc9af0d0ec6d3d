"""Cutting a clip of any length into the fixed windows that the models take."""

from typing import Any, NamedTuple, Self

import numpy as np


class Span(NamedTuple):
    """A stretch of a clip in samples: `start` is inside, `end` is just past it."""

    start: int
    end: int


class Sizes(NamedTuple):
    """How a clip is cut for a checkpoint, in samples."""

    window_samples: int
    hop_samples: int

    @classmethod
    def of_config(cls, config: dict[str, Any]) -> Self:
        """As a checkpoint's config.json has them."""
        sizes = config.get("model", config)
        return cls(sizes["window_samples"], sizes["hop_samples"])


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


class Cutter:
    """The windows of `spans`, cut from a clip that comes in blocks; the clip itself is never held.

    window and hop in samples. Feed every block, then ask for the `rest`.
    """

    def __init__(self, window: int, hop: int) -> None:
        self.window, self.hop = window, hop
        self._held = np.empty(0, np.float32)
        self._at = 0  # where in the clip what is held begins
        self._next = 0  # where the next window begins

    @property
    def samples(self) -> int:
        """Length of what was fed so far."""
        return self._at + len(self._held)

    def feed(self, block: np.ndarray) -> list[tuple[Span, np.ndarray]]:
        """The windows [window] that are full now, save one that may turn out to be the last."""
        self._held = np.concatenate([self._held, block])
        full = []
        while self._next + self.window < self.samples:
            start = self._next - self._at
            full.append((Span(self._next, self._next + self.window), self._held[start : start + self.window]))
            self._next += self.hop
        # The last window is aligned to the end, wherever that will be.
        keep = max(0, min(self._next, self.samples - self.window) - self._at)
        self._held, self._at = self._held[keep:], self._at + keep
        return full

    def rest(self) -> tuple[Span, np.ndarray]:
        """The last window [window]; a clip that is shorter is repeated to fill it."""
        start = max(0, self.samples - self.window)
        return Span(start, self.samples), tile(self._held[start - self._at :], self.window)
