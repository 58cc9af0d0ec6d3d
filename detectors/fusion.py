"""One LLR from all detectors that judged a clip: weighed where that was found better, else their mean.

`assess --calibrate` finds weights for each set of two or more detectors and keeps them in fusion.json: those
of a logistic regression over their LLRs (Brümmer, 2010), none below 0, or the mean without those that harm
it. A set's weights are used where, on sources that their fit had not seen, they reached a Cllr below that of
the mean of all by at least GAIN, and only for the very model weights that they were found for: fine-tuned
detectors and other presets are fused by the mean.
"""

import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from itertools import combinations
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from detectors.calibration import fuse
from detectors.cards import ASSETS
from detectors.held_out import Turns, held_out_llrs, held_out_scores
from detectors.logistic import fit_logistic
from detectors.metrics import cllr

FILE = "fusion.json"
MEAN, WEIGHED = "mean of the detectors' LLRs", "logistic regression over the detectors' LLRs"
#: Bits of Cllr by which weights must be better than the mean: less comes and goes with the clips.
GAIN = 0.01
#: Fewer digits of a hash tell nothing.
MIN_DIGITS = 12

Llrs = TypeVar("Llrs", float, np.ndarray)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Weighing:
    """llr = offset + the sum of weight * LLR; weights: by detector, none below 0.

    cllr and cllr_of_mean: of these weights and of the mean, in bits, each clip judged by fits that had not
    seen its source; the mean over the conditions.
    """

    weights: dict[str, float]
    offset: float
    cllr: float
    cllr_of_mean: float

    @property
    def better(self) -> bool:
        """Whether it is to be used."""
        return self.cllr <= self.cllr_of_mean - GAIN

    @property
    def counted(self) -> list[str]:
        """The detectors with a weight above 0."""
        return [name for name, weight in self.weights.items() if weight > 0]

    @property
    def way(self) -> str:
        """How it makes one LLR, in words."""
        if self == replace(self, **_mean_of(self.counted, self.weights)):
            return f"mean of the LLRs of {', '.join(self.counted)}"
        weights = ", ".join(f"{name} {weight:.3f}" for name, weight in self.weights.items())
        return f"{WEIGHED}: {weights}; offset {self.offset:+.3f}"

    def llr(self, llrs: Mapping[str, Llrs]) -> Llrs:
        """Of one clip, or of arrays [clips]. llrs: by detector, those of `weights`."""
        terms = [weight * llrs[name] for name, weight in self.weights.items()]
        return sum(terms[1:], terms[0]) + self.offset


@dataclass(frozen=True)
class Fusion:
    """All that fusion.json says. split, bonafide, spoof: what it was fitted on, under all `conditions`.

    held_out: how its Cllr was measured, in words. sha256: by detector, of the weights that gave the LLRs.
    """

    split: str
    bonafide: int
    spoof: int
    conditions: list[str]
    held_out: str
    sha256: dict[str, str]
    weighings: list[Weighing]

    def weighing(self, versions: Mapping[str, str]) -> Weighing | None:
        """Of just these detectors; None where the mean is to be used. versions: the SHA-256 of each one's
        weights, or its first digits."""
        for name, version in versions.items():
            if len(version) < MIN_DIGITS or not self.sha256.get(name, "").startswith(version):
                logger.info("%s: other weights than fusion.json was fitted on, so the mean is taken", name)
                return None
        for weighing in self.weighings:
            if weighing.weights.keys() == versions.keys():
                return weighing if weighing.better else None
        return None


def fused(llrs: Mapping[str, float], versions: Mapping[str, str]) -> float:
    """One natural-log LLR, bona fide over spoof, of a clip.

    llrs: by detector. versions: as of `Fusion.weighing`; those of other detectors are passed over. Raises
    ValueError without an LLR.
    """
    found = weighing_of({name: versions.get(name, "") for name in llrs})
    return found.llr(llrs) if found else fuse(list(llrs.values()))


def way_of(versions: Mapping[str, str]) -> str:
    """How `fused` makes one LLR of these detectors', in words."""
    found = weighing_of(versions)
    return MEAN if found is None else found.way


def uncounted(versions: Mapping[str, str]) -> list[str]:
    """Which of these detectors `fused` gives no weight."""
    found = weighing_of(versions)
    return [] if found is None else [name for name in versions if name not in found.counted]


def weighing_of(versions: Mapping[str, str]) -> Weighing | None:
    """The shipped weights for these detectors; None where the mean is to be used."""
    if len(versions) < 2:
        return None
    fusion = shipped()
    return fusion.weighing(versions) if fusion else None


@cache
def shipped() -> Fusion | None:
    """What lies beside the mini detectors."""
    return read_fusion(ASSETS / FILE)


