"""The selective scan of Mamba (Gu and Dao, 2023), five ways with one meaning.

    h_t = exp(dt_t A) h_{t-1} + dt_t B_t x_t        y_t = C_t . h_t + D x_t

per channel d with a state of n numbers. Shapes: x, dt [b, t, d]; A [d, n]; B, C [b, t, n]; D [d];
result [b, t, d]. `dt` is already positive (after softplus). The fifth way is in cpu_scan.py.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from detectors.ops.cpu_scan import can_serve, scan_compiled

try:  # CUDA only; see requirements-gpu.txt
    from mamba_ssm.ops.selective_scan_interface import selective_scan_fn as _kernel
except ImportError:
    _kernel = None

Scan = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]

#: States that `scan_chunked` holds at once: 1 MB of them, so that they stay in a processor's cache.
CHUNK = 262_144


def scan_reference(x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    """The recurrence as it is written, one step at a time: the yardstick for the others."""
    state = x.new_zeros(x.shape[0], x.shape[2], A.shape[1])
    outputs = []
    for t in range(x.shape[1]):
        decay = torch.exp(dt[:, t, :, None] * A)
        state = decay * state + (dt[:, t] * x[:, t])[:, :, None] * B[:, t, None, :]
        outputs.append((state * C[:, t, None, :]).sum(-1) + D * x[:, t])
    return torch.stack(outputs, dim=1)


class _Recurrence(torch.autograd.Function):
    """h_t = decay_t h_{t-1} + drive_t over dimension 1, with the backward pass written out.

    Autograd would keep a graph node and a tensor for every step; here the states are one tensor and
    the gradient is the same recurrence run backwards: g_t += decay_{t+1} g_{t+1}.
    """

    @staticmethod
    def forward(ctx: Any, decay: Tensor, drive: Tensor) -> Tensor:
        states = torch.empty_like(drive)
        states[:, 0] = drive[:, 0]
        for t in range(1, drive.shape[1]):
            torch.addcmul(drive[:, t], decay[:, t], states[:, t - 1], out=states[:, t])
        ctx.save_for_backward(decay, states)
        return states

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        decay, states = ctx.saved_tensors
        grad = grads[0].clone()
        for t in range(grad.shape[1] - 2, -1, -1):
            grad[:, t].addcmul_(decay[:, t + 1], grad[:, t + 1])
        grad_decay = torch.zeros_like(decay)
        torch.mul(grad[:, 1:], states[:, :-1], out=grad_decay[:, 1:])
        return grad_decay, grad


def scan_torch(x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    """Plain torch on any device: what does not depend on the state is computed for all frames at once,
    and one fused step a frame is left."""
    decay = torch.exp(dt[..., None] * A)  # [b, t, d, n]
    drive = (dt * x)[..., None] * B[:, :, None, :]
    states = _Recurrence.apply(decay, drive)
    # A product and a sum: einsum would make one small matrix product of every frame.
    return (states * C[:, :, None]).sum(dim=-1) + D * x


def scan_chunked(x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    """Plain torch for a CPU, without gradients: a few frames at a time, in two buffers that are used again.
    For where compiled loops cannot be had, and for other types than float32.

    Raises RuntimeError where a gradient is asked for: buffers that are overwritten have none.
    """
    frames = x.shape[1]
    # exp2 is several times as fast as exp in torch on a CPU. The state lies [n, d]: with the many
    # channels last, every broadcast runs over long rows.
    rates = (A.T * math.log2(math.e)).contiguous()
    steps, inputs = dt.transpose(0, 1)[:, :, None], (dt * x).transpose(0, 1)[:, :, None]  # [t, b, 1, d]
    writes, reads = B.transpose(0, 1)[..., None], C.transpose(0, 1)[:, :, None]  # [t, b, n, 1], [t, b, 1, n]
    state = x.new_zeros(x.shape[0], *rates.shape)
    length = min(frames, max(1, CHUNK // state.numel()))
    decays, states = x.new_empty(2, length, *state.shape)
    each = list(zip(decays.unbind(), states.unbind(), strict=True))
    outputs = (D * x).transpose(0, 1)[:, :, None]
    for first in range(0, frames, length):
        part = slice(first, min(first + length, frames))
        here = part.stop - first
        torch.mul(steps[part], rates, out=decays[:here]).exp2_()
        torch.mul(inputs[part], writes[part], out=states[:here])
        for decay, drive in each[:here]:
            state = drive.addcmul_(decay, state)
        outputs[part] += reads[part] @ states[:here]
        state = state.clone()  # it lies in a buffer that the next frames overwrite
    return outputs.squeeze(2).transpose(0, 1)


def scan_kernel(x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    """mamba-ssm's CUDA kernel. Raises RuntimeError when the package is not installed."""
    if _kernel is None:
        raise RuntimeError("mamba-ssm is not installed: pip install -r requirements-gpu.txt")
    by_channel = (v.transpose(1, 2).contiguous() for v in (x, dt))
    b, c = (v.transpose(1, 2).contiguous() for v in (B, C))
    u, delta = by_channel
    return _kernel(u, delta, A, b, c, D.float()).transpose(1, 2)


def selective_scan(x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    """The fastest way that works here: the kernel on CUDA where installed, on a CPU without gradients the
    compiled loops, else plain torch."""
    values = (x, dt, A, B, C, D)
    if x.is_cuda and _kernel is not None:
        return scan_kernel(*values)
    if can_serve(values, x.shape[2]):
        return scan_compiled(*values)
    learns = torch.is_grad_enabled() and any(value.requires_grad for value in values)
    # On a GPU launches are dear and memory is fast, so few large operations win there.
    return scan_torch(*values) if learns or x.is_cuda else scan_chunked(*values)
