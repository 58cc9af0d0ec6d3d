"""Training-time changes of a clip that must not change its label.

Noise floor, silence, level, bandwidth, codec and duration each separate the classes in every
known corpus, without having anything to do with how the voice was made. Every change here is
drawn for both classes from the same distribution, so that none of these cues helps.
"""

from dataclasses import dataclass, fields

import numpy as np
import soxr
from scipy import signal

from detectors.audio import SAMPLE_RATE
from detectors.rawboost import ALGORITHMS, rawboost
from detectors.windows import tile

SILENCE_DB = -40.0
#: Sample rates in Hz that recordings pass through on their way.
RATES = (8_000, 11_025, 16_000, 22_050, 24_000)
#: soxr's qualities, from a plain cubic curve, which folds high frequencies down, to the best.
QUALITIES = ("QQ", "LQ", "MQ", "HQ", "VHQ")


@dataclass(frozen=True, repr=False)
class AugmentConfig:
    """The chance of each change, 0..1. The codec round trips are done beforehand (see corpus.py).

    Raises ValueError for a chance outside 0..1 or a RawBoost algorithm other than 0-8.
    """

    coded: float = 0.4
    trim: float = 0.5
    speed: float = 0.2
    room: float = 0.1
    low_pass: float = 0.35
    rawboost: float = 0.2
    noise_floor: float = 0.65
    clipping: float = 0.05
    rawboost_algorithms: tuple[int, ...] = (1, 2, 3, 5)
    resample: float = 0.0
    dither: float = 0.0
    gain: float = 1.0
    # False: every view is cut from the clip's start, as in the papers.
    cut_anywhere: bool = True

    def __post_init__(self) -> None:
        for f in fields(self):
            if f.type is float and not 0 <= getattr(self, f.name) <= 1:
                raise ValueError(f"the chance of {f.name} is {getattr(self, f.name)}, which is not in 0..1")
        strange = sorted(set(self.rawboost_algorithms) - set(ALGORITHMS))
        if strange or not self.rawboost_algorithms:
            raise ValueError(f"rawboost_algorithms are some of 0-8, not {list(self.rawboost_algorithms)}")

    def __repr__(self) -> str:
        """Features that are kept on disk are known by it: the changes that came later are left out while
        they are off, so that features which were kept before count as the same."""
        later = ("resample", "dither", "gain", "cut_anywhere")
        shown = [f for f in fields(self) if f.name not in later or getattr(self, f.name) != f.default]
        return f"AugmentConfig({', '.join(f'{f.name}={getattr(self, f.name)!r}' for f in shown)})"


def augment(wave: np.ndarray, length: int, config: AugmentConfig, rng: np.random.Generator) -> np.ndarray:
    """One random training view: float32 [s] in, float32 [length] out (cut or repeated)."""

    def chance(p: float) -> bool:
        return p >= 1 or (p > 0 and rng.random() < p)

    if chance(config.trim):
        wave = trim_silence(wave)
    if chance(config.speed):
        factor = rng.uniform(0.9, 1.1)
        wave = soxr.resample(wave, SAMPLE_RATE, SAMPLE_RATE * factor, quality="LQ")
    wave = cut_view(wave, length, config, rng)
    if chance(config.room):
        wave = add_room(wave, rng)
    if chance(config.rawboost):
        wave = rawboost(wave, int(rng.choice(config.rawboost_algorithms)), rng)
    if chance(config.low_pass):
        wave = low_pass(wave, rng.uniform(3_200, 7_600))
    if chance(config.resample):
        wave = resample_through(wave, int(rng.choice(RATES)), str(rng.choice(QUALITIES)))
    if chance(config.noise_floor):
        wave = add_noise_floor(wave, rng.uniform(15, 65), rng)
    if chance(config.gain):
        wave = wave / (np.abs(wave).max() + 1e-9) * 10 ** (rng.uniform(-30, 0) / 20)
    if chance(config.clipping):
        limit = rng.uniform(0.3, 0.9) * np.abs(wave).max()
        wave = np.clip(wave, -limit, limit)
    if chance(config.dither):
        wave = quantise(wave, int(rng.integers(8, 17)), rng)
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


def cut_view(wave: np.ndarray, length: int, config: AugmentConfig, rng: np.random.Generator) -> np.ndarray:
    """[length] samples of the clip, from where `config` says; a shorter clip is repeated."""
    return random_cut(wave, length, rng) if config.cut_anywhere else tile(wave, length)


def random_cut(wave: np.ndarray, length: int, rng: np.random.Generator) -> np.ndarray:
    """[length] samples from a random place; a shorter clip is turned by a random amount and repeated."""
    if len(wave) > length:
        start = int(rng.integers(0, len(wave) - length + 1))
        return wave[start : start + length]
    return tile(np.roll(wave, int(rng.integers(0, len(wave)))), length)


def low_pass(wave: np.ndarray, cutoff: float) -> np.ndarray:
    """8th-order Butterworth, forward and back; cutoff in Hz."""
    return signal.sosfiltfilt(signal.butter(8, cutoff, fs=SAMPLE_RATE, output="sos"), wave)


def resample_through(wave: np.ndarray, rate: int, quality: str) -> np.ndarray:
    """There and back again through `rate` Hz by one of soxr's QUALITIES; the length stays."""
    there = soxr.resample(wave, SAMPLE_RATE, rate, quality=quality)
    return tile(soxr.resample(there, rate, SAMPLE_RATE, quality=quality), len(wave))


def quantise(wave: np.ndarray, bits: int, rng: np.random.Generator) -> np.ndarray:
    """The steps of so many bits in -1..1, with a dither of triangular distribution, two steps wide, before
    rounding: the error is then noise that does not follow the clip (Lipshitz et al., JAES 1992)."""
    step = 2.0 ** (1 - bits)
    dither = rng.uniform(-0.5, 0.5, (2, len(wave))).sum(axis=0)
    return np.clip(np.round(wave / step + dither) * step, -1, 1)


def add_noise_floor(
    wave: np.ndarray, snr_db: float, rng: np.random.Generator, slope: float | None = None
) -> np.ndarray:
    """Coloured noise at `snr_db`, power ~ f**-slope; slope 0 (white) to 2 (brown), drawn if not given."""
    spectrum = np.fft.rfft(rng.standard_normal(len(wave)))
    bins = np.arange(1, len(spectrum) + 1)
    half_slope = rng.uniform(0, 1) if slope is None else slope / 2
    noise = np.fft.irfft(spectrum * bins**-half_slope, len(wave))
    return wave + noise * np.linalg.norm(wave) / np.linalg.norm(noise) * 10 ** (-snr_db / 20)


def add_room(wave: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A made-up room: a direct sound and an exponentially dying noise tail (RT60 0.1-0.6 s)."""
    length = int(rng.uniform(0.1, 0.6) * SAMPLE_RATE)
    tail = rng.standard_normal(length) * 10 ** (-3 * np.arange(length) / length)
    response = np.concatenate([[1.0], tail / np.linalg.norm(tail) * 10 ** (-rng.uniform(2, 15) / 20)])
    return signal.fftconvolve(wave, response)[: len(wave)]
