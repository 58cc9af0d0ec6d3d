"""Mamba's inner part on a CPU in a few compiled loops, without gradients; see cpu_kernels.py.

Only where numba is installed and for float32: everywhere else plain torch answers, to the same meaning.
"""

import ctypes
import importlib
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

#: States that are worth another thread: some 60 microseconds of computing.
WORTH_A_THREAD = 262_144


@cache
def kernels() -> Any:
    """The module of compiled loops, or None where they cannot be had.

    The first call on a machine compiles them, which takes seconds; a cache on disk serves later processes.
    """
    try:
        return importlib.import_module("detectors.ops.cpu_kernels")
    except Exception:  # no numba, or one that cannot compile here: plain torch needs neither
        return None


def can_serve(values: tuple[Tensor, ...], channels: int) -> bool:
    """Whether these are for the compiled loops: float32 on the CPU, enough channels to fill the lanes of a
    vector, and no gradient is asked for."""
    if torch.is_grad_enabled() and any(value.requires_grad for value in values):
        return False
    plain = all(value.dtype == torch.float32 and value.is_cpu for value in values)
    return plain and values[0].numel() > 0 and kernels() is not None and channels >= kernels().LANES


def scan_compiled(x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    """The selective scan, as the others of selective_scan.py. `can_serve` must hold.

    Raises ValueError where shapes do not fit or channels are too few: the loops would read beyond the arrays.
    """
    (b, t, d), n = x.shape, A.shape[1]
    fit = dt.shape == x.shape and B.shape == C.shape == (b, t, n) and A.shape[0] == D.numel() == d
    if not fit or d < kernels().LANES:
        shapes = ", ".join(str(tuple(value.shape)) for value in (x, dt, A, B, C, D))
        raise ValueError(f"these are no x, dt, A, B, C, D of one scan: {shapes}")
    y = torch.empty_like(x, memory_format=torch.contiguous_format)
    _run(kernels().scan, (b, t, d, n), (x, dt, A, torch.stack([B, C]), D, y), x.numel() * n)
    return y


def mix_compiled(
    gated: Tensor,
    convolution: torch.nn.Conv1d,
    low_rank: torch.nn.Linear,
    time_steps: torch.nn.Linear,
    A_log: Tensor,
    D: Tensor,
    ways: int,
) -> Tensor:
    """Convolution, scan and gate of Mamba's mixer, [b, t, 2 d] -> [b, t, d]; `can_serve` must hold.

    gated: what in_proj gives, values and gates. low_rank: x_proj; time_steps: dt_proj. A_log [d, n]; D [d].
    ways: 1 onward, 2 for the sum of onward and backward, which share all that looks at one frame alone.
    """
    b, t, d = gated.shape[0], gated.shape[1], gated.shape[2] // 2
    gated, taps, rank = gated.contiguous(), convolution.weight.shape[2], time_steps.in_features
    u = gated.new_empty(ways, b, t, d)
    assert convolution.bias is not None  # for the type checker
    kernel = (convolution.weight, convolution.bias)
    _run(kernels().convolve, (ways, b, t, d, taps), (gated, *kernel, u), u.numel() * taps)
    # Turned, [r + 2 n, ways * b * t]: the product of so few by so many is a third faster this way round.
    low = torch.nn.functional.linear(low_rank.weight, u.flatten(0, 2))
    y = gated.new_empty(b, t, d)
    values = (u, low, gated, time_steps.weight, time_steps.bias, A_log, D, y)
    _run(kernels().mix, (ways, b, t, d, A_log.shape[1], rank), values, u.numel() * A_log.shape[1])
    return y


def _run(kernel: Any, sizes: tuple[int, ...], values: tuple[Tensor, ...], states: int) -> None:
    """Run a kernel on as many of torch's threads as torch itself would use. The last value is the output."""
    laid_out = [value.contiguous() for value in values]
    numbers = (0, *sizes, *(value.data_ptr() for value in laid_out))
    job = (ctypes.c_int64 * len(numbers))(*numbers)
    threads = min(torch.get_num_threads(), 1 + states // WORTH_A_THREAD)
    team = _torchs_threads() if threads > 1 else None
    if team:
        team(kernel.address, ctypes.addressof(job), threads, 0)
    else:
        ctypes.CFUNCTYPE(None, ctypes.c_void_p)(kernel.address)(ctypes.addressof(job))


@cache
def _torchs_threads() -> Any:
    """`GOMP_parallel(function, argument, threads, flags)` of the OpenMP library that torch runs on, or None.

    A pool of our own would fight with torch's threads, which keep their cores busy for a while after each
    operation. Calls from several threads at once are safe: each has a team of its own.
    """
    package = Path(torch.__file__).parent
    for folder in (package / "lib", package.parent / "torch.libs"):
        for library in sorted(folder.glob("libgomp*.so*")):
            try:
                function = ctypes.CDLL(str(library)).GOMP_parallel
            except (OSError, AttributeError):
                continue
            function.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)
            function.restype = None
            return function
    return None
