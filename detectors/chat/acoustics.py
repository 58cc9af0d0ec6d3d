"""What can be measured in a clip without any model: level of the noise, share of speech, bandwidth, clipping.

Simple measures that hold for clean and for poor recordings. Each is tested on sounds whose value is known.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from detectors.audio import SAMPLE_RATE
from detectors.clipping import clipped_samples

#: What the upper edge of the spectrum suggests about the way of the recording.
Band = Literal["full band", "telephone band", "low-pass band", "unclear band"]
NoiseLevel = Literal["low", "moderate", "high"]

_FRAME = 400  # 25 ms
_HOP = 160  # 10 ms
_SPECTRUM = 512
_AT_ONCE = 1000  # windows; bounds the memory for hours of audio
_FLOOR_DB = -100.0
#: A frame counts as speech this far above the noise floor, and no further below the loudest frames.
_SPEECH_ABOVE_FLOOR_DB = 9.0
_SPEECH_BELOW_PEAK_DB = 35.0
#: The band ends where the speech's spectrum falls this far below its level in the voice range for good.
_BAND_EDGE_DB = 50.0
#: Telephone lines end at 3.4 to 4 kHz, and the slopes of their filters a little above.
_TELEPHONE_HZ = 4_600.0
_FULL_BAND_HZ = 7_000.0


@dataclass(frozen=True)
class Measured:
    """seconds: length, 1 decimal. speech: share of frames with speech, 0 to 1, 2 decimals. noise_db: level of
    the quietest tenth of the frames, whole dB below full scale. bandwidth_khz: where the spectrum ends, at
    most 8, 1 decimal. clipped: share of samples cut off at full scale, 0 to 1, 3 decimals."""

    seconds: float
    speech: float
    noise_db: int
    bandwidth_khz: float
    band: Band
    clipped: float

    def __post_init__(self) -> None:
        for name, digits in (("seconds", 1), ("speech", 2), ("bandwidth_khz", 1), ("clipped", 3)):
            object.__setattr__(self, name, round(float(getattr(self, name)), digits))

    @property
    def noise(self) -> NoiseLevel:
        """The noise floor in a word."""
        if self.noise_db < -60:
            return "low"
        return "moderate" if self.noise_db < -45 else "high"


def measure(wave: np.ndarray) -> Measured:
    """Measure a clip: float32 [s], 16 kHz mono in [-1, 1]. Raises ValueError when it has no samples."""
    if not wave.size:
        raise ValueError("a clip without samples cannot be measured")
    levels = _frame_levels(wave)
    noise = float(np.percentile(levels, 10))
    speech = _speech_frames(levels, noise)
    bandwidth = _bandwidth(wave)
    return Measured(
        seconds=len(wave) / SAMPLE_RATE,
        speech=float(speech.mean()),
        noise_db=round(noise),
        bandwidth_khz=(bandwidth or SAMPLE_RATE / 2) / 1000,
        band=_band_of(bandwidth),
        clipped=clipped_samples(wave) / len(wave),
    )


def _frame_levels(wave: np.ndarray) -> np.ndarray:
    """RMS of 25 ms frames in dB below full scale [frames]."""
    padded = np.pad(wave, (0, max(0, _FRAME - len(wave))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FRAME)[::_HOP]
    power = np.einsum("ij,ij->i", frames, frames) / _FRAME
    return 10 * np.log10(np.maximum(power, 10 ** (_FLOOR_DB / 10)))


def _speech_frames(levels: np.ndarray, noise: float) -> np.ndarray:
    peak = float(np.percentile(levels, 95))
    if peak <= _FLOOR_DB:
        return np.zeros(len(levels), dtype=bool)
    if peak - noise < _SPEECH_ABOVE_FLOOR_DB:  # no pauses to tell a floor from: one even sound
        return np.ones(len(levels), dtype=bool)
    return levels > max(noise + _SPEECH_ABOVE_FLOOR_DB, peak - _SPEECH_BELOW_PEAK_DB)


def _bandwidth(wave: np.ndarray) -> float | None:
    """Hz where the spectrum ends for good; None when there is nothing to see."""
    if len(wave) < _SPECTRUM or not wave.any():
        return None
    power = _spectrum(wave)
    frequencies = np.fft.rfftfreq(_SPECTRUM, 1 / SAMPLE_RATE)
    levels = 10 * np.log10(power + 1e-20)
    voice = levels[(frequencies >= 200) & (frequencies <= 3000)].max()
    return float(frequencies[np.flatnonzero(levels > voice - _BAND_EDGE_DB)[-1]])


def _spectrum(wave: np.ndarray) -> np.ndarray:
    """Mean power by frequency [257], over half-overlapping Hann windows (Welch, 1967)."""
    blocks = np.lib.stride_tricks.sliding_window_view(wave, _SPECTRUM)[:: _SPECTRUM // 2]
    total = np.zeros(_SPECTRUM // 2 + 1)
    for first in range(0, len(blocks), _AT_ONCE):
        windowed = blocks[first : first + _AT_ONCE] * np.hanning(_SPECTRUM)
        total += (np.abs(np.fft.rfft(windowed)) ** 2).sum(axis=0)
    return total / len(blocks)


def _band_of(bandwidth: float | None) -> Band:
    if bandwidth is None:
        return "unclear band"
    if bandwidth <= _TELEPHONE_HZ:
        return "telephone band"
    return "low-pass band" if bandwidth < _FULL_BAND_HZ else "full band"
