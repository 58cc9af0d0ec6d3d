"""Measures of how well scores separate bona fide from spoofed speech. numpy only, nothing printed.

One direction everywhere: a HIGHER score means bona fide, and a trial is accepted as bona fide
when score >= threshold. A miss rejects bona fide speech, a false alarm accepts spoofed speech.
Rates are fractions of their class in 0..1. Every function takes one 1-D array (or sequence) of
scores per class and raises DetectorError when a class is empty or a score is NaN or infinite.

EER and DET points follow the ASVspoof evaluation packages, except that equal scores are one
operating point: no threshold can part them, so their order in a file must not matter.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from detectors.errors import DetectorError

Scores = Sequence[float] | np.ndarray


@dataclass(frozen=True)
class OperatingPoints:
    """Every operating point that the scores allow, from "accept all" (first) to "reject all" (last).

    thresholds [k + 1]: the k distinct scores in ascending order, then infinity.
    misses [k + 1]: bona fide trials below each threshold. false_alarms [k + 1]: spoofed ones at or above it.
    """

    thresholds: np.ndarray
    misses: np.ndarray
    false_alarms: np.ndarray
    n_bonafide: int
    n_spoof: int

    @property
    def miss_rates(self) -> np.ndarray:
        """Misses as a fraction of all bona fide trials, [k + 1], rising from 0 to 1."""
        return self.misses / self.n_bonafide

    @property
    def false_alarm_rates(self) -> np.ndarray:
        """False alarms as a fraction of all spoofed trials, [k + 1], falling from 1 to 0."""
        return self.false_alarms / self.n_spoof


def operating_points(bonafide_scores: Scores, spoof_scores: Scores) -> OperatingPoints:
    """Count the errors of both kinds at each distinct score, in O(n log n)."""
    bonafide = np.sort(_checked(bonafide_scores, "bona fide"))
    spoof = np.sort(_checked(spoof_scores, "spoof"))
    distinct = np.unique(np.concatenate([bonafide, spoof]))
    thresholds = np.append(distinct, np.inf)
    return OperatingPoints(
        thresholds=thresholds,
        misses=np.searchsorted(bonafide, thresholds, side="left"),
        false_alarms=len(spoof) - np.searchsorted(spoof, thresholds, side="left"),
        n_bonafide=len(bonafide),
        n_spoof=len(spoof),
    )


def compute_eer(bonafide_scores: Scores, spoof_scores: Scores) -> tuple[float, float]:
    """Equal error rate as a fraction, and the threshold that comes nearest to it.

    Both rates move in steps and may never be equal, so this is their mean at the point where
    they differ least; if they differ equally little at two points, the mean over both.
    """
    points = operating_points(bonafide_scores, spoof_scores)
    # Cross-multiplied counts are exact integers: rounding cannot pick the wrong one of two equal gaps.
    gaps = np.abs(points.misses * points.n_spoof - points.false_alarms * points.n_bonafide)
    nearest = np.flatnonzero(gaps == gaps.min())
    means = (points.miss_rates[nearest] + points.false_alarm_rates[nearest]) / 2
    return float(means.mean()), float(points.thresholds[nearest[0]])


def roc_area(bonafide_scores: Scores, spoof_scores: Scores) -> float:
    """Area under the ROC: how often a bona fide trial scores above a spoof one, ties counting half."""
    bonafide, spoof = _checked(bonafide_scores, "bona fide"), np.sort(_checked(spoof_scores, "spoof"))
    below = np.searchsorted(spoof, bonafide, "left") + np.searchsorted(spoof, bonafide, "right")
    return float(below.mean() / (2 * len(spoof)))


def rates_at(bonafide_scores: Scores, spoof_scores: Scores, threshold: float) -> tuple[float, float]:
    """(miss rate, false-alarm rate) at a threshold that was fixed beforehand."""
    miss = np.mean(_checked(bonafide_scores, "bona fide") < threshold)
    false_alarm = np.mean(_checked(spoof_scores, "spoof") >= threshold)
    return float(miss), float(false_alarm)


def min_dcf(
    bonafide_scores: Scores,
    spoof_scores: Scores,
    p_spoof: float = 0.05,
    c_miss: float = 1.0,
    c_fa: float = 10.0,
) -> float:
    """Lowest detection cost over all thresholds, as in ASVspoof 5 (its defaults too).

    1.0 is the cost of the better of the two systems that accept or reject everything.
    """
    points = operating_points(bonafide_scores, spoof_scores)
    miss_weight = c_miss * (1 - p_spoof)
    false_alarm_weight = c_fa * p_spoof
    costs = miss_weight * points.miss_rates + false_alarm_weight * points.false_alarm_rates
    return float(costs.min() / min(miss_weight, false_alarm_weight))


def cllr(bonafide_llrs: Scores, spoof_llrs: Scores) -> float:
    """Cost of natural-log likelihood ratios (bona fide over spoof) in bits (Brümmer and du Preez 2006).

    0 is perfect, 1 is what LLR = 0 for every trial costs, above 1 misleads.
    """
    bonafide = _checked(bonafide_llrs, "bona fide")
    spoof = _checked(spoof_llrs, "spoof")
    # logaddexp(0, x) = ln(1 + e^x) without overflow.
    nats = np.logaddexp(0, -bonafide).mean() + np.logaddexp(0, spoof).mean()
    return float(nats / (2 * np.log(2)))


def min_cllr(bonafide_scores: Scores, spoof_scores: Scores) -> float:
    """The Cllr (bits) left after the best monotone calibration of these very scores.

    Pool-adjacent-violators finds that calibration; cllr() minus this is the calibration loss.
    """
    points = operating_points(bonafide_scores, spoof_scores)
    bonafide, spoof = _pool_adjacent_violators(np.diff(points.misses), -np.diff(points.false_alarms))
    prior_odds = points.n_spoof / points.n_bonafide
    # Blocks of a single class get an infinite LLR of the right sign, which costs nothing.
    mixed = (bonafide > 0) & (spoof > 0)
    llr = np.log(bonafide[mixed] / spoof[mixed] * prior_odds)
    nats = (bonafide[mixed] * np.logaddexp(0, -llr)).sum() / points.n_bonafide
    nats += (spoof[mixed] * np.logaddexp(0, llr)).sum() / points.n_spoof
    return float(nats / (2 * np.log(2)))


def _pool_adjacent_violators(bonafide: np.ndarray, spoof: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Merge neighbours until the share of bona fide rises from block to block.

    bonafide, spoof: trials of each class per distinct score, ascending, [k]. Returns the counts
    per block, [m] each with m <= k.
    """
    blocks: list[tuple[int, int]] = []
    for b, s in zip(bonafide.tolist(), spoof.tolist(), strict=True):
        # b0 / (b0 + s0) >= b / (b + s), without the division
        while blocks and blocks[-1][0] * s >= b * blocks[-1][1]:
            b0, s0 = blocks.pop()
            b, s = b0 + b, s0 + s
        blocks.append((b, s))
    counts = np.array(blocks, dtype=float)
    return counts[:, 0], counts[:, 1]


