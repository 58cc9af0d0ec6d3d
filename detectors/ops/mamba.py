"""Mamba's mixer with the parameter names of the mamba-ssm package, runnable without it."""

import math

import torch
from torch import Tensor, nn

from detectors.ops.selective_scan import selective_scan


class MambaMixer(nn.Module):
    """Selective state-space mixer, Mamba v1 (Gu and Dao, 2023), [b, t, dim] -> [b, t, dim].

    Causal: frame t sees frames <= t. A state dict of mamba_ssm.Mamba(dim, d_state, d_conv, expand)
    loads as it is.
    """

    def __init__(self, dim: int, d_state: int = 16, d_conv: int = 4, expand: int = 2) -> None:
        super().__init__()
        inner = expand * dim
        self.dt_rank = math.ceil(dim / 16)
        self.d_state = d_state
        self.in_proj = nn.Linear(dim, 2 * inner, bias=False)
        self.conv1d = nn.Conv1d(inner, inner, d_conv, groups=inner, padding=d_conv - 1)
        self.x_proj = nn.Linear(inner, self.dt_rank + 2 * d_state, bias=False)
        self.dt_proj = nn.Linear(self.dt_rank, inner)
        self.A_log = nn.Parameter(torch.arange(1, d_state + 1).float().log().repeat(inner, 1))
        self.D = nn.Parameter(torch.ones(inner))
        self.out_proj = nn.Linear(inner, dim, bias=False)
        self._init_time_steps()

    def _init_time_steps(self, low: float = 1e-3, high: float = 0.1) -> None:
        """Start with time steps spread log-uniformly over [low, high], as the paper does."""
        nn.init.uniform_(self.dt_proj.weight, -(self.dt_rank**-0.5), self.dt_rank**-0.5)
        steps = torch.exp(torch.rand_like(self.dt_proj.bias) * math.log(high / low) + math.log(low))
        with torch.no_grad():
            self.dt_proj.bias.copy_(steps + torch.log(-torch.expm1(-steps)))  # softplus inverted

    def forward(self, x: Tensor) -> Tensor:
        frames = x.shape[1]
        x, gate = self.in_proj(x).chunk(2, dim=-1)
        x = self.conv1d(x.transpose(1, 2))[..., :frames].transpose(1, 2)
        x = nn.functional.silu(x)
        dt, b, c = self.x_proj(x).split([self.dt_rank, self.d_state, self.d_state], dim=-1)
        dt = nn.functional.softplus(self.dt_proj(dt))
        # The recurrence compounds rounding, so it runs in fp32 whatever the rest runs in.
        y = selective_scan(
            x.float(), dt.float(), -self.A_log.float().exp(), b.float(), c.float(), self.D.float()
        )
        return self.out_proj(y.to(gate.dtype) * nn.functional.silu(gate))
