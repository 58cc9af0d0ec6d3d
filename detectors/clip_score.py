"""A clip's CM score, from those of its windows. numpy only.

Their mean; but of log-probabilities, which end at 0, where all sure windows are alike and one that is not
outweighs them, the log-probability of their mean log-odds.
"""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

#: Detectors whose CM score is the log-probability of bona fide (SLS's log-softmax): it ends at 0, where all
#: clear human voices crowd together.
LOG_PROBS = frozenset({"sls"})
#: What is nearer to 0 counts as this: log-odds of 69, near where float32 ends.
_LAST_LOG_PROB = -1e-30

Scores = TypeVar("Scores", float, np.ndarray)


def clip_score(windows: Sequence[float], of_log_prob: bool) -> float:
    """Of a clip's windows, whose scores are log-probabilities or not."""
    if not of_log_prob:
        return float(np.mean(windows))
    return float(-np.logaddexp(0, -np.mean(log_odds(np.asarray(windows, dtype=np.float64)))))


def log_odds(log_prob: Scores) -> Scores:
    """ln(p / (1 - p)) of ln p, for p from 0 to 1."""
    within = np.minimum(log_prob, _LAST_LOG_PROB)
    odds = within - np.log(-np.expm1(within))
    return odds if isinstance(log_prob, np.ndarray) else float(odds)
