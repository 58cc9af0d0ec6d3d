"""The three noises of RawBoost and their combinations, against the paper's numbers."""

import numpy as np
import pytest
from scipy import signal

from detectors.rawboost import SERIES, convolutive, impulsive, notch_filter, rawboost, stationary

SAMPLES = 16_000
SEEDS = range(30)


@pytest.fixture
def wave() -> np.ndarray:
    """float32 noise with a speech-like slope, peak 0.8."""
    white = np.random.default_rng(0).standard_normal(SAMPLES)
    wave = signal.lfilter([1.0], [1.0, -0.7], white)
    return (0.8 * wave / np.abs(wave).max()).astype(np.float32)


@pytest.mark.parametrize("algorithm", range(1, 9))
@pytest.mark.parametrize("level", [0.01, 1.0])
def test_every_algorithm_gives_a_changed_clip_of_the_same_length(
    wave: np.ndarray, algorithm: int, level: float
) -> None:
    before = (level * wave).copy()
    for seed in range(5):
        noisy = rawboost(before, algorithm, np.random.default_rng(seed))
        assert noisy.shape == before.shape
        assert noisy.dtype == np.float32
        assert np.isfinite(noisy).all()
        assert not np.array_equal(noisy, before)
        # Still the same recording, above all.
        assert np.corrcoef(noisy, before)[0, 1] > 0.2
    np.testing.assert_array_equal(before, (level * wave).astype(np.float32))  # the input is untouched


@pytest.mark.parametrize("algorithm", [1, 2, 5, 8])
def test_algorithms_that_end_in_a_levelled_noise_keep_within_full_scale(algorithm: int) -> None:
    loud = np.random.default_rng(1).uniform(-1, 1, SAMPLES).astype(np.float32)
    for seed in SEEDS:
        assert np.abs(rawboost(loud, algorithm, np.random.default_rng(seed))).max() <= 1 + 1e-6


