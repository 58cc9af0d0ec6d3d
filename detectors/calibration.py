"""CM score -> log-likelihood ratio, by logistic regression on held-out scores (Brümmer, 2010)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import numpy as np

from detectors.logistic import fit_logistic

Scores = TypeVar("Scores", float, np.ndarray)


@dataclass(frozen=True)
class Calibration:
    """llr = scale * score + offset, natural log, bona fide over spoof."""

    scale: float = 1.0
    offset: float = 0.0

    @classmethod
    def of_config(cls, config: dict[str, Any]) -> Self:
        """As a checkpoint's config.json has it; the fresh one where it has none."""
        return cls(**config.get("calibration", {}))

    def llr(self, score: Scores) -> Scores:
        """Of one CM score, or of an array of them."""
        return self.scale * score + self.offset


def fit_calibration(scores: np.ndarray, is_bonafide: np.ndarray) -> Calibration:
    """Minimise Cllr, in which both classes weigh the same however many trials each has.

    scores [clips], is_bonafide [clips] of bool. Raises ValueError when a class is missing.
    """
    fitted = fit_logistic(scores[:, None], is_bonafide)
    return Calibration(fitted.weights[0], fitted.offset)


def fuse(llrs: Sequence[float]) -> float:
    """One LLR from several detectors of the same clip: their mean, where no other way was found better.

    See fusion.py. A sum would hold only for independent evidence; detectors that look at the same clip are
    not independent, and a mean never claims more than the surest of them. Raises ValueError when empty.
    """
    if not llrs:
        raise ValueError("no detector gave an LLR")
    return float(np.mean(llrs))
