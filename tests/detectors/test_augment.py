"""Training views have the right length and change what they say they change, and nothing else."""

import inspect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.augment import (
    QUALITIES,
    RATES,
    AugmentConfig,
    add_noise_floor,
    add_room,
    augment,
    low_pass,
    quantise,
    random_cut,
    resample_through,
    trim_silence,
)

NONE = AugmentConfig(0, 0, 0, 0, 0, 0, 0, 0)
ALWAYS = AugmentConfig(
    1, 1, 1, 1, 1, 1, 1, 1, rawboost_algorithms=(0, 1, 2, 3, 4, 5, 6, 7, 8), resample=1, dither=1
)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return rng(seed).uniform(-0.5, 0.5, samples).astype(np.float32)


@given(
    samples=st.integers(1_600, 96_000),
    length=st.sampled_from([1_000, 8_000, 32_000, 66_800]),
    config=st.sampled_from([NONE, AugmentConfig(), ALWAYS]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=40, deadline=None)
def test_a_view_always_has_the_length_asked_for(
    samples: int, length: int, config: AugmentConfig, seed: int
) -> None:
    view = augment(noise(samples), length, config, rng(seed))
    assert view.shape == (length,)
    assert view.dtype == np.float32
    assert np.isfinite(view).all()
    assert 0 < np.abs(view).max() <= 1 + 1e-6


@pytest.mark.parametrize("config", [NONE, AugmentConfig(), ALWAYS])
def test_silence_gives_a_finite_view(config: AugmentConfig) -> None:
    for seed in range(5):
        view = augment(np.zeros(5_000, np.float32), 8_000, config, rng(seed))
        assert view.shape == (8_000,)
        assert np.isfinite(view).all()


@pytest.mark.parametrize("config", [NONE, AugmentConfig(), ALWAYS])
def test_the_same_seed_gives_the_same_view_and_leaves_the_clip_alone(config: AugmentConfig) -> None:
    wave = noise(20_000)
    before = wave.copy()
    first, again, other = (augment(wave, 8_000, config, rng(seed)) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    np.testing.assert_array_equal(wave, before)


def test_nothing_can_depend_on_the_label() -> None:
    # The cues that augmentation hides would come back if the two classes were treated unlike.
    assert list(inspect.signature(augment).parameters) == ["wave", "length", "config", "rng"]


def test_without_augmentation_a_view_is_a_cut_at_another_level() -> None:
    wave = noise(4_000)
    cuts = np.lib.stride_tricks.sliding_window_view(wave, 1_000)
    peaks_db = []
    for seed in range(40):
        view = augment(wave, 1_000, NONE, rng(seed))
        start = int((cuts @ view).argmax())
        gain = np.abs(view).max() / np.abs(cuts[start]).max()
        np.testing.assert_allclose(view, gain * cuts[start], atol=1e-6)
        peaks_db.append(20 * np.log10(np.abs(view).max()))
    assert min(peaks_db) >= -30.01
    assert max(peaks_db) <= 0.01
    assert max(peaks_db) - min(peaks_db) > 20


def test_a_view_may_be_the_clip_from_its_start_at_its_own_level() -> None:
    plain = AugmentConfig(0, 0, 0, 0, 0, 0, 0, 0, gain=0, cut_anywhere=False)
    wave = noise(4_000)
    np.testing.assert_array_equal(augment(wave, 1_000, plain, rng()), wave[:1_000])
    np.testing.assert_array_equal(augment(wave, 9_000, plain, rng()), np.resize(wave, 9_000))


def test_the_later_changes_are_off_by_default_and_then_change_nothing() -> None:
    """Features of views that were kept on disk before these changes existed are used again."""
    off = AugmentConfig()
    assert (off.resample, off.dither, off.gain, off.cut_anywhere) == (0, 0, 1, True)
    assert repr(off) == (
        "AugmentConfig(coded=0.4, trim=0.5, speed=0.2, room=0.1, low_pass=0.35, rawboost=0.2, "
        "noise_floor=0.65, clipping=0.05, rawboost_algorithms=(1, 2, 3, 5))"
    )
    assert repr(AugmentConfig(dither=0.5)) != repr(off)
    assert repr(AugmentConfig(gain=0)) != repr(off)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"room": 1.5}, "the chance of room is 1.5"),
        ({"dither": -0.1}, "the chance of dither is -0.1"),
        ({"rawboost_algorithms": (3, 9)}, r"some of 0-8, not \[3, 9\]"),
        ({"rawboost_algorithms": ()}, r"some of 0-8, not \[\]"),
    ],
)
def test_what_cannot_be_is_refused(values: dict, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        AugmentConfig(**values)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("quality", QUALITIES)
def test_resampling_takes_what_the_rate_cannot_carry(rate: int, quality: str) -> None:
    tone = np.sin(2 * np.pi * 1_000 * np.arange(16_001) / 16_000)
    hiss = np.sin(2 * np.pi * 6_500 * np.arange(16_001) / 16_000)
    heard = resample_through(tone, rate, quality)
    assert heard.shape == tone.shape
    assert np.linalg.norm(heard - tone) < 0.2 * np.linalg.norm(tone)
    left = np.linalg.norm(resample_through(hiss, rate, quality)) / np.linalg.norm(hiss)
    if rate >= 16_000:
        assert left > 0.4  # the simpler ones dull it
    elif quality != "QQ":  # which folds it down instead
        assert left < 0.1


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_quantising_leaves_steps_and_a_noise_that_does_not_follow_the_clip(bits: int) -> None:
    step = 2.0 ** (1 - bits)
    quiet = 0.4 * step * np.sin(np.arange(160_000) / 50)  # without dither, all of it would be rounded away
    coarse = quantise(quiet, bits, rng())
    np.testing.assert_allclose(coarse / step, np.round(coarse / step), atol=1e-9)
    error = coarse - quiet
    assert abs(np.corrcoef(error, quiet)[0, 1]) < 0.02
    assert np.std(error) == pytest.approx(step / 2, rel=0.02)  # the dither's 2/12 and the rounding's 1/12
    assert np.abs(quantise(np.ones(1_000), bits, rng())).max() <= 1


def test_each_change_happens_as_often_as_its_chance_says() -> None:
    # A constant survives a cut and a gain as a constant, but no noise floor.
    half = AugmentConfig(0, 0, 0, 0, 0, 0, noise_floor=0.5, clipping=0)
    views = [augment(np.ones(2_000, np.float32), 1_000, half, rng(seed)) for seed in range(200)]
    noisy = sum(np.ptp(view) > 1e-6 for view in views)
    assert 70 < noisy < 130


def test_a_long_clip_is_cut_anywhere_and_a_short_one_repeated_from_anywhere() -> None:
    count = np.arange(10)
    starts = {int(random_cut(count, 4, rng(seed))[0]) for seed in range(100)}
    assert starts == set(range(7))  # the last start is length - 4 = 6
    for seed in range(20):
        repeated = random_cut(count, 25, rng(seed))
        np.testing.assert_array_equal(np.diff(repeated) % 10, np.ones(24))
    assert {int(random_cut(count, 25, rng(seed))[0]) for seed in range(100)} == set(range(10))


def test_trim_silence_by_hand() -> None:
    frame = 320  # 20 ms
    loud, faint, silent = np.full(frame, 0.5), np.full(frame, 0.5 * 10 ** (-41 / 20)), np.zeros(frame)
    inside = [loud, silent, faint, loud]  # a pause within stays
    trimmed = trim_silence(np.concatenate([silent, faint, *inside, faint, silent, silent]))
    np.testing.assert_array_equal(trimmed, np.concatenate(inside))
    heard = np.full(frame, 0.5 * 10 ** (-39 / 20))
    np.testing.assert_array_equal(
        trim_silence(np.concatenate([silent, heard, loud, silent])), np.concatenate([heard, loud])
    )


def test_trim_silence_keeps_a_clip_that_has_nothing_to_trim() -> None:
    for wave in (np.zeros(3_200), np.ones(500), np.ones(3_200)):
        np.testing.assert_array_equal(trim_silence(wave), wave)


@pytest.mark.parametrize("cutoff", [2_800, 5_000, 7_600])
def test_low_pass_takes_what_lies_above_and_keeps_what_lies_below(cutoff: int) -> None:
    wave = noise(32_000)
    frequencies = np.fft.rfftfreq(len(wave), 1 / 16_000)
    before, after = (np.abs(np.fft.rfft(w)) ** 2 for w in (wave, low_pass(wave, cutoff)))
    above, below = frequencies > 1.2 * cutoff, frequencies < 0.8 * cutoff
    if above.any():
        assert after[above].sum() < 1e-3 * before[above].sum()
    top = frequencies > 7_900
    assert after[top].sum() < 0.02 * before[top].sum()
    assert after[below].sum() == pytest.approx(before[below].sum(), rel=0.02)


@pytest.mark.parametrize("snr_db", [12.0, 40.0, 65.0])
@pytest.mark.parametrize("samples", [7_999, 8_000])
def test_the_noise_floor_lies_exactly_at_the_snr(snr_db: float, samples: int) -> None:
    wave = noise(samples).astype(np.float64)
    for seed in range(5):
        floor = add_noise_floor(wave, snr_db, rng(seed)) - wave
        measured = 20 * np.log10(np.linalg.norm(wave) / np.linalg.norm(floor))
        assert measured == pytest.approx(snr_db, abs=1e-6)


def test_the_noise_floor_is_anything_from_white_to_brown() -> None:
    wave = noise(16_000).astype(np.float64)
    octaves = np.log2(np.arange(1, 8_001))
    slopes = []
    for seed in range(60):
        power = np.abs(np.fft.rfft(add_noise_floor(wave, 20, rng(seed)) - wave))[1:] ** 2
        slopes.append(-np.polyfit(octaves, np.log2(power), 1)[0])
    assert min(slopes) > -0.2
    assert max(slopes) < 2.2
    assert min(slopes) < 0.3
    assert max(slopes) > 1.7


def test_a_room_starts_with_the_direct_sound_and_dies_away() -> None:
    click = np.zeros(16_000)
    click[100] = 1.0
    for seed in range(10):
        heard = add_room(click, rng(seed))
        assert heard.shape == click.shape
        np.testing.assert_allclose(heard[:100], 0, atol=1e-9)
        assert heard[100] == pytest.approx(1)
        tail = heard[101:]
        # The tail's energy is 2-15 dB below the direct sound and gone after the longest RT60, 0.6 s.
        assert -15.01 < 10 * np.log10(np.square(tail).sum()) < -1.99
        np.testing.assert_allclose(tail[9_600:], 0, atol=1e-9)
        assert np.square(tail[:800]).sum() > 10 * np.square(tail[4_800:5_600]).sum()
