"""Does a map of a clip tell where the evidence lies? Deletion and insertion curves, with a random control.

After Petsiuk, Das & Saenko, "RISE" (2018). The clip is cut into short columns of time and those are put in
the map's order, the most marked first. Deletion takes them out step by step, insertion puts them back on the
clip with all of them removed (see removal.py); after each step the detector scores the clip again. What
counts is how far the score is from that of the whole clip: if the marked columns matter, it moves away
quickly as they go, and comes back quickly as they return.

Any removal changes the score, so the same is done in random orders. Each random order also stands for its
reverse, which comes for free: to insert an order is to delete its reverse, read backwards.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from detectors.relevance import Rescore, score_in_turn
from detectors.removal import Removable

#: The curves go in steps of 10 %.
STEPS = 10
SHARES = np.linspace(0, 1, STEPS + 1)
#: The random orders are the same ones every time.
SEED = 2018

#: "more": the marked columns matter more than in every random order; "less": less than in every one.
Outcome = Literal["more", "same", "less"]


@dataclass(frozen=True)
class Curves:
    """CM scores, each [..., STEPS + 1]: with a share of SHARES deleted, and with that share inserted. Those
    of several detectors have another axis in front, [detectors, ..., STEPS + 1].
    """

    deletion: np.ndarray
    insertion: np.ndarray

    def of(self, turn: int) -> "Curves":
        """Those of one of several detectors."""
        return Curves(self.deletion[turn], self.insertion[turn])


@dataclass(frozen=True)
class Faithfulness:
    """What became of one map of a clip. map: its name, as in Detection.maps, or "occlusion".

    curves: of the map's order, [STEPS + 1] each; control: of the random orders, [orders, STEPS + 1] each.
    score: CM score of the whole clip; empty: of the clip with everything removed.
    """

    map: str
    score: float
    empty: float
    curves: Curves
    control: Curves

    @cached_property
    def area(self) -> float:
        """Area between the curves, in CM score: how much further, on average over the steps, the score is
        from the whole clip's with the marked columns deleted than with only those inserted. Random orders
        and their reverses reach 0 on average; above 0, the marked columns matter more than that.
        """
        return float(self._gap(self.curves))

    @cached_property
    def control_range(self) -> tuple[float, float]:
        """The lowest and the highest `area` that a random order reached."""
        areas = self._gap(self.control)
        return float(areas.min()), float(areas.max())

    @property
    def orders(self) -> int:
        """Random orders, reverses included."""
        return len(self.control.deletion)

    @property
    def outcome(self) -> Outcome:
        """Whether the marked columns matter more than random ones."""
        low, high = self.control_range
        if self.area > high:
            return "more"
        return "less" if self.area < low else "same"

    def moved(self, scores: np.ndarray) -> np.ndarray:
        """How far CM scores are from that of the whole clip."""
        return np.asarray(np.abs(scores - self.score))

    def _gap(self, curves: Curves) -> np.ndarray:
        """Mean distance under deletion less that under insertion, [...]; the ends are the same for all."""
        inner = (self.moved(each)[..., 1:-1].mean(axis=-1) for each in (curves.deletion, curves.insertion))
        deleted, inserted = inner
        return np.asarray(deleted - inserted)

    def report(self) -> dict[str, Any]:
        """Plain JSON values."""
        low, high = self.control_range
        return {
            "map": self.map,
            "outcome": self.outcome,
            "area": self.area,
            "random_lowest": low,
            "random_highest": high,
            "random_orders": self.orders,
            "score": self.score,
            "score_of_nothing": self.empty,
            "shares": SHARES.round(2).tolist(),
            "deletion": self.curves.deletion.tolist(),
            "insertion": self.curves.insertion.tolist(),
            "random_deletion_mean": self.control.deletion.mean(axis=0).tolist(),
            "random_insertion_mean": self.control.insertion.mean(axis=0).tolist(),
        }


class Trials:
    """Scores orders of one clip's columns, by several detectors at once.

    scores: CM scores of the clip as it is, [detectors]. Raises ValueError for a clip of a single column,
    which has no order.
    """

    def __init__(self, clip: Removable, scores: np.ndarray, rescore: Rescore) -> None:
        if clip.columns < 2:
            raise ValueError("a clip of one column has no order")
        self.clip, self.scores, self._rescore = clip, scores, rescore
        #: CM scores of the clip with everything removed, [detectors].
        self.empty = rescore([clip.without(np.ones(clip.columns, dtype=bool))])[0]
        self._known: dict[bytes, Curves] = {}

    def curves(self, order: np.ndarray) -> Curves:
        """Deletion and insertion in this order of the columns, [columns], the first to go first; each
        [detectors, STEPS + 1]. Detectors that hear the same voice mark it alike: no order is tried twice.
        """
        key = order.tobytes()
        if key not in self._known:
            # To insert an order is to delete its reverse, read backwards.
            inserted = self._deletions(order[::-1])[:, ::-1]
            self._known[key] = Curves(self._deletions(order), inserted)
        return self._known[key]

    def control(self, pairs: int, progress: Callable[[float], None] = lambda share: None) -> Curves:
        """Curves of `pairs` random orders and of their reverses, [detectors, 2 * pairs, STEPS + 1] each."""
        rng = np.random.default_rng(SEED)
        drawn = []
        for turn in range(pairs):
            order = rng.permutation(self.clip.columns)
            drawn.append(self.curves(order))
            progress((turn + 1) / pairs)
        deletion = np.stack([curves.deletion for curves in drawn], axis=1)
        insertion = np.stack([curves.insertion for curves in drawn], axis=1)
        return Curves(
            np.concatenate([deletion, insertion[..., ::-1]], axis=1),
            np.concatenate([insertion, deletion[..., ::-1]], axis=1),
        )

    def _deletions(self, order: np.ndarray) -> np.ndarray:
        """CM scores [detectors, STEPS + 1] as the columns go one after the other."""

        def without(step: int) -> np.ndarray:
            gone = np.zeros(self.clip.columns, dtype=bool)
            gone[order[: round(step / STEPS * self.clip.columns)]] = True
            return self.clip.without(gone)

        inner = score_in_turn(without, range(1, STEPS), self._rescore)
        return np.concatenate([[self.scores], inner, [self.empty]]).T


def order_of(marks: np.ndarray, columns: int) -> np.ndarray:
    """The columns [columns] of a map over the same time, [frames], those with the highest mean first.

    Equal columns stay in order of time.
    """
    edges = np.linspace(0, len(marks), columns + 1)
    means = [float(marks[int(low) : max(int(low) + 1, round(high))].mean()) for low, high in pairwise(edges)]
    return np.argsort(-np.array(means), kind="stable")


def beaten(found: Sequence[Faithfulness]) -> tuple[int, float]:
    """In how many of several clips the map mattered more than every random order, and in how many that would
    happen by chance if the map were a random order itself.
    """
    return sum(each.outcome == "more" for each in found), sum(1 / (each.orders + 2) for each in found)
