"""Fake twins of human recordings: the same voice, words and channel, but machine-made sound.

In every corpus some languages, speakers and channels occur only as bona fide. A copy of such a clip
that has been through a vocoder differs from it in nothing but how the sound was made, so training on
both leaves that as the only cue (the idea of Wang and Yamagishi, ICASSP 2023, with vocoders that need
no weights). Both functions take and give float32 [s] at 16 kHz.
"""

from functools import lru_cache

import librosa
import numpy as np
import torch
from torch import Tensor
from torchaudio.functional import griffinlim

from detectors.audio import SAMPLE_RATE


def copy_synthesis(wave: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random fake twin: mostly Griffin-Lim, sometimes spliced units."""
    return splice(wave, rng) if rng.random() < 0.3 else griffin_lim(wave, rng)


def griffin_lim(wave: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Magnitudes (most times through 64-128 mel bands) with phases found again by Griffin-Lim."""
    n_fft = int(rng.choice([512, 1024]))
    window = torch.hann_window(n_fft)
    spectrum = torch.stft(torch.from_numpy(wave), n_fft, n_fft // 4, window=window, return_complex=True)
    magnitude = spectrum.abs()
    if rng.random() < 0.7:
        mel, inverse = _mel_pair(n_fft, int(rng.choice([64, 80, 128])))
        magnitude = (inverse @ (mel @ magnitude)).clamp_min(1e-7)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**31)))  # the phases start at random
        twin = griffinlim(
            magnitude,
            window,
            n_fft,
            hop_length=n_fft // 4,
            win_length=n_fft,
            power=1.0,
            n_iter=int(rng.integers(6, 25)),
            momentum=0.99,
            length=len(wave),
            rand_init=True,
        )
    return twin.numpy()


def splice(wave: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Units of 60-300 ms from random places of the clip, joined with short cross-fades: what
    unit-selection synthesis does, without minding the words."""
    # At most half a unit, or a very short clip would never be filled.
    fade = min(int(rng.uniform(0.001, 0.01) * SAMPLE_RATE), len(wave) // 2)
    ramp = np.linspace(0, 1, fade, dtype=np.float32)
    joined = np.zeros(len(wave) + SAMPLE_RATE, np.float32)
    end = 0
    while end < len(wave) + fade:
        length = min(int(rng.uniform(0.06, 0.3) * SAMPLE_RATE), len(wave))
        start = int(rng.integers(0, len(wave) - length + 1))
        unit = wave[start : start + length].copy()
        overlap = min(fade, end, length)
        if overlap:
            unit[:overlap] *= ramp[:overlap]
            joined[end - overlap : end] *= ramp[:overlap][::-1]
        joined[end - overlap : end - overlap + length] += unit
        end += length - overlap
    return joined[: len(wave)]


@lru_cache(maxsize=8)
def _mel_pair(n_fft: int, bands: int) -> tuple[Tensor, Tensor]:
    """The mel filter bank [bands, bins] and its pseudo-inverse."""
    mel = librosa.filters.mel(sr=SAMPLE_RATE, n_fft=n_fft, n_mels=bands)
    return torch.from_numpy(mel), torch.from_numpy(np.linalg.pinv(mel))
