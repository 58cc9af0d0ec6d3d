"""CM score -> log-likelihood ratio, by logistic regression on held-out scores (Brümmer, 2010), within limits.

A line through the scores claims odds of a million to one for scores that it saw once or never. Data of a few
hundred clips cannot bear that out (Vergeer et al., 2016), so what is claimed ends where it helps no more.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np

from detectors.clip_score import LOG_PROBS, Scores, log_odds
from detectors.logistic import fit_logistic
from detectors.metrics import cllr

#: Of the LLR. "Likely" begins at 1.7 (see detection.py).
LIMITS = (2.0, 2.5, 3.0, 4.0, 6.0, math.inf)
#: Bits of Cllr that a wider limit must gain to be worth what it claims.
WORTH_CLAIMING = 0.001


@dataclass(frozen=True)
class Calibration:
    """llr = scale * score + offset, natural log, bona fide over spoof, but not beyond +-limit.

    of_log_prob: the score is a log-probability, and its log-odds are taken instead.
    """

    scale: float = 1.0
    offset: float = 0.0
    limit: float = math.inf
    of_log_prob: bool = False

    @classmethod
    def fresh(cls, detector: str) -> Self:
        """Of a detector that nobody calibrated."""
        return cls(of_log_prob=detector in LOG_PROBS)

    @classmethod
    def of_config(cls, config: dict[str, Any]) -> Self:
        """As a checkpoint's config.json has it; the fresh one where it has none."""
        return cls(**config["calibration"]) if "calibration" in config else cls.fresh(config["detector"])

    def as_config(self) -> dict[str, float]:
        """Plain JSON values, of which `of_config` makes the same calibration again."""
        fresh = type(self)()
        return {
            name: value
            for name, value in asdict(self).items()
            if name in ("scale", "offset") or value != getattr(fresh, name)
        }

    def llr(self, score: Scores) -> Scores:
        """Of one CM score, or of an array of them."""
        return self.limited(self.scale * (log_odds(score) if self.of_log_prob else score) + self.offset)

    def limited(self, llr: Scores) -> Scores:
        """What may be claimed of an LLR from elsewhere, such as that of a long clip."""
        if isinstance(llr, np.ndarray):
            return llr.clip(-self.limit, self.limit)
        return min(max(llr, -self.limit), self.limit)


def fit_calibration(scores: np.ndarray, is_bonafide: np.ndarray, detector: str = "") -> Calibration:
    """Minimise Cllr, in which both classes weigh the same however many trials each has.

    scores [clips] of a detector, is_bonafide [clips] of bool. Raises ValueError when a class is missing.
    """
    fresh = Calibration.fresh(detector)
    fitted = fit_logistic(fresh.llr(scores)[:, None], is_bonafide)
    return replace(fresh, scale=fitted.weights[0], offset=fitted.offset)


def best_limit(llrs: np.ndarray, is_bonafide: np.ndarray) -> float:
    """The narrowest of LIMITS within which held-out LLRs [c, clips] have the lowest Cllr, or nearly."""
    human, machine = llrs[:, is_bonafide], llrs[:, ~is_bonafide]
    costs = [cllr(*(part.clip(-limit, limit).ravel() for part in (human, machine))) for limit in LIMITS]
    return next(
        limit for limit, cost in zip(LIMITS, costs, strict=True) if cost <= min(costs) + WORTH_CLAIMING
    )


def fuse(llrs: Sequence[float]) -> float:
    """One LLR from several detectors of the same clip: their mean, where no other way was found better.

    See fusion.py. A sum would hold only for independent evidence; detectors that look at the same clip are
    not independent, and a mean never claims more than the surest of them. Raises ValueError when empty.
    """
    if not llrs:
        raise ValueError("no detector gave an LLR")
    return float(np.mean(llrs))
