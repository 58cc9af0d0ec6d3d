"""RawBoost (Tak et al., ICASSP 2022): raw-waveform noise for training countermeasures.

Three kinds, and the algorithms that combine them: 1 linear and non-linear convolutive (LnL),
2 impulsive signal-dependent (ISD), 3 stationary signal-independent (SSI), 4 = 1+2+3 in series,
5 = 1+2, 6 = 1+3, 7 = 2+3, 8 = 1 and 2 side by side; 0 none. All take and give float32 [s] at 16 kHz.
"""

from collections.abc import Callable

import numpy as np
from scipy import signal

from detectors.audio import SAMPLE_RATE

BANDS = 5
NON_LINEAR_TERMS = 5


def rawboost(wave: np.ndarray, algorithm: int, rng: np.random.Generator) -> np.ndarray:
    """Apply one of the algorithms 0-8. As in the paper, SSI comes last and is not normalised again:
    with 3, 4, 6 or 7 the peak may pass 1.

    Raises KeyError for another number.
    """
    if algorithm == 8:
        noisy = _peak_limited(convolutive(wave, rng) + impulsive(wave, rng))
    else:
        noisy = wave
        for kind in SERIES[algorithm]:
            noisy = kind(noisy, rng)
    return noisy.astype(np.float32)


def convolutive(wave: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """LnL: sum over i = 1..5 of a random notch filter applied to wave**i, higher powers 5-20 dB down."""
    total = np.zeros_like(wave)
    attenuation_db = 0.0
    for power in range(1, NON_LINEAR_TERMS + 1):
        if power > 1:
            attenuation_db = rng.uniform(5, 20)
        taps = notch_filter(rng) * 10 ** (-attenuation_db / 20)
        total += _filter(np.power(wave, power), taps)
    return _peak_limited(total - total.mean())


def impulsive(
    wave: np.ndarray, rng: np.random.Generator, share: float = 0.1, gain: float = 2.0
) -> np.ndarray:
    """ISD: up to `share` of the samples get noise in proportion to their own size."""
    count = int(len(wave) * rng.uniform(0, share))
    places = rng.choice(len(wave), count, replace=False)
    noisy = wave.copy()
    noisy[places] += gain * wave[places] * rng.uniform(-1, 1, count) * rng.uniform(-1, 1, count)
    return _peak_limited(noisy)


def stationary(wave: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """SSI: notch-filtered white noise at 10-40 dB SNR."""
    noise = _filter(rng.standard_normal(len(wave)), notch_filter(rng))
    snr_db = rng.uniform(10, 40)
    scale = np.linalg.norm(wave) / (np.linalg.norm(noise) + 1e-12) * 10 ** (-snr_db / 20)
    return wave + scale * noise


SERIES: dict[int, tuple[Callable[[np.ndarray, np.random.Generator], np.ndarray], ...]] = {
    0: (),
    1: (convolutive,),
    2: (impulsive,),
    3: (stationary,),
    4: (convolutive, impulsive, stationary),
    5: (convolutive, impulsive),
    6: (convolutive, stationary),
    7: (impulsive, stationary),
}
#: The algorithms by the paper's numbers.
ALGORITHMS = (*SERIES, 8)


def notch_filter(rng: np.random.Generator) -> np.ndarray:
    """A FIR filter with 5 random notches (20-8000 Hz, 100-1000 Hz wide, 10-100 coefficients each)."""
    taps = np.ones(1)
    nyquist = SAMPLE_RATE / 2
    for _ in range(BANDS):
        centre, width = rng.uniform(20, nyquist), rng.uniform(100, 1000)
        count = int(rng.integers(10, 101)) | 1  # odd, so that the filter may pass at 8 kHz
        edges = np.clip([centre - width / 2, centre + width / 2], 1, nyquist - 1)
        taps = np.convolve(taps, signal.firwin(count, edges, window="hamming", fs=SAMPLE_RATE))
    return taps / (np.abs(np.fft.rfft(taps, 512)).max() + 1e-12)


def _filter(wave: np.ndarray, taps: np.ndarray) -> np.ndarray:
    """Convolve and cut the filter's delay off, so length and timing stay."""
    delay = (len(taps) - 1) // 2
    return signal.fftconvolve(wave, taps)[delay : delay + len(wave)]


def _peak_limited(wave: np.ndarray) -> np.ndarray:
    return wave / max(1.0, np.abs(wave).max())
