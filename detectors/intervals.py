"""95 % intervals: how far an EER could be off by the luck of which clips were tested. numpy only.

Bootstrap with percentiles (Efron and Tibshirani 1993, chapter 13): clips are drawn again with
replacement, as many of each class as there were, and the EER is measured again. Each spoof source is
drawn from its own clips, against the bona fide ones that all sources share. For the mean over sources
the sources are drawn again too, since another corpus would have had other ones; a single source
cannot show that spread. Two clips of one speaker are not independent: read an interval as the least doubt.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from detectors.errors import DetectorError
from detectors.metrics import OperatingPoints, Scores, operating_points

PERCENT = 95
SEED = 1234
#: Resamples: MOST of them, but fewer, down to FEWEST, where they would draw more than DRAWS bona fide trials.
MOST, FEWEST, DRAWS = 1_000, 200, 50_000_000

#: The lower and the upper end, in percent.
Interval = tuple[float, float]


@dataclass(frozen=True)
class EerIntervals:
    """PERCENT % intervals of the EER over all spoofs, of its mean over sources, and of each source.

    macro is None and per_source empty when no source is named.
    """

    pooled: Interval
    macro: Interval | None
    per_source: dict[str, Interval]
    resamples: int
    seed: int


def eer_intervals(
    bonafide_scores: Scores,
    spoof_scores: Scores,
    by_source: Mapping[str, Scores],
    resamples: int | None = None,
    seed: int = SEED,
) -> EerIntervals:
    """Intervals of all EERs of one set of trials; the same seed gives the same ones.

    bonafide_scores [n], spoof_scores [m]: higher = bona fide. by_source: source -> the scores of its spoofs.
    resamples: how many; by default `default_resamples`. Raises DetectorError when a class or source is
    empty, a score is not finite, or there are no resamples.
    """
    bonafide = np.asarray(bonafide_scores, dtype=np.float64)
    count = default_resamples(len(bonafide)) if resamples is None else resamples
    if count < 1:
        raise DetectorError(f"An interval needs at least 1 resample, not {count}.")
    pooled_points = operating_points(bonafide, spoof_scores)
    rng = np.random.default_rng(seed)
    below = resampled_counts_below(len(bonafide), count, rng)
    pooled = resampled_eers(pooled_points, below, rng)
    of_source = [
        resampled_eers(operating_points(bonafide, scores), below, rng) for scores in by_source.values()
    ]
    if not of_source:
        return EerIntervals(_interval(pooled), None, {}, count, seed)
    eers = np.stack(of_source, axis=1)
    drawn = rng.integers(eers.shape[1], size=eers.shape)
    return EerIntervals(
        pooled=_interval(pooled),
        macro=_interval(np.take_along_axis(eers, drawn, axis=1).mean(axis=1)),
        per_source={source: _interval(of) for source, of in zip(by_source, of_source, strict=True)},
        resamples=count,
        seed=seed,
    )


def default_resamples(n_bonafide: int) -> int:
    """MOST resamples for up to 50,000 bona fide trials, FEWEST from 250,000 on."""
    return max(FEWEST, min(MOST, DRAWS // max(1, n_bonafide)))


def resampled_counts_below(trials: int, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Draw `trials` out of as many with replacement, `resamples` times; int32 [resamples, trials + 1].

    Column j: how many of the drawn trials are among the j with the lowest scores.
    """
    below = np.zeros((resamples, trials + 1), dtype=np.int32)
    for row in below:
        drawn = np.bincount(rng.integers(trials, size=trials), minlength=trials)
        np.cumsum(drawn, out=row[1:])
    return below


def resampled_eers(
    points: OperatingPoints, bonafide_below: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """EER, a fraction, of each resample; [resamples].

    points: of the trials that are drawn from. bonafide_below: int [resamples, bona fide trials + 1], of
    `resampled_counts_below`. The spoofs are drawn here.

    As the threshold rises, misses rise and false alarms fall, so halving finds where they cross. How
    many drawn spoofs lie below a threshold is only asked for there: given how many lie in a stretch, the
    number in its lower part is binomial. That is the exact distribution of drawing them one by one, and
    half a million spoofs cost as little as a hundred.
    """
    spoofs_below = points.n_spoof - points.false_alarms
    resample = np.arange(len(bonafide_below))
    low, high = np.zeros_like(resample), np.full_like(resample, len(points.thresholds) - 1)
    low_spoofs, high_spoofs = np.zeros_like(resample), np.full_like(resample, points.n_spoof)
    for _ in range(len(points.thresholds).bit_length()):
        # Where low and high are neighbours already, middle is low and nothing changes.
        middle = (low + high) // 2
        in_stretch = spoofs_below[high] - spoofs_below[low]
        share = (spoofs_below[middle] - spoofs_below[low]) / np.maximum(in_stretch, 1)
        middle_spoofs = low_spoofs + rng.binomial(high_spoofs - low_spoofs, share)
        misses = bonafide_below[resample, points.misses[middle]]
        crossed = _excess_of_misses(points, misses, middle_spoofs) > 0
        low, low_spoofs = np.where(crossed, low, middle), np.where(crossed, low_spoofs, middle_spoofs)
        high, high_spoofs = np.where(crossed, middle, high), np.where(crossed, middle_spoofs, high_spoofs)
    return _eer_between(
        points,
        (bonafide_below[resample, points.misses[low]], low_spoofs),
        (bonafide_below[resample, points.misses[high]], high_spoofs),
    )


def _excess_of_misses(points: OperatingPoints, misses: np.ndarray, spoofs_below: np.ndarray) -> np.ndarray:
    """Miss rate minus false-alarm rate, times both class sizes, so that it is an exact integer."""
    false_alarms = points.n_spoof - spoofs_below
    return misses.astype(np.int64) * points.n_spoof - false_alarms * points.n_bonafide


def _eer_between(
    points: OperatingPoints, low: tuple[np.ndarray, np.ndarray], high: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """EER [resamples] from (misses, spoofs below) at the thresholds just before and just after the crossing.

    By the definition of `metrics.compute_eer`: the mean of both rates at the nearer of the two, the mean
    over the two when they are equally near.
    """
    gaps = np.abs([_excess_of_misses(points, *side) for side in (low, high)])
    means = [(misses / points.n_bonafide + (1 - below / points.n_spoof)) / 2 for misses, below in (low, high)]
    return np.where(
        gaps[0] == gaps[1], (means[0] + means[1]) / 2, np.where(gaps[0] < gaps[1], means[0], means[1])
    )


def _interval(eers: np.ndarray) -> Interval:
    tail = (100 - PERCENT) / 2
    lower, upper = 100 * np.percentile(eers, [tail, 100 - tail])
    return float(lower), float(upper)
