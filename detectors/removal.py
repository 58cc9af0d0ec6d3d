"""Taking parts out of a clip in time and frequency, to ask a detector what it says without them.

What is removed is attenuated in the short-time Fourier domain to the clip's own noise floor at that
frequency (the level that the quietest tenth of the frames has there), with its phase kept, and turned back
into sound. So a hole sounds like a pause of the same recording, which is nearer to what detectors know than
digital silence; but no removal is free of traces, and every result needs a random control beside it.
"""

from functools import cached_property

import numpy as np
import torch

from detectors.audio import SAMPLE_RATE
from detectors.mel_scale import mel_edges

#: Short-time spectra: 32 ms with a Hann window, 8 ms apart.
FRAME, HOP = 512, 128
#: The floor is this percentile of the frames' magnitudes at a frequency, ...
FLOOR_PERCENTILE = 10
#: ... but no further than this below their mean: digital silence, blown up by a model's normalisation, is no
#: recording any more.
FLOOR_BELOW_MEAN_DB = 60.0


class Removable:
    """A clip whose cells can be removed: `columns` equal stretches of time by `bands` of mel width.

    wave: float32 [s], 16 kHz mono, at least FRAME samples. The transform is linear, so a clip without some
    cells is the clip less what those cells hold above the floor: what is kept stays as it was.
    """

    def __init__(self, wave: np.ndarray, columns: int, bands: int = 1) -> None:
        if len(wave) < FRAME:
            raise ValueError(f"a clip of {len(wave)} samples has no spectrum; {FRAME} are needed")
        if columns < 1 or bands < 1:
            raise ValueError(f"a grid needs at least 1 column and 1 band, not {columns} and {bands}")
        self.wave = np.ascontiguousarray(wave, dtype=np.float32)
        self.columns, self.bands = columns, bands
        # Which column and which band each frame [t] and each frequency [f] is in.
        times = np.arange(self._above.shape[1]) * HOP / max(1, len(wave))
        self._column = torch.from_numpy((times * columns).astype(int).clip(0, columns - 1))
        frequencies = np.fft.rfftfreq(FRAME, 1 / SAMPLE_RATE)
        inner = mel_edges(bands)[1:-1]
        self._band = torch.from_numpy(np.searchsorted(inner, frequencies, side="right"))

    @property
    def seconds(self) -> float:
        """Length of the clip."""
        return len(self.wave) / SAMPLE_RATE

    def without(self, cells: np.ndarray) -> np.ndarray:
        """The clip without some cells, [s]. cells: bool [bands, columns], or [columns] for all bands."""
        chosen = torch.from_numpy(np.broadcast_to(cells, (self.bands, self.columns)).copy())
        mask = chosen[self._band][:, self._column]  # [f, t]
        removed = torch.istft(
            self._above * mask, FRAME, HOP, window=self._window, length=len(self.wave), center=True
        )
        return np.asarray(self.wave - removed.numpy(), np.float32)

    @property
    def _window(self) -> torch.Tensor:
        return torch.hann_window(FRAME)

    @cached_property
    def _above(self) -> torch.Tensor:
        """What the clip holds above its floor, complex [f, t]."""
        spectrum = torch.stft(
            torch.from_numpy(self.wave), FRAME, HOP, window=self._window, center=True, return_complex=True
        )
        levels = spectrum.abs()
        floor = torch.quantile(levels, FLOOR_PERCENTILE / 100, dim=1, keepdim=True)
        floor = torch.maximum(floor, levels.mean(dim=1, keepdim=True) * 10 ** (-FLOOR_BELOW_MEAN_DB / 20))
        kept = (floor / levels.clamp_min(1e-12)).clamp_max(1.0)
        return spectrum * (1 - kept)
