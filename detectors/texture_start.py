"""Training of the networks over fine spectra (frontends/texture.py), on kept views, each by itself."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from detectors.corpus import Corpus
from detectors.fitting import fit
from detectors.frontends.texture import SPREAD, Texture, fine_spectra
from detectors.head_start import KeptFeatures, ranked_loss, write_kept
from detectors.kept import made_once
from detectors.views import Views

#: Places on the frequency axis between which the tilt is drawn straight.
TILT_POINTS = 6


@dataclass(frozen=True)
class TextureStart:
    """So many passes over so many views; of those with phases, where it is given, `phase_passes`: they know
    their views by heart sooner. 0 passes: textures stay as they are."""

    passes: int = 0
    phase_passes: int = 0
    views: int = 15_280
    # Corpora to learn from beside the recipe's, such as the copies of `python -m detectors copies`.
    train: tuple[Corpus, ...] = ()
    batch_size: int = 32
    lr: float = 4e-3
    weight_decay: float = 0.02
    # As in HeadStartConfig.
    ranking: float = 0.2
    # What is changed at random in a batch's spectra: so many bins and frames at most are hidden, twice each
    # (SpecAugment, Park et al., 2019), and levels are tilted from band to band, by nepers.
    masked_bins: int = 8
    masked_frames: int = 12
    tilt: float = 0.1


def keep_views(folder: Path, views: Views, count: int, made_from: str) -> KeptFeatures:
    """The first views as they are, [count, 1, 1, s], unless `folder` has those made from the same already."""

    def whole(waves: Tensor) -> Tensor:
        return waves[:, None, None]

    made_once(folder, f"{made_from} {count}", partial(write_kept, folder, views, range(count), whole))
    return KeptFeatures(folder, by_source=True)


def start_textures(
    textures: Iterable[Texture],
    kept: KeptFeatures,
    config: TextureStart,
    seed: int,
    precision: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> None:
    """Train each of them from random weights, in place; they differ in these and in the order of the views.

    What is drawn here disturbs no other draw. precision: what they compute in while they learn.
    """
    steps = -(-len(kept.labels) // config.batch_size)
    for number, texture in enumerate(textures):
        batches = partial(_batches, kept, config.batch_size, np.random.default_rng([seed, number, 7]))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + number)
            texture.load_state_dict(Texture(texture.phases).state_dict())
            learning, name = _Learning(texture, config, precision), f"texture {number + 1}"
            loss = ranked_loss(config.ranking)
            passes = config.phase_passes or config.passes if texture.phases else config.passes
            fit(learning, batches, steps, passes, config.lr, config.weight_decay, name, loss)
        texture.eval()


def _batches(kept: KeptFeatures, size: int, rng: np.random.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    for (waves,), targets in kept.batches(size, rng):
        yield waves[:, 0], targets


class _Learning(nn.Module):
    """waveforms [b, s] -> logits [b, 2] of changed spectra."""

    def __init__(
        self,
        texture: Texture,
        config: TextureStart,
        precision: Callable[[], AbstractContextManager[None]],
    ) -> None:
        super().__init__()
        self.texture, self.config, self.precision = texture, config, precision

    def forward(self, waves: Tensor) -> Tensor:
        seen = self._changed(fine_spectra(waves, self.texture.phases))
        with self.precision():
            return self.texture.logits(seen)

    def _changed(self, seen: Tensor) -> Tensor:
        """fine_spectra [b, seen, bins, frames] of a batch. The places hidden are the same in all of it; 0 is
        the mean level, and no phase."""
        bins, frames = seen.shape[2:]
        bends = self.config.tilt * torch.randn(len(seen), 1, TILT_POINTS)
        tilt = nn.functional.interpolate(bends, size=bins, mode="linear", align_corners=True)
        seen[:, 0] += tilt.mT / SPREAD
        for _ in range(2):
            low, high = _stretch(bins, self.config.masked_bins)
            start, end = _stretch(frames, self.config.masked_frames)
            seen[:, :, low:high] = 0
            seen[..., start:end] = 0
        return torch.roll(seen, int(torch.randint(frames, ())), dims=3)


def _stretch(whole: int, longest: int) -> tuple[int, int]:
    """A random part of 0 to `longest` places."""
    start = int(torch.randint(whole, ()))
    return start, start + int(torch.randint(longest + 1, ()))
