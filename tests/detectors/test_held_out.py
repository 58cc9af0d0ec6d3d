"""Logistic regression, and figures by fits that did not see what they judge."""

from functools import partial

import numpy as np
import pytest

from detectors.errors import DetectorError
from detectors.held_out import BY_PART, BY_SOURCE, held_out_llrs, held_out_scores, turns_of
from detectors.logistic import Logistic, fit_logistic
from detectors.metrics import cllr

LABELS = np.arange(200) < 100
SOURCES = [f"{'human' if bonafide else 'engine'} {i % 4}" for i, bonafide in enumerate(LABELS)]


def made(seed: int = 0, features: int = 2, shift: float = 1.0) -> np.ndarray:
    """[1, clips, features]: the classes `shift` apart either side of 0 in the first, the others noise."""
    x = np.random.default_rng(seed).normal(size=(1, len(LABELS), features))
    x[0, :, 0] += np.where(LABELS, shift, -shift)
    return x


def loss(fitted: Logistic, x: np.ndarray) -> float:
    llrs = fitted.llr(x)
    return cllr(llrs[LABELS], llrs[~LABELS])


def test_no_other_weights_have_a_lower_cllr() -> None:
    x = made(features=3)[0]
    best = fit_logistic(x, LABELS)
    for i in range(3):
        for step in (-0.3, 0.3):
            weights = tuple(w + step * (i == k) for k, w in enumerate(best.weights))
            assert loss(best, x) <= loss(Logistic(weights, best.offset), x) + 1e-6


def test_a_weight_that_would_be_negative_is_zero_and_the_rest_as_if_it_were_not_there() -> None:
    x = made()[0]
    x[:, 1] = -0.5 * x[:, 0] + np.random.default_rng(1).normal(size=len(LABELS))
    x[:, 1] -= np.where(LABELS, 0.8, -0.8)
    assert fit_logistic(x, LABELS).weights[1] < -0.1
    held = fit_logistic(x, LABELS, non_negative=True)
    alone = fit_logistic(x[:, :1], LABELS)
    assert held.weights == (pytest.approx(alone.weights[0]), 0.0)
    assert held.offset == pytest.approx(alone.offset)


def test_weights_that_are_not_negative_anyway_are_not_changed() -> None:
    x = made()[0]
    x[:, 1] += np.where(LABELS, 0.5, -0.5)
    assert fit_logistic(x, LABELS, non_negative=True) == fit_logistic(x, LABELS)


def test_a_feature_that_never_changes_is_harmless() -> None:
    x = made()[0]
    x[:, 1] = 7.0
    fitted = fit_logistic(x, LABELS, non_negative=True)
    alone = fit_logistic(x[:, :1], LABELS)
    np.testing.assert_allclose(fitted.llr(x), alone.llr(x[:, :1]), atol=1e-6)


def test_sources_take_turns_as_wholes() -> None:
    turns = turns_of(SOURCES, LABELS)
    assert turns.how == BY_SOURCE
    assert {(source, number) for source, number in zip(SOURCES, turns.numbers, strict=True)} == {
        (source, i) for i, source in enumerate(sorted(set(SOURCES)))
    }


@pytest.mark.parametrize("bonafide", [True, False])
def test_parts_of_the_clips_take_turns_where_a_class_has_one_source(bonafide: bool) -> None:
    sources = ["one" if label == bonafide else source for source, label in zip(SOURCES, LABELS, strict=True)]
    turns = turns_of(sources, LABELS)
    assert turns.how == BY_PART
    for of_class in (LABELS, ~LABELS):
        assert np.bincount(turns.numbers[of_class]).tolist() == [20] * 5


def test_one_clip_of_a_class_cannot_be_held_out() -> None:
    with pytest.raises(DetectorError, match="two of each class"):
        turns_of(["a", "b", "c"], np.array([True, False, False]))


def test_each_clip_is_judged_by_the_fit_to_all_conditions_of_other_sources() -> None:
    x = np.concatenate([made(0), made(1)])
    turns = turns_of(SOURCES, LABELS)
    found = held_out_llrs(fit_logistic, x, LABELS, turns)
    out = np.array(SOURCES) == "engine 2"
    fitted = fit_logistic(x[:, ~out].reshape(-1, 2), np.tile(LABELS[~out], 2))
    np.testing.assert_allclose(found[:, out], np.stack([fitted.llr(row[out]) for row in x]))


def test_what_a_source_says_of_itself_does_not_count() -> None:
    # One engine's spoofs look human through and through: a fit that has seen them claims less.
    x = made(features=1, shift=2.0)
    x[0, np.array(SOURCES) == "engine 0", 0] += 6.0
    seen = fit_logistic(x[0], LABELS)
    unseen = held_out_llrs(fit_logistic, x, LABELS, turns_of(SOURCES, LABELS))
    strange = np.array(SOURCES) == "engine 0"
    assert unseen[0, strange].mean() > seen.llr(x[0])[strange].mean() + 1.0
    assert cllr(unseen[0, LABELS], unseen[0, ~LABELS]) > loss(seen, x[0]) + 0.1


def test_scores_for_ranking_are_on_one_scale() -> None:
    x = made(features=1)
    whole = fit_logistic(x[0], LABELS).llr(x[0])
    turns = turns_of(SOURCES, LABELS)
    np.testing.assert_allclose(held_out_scores(fit_logistic, x, LABELS, turns)[0], whole, atol=1e-9)
    two = held_out_scores(partial(fit_logistic, non_negative=True), made(), LABELS, turns)
    assert two.shape == (1, 200)
    assert np.abs(two[0] - whole).max() > 0.01
