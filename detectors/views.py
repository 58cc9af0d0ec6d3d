"""Random training views of labelled clips: which clip comes, cut where, changed how."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from detectors.augment import AugmentConfig, augment, cut_view
from detectors.copy_synthesis import copy_synthesis, splice
from detectors.corpus import Clip, ClipCache, bonafide_mask
from detectors.errors import DetectorError


class Viewing(Protocol):
    """What a recipe says of its views (see recipe.py)."""

    @property
    def seed(self) -> int: ...
    @property
    def balance(self) -> bool: ...
    @property
    def copy_synthesis(self) -> float: ...
    @property
    def augment(self) -> AugmentConfig: ...


class _Chosen(NamedTuple):
    """clip: its place. twin: whether it is a human one that is to be copied. rng: for what is drawn next."""

    clip: int
    label: int
    twin: bool
    rng: np.random.Generator


class Views(Dataset[tuple[Tensor, int]]):
    """Endless random training views; view k is the same in every run with the same seed.

    in_passes: every clip comes once, in a random order, before any comes again; otherwise each view draws its
    clip anew. Raises DetectorError when one of the classes has no clip.
    """

    def __init__(self, cache: ClipCache, how: Viewing, length: int, in_passes: bool = False) -> None:
        self.cache, self.how, self.length, self.in_passes = cache, how, length, in_passes
        self._order = (-1, np.arange(0))  # of the pass that the last view was from
        bonafide = bonafide_mask(cache.clips)
        if bonafide.all() or not bonafide.any():
            raise DetectorError("Training needs bona fide and spoof clips; the split has only one kind.")
        self.odds = draw_odds(cache.clips) if how.balance else np.full(len(cache), 1 / len(cache))
        human = bonafide * self.odds
        self.human_odds = human / human.sum()

    def label(self, k: int) -> int:
        """1 when view k is bona fide, 0 when it is spoof."""
        return int(self.cache.clips[self._drawn(k)[0]].is_bonafide)

    def source(self, k: int) -> str:
        """The group of the clip that view k shows."""
        return self.cache.clips[self._chosen(k).clip].group

    def _chosen(self, k: int) -> _Chosen:
        i, rng = self._drawn(k)
        label = int(self.cache.clips[i].is_bonafide)
        twin = not label and rng.random() < self.how.copy_synthesis
        if twin:
            i = int(rng.choice(len(self.cache), p=self.human_odds))
        return _Chosen(i, label, twin, rng)

    def _drawn(self, k: int) -> tuple[int, np.random.Generator]:
        rng = np.random.default_rng([self.how.seed, k])
        if not self.in_passes:
            return int(rng.choice(len(self.cache), p=self.odds)), rng
        number, place = divmod(k, len(self.cache))
        if self._order[0] != number:
            order = np.random.default_rng([self.how.seed, number, 0]).permutation(len(self.cache))
            self._order = number, order
        return int(self._order[1][place]), rng

    def __getitem__(self, k: int) -> tuple[Tensor, int]:
        i, label, twin, rng = self._chosen(k)
        wave = self.cache.random_rendering(i, self.how.augment.coded, rng)
        # Longer than the view, for the changes that shorten it; vocoding a whole clip would be slow.
        wave = cut_view(wave, self.length * 5 // 4, self.how.augment, rng)
        if twin:
            wave = copy_synthesis(wave, rng)
        return torch.from_numpy(augment(wave, self.length, self.how.augment, rng)), label


class Spliced(Views):
    """Machine-made views alone: each a human clip of which units are joined in another order.

    What unit selection sounds like, of which corpora hold little: a person's own voice, in no order that a
    person would speak in. The clips are taken as they are: none has been through a codec.
    """

    def _chosen(self, k: int) -> _Chosen:
        rng = np.random.default_rng([self.how.seed, k])
        return _Chosen(int(rng.choice(len(self.cache), p=self.human_odds)), label=0, twin=True, rng=rng)

    def label(self, k: int) -> int:
        """0, spoof."""
        return 0

    def __getitem__(self, k: int) -> tuple[Tensor, int]:
        i, label, _, rng = self._chosen(k)
        wave = splice(cut_view(self.cache.wave(i), self.length * 5 // 4, self.how.augment, rng), rng)
        return torch.from_numpy(augment(wave, self.length, self.how.augment, rng)), label


class From(Sampler[int]):
    """start, start + 1, ..., stop - 1: a run that goes on skips what it has seen."""

    def __init__(self, start: int, stop: int) -> None:
        self.range = range(start, stop)

    def __iter__(self) -> Iterator[int]:
        return iter(self.range)

    def __len__(self) -> int:
        return len(self.range)


def draw_odds(clips: list[Clip]) -> np.ndarray:
    """Chance of each clip [clips]: classes alike; within a class, a source by the root of its size."""
    keys = [(clip.is_bonafide, clip.group) for clip in clips]
    sizes = {key: keys.count(key) for key in set(keys)}
    odds = np.array([sizes[key] ** -0.5 for key in keys])
    for label in (True, False):
        of_class = np.array([clip.is_bonafide == label for clip in clips])
        odds[of_class] /= 2 * odds[of_class].sum()
    return odds / odds.sum()
