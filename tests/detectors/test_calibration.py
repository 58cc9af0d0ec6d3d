"""Calibration: the least Cllr, and an LLR that never turns the scores' order around."""

import json
import math

import numpy as np
import pytest

from detectors.calibration import Calibration, best_limit, fit_calibration, fuse


def cllr(calibration: Calibration, scores: np.ndarray, is_bonafide: np.ndarray) -> float:
    """Bruemmer's definition, in bits, written out clip by clip."""
    cost = {True: 0.0, False: 0.0}
    for score, bonafide in zip(scores, is_bonafide, strict=True):
        llr = calibration.llr(float(score))
        cost[bool(bonafide)] += math.log2(1 + math.exp(-llr if bonafide else llr))
    bonafide = int(is_bonafide.sum())
    return 0.5 * (cost[True] / bonafide + cost[False] / (len(scores) - bonafide))


def two_classes(bonafide: int = 300, spoof: int = 900) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(4)
    scores = np.concatenate([random.normal(1.5, 1.2, bonafide), random.normal(-0.5, 0.8, spoof)])
    return scores, np.arange(bonafide + spoof) < bonafide


def test_no_other_line_has_a_lower_cllr():
    scores, is_bonafide = two_classes(60, 150)
    fitted = fit_calibration(scores, is_bonafide)
    best = cllr(fitted, scores, is_bonafide)
    assert best < 0.6
    for scale in fitted.scale + np.linspace(-1, 1, 11):
        for offset in fitted.offset + np.linspace(-1, 1, 11):
            assert best <= cllr(Calibration(scale, offset), scores, is_bonafide) + 1e-5


def test_equal_gaussians_give_their_true_llr():
    # N(+1, 1) against N(-1, 1): the LLR is exactly 2 * score, whatever the shares of the classes.
    quantiles = np.array([2**0.5 * _erfinv(2 * p - 1) for p in (np.arange(2_000) + 0.5) / 2_000])
    scores = np.concatenate([quantiles + 1, quantiles[::4] - 1])
    fitted = fit_calibration(scores, np.arange(2_500) < 2_000)
    assert fitted.scale == pytest.approx(2, abs=0.03)
    assert fitted.offset == pytest.approx(0, abs=0.03)


def _erfinv(y: float) -> float:
    low, high = -6.0, 6.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if math.erf(middle) < y else (low, middle)
    return low


def test_scores_that_are_llrs_already_stay_as_they_are():
    # Clips in the ratio that each LLR names: 9 bona fide to 1 spoof at ln 9, the other way at -ln 9.
    scores = np.repeat([math.log(9), -math.log(9)], 10)
    is_bonafide = np.array([True] * 9 + [False] * 10 + [True])
    fitted = fit_calibration(scores, is_bonafide)
    assert fitted.scale == pytest.approx(1, abs=0.01)
    assert fitted.offset == pytest.approx(0, abs=0.01)


def test_the_number_of_clips_of_a_class_does_not_move_the_threshold():
    scores, is_bonafide = two_classes(100, 100)
    many = np.concatenate([scores, np.tile(scores[~is_bonafide], 20)])
    labels = np.concatenate([is_bonafide, np.zeros(2_000, bool)])
    once, skewed = fit_calibration(scores, is_bonafide), fit_calibration(many, labels)
    assert skewed.scale == pytest.approx(once.scale, rel=0.01)
    assert skewed.offset == pytest.approx(once.offset, abs=0.02)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_the_scores_own_scale_does_not_matter(scale):
    scores, is_bonafide = two_classes()
    plain, moved = (
        fit_calibration(scores, is_bonafide),
        fit_calibration(scale * scores + 3 * scale, is_bonafide),
    )
    for score in (-2.0, 0.0, 2.5):
        assert moved.llr(scale * score + 3 * scale) == pytest.approx(plain.llr(score), abs=1e-4)


def test_order_is_kept():
    scores, is_bonafide = two_classes()
    fitted = fit_calibration(scores, is_bonafide)
    llrs = [fitted.llr(s) for s in np.sort(scores)]
    assert fitted.scale > 0
    assert llrs == sorted(llrs)


