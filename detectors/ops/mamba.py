"""Mamba's mixer with the parameter names of the mamba-ssm package, runnable without it."""

import math

import torch
from torch import Tensor, nn

from detectors.ops.cpu_scan import can_serve, mix_compiled
from detectors.ops.selective_scan import Scan, selective_scan


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
        self.scan: Scan = selective_scan
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

    @torch.no_grad()
    def start_as_sum(self, one: int, decay: float = 1e-3) -> None:
        """Begin as a slow integrator, in place: frame t gives (nearly) the sum of frames up to t.

        Input feature `one` must always be 1: it makes the gates and, with SiLU shifted to where it is
        nearly straight, the input and output maps B and C constant. Nothing depends on the content
        until training makes it. decay: of the state, per frame.
        """
        inner, dim = self.D.numel(), self.in_proj.in_features
        channels = torch.arange(inner)
        carried = (channels > 0) & (channels % dim != one)  # channel 0 is the constant one
        self.in_proj.weight.zero_()
        self.in_proj.weight[channels[carried], channels[carried] % dim] = 0.7
        self.in_proj.weight[inner:, one] = 3.0
        self.conv1d.weight.zero_()
        self.conv1d.weight[:, 0, -1] = 1.0
        assert self.conv1d.bias is not None  # for the type checker
        self.conv1d.bias.fill_(3.0)
        self.x_proj.weight.zero_()
        self.x_proj.weight[self.dt_rank :, 0] = 1 / nn.functional.silu(torch.tensor(3.0))
        step = 0.01
        self.dt_proj.bias.fill_(math.log(math.expm1(step)))
        self.A_log.fill_(math.log(decay / step))
        self.D.zero_()
        self.out_proj.weight.zero_()
        self.out_proj.weight[channels[carried] % dim, channels[carried]] = 1.0
        # The shift adds the same to every feature; where `one` gets it too, a layer norm removes it.
        self.out_proj.weight[one] = self.out_proj.weight.sum(dim=0) / (dim - 1)

    def forward(self, x: Tensor) -> Tensor:
        gated = self.in_proj(x)
        if self._can_be_compiled(gated):
            return self.out_proj(self._compiled(gated, ways=1))
        x, gate = gated.chunk(2, dim=-1)
        return self.out_proj(self._mixed(x) * nn.functional.silu(gate))

    def both_ways(self, x: Tensor) -> Tensor:
        """forward(x) + forward(x.flip(1)).flip(1), with one scan for both directions.

        What looks at each frame alone is the same in both, so it is computed once: the gate, and the
        projections, of which the last is linear.
        """
        gated = self.in_proj(x)
        if self._can_be_compiled(gated):
            return self.out_proj(self._compiled(gated, ways=2))
        x, gate = gated.chunk(2, dim=-1)
        onward, backward = self._mixed(torch.cat([x, x.flip(1)])).chunk(2)
        return self.out_proj((onward + backward.flip(1)) * nn.functional.silu(gate))

    def _mixed(self, x: Tensor) -> Tensor:
        """What mixes the frames: convolution and scan, [b, t, expand * dim] to the same."""
        frames, dtype = x.shape[1], x.dtype
        x = self.conv1d(x.transpose(1, 2))[..., :frames].transpose(1, 2)
        x = nn.functional.silu(x)
        dt, b, c = self.x_proj(x).split([self.dt_rank, self.d_state, self.d_state], dim=-1)
        dt = nn.functional.softplus(self.dt_proj(dt))
        # The recurrence compounds rounding, so it runs in fp32 whatever the rest runs in.
        y = self.scan(x.float(), dt.float(), -self.A_log.float().exp(), b.float(), c.float(), self.D.float())
        return y.to(dtype)

    def _can_be_compiled(self, gated: Tensor) -> bool:
        """Whether the loops of cpu_scan.py serve, with what they compute: no other scan was put in place."""
        conv, low_rank, steps = self.conv1d, self.x_proj, self.dt_proj
        weights = (conv.weight, conv.bias, low_rank.weight, steps.weight, steps.bias, self.A_log, self.D)
        arrays = (gated, *(weight for weight in weights if weight is not None))
        if self.scan is not selective_scan or len(arrays) <= len(weights):
            return False
        return can_serve(arrays, channels=self.D.numel())

    def _compiled(self, gated: Tensor, ways: int) -> Tensor:
        """`_mixed` and the gate: of what in_proj gives, [b, t, 2 * inner] to [b, t, inner]."""
        return mix_compiled(gated, self.conv1d, self.x_proj, self.dt_proj, self.A_log, self.D, ways)
