"""How often clips of each class get each of the five steps: counted on labelled clips, never typed in.

`assess` keeps the counts among its results; whoever shows a verdict shows them beside it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

from detectors.cards import ASSETS
from detectors.detection import INCONCLUSIVE_LLR, LIKELY_LLR, STEPS, Step
from detectors.errors import DetectorError
from detectors.fusion import MIN_DIGITS

#: In evaluate.as_fields and in results files.
FIELD = "steps"
_THRESHOLDS = (INCONCLUSIVE_LLR, LIKELY_LLR)


class Clips(NamedTuple):
    """Numbers of clips of each class."""

    bonafide: int
    spoof: int


@dataclass(frozen=True)
class StepRates:
    """Clips by the step that they got, at the fixed thresholds INCONCLUSIVE_LLR and LIKELY_LLR."""

    counts: Mapping[Step, Clips]

    @classmethod
    def of_llrs(cls, bonafide: np.ndarray, spoof: np.ndarray) -> Self:
        """Count calibrated natural-log LLRs, bona fide over spoof; float [clips] of each class."""
        counts = [np.bincount(_places(llrs), minlength=len(STEPS)).tolist() for llrs in (bonafide, spoof)]
        return cls({step: Clips(*of) for step, of in zip(STEPS, zip(*counts, strict=True), strict=True)})

    @property
    def clips(self) -> Clips:
        """All of each class."""
        return Clips(*map(sum, zip(*self.counts.values(), strict=True)))

    def shares(self, step: Step) -> tuple[float, float]:
        """Of bona fide and of spoof clips, how many in percent got the step."""
        found = [
            100 * part / max(1, whole) for part, whole in zip(self.counts[step], self.clips, strict=True)
        ]
        return found[0], found[1]

    @property
    def real_called_fake(self) -> float:
        """Bona fide clips with a verdict "spoof", leaning or likely, in percent."""
        return self.shares("leaning_spoof")[0] + self.shares("likely_spoof")[0]

    @property
    def fake_called_real(self) -> float:
        """Spoof clips with a verdict "bonafide", leaning or likely, in percent."""
        return self.shares("leaning_bonafide")[1] + self.shares("likely_bonafide")[1]

    def as_fields(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "inconclusive_below_llr": INCONCLUSIVE_LLR,
            "likely_from_llr": LIKELY_LLR,
            "real_called_fake": self.real_called_fake,
            "fake_called_real": self.fake_called_real,
            "counts": {step: clips._asdict() for step, clips in self.counts.items()},
        }

    @classmethod
    def of_fields(cls, fields: Mapping[str, Any]) -> Self:
        """What `as_fields` gave. Raises ValueError, TypeError or KeyError when it is something else."""
        if (fields["inconclusive_below_llr"], fields["likely_from_llr"]) != (INCONCLUSIVE_LLR, LIKELY_LLR):
            raise ValueError("counted at other thresholds than those in use")
        return cls({step: Clips(**fields["counts"][step]) for step in STEPS})


def _places(llrs: np.ndarray) -> np.ndarray:
    """`step_of` of many LLRs, as places in STEPS; int [clips]."""
    up, down = [sum(side >= threshold for threshold in _THRESHOLDS) for side in (llrs, -llrs)]
    return np.asarray(len(_THRESHOLDS) - up + down, dtype=np.int64)


@cache
def measured_rates(versions: tuple[tuple[str, str], ...], assets: Path = ASSETS) -> dict[str, StepRates]:
    """By condition, of just these shipped detectors together; {} where `assess` has not measured them.

    versions: (detector, SHA-256 of its weights or at least its first digits).
    """
    wanted = sorted(version for _, version in versions)
    if not wanted or min(map(len, wanted)) < MIN_DIGITS:
        return {}
    for weights, conditions in _measured(assets):
        if len(weights) == len(wanted) and all(map(str.startswith, sorted(weights), wanted)):
            return conditions
    return {}


def _measured(assets: Path) -> Iterator[tuple[list[str], dict[str, StepRates]]]:
    """Weights, and counts by condition, of every results file that has them."""
    from detectors.results import FILE, read_results  # which needs this module's counts

    for file in sorted([*assets.glob(f"*/{FILE}"), *assets.glob("results-of-*.json")]):
        try:
            found = read_results(file)
            counted = {name: StepRates.of_fields(of[FIELD]) for name, of in found.conditions.items()}
            yield found.weights, counted
        except (DetectorError, ValueError, TypeError, KeyError):
            continue  # of an earlier version, or damaged: then nothing is said of it