def read_fusion(file: Path) -> Fusion | None:
    """What `save_fusion` wrote; None when there is no such file, or, with a warning, when it is damaged."""
    if not file.is_file():
        return None
    try:
        values: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        weighings = [Weighing(**weighing) for weighing in values.pop("weighings")]
        return Fusion(**values, weighings=weighings)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        logger.warning("%s is damaged (%r): detectors are fused by the mean of their LLRs.", file, error)
        return None


def save_fusion(file: Path, fusion: Fusion) -> None:
    """Write it as JSON; an earlier file is replaced."""
    file.write_text(json.dumps(asdict(fusion), indent=2) + "\n", encoding="utf-8")


def fusion_table(fusion: Fusion) -> str:
    """Markdown for a model card: each set of detectors, its weights, and which way was better."""
    lines = ["| together | weights | Cllr, weighed | Cllr, mean | used |", "|---|---|---|---|---|"]
    for each in fusion.weighings:
        weights = ", ".join(f"{weight:.2f}" for weight in each.weights.values())
        used = "weighed" if each.better else "mean"
        lines.append(
            f"| {' + '.join(each.weights)} | {weights} | {each.cllr:.3f} | {each.cllr_of_mean:.3f} | {used} |"
        )
    return "\n".join([*lines, "", f"Mean over {' and '.join(fusion.conditions)}; {fusion.held_out}."])


# ---- how it is fitted


@dataclass(frozen=True)
class Together:
    """Several detectors as one, by the better of the two ways and held out; arrays are [conditions, clips].

    scores: for ranking (see held_out.held_out_scores).
    """

    weighing: Weighing
    scores: np.ndarray
    llrs: np.ndarray


def fit_fusion(
    llrs: Mapping[str, np.ndarray], held_out: Mapping[str, np.ndarray], is_bonafide: np.ndarray, turns: Turns
) -> list[Together]:
    """Weights for every set of two or more detectors, the larger sets last.

    llrs: by detector [conditions, clips], calibrated on all clips; held_out: the same, calibrated without a
    clip's own source (for the mean). is_bonafide: bool [clips].
    """
    sets = [names for size in range(2, len(llrs) + 1) for names in combinations(llrs, size)]
    return [_fit_set(names, llrs, held_out, is_bonafide, turns) for names in sets]


def _fit_set(
    names: tuple[str, ...],
    llrs: Mapping[str, np.ndarray],
    held_out: Mapping[str, np.ndarray],
    is_bonafide: np.ndarray,
    turns: Turns,
) -> Together:
    def cost(way: np.ndarray) -> float:
        return float(np.mean([cllr(row[is_bonafide], row[~is_bonafide]) for row in way]))

    def mean_of(part: Sequence[str], of: Mapping[str, np.ndarray]) -> np.ndarray:
        found: np.ndarray = np.mean([of[name] for name in part], axis=0)
        return found

    part = _without_what_harms(names, lambda part: cost(mean_of(part, held_out)))
    mean = mean_of(part, held_out)
    cost_of_part, cost_of_all = cost(mean), cost(mean_of(names, held_out))
    fit = partial(fit_logistic, non_negative=True)
    features = np.stack([llrs[name] for name in names], axis=-1)
    weighed = held_out_llrs(fit, features, is_bonafide, turns)
    if part != names and cost(weighed) > cost_of_part - GAIN:
        weighing = Weighing(cllr=cost_of_part, cllr_of_mean=cost_of_all, **_mean_of(part, names))
        return Together(weighing, mean_of(part, llrs), mean)
    fitted = fit(features.reshape(-1, len(names)), np.tile(is_bonafide, len(features)))
    weights = dict(zip(names, fitted.weights, strict=True))
    weighing = Weighing(weights, fitted.offset, cost(weighed), cost_of_all)
    if weighing.better:
        return Together(weighing, held_out_scores(fit, features, is_bonafide, turns), weighed)
    return Together(weighing, mean_of(names, llrs), mean)


def _without_what_harms(names: tuple[str, ...], cost: Callable[[tuple[str, ...]], float]) -> tuple[str, ...]:
    """The names but for those without which, one after another, the cost falls by GAIN or more."""
    while len(names) > 1:
        fewer = min(combinations(names, len(names) - 1), key=cost)
        if cost(fewer) > cost(names) - GAIN:
            break
        names = fewer
    return names


def _mean_of(part: Sequence[str], names: Iterable[str]) -> dict[str, Any]:
    """The fields of a Weighing that is the mean of a part of these detectors."""
    return {"weights": {name: (name in part) / len(part) for name in names}, "offset": 0.0}