@pytest.mark.parametrize("algorithm", range(1, 9))
def test_the_same_seed_gives_the_same_noise(wave: np.ndarray, algorithm: int) -> None:
    first, again, other = (rawboost(wave, algorithm, np.random.default_rng(seed)) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_series_are_those_of_the_paper() -> None:
    lnl, isd, ssi = convolutive, impulsive, stationary
    expected = {
        0: [],
        1: [lnl],
        2: [isd],
        3: [ssi],
        4: [lnl, isd, ssi],
        5: [lnl, isd],
        6: [lnl, ssi],
        7: [isd, ssi],
    }
    assert {algorithm: list(kinds) for algorithm, kinds in SERIES.items()} == expected


def test_algorithm_0_leaves_the_clip_as_it_is(wave: np.ndarray) -> None:
    np.testing.assert_array_equal(rawboost(wave, 0, np.random.default_rng(0)), wave)


def test_a_series_feeds_each_noise_with_the_one_before(wave: np.ndarray) -> None:
    rng = np.random.default_rng(3)
    by_hand = stationary(impulsive(convolutive(wave, rng), rng), rng)
    np.testing.assert_allclose(rawboost(wave, 4, np.random.default_rng(3)), by_hand, atol=1e-6)


def test_algorithm_8_adds_two_noises_of_the_clip_itself(wave: np.ndarray) -> None:
    rng = np.random.default_rng(3)
    quiet = 0.1 * wave  # the sum stays below full scale, so nothing is scaled
    by_hand = convolutive(quiet, rng) + impulsive(quiet, rng)
    assert np.abs(by_hand).max() < 1
    np.testing.assert_allclose(rawboost(quiet, 8, np.random.default_rng(3)), by_hand, atol=1e-6)


def test_stationary_noise_lies_10_to_40_db_below_the_clip(wave: np.ndarray) -> None:
    wave = wave.astype(np.float64)
    snrs = []
    for seed in range(100):
        noise = stationary(wave, np.random.default_rng(seed)) - wave
        snrs.append(20 * np.log10(np.linalg.norm(wave) / np.linalg.norm(noise)))
    assert min(snrs) >= 10 - 1e-6
    assert max(snrs) <= 40 + 1e-6
    # 100 uniform draws come near both ends.
    assert min(snrs) < 12
    assert max(snrs) > 38


def test_stationary_noise_does_not_follow_the_clip() -> None:
    half_silent = np.zeros(SAMPLES)
    half_silent[: SAMPLES // 2] = np.sin(np.arange(SAMPLES // 2))
    for seed in range(5):
        noise = stationary(half_silent, np.random.default_rng(seed)) - half_silent
        assert np.std(noise[: SAMPLES // 2]) == pytest.approx(np.std(noise[SAMPLES // 2 :]), rel=0.2)


def test_impulsive_noise_touches_at_most_a_tenth_in_proportion_to_the_sample(wave: np.ndarray) -> None:
    wave = 0.3 * wave.astype(np.float64)  # 3 times as much stays below full scale
    shares = []
    for seed in SEEDS:
        change = impulsive(wave, np.random.default_rng(seed)) - wave
        touched = np.flatnonzero(change)
        shares.append(len(touched) / SAMPLES)
        # Gain 2 times two factors within -1..1.
        assert (np.abs(change[touched]) <= 2 * np.abs(wave[touched]) + 1e-12).all()
    assert max(shares) <= 0.1
    assert max(shares) > 0.07
    assert min(shares) < 0.03


def test_convolutive_noise_cuts_notches_and_has_no_offset(wave: np.ndarray) -> None:
    frequencies, before = signal.welch(wave, 16_000, nperseg=512)
    for seed in range(5):
        noisy = convolutive(wave + 0.1, np.random.default_rng(seed))
        assert abs(noisy.mean()) < 1e-6
        _, after = signal.welch(noisy, 16_000, nperseg=512)
        gain = 10 * np.log10(after / before)[(frequencies > 50) & (frequencies < 7_950)]
        assert gain.max() - gain.min() > 6


def test_convolutive_noise_passes_the_linear_term_at_full_level(wave: np.ndarray) -> None:
    quiet = 1e-4 * wave.astype(np.float64)  # its powers vanish
    for seed in range(10):
        noisy = convolutive(quiet, np.random.default_rng(seed))
        bands = np.array_split(np.arange(1, SAMPLES // 2), 40)
        before, after = (np.abs(np.fft.rfft(w)) ** 2 for w in (quiet, noisy))
        gains = [10 * np.log10(after[band].sum() / before[band].sum()) for band in bands]
        assert max(gains) == pytest.approx(0, abs=1)


def test_convolutive_noise_makes_harmonics() -> None:
    tone = 0.9 * np.sin(2 * np.pi * 500 * np.arange(SAMPLES) / 16_000)
    third_harmonic_db = []
    for seed in range(10):
        power = np.abs(np.fft.rfft(convolutive(tone, np.random.default_rng(seed)))) ** 2
        third_harmonic_db.append(10 * np.log10(power[1_500] / power[500]))
    # The cube of a sine is 12 dB below it at three times the frequency, and 5-20 dB down by the paper.
    assert -45 < np.median(third_harmonic_db) < -12


def test_notch_filters_are_centred_and_never_amplify() -> None:
    lengths = set()
    for seed in range(200):
        taps = notch_filter(np.random.default_rng(seed))
        lengths.add(len(taps))
        assert len(taps) % 2 == 1
        assert np.isfinite(taps).all()
        np.testing.assert_allclose(taps, taps[::-1], atol=1e-9)  # symmetric: the delay is the same everywhere
        response = np.abs(np.fft.rfft(taps, 4_096))
        assert response.max() == pytest.approx(1, abs=0.02)
        assert response.min() < 0.7
    # Five filters of 10-100 coefficients each, made odd.
    assert min(lengths) >= 5 * 11 - 4
    assert max(lengths) <= 5 * 101 - 4


def test_an_unknown_algorithm_is_refused(wave: np.ndarray) -> None:
    with pytest.raises(KeyError, match="9"):
        rawboost(wave, 9, np.random.default_rng(0))
