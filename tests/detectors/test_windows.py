"""Windows cover a clip completely, evenly and without making anything up."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.windows import Cutter, Span, cut, spans, tile


@st.composite
def clips(draw: st.DrawFn) -> tuple[int, int, int]:
    window = draw(st.integers(1, 2_000))
    hop = draw(st.integers(1, window))
    # At most some hundred hops, so that an example stays small.
    return draw(st.integers(1, window + 300 * hop)), window, hop


@given(clips())
def test_spans_cover_every_sample_with_full_windows(clip: tuple[int, int, int]) -> None:
    samples, window, hop = clip
    found = spans(samples, window, hop)
    assert found[0].start == 0
    assert found[-1].end == samples
    if samples <= window:
        assert found == [(0, samples)]
        return
    assert all(span.end - span.start == window for span in found)
    steps = np.diff([span.start for span in found])
    # In order, no two alike, and no gap: a step never passes the hop, which never passes the window.
    assert steps.min(initial=1) >= 1
    assert steps.max(initial=1) <= hop
    assert len(found) == -(-(samples - window) // hop) + 1


@given(clips())
def test_cut_gives_the_samples_of_the_span(clip: tuple[int, int, int]) -> None:
    samples, window, hop = clip
    wave = np.arange(samples, dtype=np.float32)
    for span in spans(samples, window, hop):
        piece = cut(wave, span, window)
        assert piece.shape == (window,)
        assert piece.dtype == np.float32
        np.testing.assert_array_equal(piece, (span.start + np.arange(window)) % samples)


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (1, [(0, 1)]),
        (3, [(0, 3)]),
        (4, [(0, 4)]),
        (5, [(0, 4), (1, 5)]),
        (6, [(0, 4), (2, 6)]),
        (7, [(0, 4), (2, 6), (3, 7)]),
        (8, [(0, 4), (2, 6), (4, 8)]),
    ],
)
def test_last_window_is_aligned_to_the_end(samples: int, expected: list[tuple[int, int]]) -> None:
    assert spans(samples, window=4, hop=2) == expected


def test_a_span_has_names() -> None:
    assert spans(5, window=4, hop=4)[1] == Span(start=1, end=5)


def test_tile_repeats_from_the_start_and_cuts_what_is_longer() -> None:
    wave = np.array([1, 2, 3], dtype=np.float32)
    assert tile(wave, 8).tolist() == [1, 2, 3, 1, 2, 3, 1, 2]
    assert tile(wave, 3).tolist() == [1, 2, 3]
    assert tile(wave, 2).tolist() == [1, 2]
    assert tile(wave, 8).dtype == np.float32


@pytest.mark.parametrize(("window", "hop"), [(4, 0), (4, 5), (0, 0), (4, -1)])
def test_a_hop_that_would_skip_samples_is_refused(window: int, hop: int) -> None:
    with pytest.raises(ValueError, match="hop must be between 1 and the window"):
        spans(10, window, hop)


def test_a_clip_without_samples_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 sample, not 0"):
        spans(0, 4, 2)
    with pytest.raises(ValueError, match="without samples"):
        tile(np.empty(0, np.float32), 4)


@given(clips(), st.lists(st.integers(0, 3_000), min_size=1, max_size=8))
def test_a_clip_in_blocks_is_cut_like_the_whole(clip: tuple[int, int, int], sizes: list[int]) -> None:
    samples, window, hop = clip
    wave = np.arange(samples, dtype=np.float32)
    ends = sorted({samples, *(min(samples, end) for end in np.cumsum(sizes).tolist())})
    cutter, found, longest = Cutter(window, hop), [], 0
    for start, end in zip([0, *ends], ends, strict=False):
        found += cutter.feed(wave[start:end])
        longest = max(longest, len(cutter._held))
    found.append(cutter.rest())
    assert cutter.samples == samples
    assert [span for span, _ in found] == spans(samples, window, hop)
    for span, piece in found:
        np.testing.assert_array_equal(piece, cut(wave, span, window))
    assert longest <= 2 * window  # between blocks it holds what later windows need, and no more
