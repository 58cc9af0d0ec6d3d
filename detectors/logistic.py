"""Logistic regression of few features, as calibration and fusion need it (Brümmer, 2010). numpy only."""

from dataclasses import dataclass
from itertools import product

import numpy as np

#: On standardised features; keeps what a line can separate finite.
RIDGE = 1e-4


@dataclass(frozen=True)
class Logistic:
    """llr = features @ weights + offset, natural log, bona fide over spoof."""

    weights: tuple[float, ...]
    offset: float

    def llr(self, features: np.ndarray) -> np.ndarray:
        """[n, d] -> [n]."""
        return np.asarray(features @ np.array(self.weights) + self.offset)


def fit_logistic(
    features: np.ndarray, is_bonafide: np.ndarray, non_negative: bool = False, steps: int = 50
) -> Logistic:
    """Minimise Cllr, in which both classes weigh the same however many trials each has.

    features [n, d], is_bonafide [n] of bool. non_negative: no weight may be below 0; exact for the few
    features that there are here, as every choice of those left out is tried. Raises ValueError when a class
    is missing.
    """
    if is_bonafide.all() or not is_bonafide.any():
        raise ValueError("logistic regression needs both classes")
    # Standardised inside, so that the ridge means the same for every detector's scale.
    mean, spread = features.mean(axis=0), features.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    x = np.column_stack([(features - mean) / spread, np.ones(len(features))])
    count = features.shape[1]
    theta, _ = _newton(x, is_bonafide, np.full(count + 1, True), steps)
    if non_negative and (theta[:-1] < 0).any():
        tried = [
            _newton(x, is_bonafide, np.array([*choice, True]), steps)
            for choice in product((True, False), repeat=count)
        ]
        theta, _ = min((each for each in tried if (each[0][:-1] >= 0).all()), key=lambda each: each[1])
    weights = theta[:-1] / spread
    return Logistic(tuple(map(float, weights)), float(theta[-1] - weights @ mean))


def _newton(x: np.ndarray, is_bonafide: np.ndarray, used: np.ndarray, steps: int) -> tuple[np.ndarray, float]:
    """The best theta [d + 1] that is 0 where not `used`, and its loss; x [n, d + 1], the last column 1."""
    part = x[:, used]
    sign = np.where(is_bonafide, 1.0, -1.0)
    weight = np.where(is_bonafide, 0.5 / is_bonafide.sum(), 0.5 / (~is_bonafide).sum())
    ridge = RIDGE * np.eye(part.shape[1])
    theta = np.zeros(part.shape[1])
    for _ in range(steps):
        wrong = 1 / (1 + np.exp(np.clip(sign * (part @ theta), -500, 500)))
        gradient = -(part.T @ (weight * sign * wrong)) + ridge @ theta
        hessian = (part * (weight * wrong * (1 - wrong))[:, None]).T @ part + ridge
        step = np.linalg.solve(hessian, gradient)
        theta -= step / max(1.0, np.abs(step).max())  # damped: a full step can overshoot
        if np.abs(step).max() < 1e-10:
            break
    loss = weight @ np.logaddexp(0, -sign * (part @ theta)) + theta @ ridge @ theta / 2
    full = np.zeros(x.shape[1])
    full[used] = theta
    return full, float(loss)
