"""What a fine-tuning run learns from and is measured on: labelled clips, replayed ones, and dev."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from detectors.cards import ASSETS
from detectors.corpus import Clip, ClipCache, build_cache, clips_of, read_manifest
from detectors.errors import DetectorError
from detectors.labelled import Labelled, check
from detectors.protocols import read_trials

EXAMPLES = ASSETS / "examples" / "examples.csv"
#: As in training's recipes, so that a cache which training made is used again.
_CODED_VARIANTS, _SEED = 1, 1234


class SomeClips(ClipCache):
    """Some clips of a cache, as a cache of their own; the samples are not copied."""

    def __init__(self, cache: ClipCache, chosen: Iterable[int]) -> None:
        self._cache, self._chosen = cache, list(chosen)
        self.clips = [cache.clips[i] for i in self._chosen]

    def variants(self, i: int) -> int:
        return self._cache.variants(self._chosen[i])

    def wave(self, i: int, variant: int = 0) -> np.ndarray:
        return self._cache.wave(self._chosen[i], variant)

    def digest(self, i: int) -> bytes:
        return self._cache.digest(self._chosen[i])


@dataclass(frozen=True)
class Base:
    """replay: clips of the original training. dev: those that it was measured on. None: not at hand."""

    replay: ClipCache | None
    dev: ClipCache | None


def read_base(base: Path | None, cache_folder: Path) -> Base:
    """A manifest's splits train and dev, decoded into `cache_folder`, or a folder of caches train/ and dev/.

    Raises DetectorError when `base` is neither.
    """
    if base is None:
        return Base(None, None)
    if base.is_file():
        return Base(
            build_cache(cache_folder / "train", read_manifest(base, "train"), _CODED_VARIANTS, _SEED),
            build_cache(cache_folder / "dev", read_manifest(base, "dev"), 0, 0),
        )
    found = {name: base / name for name in ("train", "dev") if (base / name / "index.json").is_file()}
    if not found:
        raise DetectorError(
            f"{base} is neither a manifest (a CSV with path, label and split) nor a folder of decoded clips."
        )
    caches = {name: ClipCache(folder) for name, folder in found.items()}
    return Base(caches.get("train"), caches.get("dev"))


def without(cache: ClipCache, labelled: ClipCache) -> ClipCache:
    """The cache less those clips whose samples are also among the labelled ones."""
    known = {labelled.digest(i) for i in range(len(labelled))}
    return SomeClips(cache, (i for i in range(len(cache)) if cache.digest(i) not in known))


def example_clips() -> list[Clip]:
    """The shipped example clips: of known kind, and free to use."""
    return clips_of(read_trials(EXAMPLES))


@dataclass(frozen=True)
class Material:
    """Everything that a run learns from or measures on, decoded. notes: what a reader should know."""

    train: ClipCache
    held_back: ClipCache
    replay: ClipCache
    dev: ClipCache | None
    hold_all: bool
    notes: list[str]


def gather(labelled: Labelled, base: Base, scratch: Path) -> Material:
    """Decode the labelled clips and decide what is replayed. Clips that cannot be read are left out."""
    notes: list[str] = []

    def leave_out(clip: Clip, error: DetectorError) -> None:
        notes.append(f"{clip.utt_id} is left out: {error}")

    train_cache = build_cache(scratch / "train", labelled.train, 1, 0, leave_out)
    held_back_cache = build_cache(scratch / "held_back", labelled.held_back, 0, 0, leave_out)
    check(Labelled(train_cache.clips, held_back_cache.clips, labelled.origin))
    replay, dev = base.replay, base.dev
    if replay is None:
        replay = build_cache(scratch / "examples", example_clips(), 0, 0)
        notes.append(
            "No base data is at hand: the shipped examples are replayed and every view is held to the old "
            "detector's answers. That guards less against forgetting than --base would."
        )
    else:
        replay = without(replay, held_back_cache)
    if dev is None:
        notes.append("No dev part is at hand: whether the detector got worse elsewhere is not measured.")
    else:
        dev = without(dev, train_cache)
    return Material(train_cache, held_back_cache, replay, dev, base.replay is None, notes)
