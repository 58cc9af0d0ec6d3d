"""From the audio encoder's frames to tokens that a language model can read."""

import torch
from torch import Tensor, nn

from detectors.llm.config import AudioLlmConfig


class Projector(nn.Module):
    """features [b, t, d] -> audio tokens [b, n, h] with a learnt vector before and after them.

    Frames are brought to mean 0 and variance 1 in each feature (Whisper's differ a hundredfold), averaged
    `pool` at a time, and sent through a hidden layer. One more token sees the mean over the whole clip.
    Begin and end stand for <audio> and </audio>: the language model's own vocabulary stays as it is.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: AudioLlmConfig) -> None:
        super().__init__()
        self.pool = config.pool
        self.register_buffer("mean", torch.zeros(config.feature_size))
        self.register_buffer("std", torch.ones(config.feature_size))
        self.frames = _layers(config)
        self.summary = _layers(config) if config.summary else None
        self.begin = nn.Parameter(torch.randn(config.llm_hidden) * 0.02)
        self.end = nn.Parameter(torch.randn(config.llm_hidden) * 0.02)

    def settle(self, mean: Tensor, std: Tensor) -> None:
        """Tell the statistics [d] of the encoder's features."""
        self.mean.copy_(mean)
        self.std.copy_(std.clamp_min(1e-5))

    def forward(self, features: Tensor) -> Tensor:
        x = self.settled(features)
        heard = self.heard(pooled(x, self.pool), x.mean(dim=1, keepdim=True))
        begin, end = (vector.expand(len(x), 1, -1) for vector in (self.begin, self.end))
        return torch.cat([begin, heard, end], dim=1)

    def settled(self, features: Tensor) -> Tensor:
        """Features [b, t, d], or means of them, brought to mean 0 and variance 1."""
        return (features.to(self.mean.dtype) - self.mean) / self.std

    def heard(self, means: Tensor, whole: Tensor) -> Tensor:
        """The tokens [b, n, h] between begin and end, of settled features.

        means: [b, m, d], of `pool` frames each. whole: [b, 1, d], the mean of all frames.
        """
        tokens: Tensor = self.frames(means)
        return tokens if self.summary is None else torch.cat([tokens, self.summary(whole)], dim=1)


def pooled(x: Tensor, pool: int) -> Tensor:
    """[b, t, d] -> [b, ceil(t / pool), d]: means of `pool` frames, of the rest in the last one."""
    rest = -x.shape[1] % pool
    sums = nn.functional.pad(x, (0, 0, 0, rest)).unflatten(1, (-1, pool)).sum(dim=2)
    return sums / frames_in(x.shape[1], pool).to(sums)[:, None]


def frames_in(frames: int, pool: int) -> Tensor:
    """How many frames go into each mean of `pool`, [ceil(frames / pool)]: into the last one often fewer."""
    counts = torch.full((-(-frames // pool),), float(pool))
    counts[-1] -= -frames % pool
    return counts


def spread(means: Tensor, pool: int, frames: int) -> Tensor:
    """[n, d], means of `pool` frames -> [frames, d], each frame the mean that it went into.

    The projector cannot tell it from the frames themselves, which need `pool` times the room.
    """
    return means.repeat_interleave(pool, dim=0)[:frames]


def _layers(config: AudioLlmConfig) -> nn.Sequential:
    out = nn.Linear(config.projector_hidden, config.llm_hidden)
    # Word embeddings of small LLaMA models have a spread near 0.1: tokens of another size unsettle them.
    nn.init.normal_(out.weight, std=0.1 * config.projector_hidden**-0.5)
    return nn.Sequential(
        nn.Dropout(config.dropout),
        nn.Linear(config.feature_size, config.projector_hidden),
        nn.GELU(),
        nn.Dropout(config.dropout),
        out,
    )
