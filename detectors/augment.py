"""Training-time changes of a clip that must not change its label.

Noise floor, silence, level, bandwidth, codec and duration each separate the classes in every
known corpus, without having anything to do with how the voice was made. Every change here is
drawn for both classes from the same distribution, so that none of these cues helps.
"""

from dataclasses import dataclass

import numpy as np
import soxr
from scipy import signal

from detectors.audio import SAMPLE_RATE
from detectors.rawboost import rawboost
from detectors.windows import tile

SILENCE_DB = -40.0


@dataclass(frozen=True)
class AugmentConfig:
    """The chance of each change, 0..1. The codec round trips are done beforehand (see corpus.py)."""

    coded: float = 0.4
    trim: float = 0.5
    speed: float = 0.2
    room: float = 0.1
    low_pass: float = 0.35
    rawboost: float = 0.2
    noise_floor: float = 0.65
    clipping: float = 0.05
    rawboost_algorithms: tuple[int, ...] = (1, 2, 3, 5)


def augment(wave: np.ndarray, length: int, config: AugmentConfig, rng: np.random.Generator) -> np.ndarray:
    """One random training view: float32 [s] in, float32 [length] out (cut at random or repeated)."""

    def chance(p: float) -> bool:
        return rng.random() < p

    if chance(config.trim):
        wave = trim_silence(wave)
    if chance(config.speed):
        factor = rng.uniform(0.9, 1.1)
        wave = soxr.resample(wave, SAMPLE_RATE, SAMPLE_RATE * factor, quality="LQ")
    wave = random_cut(wave, length, rng)
    if chance(config.room):
        wave = add_room(wave, rng)
    if chance(config.rawboost):
        wave = rawboost(wave, int(rng.choice(config.rawboost_algorithms)), rng)
    if chance(config.low_pass):
        wave = low_pass(wave, rng.uniform(3_200, 7_600))
    if chance(config.noise_floor):
        wave = add_noise_floor(wave, rng.uniform(15, 65), rng)
    wave = wave / (np.abs(wave).max() + 1e-9) * 10 ** (rng.uniform(-30, 0) / 20)
    if chance(config.clipping):
        limit = rng.uniform(0.3, 0.9) * np.abs(wave).max()
        wave = np.clip(wave, -limit, limit)
    return wave.astype(np.float32)


def trim_silence(wave: np.ndarray, threshold_db: float = SILENCE_DB) -> np.ndarray:
    """Cut what lies before the first and after the last 20 ms within `threshold_db` of the loudest."""
    frame = SAMPLE_RATE // 50
    count = len(wave) // frame
    if count < 2:
        return wave
    power = np.square(wave[: count * frame]).reshape(count, frame).mean(axis=1)
    loud = np.flatnonzero(power > power.max() * 10 ** (threshold_db / 10))
    return wave[loud[0] * frame : (loud[-1] + 1) * frame] if len(loud) else wave


def random_cut(wave: np.ndarray, length: int, rng: np.random.Generator) -> np.ndarray:
    """[length] samples from a random place; a shorter clip is turned by a random amount and repeated."""
    if len(wave) > length:
        start = int(rng.integers(0, len(wave) - length + 1))
        return wave[start : start + length]
    return tile(np.roll(wave, int(rng.integers(0, len(wave)))), length)


def low_pass(wave: np.ndarray, cutoff: float) -> np.ndarray:
    """8th-order Butterworth, forward and back; cutoff in Hz."""
    return signal.sosfiltfilt(signal.butter(8, cutoff, fs=SAMPLE_RATE, output="sos"), wave)


def add_noise_floor(wave: np.ndarray, snr_db: float, rng: np.random.Generator) -> np.ndarray:
    """Coloured noise, spectrum ~ f**-slope with slope 0 (white) to 2 (brown), at `snr_db`."""
    spectrum = np.fft.rfft(rng.standard_normal(len(wave)))
    bins = np.arange(1, len(spectrum) + 1)
    noise = np.fft.irfft(spectrum * bins ** -rng.uniform(0, 1), len(wave))
    return wave + noise * np.linalg.norm(wave) / np.linalg.norm(noise) * 10 ** (-snr_db / 20)


def add_room(wave: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A made-up room: a direct sound and an exponentially dying noise tail (RT60 0.1-0.6 s)."""
    length = int(rng.uniform(0.1, 0.6) * SAMPLE_RATE)
    tail = rng.standard_normal(length) * 10 ** (-3 * np.arange(length) / length)
    response = np.concatenate([[1.0], tail / np.linalg.norm(tail) * 10 ** (-rng.uniform(2, 15) / 20)])
    return signal.fftconvolve(wave, response)[: len(wave)]
