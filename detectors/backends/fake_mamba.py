"""Fake-Mamba's head: projection, a stack of bidirectional Mamba blocks, attention pooling."""

from typing import NamedTuple

import numpy as np
from torch import Tensor, nn

from detectors.backends.bimamba import BLOCKS, PnBiMamba
from detectors.config import FakeMambaConfig
from detectors.timeline import OverTime


class FakeMambaOutput(NamedTuple):
    """logits [b, 2] (0 spoof, 1 bona fide); attention [b, t], the pooling weights, sum 1."""

    logits: Tensor
    attention: Tensor

    @property
    def cm_scores(self) -> Tensor:
        """[b], higher = bona fide."""
        return self.logits[:, 1]

    def maps(self, over_time: OverTime) -> dict[str, np.ndarray]:
        """attention [frames], over the whole clip, sum 1."""
        (attention,) = over_time(self.attention[:, None].numpy())
        return {"attention": attention / attention.sum()}


class BlockStack(nn.Module):
    """`encoder.layers.{i}` of the released checkpoints."""

    def __init__(self, config: FakeMambaConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(BLOCKS[config.block](config) for _ in range(config.layers))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


class FakeMambaHead(nn.Module):
    """final front-end output [b, t, d] -> FakeMambaOutput (Xuan et al., ASRU 2025)."""

    def __init__(self, config: FakeMambaConfig) -> None:
        super().__init__()
        self.LL = nn.Linear(config.front_end.width, config.dim)
        self.first_bn = nn.BatchNorm2d(1)
        self.encoder = BlockStack(config)
        self.attention_pool = nn.Linear(config.dim, 1)
        self.fc5 = nn.Linear(config.dim, 2)

    def start_simply(self) -> None:
        """Make learning from little data easy, in place: of the PN-BiMamba blocks the first begins as
        an average over time with a feed-forward part, the others pass their input through. The shift
        of the batch norm lets SELU bend only what lies far below the average."""
        nn.init.constant_(self.first_bn.weight, 0.3)
        nn.init.constant_(self.first_bn.bias, 1.0)
        for i, block in enumerate(self.encoder.layers):
            if isinstance(block, PnBiMamba):
                block.start_as_nothing() if i else block.start_as_average()

    def forward(self, final: Tensor) -> FakeMambaOutput:
        x = nn.functional.selu(self.first_bn(self.LL(final)[:, None]).squeeze(1))  # [b, t, dim]
        x = self.encoder(x)
        attention = self.attention_pool(x).squeeze(-1).softmax(dim=1)  # [b, t]
        pooled = (attention[..., None] * x).sum(dim=1)
        return FakeMambaOutput(self.fc5(pooled), attention)
