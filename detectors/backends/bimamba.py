"""The three bidirectional Mamba blocks of Fake-Mamba (Xuan et al., ASRU 2025).

All take and give [b, t, dim]. PN-BiMamba is the paper's best; the other two put Mamba in the
place of self-attention in a Transformer and in a Conformer block (Gulati et al., 2020).
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from detectors.config import FakeMambaConfig
from detectors.ops.mamba import MambaMixer


def _mixer(config: FakeMambaConfig) -> MambaMixer:
    return MambaMixer(config.dim, config.d_state, config.d_conv, config.expand)


def _feed_forward(config: FakeMambaConfig, activation: Callable[[], nn.Module] = nn.GELU) -> nn.Sequential:
    wide = config.ffn_mult * config.dim
    return nn.Sequential(nn.Linear(config.dim, wide), activation(), nn.Linear(wide, config.dim))


class PnBiMamba(nn.Module):
    """Pre-norm block whose two directions share one mixer: out = ffn(norm2(m)) + x, with
    m = mamba(z) + flip(mamba(flip(z))), z = norm1(x)."""

    def __init__(self, config: FakeMambaConfig) -> None:
        super().__init__()
        self.mamba = _mixer(config)
        self.norm1 = nn.LayerNorm(config.dim)
        self.norm2 = nn.LayerNorm(config.dim)
        self.feed_forward = _feed_forward(config)

    @torch.no_grad()
    def start_as_average(self) -> None:
        """Begin so that the feed-forward part sees the average over all frames, in place.

        What tells machine-made speech is a property of the whole clip; a block that starts with
        random memory takes very long to learn to average. Feature 0 is given up for a constant.
        """
        self.norm1.weight[0], self.norm1.bias[0] = 0.0, 1.0
        self.mamba.start_as_sum(one=0)

    @torch.no_grad()
    def start_as_nothing(self) -> None:
        """Begin by passing the input through, in place (as in ReZero)."""
        last = self.feed_forward[-1]
        assert isinstance(last, nn.Linear)  # for the type checker
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, x: Tensor) -> Tensor:
        mixed = self.mamba.both_ways(self.norm1(x))
        return self.feed_forward(self.norm2(mixed)) + x


class ExtBiMamba(nn.Module):
    """Two mixers, one for each direction, summed."""

    def __init__(self, config: FakeMambaConfig) -> None:
        super().__init__()
        self.forward_mamba = _mixer(config)
        self.backward_mamba = _mixer(config)

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_mamba(x) + self.backward_mamba(x.flip(1)).flip(1)


class TransBiMamba(nn.Module):
    """A pre-norm Transformer block with bidirectional Mamba for self-attention."""

    def __init__(self, config: FakeMambaConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.dim)
        self.mixer = ExtBiMamba(config)
        self.norm2 = nn.LayerNorm(config.dim)
        self.feed_forward = _feed_forward(config)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.mixer(self.norm1(x))
        return x + self.feed_forward(self.norm2(x))


class ConvModule(nn.Module):
    """The Conformer's convolution module: gated pointwise, depthwise, norm, SiLU, pointwise."""

    def __init__(self, dim: int, kernel: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.pointwise_in = nn.Conv1d(dim, 2 * dim, 1)
        self.depthwise = nn.Conv1d(dim, dim, kernel, padding=kernel // 2, groups=dim)
        self.batch_norm = nn.BatchNorm1d(dim)
        self.pointwise_out = nn.Conv1d(dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x).transpose(1, 2)
        y = self.depthwise(nn.functional.glu(self.pointwise_in(y), dim=1))
        return self.pointwise_out(nn.functional.silu(self.batch_norm(y))).transpose(1, 2)


class ConBiMamba(nn.Module):
    """A Conformer block, half FFN - mixer - convolution - half FFN - norm, with
    bidirectional Mamba for self-attention."""

    def __init__(self, config: FakeMambaConfig) -> None:
        super().__init__()
        self.ffn1_norm, self.ffn1 = nn.LayerNorm(config.dim), _feed_forward(config, nn.SiLU)
        self.mixer_norm, self.mixer = nn.LayerNorm(config.dim), ExtBiMamba(config)
        self.conv = ConvModule(config.dim, config.conv_kernel)
        self.ffn2_norm, self.ffn2 = nn.LayerNorm(config.dim), _feed_forward(config, nn.SiLU)
        self.final_norm = nn.LayerNorm(config.dim)

    def forward(self, x: Tensor) -> Tensor:
        x = x + 0.5 * self.ffn1(self.ffn1_norm(x))
        x = x + self.mixer(self.mixer_norm(x))
        x = x + self.conv(x)
        x = x + 0.5 * self.ffn2(self.ffn2_norm(x))
        return self.final_norm(x)


BLOCKS: dict[str, Callable[[FakeMambaConfig], nn.Module]] = {
    "pn_bimamba": PnBiMamba,
    "trans_bimamba": TransBiMamba,
    "con_bimamba": ConBiMamba,
}
