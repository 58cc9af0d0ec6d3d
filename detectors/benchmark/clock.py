"""Timing several ways of doing one thing fairly: by turns, in one process, after a first run of each."""

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from detectors.benchmark.memory import peak_memory

Way = Callable[[], object]


@dataclass(frozen=True)
class Timing:
    """times: seconds of each run. peak_mb: memory taken at most in the first, uncounted run, in 10^6 bytes
    beyond what was held before it; None where the system does not tell."""

    times: list[float]
    peak_mb: float | None

    @property
    def best(self) -> float:
        """Seconds of the fastest run: what the machine can do when nothing else disturbs it."""
        return min(self.times)


def race(ways: Mapping[str, Way], device: str, runs: int) -> dict[str, Timing]:
    """Run each way once uncounted, then all of them by turns `runs` times, without gradients.

    By turns, so that a machine that slows down meanwhile slows all of them. Raises ValueError for
    less than 1 run.
    """
    if runs < 1:
        raise ValueError(f"at least 1 run is needed, not {runs}")
    times: dict[str, list[float]] = {name: [] for name in ways}
    peaks = {}
    with torch.inference_mode():
        for name, way in ways.items():
            with peak_memory(device) as peak:
                seconds_of(way, device)
            peaks[name] = peak
        for _ in range(runs):
            for name, way in ways.items():
                times[name].append(seconds_of(way, device))
    return {name: Timing(times[name], peaks[name].megabytes) for name in ways}


def seconds_of(way: Way, device: str) -> float:
    """Seconds of one call, until the device has finished."""
    _finish(device)
    start = time.perf_counter()
    way()
    _finish(device)
    return time.perf_counter() - start


def tell(doing: str) -> None:
    """What is being measured, on stderr: a run takes minutes."""
    print(f"benchmark: {doing} ...", file=sys.stderr, flush=True)


def _finish(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
