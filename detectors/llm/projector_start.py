"""A start for the projector: statistics of what it will hear, and to tell real from fake by itself.

Through 30 frozen layers an untrained projector gets little of a lesson from each dear step. A linear probe on
the mean of its tokens costs next to nothing, and leaves the difference lying open in the tokens.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from detectors.fitting import fit
from detectors.llm.clips import Clips, Features
from detectors.llm.model import AudioLlm
from detectors.llm.projector import Projector, frames_in
from detectors.llm.recipe import ProjectorStart


class Probe(nn.Module):
    """features [b, m, d], means of `frames` [m] frames each -> logits [b, 2].

    Some features of a clip are left out at random while it learns.
    """

    shares: Tensor

    def __init__(self, projector: Projector, frames: Tensor, config: ProjectorStart) -> None:
        super().__init__()
        self.projector = projector
        self.dropout, self.token_dropout = nn.Dropout(config.dropout), nn.Dropout(config.token_dropout)
        self.norm = nn.LayerNorm(len(projector.begin))
        self.judge = nn.Linear(len(projector.begin), 2)
        self.register_buffer("shares", (frames / frames.sum())[:, None])

    def forward(self, features: Tensor) -> Tensor:
        kept = self.dropout(torch.ones_like(features[:, :1]))
        means = self.projector.settled(features) * kept
        whole = (means * self.shares).sum(dim=1, keepdim=True)
        heard = self.projector.heard(means, whole).mean(dim=1)
        logits: Tensor = self.judge(self.token_dropout(self.norm(heard)))
        return logits


def start_projector(
    projector: Projector, clips: Features, config: ProjectorStart, seed: int, device: torch.device | str
) -> Probe:
    """Train the projector in place on clips of one length, tagged with their labels; returns its probe."""
    rng = np.random.default_rng([seed, 5])
    probe = Probe(projector, frames_in(clips.kept[0].frames, clips.pool), config).to(device)

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        order = rng.permutation(len(clips))
        for start in range(0, len(order), config.batch_size):
            chosen = np.sort(order[start : start + config.batch_size])  # a file is read fastest forwards
            means = torch.stack([clips.kept[int(i)].rows for i in chosen])
            yield means.to(device), torch.from_numpy(clips.tags[chosen]).to(device)

    steps = -(-len(clips) // config.batch_size)
    fit(probe, batches, steps, config.passes, config.lr, config.weight_decay, "the projector")
    return probe


@torch.inference_mode()
def statistics(model: AudioLlm, sets: Sequence[Clips], most: int = 1000) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation [d] of the features of clips, at most so many of each set.

    What is kept are means over a few frames, whose spread is a little smaller than that of frames.
    """
    features = []
    for clips in sets:
        for i in np.unique(np.linspace(0, len(clips) - 1, min(most, len(clips))).round().astype(int)):
            clip = clips.clip(int(i))
            heard = clip if clip.dim() == 2 else model.hear(clip[None].to(model.projector.mean.device))[0]
            features.append(heard.float().cpu())
    frames = torch.cat(features)
    return frames.mean(dim=0), frames.std(dim=0)
