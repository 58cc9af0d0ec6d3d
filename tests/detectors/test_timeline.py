"""Frames of windows onto the clip's axis: averages that can be counted by hand."""

import numpy as np
import pytest

from detectors import timeline as module
from detectors.timeline import MAX_FRAMES, Timeline


def row(*values: float) -> np.ndarray:
    return np.array([values])


def test_one_window_comes_back_as_it_went_in():
    timeline = Timeline(2, seconds=2.0, rate=2.0)
    values = np.array([[1.0, 2, 3, 4], [8, 7, 6, 5]])
    timeline.add(0.0, values)
    np.testing.assert_array_equal(timeline.mean(), values)
    assert timeline.mean().dtype == np.float32


def test_overlapping_windows_are_averaged():
    timeline = Timeline(1, seconds=3.0, rate=2.0)
    timeline.add(0.0, row(1, 1, 2, 2))
    timeline.add(1.0, row(4, 6, 5, 5))
    np.testing.assert_array_equal(timeline.mean(), row(1, 1, 3, 4, 5, 5))


def test_order_does_not_matter():
    there, back = (Timeline(1, seconds=2.5, rate=4.0) for _ in range(2))
    windows = [(start, np.random.default_rng(i).random((1, 4))) for i, start in enumerate((0.0, 0.6, 1.5))]
    for start, values in windows:
        there.add(start, values)
    for start, values in reversed(windows):
        back.add(start, values)
    np.testing.assert_allclose(there.mean(), back.mean(), rtol=1e-6)


def test_frames_of_the_repeated_part_of_a_short_clip_are_dropped():
    timeline = Timeline(1, seconds=1.0, rate=4.0)
    timeline.add(0.0, row(1, 2, 3, 4, 100, 100, 100, 100))
    np.testing.assert_array_equal(timeline.mean(), row(1, 2, 3, 4))


def test_a_gap_takes_its_neighbours_interpolation():
    timeline = Timeline(1, seconds=5.0, rate=1.0)
    timeline.add(0.0, row(2))
    timeline.add(4.0, row(6))
    np.testing.assert_array_equal(timeline.mean(), row(2, 3, 4, 5, 6))


def test_the_ends_take_the_nearest_value():
    timeline = Timeline(1, seconds=4.0, rate=1.0)
    timeline.add(1.0, row(7, 9))
    np.testing.assert_array_equal(timeline.mean(), row(7, 7, 9, 9))


def test_a_long_clip_is_averaged_down(monkeypatch):
    monkeypatch.setattr(module, "MAX_FRAMES", 3)
    timeline = Timeline(1, seconds=6.0, rate=1.0)
    timeline.add(0.0, row(1, 3, 10, 20, 5, 6))
    np.testing.assert_array_equal(timeline.mean(), row(2, 15, 5.5))


def test_hours_of_audio_stay_small():
    timeline = Timeline(2, seconds=3 * 3600, rate=50.0)
    for start in range(0, 3 * 3600, 600):
        timeline.add(start, np.full((2, 30_000), start))
    means = timeline.mean()
    assert means.shape == (2, MAX_FRAMES) == (2, 6000)
    assert means[0, 0] == 0
    assert means[1, -1] == 3 * 3600 - 600


@pytest.mark.parametrize(("window", "frames"), [(64_600, 201), (66_800, 208), (32_000, 100)])
def test_every_length_of_clip_has_room_for_every_frame(window, frames):
    """Rounding must never push a frame past the last cell, nor leave a hole within a window."""
    rate = frames / (window / 16_000)
    random = np.random.default_rng(0)
    for samples in (
        8_000,
        window // 2,
        window - 1,
        window,
        window + 1,
        *random.integers(8_000, 500_000, 200),
    ):
        timeline = Timeline(1, samples / 16_000, rate)
        last = max(0, int(samples) - window)
        for start in sorted({*range(0, last, window), last}):
            timeline.add(start / 16_000, np.ones((1, frames)))
        assert timeline.mean().shape == (1, timeline.frames)
        np.testing.assert_array_equal(timeline.mean(), 1)
