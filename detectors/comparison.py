"""A detector before and after fine-tuning: error rates, the table, and whether the new one may stay."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from detectors.corpus import Clip, bonafide_mask
from detectors.dev_scores import eer_by_source
from detectors.errors import DetectorError
from detectors.metrics import compute_eer

#: How many points of EER dev's macro average may rise before a new version is refused.
MAX_DEV_RISE = 1.0

#: CM scores [clips] of the two models, under "before" and "after".
Scores = dict[str, np.ndarray]


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


def compare(held_back: list[Clip], scores: Scores, dev: list[Clip], dev_scores: Scores | None) -> Comparison:
    """The comparison of two models from their scores.

    A class that the held-back clips lack is taken from dev. Raises DetectorError when that is not
    possible either, as an EER needs both classes.
    """
    labels = bonafide_mask(held_back)
    scores = dict(scores)
    completed = ""
    if labels.all() or not labels.any():
        if dev_scores is None:
            raise DetectorError(
                f"All {len(labels)} held-back clips are {'bona fide' if labels.all() else 'spoof'}: an EER "
                "needs both classes. Label some of the other class too, or give --base, whose dev has them."
            )
        missing = bonafide_mask(dev) != labels[0]
        completed = f"{missing.sum()} {'spoof' if labels[0] else 'bona fide'} clips of dev"
        scores = {
            name: np.concatenate([values, dev_scores[name][missing]]) for name, values in scores.items()
        }
        labels = np.concatenate([labels, bonafide_mask(dev)[missing]])
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
