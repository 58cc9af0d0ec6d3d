"""Fits how long clips are judged, on clips made long, and measures whether it is better than the mean.

A long clip is made of the windows that short clips were judged by, put one after the other until there are
as many as a clip of that length has: bona fide out of one source; wholly spoof out of one source; partly
spoof as one spoof clip somewhere among bona fide ones, of the same source where it has enough of them, else
of another. Windows across a joint, which hold some of both clips, are left out. A long clip is judged by a
fit that saw nothing of its source: for the partly spoof ones that of the spoof clip.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from detectors.audio import SAMPLE_RATE
from detectors.calibration import fit_calibration
from detectors.clip_score import LOG_PROBS, log_odds
from detectors.corpus import Clip, bonafide_mask
from detectors.logistic import Logistic, fit_logistic
from detectors.long_clips import LongClips, features
from detectors.metrics import cllr, compute_eer
from detectors.windows import Sizes, spans

#: Lengths that are tried, in seconds.
LENGTHS = (10, 15, 30, 60)
#: How many neighbouring windows may make up the worst stretch.
ADJACENT = (1, 2, 3)
#: Long clips of each kind and length from one source.
DRAWS = 20
SEED = 1234

Kind = Literal["bona fide", "partly", "wholly"]


@dataclass(frozen=True)
class LongClip:
    """scores: of its windows, or their log-odds. sources: all that it is made of; the first is the one it is
    judged for."""

    kind: Kind
    seconds: int
    scores: list[float]
    sources: tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """What bona fide clips against spoofs of one kind and length give by the mean and by the worst stretch.

    EERs in %, Cllrs in bits; held out. bonafide, spoof: how many clips.
    """

    seconds: int
    windows: int
    kind: Kind
    bonafide: int
    spoof: int
    eer_mean: float
    eer_worst: float
    cllr_mean: float
    cllr_worst: float


@dataclass(frozen=True)
class LongFit:
    """long: None where the mean is no worse at any length. rows: what was measured."""

    long: LongClips | None
    rows: list[Row]

    def facts(self) -> list[dict[str, Any]]:
        """The rows as plain JSON values."""
        return [asdict(row) for row in self.rows]


def fit_long_clips(
    clips: Sequence[Clip], windows: Sequence[list[list[float]]], sizes: Sizes, detector: str
) -> LongFit:
    """windows: of each condition, of each clip the CM scores of its windows by this detector; sizes: how they
    were cut."""
    if of_log_prob := detector in LOG_PROBS:
        windows = [[log_odds(np.array(of)).tolist() for of in condition] for condition in windows]
    lengths = {seconds: windows_in(seconds, sizes) for seconds in LENGTHS}
    long = [clip for of in windows for clip in made_long(clips, of, lengths)]
    usable = {seconds: count for seconds, count in lengths.items() if _has_all_kinds(long, seconds)}
    long = [clip for clip in long if clip.seconds in usable]
    if not usable or not _can_be_held_out(long):
        return LongFit(None, [])
    means = np.array([np.mean(clip.scores) for clip in long])
    by_mean = _held_out_means(clips, windows, long, means)
    tried = {adjacent: _held_out_worst(long, adjacent) for adjacent in ADJACENT}
    adjacent = min(tried, key=lambda each: _mean_cllr(_rows(long, usable, means, by_mean, tried[each])))
    rows = _rows(long, usable, means, by_mean, tried[adjacent])
    from_windows = _from_windows(rows)
    if from_windows is None:
        return LongFit(None, rows)
    fitted = _fit(long, adjacent)
    longest = max(usable.values())
    mean, worst, log_windows = fitted.weights
    long_clips = LongClips(
        from_windows, longest, adjacent, mean, worst, log_windows, fitted.offset, of_log_prob
    )
    return LongFit(long_clips, rows)


def windows_in(seconds: float, sizes: Sizes) -> int:
    """How many windows a clip of this length is judged by."""
    return len(spans(round(seconds * SAMPLE_RATE), sizes.window_samples, sizes.hop_samples))


def long_table(rows: Sequence[Row]) -> str:
    """Markdown, a row for each length and kind of spoof."""
    lines = [
        "| length | windows | spoof | clips | EER %, mean | EER %, worst | Cllr, mean | Cllr, worst |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        lines.append(
            f"| {row.seconds} s | {row.windows} | {row.kind} | {row.bonafide} + {row.spoof} | "
            f"{row.eer_mean:.1f} | {row.eer_worst:.1f} | {row.cllr_mean:.3f} | {row.cllr_worst:.3f} |"
        )
    return "\n".join(lines)


# ---- clips made long


def made_long(
    clips: Sequence[Clip], windows: list[list[float]], lengths: Mapping[int, int]
) -> Iterator[LongClip]:
    """DRAWS of each kind for each length and source that has enough windows. lengths: seconds -> windows.

    The same clips give the same ones; within a long clip no window comes twice.
    """
    dice = np.random.default_rng(SEED)
    human, spoofs = _by_source(clips, windows, True), _by_source(clips, windows, False)
    for seconds, count in lengths.items():
        for source, of in human.items():
            if _total(of) >= count:
                for _ in range(DRAWS):
                    yield LongClip("bona fide", seconds, _joined(of, count, dice), (source,))
        hosts = [source for source, of in human.items() if _total(of) >= count]
        for source, of in spoofs.items():
            for _ in range(DRAWS if _total(of) >= count else 0):
                yield LongClip("wholly", seconds, _joined(of, count, dice), (source,))
            for _ in range(DRAWS if hosts else 0):
                host = source if source in hosts else hosts[dice.integers(len(hosts))]
                part = of[dice.integers(len(of))][:count]
                rest = _joined(human[host], count - len(part), dice) if count > len(part) else []
                place = int(dice.integers(len(rest) + 1))
                yield LongClip("partly", seconds, rest[:place] + part + rest[place:], (source, host))


def _by_source(
    clips: Sequence[Clip], windows: list[list[float]], bonafide: bool
) -> dict[str, list[list[float]]]:
    found: dict[str, list[list[float]]] = defaultdict(list)
    for clip, scores in zip(clips, windows, strict=True):
        if clip.is_bonafide == bonafide:
            found[clip.group].append(scores)
    return dict(sorted(found.items()))


def _total(of: list[list[float]]) -> int:
    return sum(map(len, of))


def _joined(of: list[list[float]], count: int, dice: np.random.Generator) -> list[float]:
    """The windows of clips in random order, `count` of them."""
    joined: list[float] = []
    for i in dice.permutation(len(of)):
        joined += of[i]
        if len(joined) >= count:
            break
    return joined[:count]


def _has_all_kinds(long: Sequence[LongClip], seconds: int) -> bool:
    return len({clip.kind for clip in long if clip.seconds == seconds}) == 3


# ---- fits and figures


def _fit(long: Sequence[LongClip], adjacent: int) -> Logistic:
    x = np.array([features(clip.scores, adjacent, len(clip.scores)) for clip in long])
    return fit_logistic(x, _bonafide(long), non_negative=True)


def _bonafide(long: Sequence[LongClip]) -> np.ndarray:
    return np.array([clip.kind == "bona fide" for clip in long])


def _held_out_worst(long: Sequence[LongClip], adjacent: int) -> np.ndarray:
    """LLRs [n] by the worst stretch, each by a fit without any long clip that has something of its source."""
    x = np.array([features(clip.scores, adjacent, len(clip.scores)) for clip in long])
    labels = _bonafide(long)
    llrs = np.empty(len(long))
    for _, own, rest in _turns(long):
        llrs[own] = fit_logistic(x[rest], labels[rest], non_negative=True).llr(x[own])
    return llrs


def _can_be_held_out(long: Sequence[LongClip]) -> bool:
    """Whether both classes are left whichever source is left out."""
    labels = _bonafide(long)
    return all(labels[rest].any() and not labels[rest].all() for _, _, rest in _turns(long))


def _turns(long: Sequence[LongClip]) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Each source with what is judged for it and what has nothing of it, bool [n] each."""
    for source in sorted({clip.sources[0] for clip in long}):
        own = np.array([clip.sources[0] == source for clip in long])
        yield source, own, np.array([source not in clip.sources for clip in long])


