"""The selective scan of Mamba (Gu and Dao, 2023), three ways with one meaning.

    h_t = exp(dt_t A) h_{t-1} + dt_t B_t x_t        y_t = C_t . h_t + D x_t

per channel d with a state of n numbers. Shapes: x, dt [b, t, d]; A [d, n]; B, C [b, t, n]; D [d];
result [b, t, d]. `dt` is already positive (after softplus).
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

try:  # CUDA only; see requirements-gpu.txt
    from mamba_ssm.ops.selective_scan_interface import selective_scan_fn as _kernel
except ImportError:
    _kernel = None

Scan = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]


def scan_reference(x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    """The recurrence as it is written, one step at a time: the yardstick for the other two."""
    state = x.new_zeros(x.shape[0], x.shape[2], A.shape[1])
    outputs = []
    for t in range(x.shape[1]):
        decay = torch.exp(dt[:, t, :, None] * A)
        state = decay * state + (dt[:, t] * x[:, t])[:, :, None] * B[:, t, None, :]
        outputs.append((state * C[:, t, None, :]).sum(-1) + D * x[:, t])
    return torch.stack(outputs, dim=1)


def scan_chunked(x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    """About 2 sqrt(t) tensor steps instead of t, in plain torch on any device.

    Time is cut into chunks that run side by side from an empty state; then the chunks' end states
    are chained, and what each chunk inherits is added with the decay it has had by then. Every
    factor is a product of exp(dt A) <= 1, so nothing can overflow.
    """
    batch, frames, channels = x.shape
    length = math.isqrt(max(frames - 1, 0)) + 1
    chunks = -(-frames // length)
    decay = torch.exp(dt[..., None] * A)  # [b, t, d, n]
    drive = (dt * x)[..., None] * B[:, :, None, :]
    missing = chunks * length - frames
    if missing:  # the padded steps come last and are dropped below
        decay, drive = (torch.nn.functional.pad(v, (0, 0, 0, 0, 0, missing)) for v in (decay, drive))
    decay, drive = (v.view(batch, chunks, length, channels, -1) for v in (decay, drive))

    local, passed = [drive[:, :, 0]], [decay[:, :, 0]]
    for step in range(1, length):
        local.append(decay[:, :, step] * local[-1] + drive[:, :, step])
        passed.append(decay[:, :, step] * passed[-1])

    inherited = [torch.zeros_like(local[0][:, 0])]
    for chunk in range(chunks - 1):
        inherited.append(passed[-1][:, chunk] * inherited[-1] + local[-1][:, chunk])
    states = torch.stack(local, 2) + torch.stack(passed, 2) * torch.stack(inherited, 1)[:, :, None]
    states = states.flatten(1, 2)[:, :frames]  # [b, t, d, n]
    return (states * C[:, :, None, :]).sum(-1) + D * x


def scan_kernel(x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    """mamba-ssm's CUDA kernel. Raises RuntimeError when the package is not installed."""
    if _kernel is None:
        raise RuntimeError("mamba-ssm is not installed: pip install -r requirements-gpu.txt")
    by_channel = (v.transpose(1, 2).contiguous() for v in (x, dt))
    b, c = (v.transpose(1, 2).contiguous() for v in (B, C))
    u, delta = by_channel
    return _kernel(u, delta, A, b, c, D.float()).transpose(1, 2)


def selective_scan(x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    """The fastest way that works here: the kernel on CUDA where installed, else chunked torch."""
    scan: Scan = scan_kernel if x.is_cuda and _kernel is not None else scan_chunked
    return scan(x, dt, A, B, C, D)
