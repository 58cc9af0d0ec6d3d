"""CM score -> log-likelihood ratio, by logistic regression on held-out scores (Brümmer, 2010)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

Scores = TypeVar("Scores", float, np.ndarray)


@dataclass(frozen=True)
class Calibration:
    """llr = scale * score + offset, natural log, bona fide over spoof."""

    scale: float = 1.0
    offset: float = 0.0

    def llr(self, score: Scores) -> Scores:
        """Of one CM score, or of an array of them."""
        return self.scale * score + self.offset


def fit_calibration(scores: np.ndarray, is_bonafide: np.ndarray, steps: int = 50) -> Calibration:
    """Minimise Cllr, in which both classes weigh the same however many trials each has.

    scores [clips], is_bonafide [clips] of bool. Newton's method on two parameters; a very small
    ridge keeps separable data finite. Raises ValueError when a class is missing.
    """
    if is_bonafide.all() or not is_bonafide.any():
        raise ValueError("calibration needs scores of both classes")
    # Standardised inside, so that the ridge means the same for every detector's scale.
    mean, spread = scores.mean(), scores.std() or 1.0
    x = np.stack([(scores - mean) / spread, np.ones(len(scores))], axis=1)
    sign = np.where(is_bonafide, 1.0, -1.0)
    weight = np.where(is_bonafide, 0.5 / is_bonafide.sum(), 0.5 / (~is_bonafide).sum())
    ridge = 1e-4 * np.eye(2)
    theta = np.zeros(2)
    for _ in range(steps):
        wrong = 1 / (1 + np.exp(np.clip(sign * (x @ theta), -500, 500)))
        gradient = -(x.T @ (weight * sign * wrong)) + ridge @ theta
        hessian = (x * (weight * wrong * (1 - wrong))[:, None]).T @ x + ridge
        step = np.linalg.solve(hessian, gradient)
        theta -= step / max(1.0, np.abs(step).max())  # damped: a full step can overshoot
    return Calibration(float(theta[0] / spread), float(theta[1] - theta[0] * mean / spread))


def fuse(llrs: Sequence[float]) -> float:
    """One LLR from several detectors of the same clip: their mean.

    A sum would hold only for independent evidence; detectors that look at the same clip are not
    independent, and a mean never claims more than the surest of them. Raises ValueError when empty.
    """
    if not llrs:
        raise ValueError("no detector gave an LLR")
    return float(np.mean(llrs))