def _held_out_means(
    clips: Sequence[Clip],
    windows: Sequence[list[list[float]]],
    long: Sequence[LongClip],
    means: np.ndarray,
) -> np.ndarray:
    """LLRs [n] by the mean, calibrated on the short clips of all other sources."""
    scores = np.concatenate([[np.mean(of) for of in condition] for condition in windows])
    sources = np.tile(np.array([clip.group for clip in clips]), len(windows))
    labels = np.tile(bonafide_mask(clips), len(windows))
    llrs = np.empty(len(long))
    for source, own, _ in _turns(long):
        rest = sources != source
        llrs[own] = fit_calibration(scores[rest], labels[rest]).llr(means[own])
    return llrs


def _rows(
    long: Sequence[LongClip],
    lengths: Mapping[int, int],
    means: np.ndarray,
    by_mean: np.ndarray,
    by_worst: np.ndarray,
) -> list[Row]:
    kinds = np.array([clip.kind for clip in long])
    seconds = np.array([clip.seconds for clip in long])
    rows = []
    for length, count in lengths.items():
        human = (seconds == length) & (kinds == "bona fide")
        for kind in ("partly", "wholly"):
            fake = (seconds == length) & (kinds == kind)
            eers = [100 * compute_eer(of[human], of[fake])[0] for of in (means, by_worst)]
            costs = [cllr(of[human], of[fake]) for of in (by_mean, by_worst)]
            counts = int(human.sum()), int(fake.sum())
            rows.append(Row(length, count, kind, *counts, *eers, *costs))
    return rows


def _mean_cllr(rows: Sequence[Row]) -> float:
    return float(np.mean([row.cllr_worst for row in rows]))


def _from_windows(rows: Sequence[Row]) -> int | None:
    """The fewest windows from which on, at each length that was tried, the worst stretch has the lower Cllr,
    partly and wholly spoof clips counting the same; None where it has not at the longest."""
    found = None
    for count in sorted({row.windows for row in rows}, reverse=True):
        of = [row for row in rows if row.windows == count]
        if sum(row.cllr_worst for row in of) >= sum(row.cllr_mean for row in of):
            break
        found = count
    return found