@dataclass(frozen=True)
class TandemCosts:
    """Priors and costs of countermeasure and speaker verification in tandem (ASVspoof 2019, 2021 LA)."""

    p_spoof: float = 0.05
    p_target: float = (1 - 0.05) * 0.99
    p_nontarget: float = (1 - 0.05) * 0.01
    c_miss: float = 1.0
    c_fa: float = 10.0
    c_fa_spoof: float = 10.0


@dataclass(frozen=True)
class AsvScores:
    """Scores of a speaker-verification (ASV) system, [n] per kind of trial; higher = same speaker."""

    target: np.ndarray
    nontarget: np.ndarray
    spoof: np.ndarray


@dataclass(frozen=True)
class AsvRates:
    """Error rates of an ASV system at the threshold of its EER between target and nontarget trials."""

    eer: float
    miss: float
    false_alarm: float
    spoof_false_alarm: float


def asv_rates(asv: AsvScores) -> AsvRates:
    """Fix the ASV operating point at its own EER, without regard to spoofs, and measure it there.

    As in the ASVspoof packages, the threshold is the highest score that the EER point rejects, and
    a score on it is then accepted. That is one trial off, but only so do published min t-DCFs recur.
    """
    target = _checked(asv.target, "ASV target")
    nontarget = _checked(asv.nontarget, "ASV nontarget")
    spoof = _checked(asv.spoof, "ASV spoof")
    eer, lowest_accepted = compute_eer(target, nontarget)
    scores = np.concatenate([target, nontarget])
    threshold = scores[scores < lowest_accepted].max(initial=scores.min())
    miss, false_alarm = rates_at(target, nontarget, threshold)
    return AsvRates(eer, miss, false_alarm, float(np.mean(spoof >= threshold)))


def min_tdcf(
    bonafide_scores: Scores, spoof_scores: Scores, asv: AsvRates, costs: TandemCosts | None = None
) -> float:
    """Lowest normalised tandem detection cost over all CM thresholds, in ASVspoof 2021's form.

    t-DCF = C0 + C1 * P_miss(CM) + C2 * P_fa(CM) (Kinnunen et al. 2020): C0 is what the ASV's own
    errors cost, so a perfect CM still scores above 0; 1.0 is a CM that accepts or rejects everything.
    Raises DetectorError when the ASV is so poor that rejecting everyone would cost less.
    """
    c = costs or TandemCosts()
    points = operating_points(bonafide_scores, spoof_scores)
    c0 = c.p_target * c.c_miss * asv.miss + c.p_nontarget * c.c_fa * asv.false_alarm
    c1 = c.p_target * c.c_miss - c0
    c2 = c.p_spoof * c.c_fa_spoof * asv.spoof_false_alarm
    if c1 < 0:
        raise DetectorError(
            f"min t-DCF is undefined with this ASV: its misses ({asv.miss:.1%}) and false alarms "
            f"({asv.false_alarm:.1%}) cost more than rejecting everyone. Check the ASV scores' direction."
        )
    tdcf = c0 + c1 * points.miss_rates + c2 * points.false_alarm_rates
    default = c0 + min(c1, c2)
    if default == 0:
        raise DetectorError(
            "min t-DCF is undefined with this ASV: it makes no error and accepts no spoof, "
            "so no countermeasure can change the cost."
        )
    return float(tdcf.min() / default)


def _checked(scores: Scores, kind: str) -> np.ndarray:
    """float64 [n] copy of the scores; DetectorError when there are none or one is not finite."""
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1:
        raise DetectorError(f"The {kind} scores must be one flat list, not an array of shape {values.shape}.")
    if values.size == 0:
        raise DetectorError(f"There is no {kind} trial: error rates need at least one of each class.")
    bad = np.count_nonzero(~np.isfinite(values))
    if bad:
        raise DetectorError(f"{bad} of {values.size} {kind} scores are NaN or infinite.")
    return values
