"""How far annotators agree beyond chance: Cohen's, Fleiss' and Krippendorff's coefficients.

Each takes one answer a person and clip, their newest, out of three nominal ones: bona fide, spoof,
unsure. 1 is full agreement, 0 what chance would give. None where a coefficient is not defined,
because too little was labelled or only one answer was ever given.
"""

import math
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from detectors.labels.consensus import opinions
from detectors.labels.records import LABELS, Label

#: One clip's answers by person (records.person_of), as numbers: places in LABELS.
Ratings = dict[str, int]


@dataclass(frozen=True)
class PairAgreement:
    """Two people on the clips that both labelled. same: share of equal answers; kappa: Cohen's."""

    first: str
    second: str
    clips: int
    same: float
    kappa: float | None


@dataclass(frozen=True)
class Agreement:
    """clips: those that at least two people labelled. people: everybody who labelled one of them.

    fleiss: on the `fleiss_clips` clips that exactly `fleiss_people` people labelled, the number of
    people that most such clips have: the coefficient is defined for an equal number only.
    krippendorff: nominal alpha on all of `clips`, whoever labelled them. pairs: Cohen's kappa.
    """

    clips: int
    people: tuple[str, ...]
    krippendorff: float | None
    fleiss: float | None
    fleiss_clips: int
    fleiss_people: int
    pairs: tuple[PairAgreement, ...]


def agreement(clips: Iterable[Sequence[Label]]) -> Agreement:
    """Compare people on clips, each given by its current labels, oldest first."""
    rated = [ratings for labels in clips if len(ratings := _ratings(labels)) > 1]
    people = tuple(sorted({person for ratings in rated for person in ratings}))
    raters, equal = _most_common_size(rated)
    return Agreement(
        clips=len(rated),
        people=people,
        krippendorff=_krippendorff(rated, people),
        fleiss=_fleiss(equal),
        fleiss_clips=len(equal),
        fleiss_people=raters,
        pairs=tuple(_pair(rated, *pair) for pair in combinations(people, 2) if _shared(rated, *pair)),
    )


def _ratings(labels: Sequence[Label]) -> Ratings:
    return {person: LABELS.index(each.label) for person, each in opinions(labels).items()}


def _shared(rated: Sequence[Ratings], first: str, second: str) -> list[tuple[int, int]]:
    return [(each[first], each[second]) for each in rated if first in each and second in each]


def _pair(rated: Sequence[Ratings], first: str, second: str) -> PairAgreement:
    # Imported where needed, here and below: these libraries take a second, and most starts never ask.
    from sklearn.metrics import cohen_kappa_score

    answers = np.array(_shared(rated, first, second))  # [clips, 2]
    same = float((answers[:, 0] == answers[:, 1]).mean())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns, and gives NaN, when only one answer occurs
        kappa = cohen_kappa_score(answers[:, 0], answers[:, 1])
    return PairAgreement(first, second, len(answers), same, _defined(kappa))


def _most_common_size(rated: Sequence[Ratings]) -> tuple[int, list[Ratings]]:
    sizes = Counter(len(ratings) for ratings in rated)
    if not sizes:
        return 0, []
    raters = max(sizes, key=lambda size: (sizes[size], size))
    return raters, [ratings for ratings in rated if len(ratings) == raters]


def _fleiss(rated: Sequence[Ratings]) -> float | None:
    from statsmodels.stats.inter_rater import fleiss_kappa

    if not rated:
        return None
    counts = np.array([np.bincount(list(each.values()), minlength=len(LABELS)) for each in rated])
    if (counts.sum(axis=0) > 0).sum() < 2:
        return None  # one answer throughout: chance agrees as well
    return _defined(fleiss_kappa(counts))


def _krippendorff(rated: Sequence[Ratings], people: Sequence[str]) -> float | None:
    from krippendorff import alpha

    answers = np.array([[each.get(person, np.nan) for each in rated] for person in people])  # [people, clips]
    if len(np.unique(answers[~np.isnan(answers)])) < 2:
        return None
    return _defined(alpha(reliability_data=answers, level_of_measurement="nominal"))


def _defined(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
