"""Dealing labelled clips into a train and a dev part that share no source and no speaker.

A detector that knows a page or a voice from training looks better on it than it is. So clips that
share a source or a speaker, also through a third clip, form one group, and a group is dealt whole.
"""

from collections import Counter
from typing import Literal

import numpy as np

GroupBy = Literal["both", "source", "speaker", "clip"]
GROUP_BY: tuple[GroupBy, ...] = ("both", "source", "speaker", "clip")
Part = Literal["train", "dev"]
#: The part to learn from and the one that is held back. Our own training asks for these names.
PARTS: tuple[Part, ...] = ("train", "dev")

#: ("source", name) or ("speaker", name).
Key = tuple[str, str]


class GroupedSplit:
    """Hear of every clip with `join`, then `deal`, then ask for each clip's `part`.

    group_by: what must not be in both parts; "clip" holds single clips apart only. held_back: share
    of each class that dev is to have, 0..1; as groups stay whole, it is met as well as they allow.
    Memory grows with the number of sources and speakers, not with the number of clips.
    """

    def __init__(self, group_by: GroupBy, held_back: float, seed: int) -> None:
        if group_by not in GROUP_BY:
            raise ValueError(f"group_by must be one of {', '.join(GROUP_BY)}, not {group_by!r}")
        if not 0 <= held_back < 1:
            raise ValueError(f"held_back must be at least 0 and below 1, not {held_back}")
        self.group_by, self.held_back = group_by, held_back
        self._rng = np.random.default_rng(seed)
        self._parents: dict[Key, Key] = {}
        self._counts: dict[Key, Counter[str]] = {}  # clips by label, under the key first heard of
        self._alone: Counter[str] = Counter()
        self._first_turn: dict[str, float] = {}
        self._dev: set[Key] = set()

    def join(self, label: str, source: str, speaker: str) -> Key | Part:
        """Where one clip belongs: the key of its group or, for a clip in no group, its part."""
        keys = self._keys(source, speaker)
        if not keys:
            return self._part_alone(label)
        roots = {self._root(key) for key in keys}
        first, *others = sorted(roots)
        for other in others:
            self._parents[other] = first
        self._counts.setdefault(keys[0], Counter())[label] += 1
        return keys[0]

    def deal(self) -> None:
        """Choose the groups that are held back, once every clip has been heard of."""
        groups: dict[Key, Counter[str]] = {}
        for key, counts in self._counts.items():
            groups.setdefault(self._root(key), Counter()).update(counts)
        self._dev = _held_back(groups, self.held_back, self._rng)

    def part(self, place: Key | Part) -> Part:
        """The part of a clip, from what `join` said of it."""
        if isinstance(place, str):
            return place
        return "dev" if self._root(place) in self._dev else "train"

    def _keys(self, source: str, speaker: str) -> list[Key]:
        wanted: dict[str, tuple[Key, ...]] = {
            "both": (("source", source), ("speaker", speaker)),
            "source": (("source", source),),
            "speaker": (("speaker", speaker),),
            "clip": (),
        }
        return [key for key in wanted[self.group_by] if key[1]]

    def _root(self, key: Key) -> Key:
        """The key that stands for the whole group; union-find with path halving."""
        self._parents.setdefault(key, key)
        while self._parents[key] != key:
            self._parents[key] = self._parents[self._parents[key]]
            key = self._parents[key]
        return key

    def _part_alone(self, label: str) -> Part:
        """Every n-th clip of a class is held back, from a random one on: exact shares, no memory."""
        turn = self._first_turn.setdefault(label, float(self._rng.random()))
        before, self._alone[label] = self._alone[label], self._alone[label] + 1
        due = int((before + 1) * self.held_back + turn) > int(before * self.held_back + turn)
        return "dev" if due else "train"


def _held_back(groups: dict[Key, Counter[str]], held_back: float, rng: np.random.Generator) -> set[Key]:
    """The groups for dev: largest first, each taken when that brings the shares closer to the wish."""
    totals = sum(groups.values(), Counter())
    names = sorted(groups)
    rng.shuffle(names)  # so that the seed decides between groups of one size
    names.sort(key=lambda name: -groups[name].total())
    dev: Counter[str] = Counter()
    taken: set[Key] = set()
    for name in names:
        if _distance(dev + groups[name], totals, held_back) < _distance(dev, totals, held_back):
            dev += groups[name]
            taken.add(name)
    for label in sorted(totals) if held_back else ():
        if not dev[label]:
            spare = _spare_group(names, taken, groups, label)
            if spare is not None:
                dev += groups[spare]
                taken.add(spare)
    return taken


def _distance(dev: Counter[str], totals: Counter[str], held_back: float) -> float:
    """How far dev's shares of the classes are from the wish: sum of squares."""
    return sum((dev[label] / count - held_back) ** 2 for label, count in totals.items())


def _spare_group(
    names: list[Key], taken: set[Key], groups: dict[Key, Counter[str]], label: str
) -> Key | None:
    """The smallest group with this label that train can do without, or None."""
    left = [name for name in names if name not in taken]
    in_train = sum((groups[name] for name in left), Counter())
    for name in reversed(left):
        has = groups[name]
        if has[label] and all(in_train[other] > count for other, count in has.items()):
            return name
    return None
