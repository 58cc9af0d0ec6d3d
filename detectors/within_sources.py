"""How well scores tell human from machine where both come from one source, such as one demo page.

Most trials set a machine of one source against people of others, where channel, language and the way of
recording differ too, and a detector may tell these. Within a source they are the same.
"""

from dataclasses import dataclass

import numpy as np

from detectors.metrics import roc_area
from detectors.protocols import Trials

#: Clips of each class that a source needs.
SMALLEST = 5


@dataclass(frozen=True)
class WithinSources:
    """area: under the ROC, mean over `sources`, each counting the same; 0.5 is chance, 1 is without error."""

    area: float
    sources: int


def within_sources(trials: Trials, scores: np.ndarray) -> WithinSources | None:
    """scores: float64 [n], in the order of `trials`. None when no source has enough clips of both classes."""
    rows: dict[str, tuple[list[int], list[int]]] = {}
    for row, (source, is_bonafide) in enumerate(zip(trials.groups, trials.is_bonafide, strict=True)):
        rows.setdefault(source, ([], []))[int(is_bonafide)].append(row)
    areas = [
        roc_area(scores[bonafide], scores[spoof])
        for source, (spoof, bonafide) in rows.items()
        if source and min(len(spoof), len(bonafide)) >= SMALLEST
    ]
    return WithinSources(float(np.mean(areas)), len(areas)) if areas else None
