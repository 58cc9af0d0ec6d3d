"""Round trips keep the clip and its words, and take from it what the codec takes."""

import numpy as np
import pytest
from scipy import signal

from detectors.audio import SAMPLE_RATE
from detectors.codecs import CODECS, TRAINING_CODECS, gsm_round_trip, random_round_trip, round_trip

NARROW = [name for name, codec in CODECS.items() if codec.rate == 8_000]
SETTINGS = [
    (name, rate)
    for name, codec in CODECS.items()
    for rate in sorted({min(codec.bit_rates, default=0), max(codec.bit_rates, default=0)})
]


def voice(samples: int) -> np.ndarray:
    """A buzz around 200 Hz with vibrato, three formants and four syllables a second; float32."""
    t = np.arange(samples) / SAMPLE_RATE
    phase = 2 * np.pi * np.cumsum(200 * (1 + 0.1 * np.sin(2 * np.pi * 3 * t))) / SAMPLE_RATE
    wave = sum(np.cos(k * phase + 0.3 * k * k) for k in range(1, 34))
    for formant in (600, 1_400, 2_500):
        poles = np.exp((-np.pi * 100 + 2j * np.pi * formant) / SAMPLE_RATE)
        wave = wave + signal.lfilter([0.1], np.poly([poles, poles.conj()]).real, wave)
    wave *= 0.5 - 0.5 * np.cos(2 * np.pi * 4 * t)
    return (0.5 * wave / np.abs(wave).max()).astype(np.float32)


def speech_band(wave: np.ndarray) -> np.ndarray:
    """300-3400 Hz, which every codec here carries; AMR turns the phase of what lies below."""
    return signal.sosfiltfilt(signal.butter(4, (300, 3_400), "bandpass", fs=SAMPLE_RATE, output="sos"), wave)


def alignment(before: np.ndarray, after: np.ndarray) -> tuple[float, int]:
    """The highest normalised correlation and the delay in samples at which it lies."""
    lags = signal.correlation_lags(len(after), len(before))
    values = signal.correlate(after, before, method="fft")
    best = values.argmax()
    return values[best] / (np.linalg.norm(before) * np.linalg.norm(after)), int(lags[best])


def share_above(wave: np.ndarray, frequency: float) -> float:
    """Share of the energy above a frequency in Hz, 0..1."""
    power = np.abs(np.fft.rfft(wave * np.hanning(len(wave)))) ** 2
    return float(power[np.fft.rfftfreq(len(wave), 1 / SAMPLE_RATE) > frequency].sum() / power.sum())


@pytest.mark.parametrize(("name", "bit_rate"), SETTINGS)
def test_a_round_trip_gives_the_same_speech_back_at_the_same_length(name: str, bit_rate: int) -> None:
    wave = voice(12_001)  # no multiple of any frame
    coded = round_trip(wave, name, bit_rate)
    assert coded.shape == wave.shape
    assert coded.dtype == np.float32
    assert np.isfinite(coded).all()
    assert not np.array_equal(coded, wave)  # it went through the codec
    likeness, delay = alignment(speech_band(wave), speech_band(coded))
    assert likeness > 0.8
    assert 0 <= delay <= 1_100  # AAC's priming of 1,024 samples is the longest
    level = np.linalg.norm(speech_band(coded)) / np.linalg.norm(speech_band(wave))
    assert 0.7 < level < 1.4


@pytest.mark.parametrize("name", CODECS)
def test_only_narrow_band_codecs_take_everything_above_4_khz(name: str) -> None:
    wave = voice(12_000)
    kept = share_above(round_trip(wave, name, max(CODECS[name].bit_rates, default=0)), 4_200)
    before = share_above(wave, 4_200)
    assert before > 0.03
    if name in NARROW:
        assert kept < before / 100
    else:
        assert kept > before / 4


def test_a_lower_bit_rate_loses_more() -> None:
    wave = voice(12_000)
    low, high = (alignment(wave, round_trip(wave, "mp3_44k", rate))[0] for rate in (48_000, 128_000))
    assert low < high


@pytest.mark.parametrize("name", CODECS)
def test_silence_stays_silence(name: str) -> None:
    assert np.abs(round_trip(np.zeros(4_000, np.float32), name)).max() < 1e-3


def test_what_passes_full_scale_is_clipped_and_does_not_wrap() -> None:
    wave = 3 * voice(12_000)
    likeness, _ = alignment(wave.clip(-1, 1), round_trip(wave, "mulaw"))
    assert likeness > 0.9


def test_an_unknown_codec_is_refused() -> None:
    with pytest.raises(KeyError, match="floppy"):
        round_trip(voice(4_000), "floppy")


def test_a_random_codec_is_one_of_those_named_at_one_of_its_bit_rates() -> None:
    wave = voice(6_000)
    rates = {round_trip(wave, "opus_narrow", rate).tobytes() for rate in CODECS["opus_narrow"].bit_rates}
    expected = {gsm_round_trip(wave).tobytes(), round_trip(wave, "mulaw").tobytes(), *rates}
    names = ("gsm", "mulaw", "opus_narrow")
    assert set(names) <= set(TRAINING_CODECS)
    found = {random_round_trip(wave, names, np.random.default_rng(seed)).tobytes() for seed in range(40)}
    assert found == expected
