"""The highest memory that a stretch of code needs."""

import ctypes
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_MB = 1_000_000


class Peak:
    """megabytes: 10^6 bytes that were taken at most beyond what was held before; None where this system
    does not tell."""

    megabytes: float | None = None


@contextmanager
def peak_memory(device: str) -> Iterator[Peak]:
    """Measure the block inside: on "cuda" the GPU's memory, else this process's resident memory.

    What is held before, such as the weights of loaded models, does not count.
    """
    peak = Peak()
    gc.collect()
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        yield peak
        peak.megabytes = (torch.cuda.max_memory_allocated() - before) / _MB
        return
    held = _start_over()
    yield peak
    if held is not None:
        peak.megabytes = max(0.0, (_resident("VmHWM") - held) / _MB)


def _start_over() -> int | None:
    """Begin a new high-water mark; bytes held now, or None where the system has no such thing."""
    if not (sys.platform == "linux" and os.access(_CLEAR, os.W_OK)):
        return None
    # Memory that was freed but kept for later would hide what is taken from now on.
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)
    try:
        _CLEAR.write_text("5")
    except OSError:  # forbidden in some containers
        return None
    return _resident("VmRSS")


def _resident(field: str) -> int:
    """A line of the kernel's account of this process, in bytes."""
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(field + ":"))
    return int(line.split()[1]) * 1024
