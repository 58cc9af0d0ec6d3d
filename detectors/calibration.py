"""CM score -> log-likelihood ratio, by logistic regression on held-out scores (Brümmer, 2010), within limits.

A line through the scores claims odds of a million to one for scores that it saw once or never. Data of a few
hundred clips cannot bear that out (Vergeer et al., 2016), so what is claimed ends where it helps no more.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import numpy as np

from detectors.logistic import fit_logistic
from detectors.metrics import cllr

#: Of the LLR, from which the one with the lowest Cllr is taken. "Likely" begins at 1.7 (see detection.py).
LIMITS = (2.0, 2.5, 3.0, 4.0, 6.0, math.inf)

Scores = TypeVar("Scores", float, np.ndarray)


@dataclass(frozen=True)
class Calibration:
    """llr = scale * score + offset, natural log, bona fide over spoof, but not beyond +-limit."""

    scale: float = 1.0
    offset: float = 0.0
    limit: float = math.inf

    @classmethod
    def of_config(cls, config: dict[str, Any]) -> Self:
        """As a checkpoint's config.json has it; the fresh one where it has none."""
        return cls(**config.get("calibration", {}))

    def as_config(self) -> dict[str, float]:
        """Plain JSON values, of which `of_config` makes the same calibration again."""
        fields = {"scale": self.scale, "offset": self.offset}
        return fields if math.isinf(self.limit) else {**fields, "limit": self.limit}

    def llr(self, score: Scores) -> Scores:
        """Of one CM score, or of an array of them."""
        return self.limited(self.scale * score + self.offset)

    def limited(self, llr: Scores) -> Scores:
        """What may be claimed of an LLR from elsewhere, such as that of a long clip."""
        if isinstance(llr, np.ndarray):
            return llr.clip(-self.limit, self.limit)
        return min(max(llr, -self.limit), self.limit)


def fit_calibration(scores: np.ndarray, is_bonafide: np.ndarray) -> Calibration:
    """Minimise Cllr, in which both classes weigh the same however many trials each has.

    scores [clips], is_bonafide [clips] of bool. Raises ValueError when a class is missing.
    """
    fitted = fit_logistic(scores[:, None], is_bonafide)
    return Calibration(fitted.weights[0], fitted.offset)


def best_limit(llrs: np.ndarray, is_bonafide: np.ndarray) -> float:
    """The one of LIMITS within which held-out LLRs [c, clips] have the lowest Cllr, the widest of equals."""
    of_class = llrs[:, is_bonafide], llrs[:, ~is_bonafide]
    return min(
        reversed(LIMITS), key=lambda limit: cllr(*(part.clip(-limit, limit).ravel() for part in of_class))
    )


def fuse(llrs: Sequence[float]) -> float:
    """One LLR from several detectors of the same clip: their mean, where no other way was found better.

    See fusion.py. A sum would hold only for independent evidence; detectors that look at the same clip are
    not independent, and a mean never claims more than the surest of them. Raises ValueError when empty.
    """
    if not llrs:
        raise ValueError("no detector gave an LLR")
    return float(np.mean(llrs))