@pytest.mark.parametrize("gap", [1e-3, 1.0, 1e3])
def test_separable_scores_give_a_finite_line_on_the_right_side(gap):
    scores = np.array([-2.0, -1.5, -1.0, 1.0, 1.5, 2.0]) * gap
    fitted = fit_calibration(scores, scores > 0)
    assert np.isfinite([fitted.scale, fitted.offset]).all()
    assert 2 < fitted.llr(gap) < 50
    assert -50 < fitted.llr(-gap) < -2


def test_scores_that_are_all_the_same_say_nothing():
    fitted = fit_calibration(np.full(7, 0.1), np.arange(7) < 3)
    assert fitted.llr(0.1) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("label", [True, False])
def test_one_class_alone_is_refused(label):
    with pytest.raises(ValueError, match="both classes"):
        fit_calibration(np.array([0.1, 0.2]), np.array([label, label]))


def test_the_fresh_calibration_leaves_scores_alone():
    assert Calibration().llr(-1.25) == -1.25
    assert Calibration(2, 0.5).llr(3) == 6.5


def test_nothing_is_claimed_beyond_the_limit():
    fitted = Calibration(2, 0.5, limit=3.0)
    assert [fitted.llr(score) for score in (-9.0, 1.0, 9.0)] == [-3.0, 2.5, 3.0]
    assert fitted.llr(np.array([-9.0, 1.0, 9.0])).tolist() == [-3.0, 2.5, 3.0]
    assert fitted.limited(-4.2) == -3.0


@pytest.mark.parametrize(
    "kept", [Calibration(2, 0.5), Calibration(2, 0.5, 3.0), Calibration(2, 0.5, 3.0, of_log_prob=True)]
)
def test_a_calibration_survives_its_config(kept):
    config = json.loads(json.dumps({"detector": "sls", "calibration": kept.as_config()}, allow_nan=False))
    assert Calibration.of_config(config) == kept


def test_a_log_probability_ends_at_0_and_its_log_odds_do_not():
    odds = np.array([-30.0, -2.0, 0.0, 2.0, 12.0])
    log_probs = -np.log1p(np.exp(-odds))
    for name, expected in (("sls", odds), ("fake_mamba", log_probs)):
        fresh = Calibration.of_config({"detector": name})
        np.testing.assert_allclose(fresh.llr(log_probs), expected, atol=1e-6)
    assert Calibration.fresh("sls").llr(float(log_probs[3])) == pytest.approx(2)
    assert Calibration.fresh("sls").llr(0.0) == pytest.approx(69.1, abs=0.1)  # nearly as far as float32 goes


def test_log_probabilities_are_calibrated_by_their_log_odds():
    scores, is_bonafide = two_classes()
    of_scores = fit_calibration(scores, is_bonafide)
    log_probs = -np.log1p(np.exp(-scores))
    fitted = fit_calibration(log_probs, is_bonafide, "sls")
    np.testing.assert_allclose(fitted.llr(log_probs), of_scores.llr(scores), atol=1e-4)
    assert cllr(fitted, log_probs, is_bonafide) < cllr(
        fit_calibration(log_probs, is_bonafide), log_probs, is_bonafide
    )


def test_the_limit_is_where_the_claims_of_confident_mistakes_cost_least():
    # Most clips are right at +-2; one in ten is as sure of the opposite as could be.
    right, wrong = np.full(90, 2.0), np.full(10, -50.0)
    is_bonafide = np.arange(200) < 100
    mistaken = np.concatenate([right, wrong, -right, -wrong])
    assert best_limit(np.stack([mistaken, mistaken]), is_bonafide) == 2.0
    # Where all are right, the surer the better.
    assert best_limit(np.where(is_bonafide, 9.0, -9.0)[None], is_bonafide) == np.inf
    # But not where that gains next to nothing: Cllr is 0.0003 bits lower without a limit.
    surest = np.where(np.arange(200) % 10 == 0, 9.0, 4.0) * np.where(is_bonafide, 1, -1)
    assert best_limit(surest[None], is_bonafide) == 6.0


def test_fusing_is_the_mean_and_never_surer_than_the_surest():
    assert fuse([1.0, 3.0]) == 2.0
    assert fuse([-4.0]) == -4.0
    assert isinstance(fuse([1, 2]), float)
    llrs = [0.3, 2.0, 5.0]
    assert min(llrs) <= fuse(llrs) <= max(llrs)


def test_fusing_nothing_is_refused():
    with pytest.raises(ValueError, match="no detector"):
        fuse([])
