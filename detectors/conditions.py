"""Evaluation conditions: clips as they are, and with the known shortcuts taken away."""

from collections.abc import Callable

import numpy as np

from detectors.augment import low_pass, trim_silence

COMMON_BAND_HZ = 4_000.0
COMMON_RMS = 0.05


def as_is(wave: np.ndarray) -> np.ndarray:
    """The clip [s] unchanged."""
    return wave


def shortcuts_removed(wave: np.ndarray) -> np.ndarray:
    """Silence trimmed at both ends, one bandwidth (4 kHz) and one level (RMS 0.05, -26 dB) for all."""
    wave = low_pass(trim_silence(wave), COMMON_BAND_HZ)
    return (wave * COMMON_RMS / (np.sqrt(np.mean(np.square(wave))) + 1e-9)).astype(np.float32)


CONDITIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "raw": as_is,
    "shortcuts removed": shortcuts_removed,
}
