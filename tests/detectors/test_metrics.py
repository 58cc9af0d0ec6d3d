"""Metrics against answers that can be counted by eye, and against slow statements of themselves."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import isotonic_regression

from detectors.errors import DetectorError
from detectors.metrics import (
    AsvRates,
    AsvScores,
    asv_rates,
    cllr,
    compute_eer,
    min_cllr,
    min_dcf,
    min_tdcf,
    operating_points,
    rates_at,
    roc_area,
)

# One bona fide trial lies among the spoofs and one spoof among the bona fide ones:
#   spoof     .0  .1  .2      .6
#   bona fide             .3      .7  .8  .9
BONAFIDE = [0.9, 0.8, 0.7, 0.3]
SPOOF = [0.6, 0.2, 0.1, 0.0]

# Few distinct values, so that most drawn lists hold ties.
score_lists = st.lists(st.integers(-5, 5), min_size=1, max_size=12)


def eer_by_counting(bonafide, spoof) -> float:
    """The definition, one threshold at a time, in exact fractions."""
    points = []
    for threshold in [*sorted({*bonafide, *spoof}), math.inf]:
        miss = Fraction(sum(score < threshold for score in bonafide), len(bonafide))
        false_alarm = Fraction(sum(score >= threshold for score in spoof), len(spoof))
        points.append((abs(miss - false_alarm), (miss + false_alarm) / 2))
    smallest = min(gap for gap, _ in points)
    means = [mean for gap, mean in points if gap == smallest]
    return float(sum(means) / len(means))


def test_eer_of_one_error_in_four_on_either_side():
    eer, threshold = compute_eer(BONAFIDE, SPOOF)
    assert eer == 0.25
    assert threshold == 0.6
    assert rates_at(BONAFIDE, SPOOF, threshold) == (0.25, 0.25)


def test_eer_is_zero_when_the_classes_are_apart_and_one_when_swapped():
    assert compute_eer([2, 3], [0, 1]) == (0.0, 2.0)
    assert compute_eer([0, 1], [2, 3])[0] == 1.0


def test_eer_of_unequal_classes_is_the_mean_of_the_two_nearest_rates():
    # At threshold 1 one of five bona fide trials is missed and one of four spoofs accepted.
    assert compute_eer([0, 1, 2, 3, 4], [-3, -2, -1, 1])[0] == pytest.approx((1 / 5 + 1 / 4) / 2)


def test_eer_takes_the_mean_of_two_points_that_are_equally_near():
    # Threshold 1: no miss, half of the spoofs accepted. Threshold 2: all missed, half accepted.
    assert compute_eer([1], [0, 2])[0] == 0.5


def test_a_constant_score_has_an_eer_of_one_half_whatever_the_class_sizes():
    assert compute_eer([1.0] * 3, [1.0] * 70)[0] == 0.5


def test_tied_scores_are_one_operating_point():
    points = operating_points([1, 1, 2], [0, 1])
    assert points.thresholds.tolist() == [0, 1, 2, math.inf]
    assert points.misses.tolist() == [0, 0, 2, 3]
    assert points.false_alarms.tolist() == [2, 1, 0, 0]


@given(score_lists, score_lists)
def test_eer_matches_counting_at_every_threshold(bonafide, spoof):
    assert compute_eer(bonafide, spoof)[0] == pytest.approx(eer_by_counting(bonafide, spoof))


@given(score_lists, score_lists)
def test_eer_is_the_same_with_both_classes_and_the_direction_swapped(bonafide, spoof):
    mirrored = compute_eer([-score for score in spoof], [-score for score in bonafide])
    assert compute_eer(bonafide, spoof)[0] == pytest.approx(mirrored[0])


@given(score_lists, score_lists, st.sampled_from([0.001, 0.5, 8.0]), st.integers(-100, 100))
def test_eer_ignores_scale_and_offset_and_its_threshold_follows_them(bonafide, spoof, scale, offset):
    eer, threshold = compute_eer(bonafide, spoof)
    moved_eer, moved_threshold = compute_eer(
        scale * np.array(bonafide) + offset, scale * np.array(spoof) + offset
    )
    assert moved_eer == eer
    assert moved_threshold == pytest.approx(scale * threshold + offset)


@given(score_lists, score_lists)
def test_the_area_under_the_roc_counts_pairs_in_order_and_half_of_the_ties(bonafide, spoof):
    pairs = [(b > s) + (b == s) / 2 for b in bonafide for s in spoof]
    assert roc_area(bonafide, spoof) == pytest.approx(np.mean(pairs))


def test_rates_at_a_threshold_count_a_score_on_it_as_accepted():
    assert rates_at(BONAFIDE, SPOOF, 0.7) == (0.25, 0.0)
    assert rates_at(BONAFIDE, SPOOF, 0.2) == (0.0, 0.5)


def test_min_dcf_by_hand():
    # Weights: 1 * 0.95 for misses, 10 * 0.05 for false alarms. Best is threshold 0.3: no miss,
    # one spoof of four accepted, 0.5 / 4; normalised by the cheaper trivial system, 0.5.
    assert min_dcf(BONAFIDE, SPOOF) == pytest.approx(0.25)
    # With equal spoof and bona fide weights, 0.5 / 4 over 0.5 again; with misses free of charge, 0.
    assert min_dcf(BONAFIDE, SPOOF, p_spoof=0.5, c_fa=1) == pytest.approx(0.25)


def test_min_dcf_of_useless_scores_is_one():
    assert min_dcf([0, 0], [0, 0, 0]) == 1.0
    assert min_dcf([0, 1], [2, 3]) == 1.0


def test_cllr_of_llrs_of_three_to_one():
    # Each right LLR of ln 3 costs log2(1 + 1/3); the wrong one costs log2(1 + 3) = 2.
    right = math.log2(4 / 3)
    assert cllr([math.log(3)], [-math.log(3)]) == pytest.approx(right)
    assert cllr([math.log(3), -math.log(3)], [-math.log(3)]) == pytest.approx(((right + 2) / 2 + right) / 2)


def test_cllr_of_no_information_is_one_bit():
    assert cllr([0, 0, 0], [0]) == pytest.approx(1.0)


def test_cllr_stays_finite_for_huge_llrs():
    assert cllr([1e4], [-1e4]) == 0.0
    assert cllr([-1e4], [1e4]) == pytest.approx(1e4 / math.log(2))


def test_min_cllr_by_hand():
    # Ascending: spoof | bona fide, spoof pooled to LLR 0 | bona fide. Half of each class costs 1 bit.
    assert min_cllr([1, 3], [0, 2]) == pytest.approx(0.5)
    assert min_cllr([2, 3], [0, 1]) == 0.0
    assert min_cllr([5, 5, 5], [5]) == pytest.approx(1.0)
    assert min_cllr([0, 1], [2, 3]) == pytest.approx(1.0)


@given(score_lists, score_lists)
def test_min_cllr_is_what_isotonic_regression_reaches(bonafide, spoof):
    scores = np.array([*bonafide, *spoof])
    labels = np.array([1.0] * len(bonafide) + [0.0] * len(spoof))
    where = np.unique(scores, return_inverse=True)[1]
    weights = np.bincount(where)
    shares = np.bincount(where, labels) / weights
    posterior = isotonic_regression(shares, weights=weights).x[where]
    with np.errstate(divide="ignore"):
        llrs = np.log(posterior) - np.log1p(-posterior) - math.log(len(bonafide) / len(spoof))
    cost = np.logaddexp(0, -llrs[labels == 1]).mean() + np.logaddexp(0, llrs[labels == 0]).mean()
    assert min_cllr(bonafide, spoof) == pytest.approx(cost / math.log(4), abs=1e-9)


@given(score_lists, score_lists)
def test_no_calibration_beats_min_cllr(bonafide, spoof):
    assert min_cllr(bonafide, spoof) <= cllr(bonafide, spoof) + 1e-9


def test_asv_rates_are_taken_at_the_highest_score_that_the_eer_point_rejects():
    # One of four targets (1) and one of four nontargets (2) are on the wrong side of any score
    # between 1 and 2. The threshold is 1, so that this target is accepted after all.
    asv = AsvScores(
        target=np.array([5.0, 4, 3, 1]),
        nontarget=np.array([2.0, 0, -1, -2]),
        spoof=np.array([5.0, 3, 2.5, 0]),
    )
    assert asv_rates(asv) == AsvRates(eer=0.25, miss=0.0, false_alarm=0.25, spoof_false_alarm=0.75)


def test_asv_rates_of_a_constant_score_accept_everything():
    rates = asv_rates(AsvScores(target=np.ones(2), nontarget=np.ones(3), spoof=np.ones(1)))
    assert rates == AsvRates(eer=0.5, miss=0.0, false_alarm=1.0, spoof_false_alarm=1.0)


def test_min_tdcf_by_hand():
    asv = AsvRates(eer=0.25, miss=0.25, false_alarm=0.25, spoof_false_alarm=0.75)
    c0 = 0.9405 * 1 * 0.25 + 0.0095 * 10 * 0.25  # 0.258875
    c2 = 0.05 * 10 * 0.75  # 0.375, below C1 = 0.9405 - C0 = 0.681625
    # Best is threshold 0.3: no bona fide trial missed, one spoof of four accepted.
    assert min_tdcf(BONAFIDE, SPOOF, asv) == pytest.approx((c0 + c2 / 4) / (c0 + c2))
    assert min_tdcf(BONAFIDE, SPOOF, asv) == pytest.approx(0.556301, abs=1e-6)


def test_min_tdcf_is_normalised_by_rejecting_all_when_that_is_the_cheaper_default():
    # C0 = 0.9405 * 0.6 = 0.5643, C1 = 0.3762, C2 = 0.5. Best is threshold 0.7: one miss, no spoof.
    asv = AsvRates(eer=0.3, miss=0.6, false_alarm=0.0, spoof_false_alarm=1.0)
    assert min_tdcf(BONAFIDE, SPOOF, asv) == pytest.approx((0.5643 + 0.3762 / 4) / 0.9405)


def test_min_tdcf_of_a_perfect_cm_is_the_cost_of_the_asv_and_of_a_useless_one_is_one():
    asv = AsvRates(eer=0.1, miss=0.1, false_alarm=0.1, spoof_false_alarm=0.5)
    c0 = 0.9405 * 0.1 + 0.095 * 0.1
    assert min_tdcf([2, 3], [0, 1], asv) == pytest.approx(c0 / (c0 + 0.25))
    assert min_tdcf([0, 0], [0, 0], asv) == pytest.approx(1.0)


def test_min_tdcf_refuses_an_asv_that_makes_it_meaningless():
    with pytest.raises(DetectorError, match="cost more than rejecting everyone"):
        min_tdcf(BONAFIDE, SPOOF, AsvRates(eer=0.9, miss=0.95, false_alarm=0.9, spoof_false_alarm=0.5))
    with pytest.raises(DetectorError, match="no countermeasure can change the cost"):
        min_tdcf(BONAFIDE, SPOOF, AsvRates(eer=0, miss=0, false_alarm=0, spoof_false_alarm=0))


@pytest.mark.parametrize("measure", [compute_eer, min_dcf, cllr, min_cllr])
def test_empty_classes_and_bad_scores_are_refused(measure):
    with pytest.raises(DetectorError, match="no bona fide trial"):
        measure([], [1.0])
    with pytest.raises(DetectorError, match="no spoof trial"):
        measure([1.0], [])
    with pytest.raises(DetectorError, match="1 of 2 bona fide scores are NaN or infinite"):
        measure([0.0, math.nan], [1.0])
    with pytest.raises(DetectorError, match="2 of 2 spoof scores are NaN or infinite"):
        measure([0.0], [math.inf, math.nan])
    with pytest.raises(DetectorError, match=r"one flat list, not an array of shape \(2, 1\)"):
        measure(np.zeros((2, 1)), [1.0])


def test_a_large_set_needs_no_matrix_of_trials_by_trials():
    # 600,000 trials of two normals at distance 2: EER = Phi(-1), and n x n booleans would be 360 GB.
    rng = np.random.default_rng(0)
    bonafide, spoof = rng.normal(1, 1, 300_000), rng.normal(-1, 1, 300_000)
    assert compute_eer(bonafide, spoof)[0] == pytest.approx(0.158655, abs=2e-3)
    # LLR of these two normals is 2x, so the scores doubled are calibrated already.
    assert cllr(2 * bonafide, 2 * spoof) == pytest.approx(min_cllr(bonafide, spoof), abs=2e-3)
