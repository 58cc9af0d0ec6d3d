"""Honest figures of what is fitted: a clip is judged by a fit that saw nothing of its own source. numpy only.

A source is left out as a whole, its bona fide clips and its spoofs: a demo page's human recordings share
their channel with its generators. Where a class has a single source, parts of the clips take turns instead.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from detectors.errors import DetectorError

#: How many parts take turns where sources cannot.
PARTS = 5
BY_SOURCE = "each source judged by a fit without it"
BY_PART = f"each of {PARTS} parts of the clips judged by a fit without it"


class Fitted(Protocol):
    """What a fit gives: features [n, d] -> natural-log LLRs [n], bona fide over spoof."""

    def llr(self, features: np.ndarray, /) -> np.ndarray: ...


#: features [n, d] and is_bonafide, bool [n] -> what is fitted to them.
Fit = Callable[[np.ndarray, np.ndarray], Fitted]


@dataclass(frozen=True)
class Turns:
    """Which clips are held out together. numbers: int [clips]. how: in words."""

    numbers: np.ndarray
    how: str


def turns_of(sources: Sequence[str], is_bonafide: np.ndarray) -> Turns:
    """One turn for each source, or PARTS of them; is_bonafide: bool [clips].

    Raises DetectorError when a class has fewer than two clips.
    """
    names, numbers = np.unique(np.array(sources), return_inverse=True)
    several = all(len(set(numbers[of_class])) > 1 for of_class in (is_bonafide, ~is_bonafide))
    if len(names) > 1 and several:
        return Turns(numbers, BY_SOURCE)
    numbers = np.zeros(len(is_bonafide), int)
    for of_class in (is_bonafide, ~is_bonafide):
        if of_class.sum() < 2:
            raise DetectorError("Calibration is tested on clips held out of it: it needs two of each class.")
        numbers[of_class] = np.arange(of_class.sum()) % PARTS
    return Turns(numbers, BY_PART)


def held_out_llrs(fit: Fit, features: np.ndarray, is_bonafide: np.ndarray, turns: Turns) -> np.ndarray:
    """LLRs [c, clips] of features [c, clips, d], each by a `fit` to all c conditions of the other turns."""
    found = np.empty(features.shape[:2])
    for out, fitted in _fits(fit, features, is_bonafide, turns):
        for condition, of_condition in enumerate(features):
            found[condition, out] = fitted.llr(of_condition[out])
    return found


def held_out_scores(fit: Fit, features: np.ndarray, is_bonafide: np.ndarray, turns: Turns) -> np.ndarray:
    """The same [c, clips] for ranking, as EERs need it: what each fit gives is brought to the scale of the
    fit to all clips, by mean and spread of the clips that both have seen.

    Else the turns' offsets, which lean away from what was left out, would count as errors of ranking. With
    one feature the result is what the fit to all gives.
    """
    whole = _fit_all(fit, features, is_bonafide)
    found = np.empty(features.shape[:2])
    for out, fitted in _fits(fit, features, is_bonafide, turns):
        rest = features[:, ~out].reshape(-1, features.shape[2])
        ours, theirs = fitted.llr(rest), whole.llr(rest)
        scale = theirs.std() / ours.std() if ours.std() > 0 else 1.0
        for condition, of_condition in enumerate(features):
            found[condition, out] = theirs.mean() + scale * (fitted.llr(of_condition[out]) - ours.mean())
    return found


def _fits(
    fit: Fit, features: np.ndarray, is_bonafide: np.ndarray, turns: Turns
) -> Iterator[tuple[np.ndarray, Fitted]]:
    """Of each turn: which clips are out, bool [clips], and the fit to the others."""
    for turn in np.unique(turns.numbers):
        out = turns.numbers == turn
        yield out, _fit_all(fit, features[:, ~out], is_bonafide[~out])


def _fit_all(fit: Fit, features: np.ndarray, is_bonafide: np.ndarray) -> Fitted:
    """To all conditions of [c, clips, d]."""
    return fit(features.reshape(-1, features.shape[2]), np.tile(is_bonafide, len(features)))
