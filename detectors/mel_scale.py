"""The mel scale (HTK): frequencies spaced as the ear spaces them. numpy only."""

import numpy as np

from detectors.audio import SAMPLE_RATE


def mel(hz: np.ndarray | float) -> np.ndarray:
    """Frequency in Hz on the mel scale."""
    return np.asarray(2595 * np.log10(1 + np.asarray(hz) / 700))


def mel_edges(bands: int) -> np.ndarray:
    """Edges in Hz [bands + 1] of bands equally wide on the mel scale, from 0 to half the sample rate."""
    steps = np.linspace(0, float(mel(SAMPLE_RATE / 2)), bands + 1)
    return np.asarray(700 * (10 ** (steps / 2595) - 1))
