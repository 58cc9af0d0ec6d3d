"""What Fake-Mamba's blocks take the place of: self-attention, as wide and as deep.

The Transformer block is TransBiMamba's with self-attention put back. The Conformer block (Gulati et al.,
2020) is ConBiMamba's, without a Conformer's relative positions, which would make it slower. Attention is
torch's fused one. All take and give [b, t, dim].
"""

from torch import Tensor, nn

from detectors.backends.bimamba import ConBiMamba, TransBiMamba
from detectors.config import FakeMambaConfig


class SelfAttention(nn.Module):
    """Multi-head self-attention over all frames."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        by_head = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # [3, b, heads, t, d]
        mixed = nn.functional.scaled_dot_product_attention(*by_head)
        return self.out(mixed.transpose(1, 2).flatten(2))


def transformer(config: FakeMambaConfig, heads: int = 4) -> nn.Sequential:
    """A stack of pre-norm Transformer blocks of the config's dim, layers and ffn_mult."""
    return _stack(TransBiMamba, config, heads)


def conformer(config: FakeMambaConfig, heads: int = 4) -> nn.Sequential:
    """A stack of Conformer blocks of the config's dim, layers, ffn_mult and conv_kernel."""
    return _stack(ConBiMamba, config, heads)


def _stack(
    block: type[TransBiMamba] | type[ConBiMamba], config: FakeMambaConfig, heads: int
) -> nn.Sequential:
    blocks = [block(config) for _ in range(config.layers)]
    for each in blocks:
        each.mixer = SelfAttention(config.dim, heads)  # type: ignore[assignment]
    return nn.Sequential(*blocks)
