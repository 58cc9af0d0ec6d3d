"""A detector before and after fine-tuning: error rates, the table, and whether the new one may stay."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from tqdm import tqdm

from detectors.config import DetectorConfig
from detectors.corpus import Clip, ClipCache
from detectors.dev_scores import Judge, eer_by_source, score_clips
from detectors.errors import DetectorError
from detectors.metrics import compute_eer

#: How many points of EER dev's macro average may rise before a new version is refused.
MAX_DEV_RISE = 1.0

#: CM scores [clips] of the two models, under "before" and "after".
Scores = dict[str, np.ndarray]
Change = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Row:
    """One EER in %, before and after, and over how many clips."""

    name: str
    bonafide: int
    spoof: int
    before: float
    after: float


@dataclass(frozen=True)
class Comparison:
    """held_back: over the labelled clips that were not learnt from. pooled and macro: over dev, None
    without a base. completed: what stands in for a class that no held-back clip has, or "".
    """

    held_back: Row
    pooled: Row | None
    macro: Row | None
    completed: str = ""

    def rows(self) -> list[Row]:
        return [row for row in (self.held_back, self.pooled, self.macro) if row]

    def objections(self) -> list[str]:
        """Why the new version must not replace the old one; empty when it may."""
        found = []
        if not self.held_back.after < self.held_back.before:
            found.append(
                "its EER on the held-back labelled clips is not lower "
                f"({self.held_back.before:.1f} % before, {self.held_back.after:.1f} % after)"
            )
        if self.macro and self.macro.after > self.macro.before + MAX_DEV_RISE:
            found.append(
                f"its macro EER on dev rose by more than {MAX_DEV_RISE:.0f} point "
                f"({self.macro.before:.1f} % before, {self.macro.after:.1f} % after)"
            )
        return found

    def table(self) -> str:
        """Markdown, a line for each EER."""
        lines = ["| EER % | bona fide | spoof | before | after |", "|---|---|---|---|---|"]
        for row in self.rows():
            lines.append(
                f"| {row.name} | {row.bonafide} | {row.spoof} | {row.before:.1f} | {row.after:.1f} |"
            )
        return "\n".join(lines)

    def facts(self) -> dict[str, Any]:
        """The same for config.json."""
        return {row.name: {"before": row.before, "after": row.after} for row in self.rows()}


def score_cache(
    judge: Judge,
    config: DetectorConfig,
    cache: ClipCache,
    device: str,
    what: str,
    change: Change | None = None,
) -> Scores:
    """CM scores of every clip of a cache, each changed first when `change` says how."""
    waves: Iterable[np.ndarray] = (cache.wave(i) for i in range(len(cache)))
    if change:
        waves = map(change, waves)
    shown = tqdm(waves, total=len(cache), desc=f"scoring {what}", unit="clip")
    return score_clips(judge, config, shown, device)


def compare(held_back: list[Clip], scores: Scores, dev: list[Clip], dev_scores: Scores | None) -> Comparison:
    """The comparison of two models from their scores.

    A class that the held-back clips lack is taken from dev. Raises DetectorError when that is not
    possible either, as an EER needs both classes.
    """
    labels = _bonafide(held_back)
    scores = dict(scores)
    completed = ""
    if labels.all() or not labels.any():
        if dev_scores is None:
            raise DetectorError(
                f"All {len(labels)} held-back clips are {'bona fide' if labels.all() else 'spoof'}: an EER "
                "needs both classes. Label some of the other class too, or give --base, whose dev has them."
            )
        missing = _bonafide(dev) != labels[0]
        completed = f"{missing.sum()} {'spoof' if labels[0] else 'bona fide'} clips of dev"
        scores = {
            name: np.concatenate([values, dev_scores[name][missing]]) for name, values in scores.items()
        }
        labels = np.concatenate([labels, _bonafide(dev)[missing]])
    rates = {name: 100 * compute_eer(values[labels], values[~labels])[0] for name, values in scores.items()}
    own = Row("held-back labelled", int(labels.sum()), int((~labels).sum()), rates["before"], rates["after"])
    if dev_scores is None:
        return Comparison(own, None, None, completed)
    reports = {name: eer_by_source(dev, values) for name, values in dev_scores.items()}
    pooled, macro = (
        Row(
            f"dev, {name}",
            reports["before"]["bonafide"],
            reports["before"]["spoof"],
            reports["before"][name],
            reports["after"][name],
        )
        for name in ("pooled", "macro")
    )
    return Comparison(own, pooled, macro, completed)


def _bonafide(clips: list[Clip]) -> np.ndarray:
    return np.array([clip.is_bonafide for clip in clips], dtype=bool)
