"""A clip's CM score from those of its windows."""

import math

import numpy as np
import pytest

from detectors.clip_score import clip_score, log_odds
from detectors.dev_scores import clip_scores


def test_it_is_the_mean():
    assert clip_score([1.0, 2.0, -6.0], of_log_prob=False) == -1.0
    np.testing.assert_array_equal(clip_scores([[1.0, 3.0], [4.0]], "fake_mamba"), [2.0, 4.0])


def test_of_log_probabilities_it_is_that_of_their_mean_log_odds():
    log_probs = [math.log(p) for p in (0.5, 0.9, 0.99)]
    odds = np.mean([math.log(p / (1 - p)) for p in (0.5, 0.9, 0.99)])
    found = clip_score(log_probs, of_log_prob=True)
    assert math.exp(found) == pytest.approx(1 / (1 + math.exp(-odds)))
    assert clip_score(log_probs[:1], of_log_prob=True) == pytest.approx(log_probs[0])
    np.testing.assert_allclose(clip_scores([log_probs, log_probs[:1]], "sls"), [found, log_probs[0]])


def test_the_surest_windows_count_and_what_is_beyond_float_does_not():
    surer, sure = [-1e-6, -1e-6, -0.01], [-1e-3, -1e-3, -0.01]
    assert clip_score(surer, of_log_prob=True) > clip_score(sure, of_log_prob=True)
    for window, odds in ((0.0, 69.1), (-1e-12, 27.6), (-800.0, -800.0)):
        found = clip_score([window, window], of_log_prob=True)
        assert found <= 0
        assert log_odds(found) == pytest.approx(odds, abs=0.05)
