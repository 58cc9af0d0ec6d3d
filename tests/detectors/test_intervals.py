"""Bootstrap intervals against resamples that can be listed, and against slow statements of themselves."""

from collections import Counter
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.errors import DetectorError
from detectors.intervals import (
    default_resamples,
    eer_intervals,
    resampled_counts_below,
    resampled_eers,
)
from detectors.metrics import compute_eer, operating_points

# Few distinct values, so that most drawn lists hold ties.
score_lists = st.lists(st.integers(-5, 5), min_size=1, max_size=12)


class EachTrialOnce:
    """Stands in for a random generator: of the spoofs, just those that are there are "drawn"."""

    def binomial(self, trials: np.ndarray, share: np.ndarray) -> np.ndarray:
        return np.rint(trials * share).astype(int)


@given(score_lists, score_lists)
def test_drawing_each_trial_once_gives_the_eer_itself(bonafide, spoof):
    once = np.arange(len(bonafide) + 1)[None]
    found = resampled_eers(operating_points(bonafide, spoof), once, EachTrialOnce())
    assert found.tolist() == [pytest.approx(compute_eer(bonafide, spoof)[0])]


@pytest.mark.parametrize(
    ("bonafide", "spoof"), [([1, 3], [0, 2]), ([1, 1, 2], [1, 2]), ([0, 4], [1, 2, 3]), ([5], [4, 5, 6])]
)
def test_eers_come_as_often_as_among_all_possible_resamples(bonafide, spoof):
    listed = [
        round(compute_eer(b, s)[0], 9)
        for b in product(bonafide, repeat=len(bonafide))
        for s in product(spoof, repeat=len(spoof))
    ]
    rng = np.random.default_rng(0)
    below = resampled_counts_below(len(bonafide), 20_000, rng)
    found = Counter(np.round(resampled_eers(operating_points(bonafide, spoof), below, rng), 9).tolist())
    expected = Counter(listed)
    assert set(found) == set(expected)
    for eer, times in expected.items():
        assert found[eer] / 20_000 == pytest.approx(times / len(listed), abs=0.015)


def test_quantiles_are_those_of_drawing_trial_by_trial():
    rng = np.random.default_rng(0)
    bonafide, spoof = rng.normal(1, 1, 80).round(1), rng.normal(-1, 1, 50).round(1)
    slow = [compute_eer(rng.choice(bonafide, 80), rng.choice(spoof, 50))[0] for _ in range(2_000)]
    found = resampled_eers(operating_points(bonafide, spoof), resampled_counts_below(80, 20_000, rng), rng)
    shares = [0.025, 0.25, 0.5, 0.75, 0.975]
    np.testing.assert_allclose(np.quantile(found, shares), np.quantile(slow, shares), atol=0.02)


def test_each_resample_draws_as_many_trials_as_there_are():
    below = resampled_counts_below(7, 500, np.random.default_rng(0))
    assert below.shape == (500, 8)
    assert set(below[:, 0]) == {0}
    assert set(below[:, -1]) == {7}
    drawn = np.diff(below, axis=1)
    assert drawn.min() == 0
    assert drawn.mean(axis=0) == pytest.approx(np.ones(7), abs=0.15)


def test_classes_that_lie_apart_have_an_interval_without_width():
    apart = eer_intervals([2, 3, 4], [0, 1], {"a": [0], "b": [1]})
    assert (apart.pooled, apart.macro) == ((0.0, 0.0), (0.0, 0.0))
    assert apart.per_source == {"a": (0.0, 0.0), "b": (0.0, 0.0)}
    swapped = eer_intervals([0, 1], [2, 3, 4], {})
    assert (swapped.pooled, swapped.macro, swapped.per_source) == ((100.0, 100.0), None, {})


def test_the_mean_over_sources_varies_with_the_sources():
    # However the clips are drawn, the EER of one source is 0 % and of the other 100 %. The sources are drawn
    # as both of the one, one of each or both of the other: 0, 50 or 100 % in a quarter, a half, a quarter.
    found = eer_intervals([5, 6], [1, 9], {"easy": [1, 2], "hard": [8, 9]})
    assert found.per_source == {"easy": (0.0, 0.0), "hard": (100.0, 100.0)}
    assert found.macro == (0.0, 100.0)


def test_the_mean_over_one_source_is_that_source():
    rng = np.random.default_rng(0)
    bonafide, spoof = rng.normal(1, 1, 40), rng.normal(-1, 1, 30)
    found = eer_intervals(bonafide, spoof, {"only": spoof})
    assert found.macro == found.per_source["only"]


def test_the_seed_decides():
    rng = np.random.default_rng(0)
    sets = rng.normal(1, 1, 40), rng.normal(-1, 1, 30), {"only": rng.normal(-1, 1, 30)}
    assert eer_intervals(*sets) == eer_intervals(*sets)
    assert eer_intervals(*sets) != eer_intervals(*sets, seed=1)


@settings(max_examples=50)
@given(st.integers(0, 2**32), st.integers(10, 60), st.integers(10, 60), st.floats(-1, 3))
def test_the_eer_lies_in_its_interval_or_one_trial_beside_it(seed, n_bonafide, n_spoof, distance):
    rng = np.random.default_rng(seed)
    bonafide, spoof = rng.normal(distance, 1, n_bonafide), rng.normal(0, 1, n_spoof)
    lower, upper = eer_intervals(bonafide, spoof, {}).pooled
    one_trial = 100 / min(n_bonafide, n_spoof)
    assert lower - one_trial <= 100 * compute_eer(bonafide, spoof)[0] <= upper + one_trial


def test_nearly_all_intervals_hold_the_eer_of_the_distributions():
    # Two normals at distance 2: EER = Phi(-1).
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(200):
        lower, upper = eer_intervals(rng.normal(1, 1, 150), rng.normal(-1, 1, 150), {}, resamples=300).pooled
        held += lower <= 15.8655 <= upper
    assert 0.90 <= held / 200 <= 0.99


def test_fewer_resamples_for_many_bona_fide_trials():
    sizes = (1, 50_000, 100_000, 250_000, 10**7)
    assert [default_resamples(n) for n in sizes] == [1000, 1000, 500, 200, 200]


@pytest.mark.parametrize(
    ("bonafide", "spoof", "by_source", "message"),
    [
        ([], [1], {}, "no bona fide trial"),
        ([1], [], {}, "no spoof trial"),
        ([1], [0], {"a": []}, "no spoof trial"),
        ([float("nan")], [1], {}, "NaN or infinite"),
    ],
)
def test_trials_that_have_no_eer_have_no_interval(bonafide, spoof, by_source, message):
    with pytest.raises(DetectorError, match=message):
        eer_intervals(bonafide, spoof, by_source)
