"""What is measured, on sounds whose value is known."""

import numpy as np
import pytest

from detectors.audio import SAMPLE_RATE
from detectors.chat.acoustics import measure
from detectors.codecs import round_trip

RNG = np.random.default_rng(0)


def noise(seconds: float, level_db: float) -> np.ndarray:
    wave = RNG.normal(size=int(seconds * SAMPLE_RATE))
    return wave / wave.std() * 10 ** (level_db / 20)


def buzz(seconds: float, highest: float = 8000.0) -> np.ndarray:
    """A voice-like sound: harmonics of 120 Hz, falling 6 dB an octave, up to `highest`."""
    t = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    harmonics = np.arange(1, int(min(highest, 7950) / 120) + 1)
    wave = sum(np.sin(2 * np.pi * 120 * k * t + k) / k for k in harmonics)
    return 0.1 * np.asarray(wave)


def spoken(pauses: float = 0.5, floor_db: float = -60.0, highest: float = 8000.0) -> np.ndarray:
    """10 s of 1 s turns: sound for a share of 1 - `pauses`, over a noise floor."""
    wave = buzz(10, highest)
    wave *= (np.arange(len(wave)) / SAMPLE_RATE) % 1 >= pauses
    return (wave + noise(10, floor_db)).astype(np.float32)


@pytest.mark.parametrize("level", [-75, -60, -45, -35])
def test_noise_floor(level: int) -> None:
    assert measure(spoken(floor_db=level)).noise_db == pytest.approx(level, abs=2)


@pytest.mark.parametrize(("level", "word"), [(-75, "low"), (-52, "moderate"), (-38, "high")])
def test_noise_in_words(level: int, word: str) -> None:
    assert measure(spoken(floor_db=level)).noise == word


@pytest.mark.parametrize("pauses", [0.2, 0.5, 0.8])
def test_speech_share(pauses: float) -> None:
    assert measure(spoken(pauses)).speech == pytest.approx(1 - pauses, abs=0.06)


def test_a_sound_without_pauses_is_speech_throughout() -> None:
    assert measure(buzz(3).astype(np.float32)).speech == 1.0


@pytest.mark.parametrize(
    ("highest", "band"), [(3400, "telephone band"), (5500, "low-pass band"), (8000, "full band")]
)
def test_bandwidth(highest: float, band: str) -> None:
    measured = measure(spoken(highest=highest, floor_db=-90))
    assert measured.bandwidth_khz == pytest.approx(highest / 1000, abs=0.45)
    assert measured.band == band


@pytest.mark.parametrize("codec", ["amr", "mulaw", "alaw"])
def test_telephone_codecs_show(codec: str) -> None:
    assert measure(round_trip(spoken(floor_db=-80), codec)).band == "telephone band"


def test_clipping() -> None:
    t = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    sine = np.sin(2 * np.pi * 100 * t)
    clean = measure((0.9 * sine).astype(np.float32))
    # |2 sin| > 1 for two thirds of the time.
    clipped = measure(np.clip(2 * sine, -1, 1).astype(np.float32))
    assert clean.clipped == 0
    assert clipped.clipped == pytest.approx(2 / 3, abs=0.02)


def test_a_peak_that_just_reaches_full_scale_is_no_clipping() -> None:
    wave = spoken()
    wave[1000] = 1.0
    assert measure(wave).clipped == 0


def test_silence_and_scraps() -> None:
    silent = measure(np.zeros(SAMPLE_RATE, np.float32))
    assert (silent.speech, silent.band, silent.noise_db) == (0.0, "unclear band", -100)
    assert measure(np.full(100, 0.1, np.float32)).band == "unclear band"
    with pytest.raises(ValueError, match="without samples"):
        measure(np.zeros(0, np.float32))


def test_length() -> None:
    assert measure(spoken()[: int(7.26 * SAMPLE_RATE)]).seconds == 7.3


def test_it_does_not_change_the_wave() -> None:
    wave = spoken()
    before = wave.copy()
    measure(wave)
    assert (wave == before).all()
