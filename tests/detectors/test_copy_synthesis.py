"""Fake twins keep the clip's length, level and spectrum, but not its waveform."""

import numpy as np
import pytest

from detectors.audio import SAMPLE_RATE
from detectors.copy_synthesis import copy_synthesis, griffin_lim, splice


def voice(seconds: float = 1.5) -> np.ndarray:
    """A gliding harmonic tone in syllables, which has phases that a vocoder must find again."""
    t = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    pitch = 2 * np.pi * np.cumsum(120 + 20 * np.sin(2 * np.pi * t)) / SAMPLE_RATE
    tone = sum(np.sin(k * pitch) / k for k in range(1, 20))
    return (0.1 * tone * (0.55 + 0.45 * np.sin(2 * np.pi * 3 * t))).astype(np.float32)


def band_levels(wave: np.ndarray) -> np.ndarray:
    power = np.abs(np.fft.rfft(wave)) ** 2
    return np.array([band.sum() for band in np.array_split(power[: len(power) // 4], 8)])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("make", [griffin_lim, splice])
def test_a_twin_sounds_alike_but_is_another_waveform(make, seed):
    wave = voice()
    twin = make(wave, np.random.default_rng(seed))
    assert twin.shape == wave.shape
    assert twin.dtype == np.float32
    assert np.isfinite(twin).all()
    ratio = band_levels(twin) / band_levels(wave)
    assert ratio[0] == pytest.approx(1, abs=0.5)
    similarity = twin @ wave / (np.linalg.norm(twin) * np.linalg.norm(wave))
    assert abs(similarity) < 0.9


@pytest.mark.parametrize("seed", range(6))
def test_the_same_seed_makes_the_same_twin(seed):
    one, other = (copy_synthesis(voice(0.5), np.random.default_rng(seed)) for _ in range(2))
    np.testing.assert_array_equal(one, other)


def test_griffin_lim_leaves_the_global_random_state_alone():
    import torch

    before = torch.random.get_rng_state()
    griffin_lim(voice(0.5), np.random.default_rng(0))
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("samples", [2, 20, 200, 2_000])
def test_splicing_ends_on_a_clip_shorter_than_a_unit(samples):
    assert splice(voice()[:samples], np.random.default_rng(1)).shape == (samples,)
