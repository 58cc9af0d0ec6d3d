"""The selective scan alone, against the recurrence as it is written."""

from functools import partial

import torch
from torch import Tensor

from detectors.benchmark.clock import race, tell
from detectors.benchmark.rows import Row, rows_of
from detectors.ops.selective_scan import scan_reference, selective_scan

OURS, SEQUENTIAL = "ours", "sequential scan"
D_STATE = 16


def measure_scan(device: str, shapes: tuple[tuple[int, int, int], ...], runs: int) -> list[Row]:
    """Rows for the forward pass at each shape (b, t, d), with a state of 16 and random values.

    The note "largest_difference" is between the two ways, over all outputs.
    """
    rows = []
    for shape in shapes:
        tell(f"selective scan, {shape}")
        values = tuple(value.to(device) for value in random_inputs(*shape))
        ways = {SEQUENTIAL: partial(scan_reference, *values), OURS: partial(selective_scan, *values)}
        timings = race(ways, device, runs)
        with torch.inference_mode():
            difference = (selective_scan(*values) - scan_reference(*values)).abs().max().item()
        measured = rows_of("scan", f"state {D_STATE}", str(shape), timings, (SEQUENTIAL,))
        measured[-1].notes["largest_difference"] = difference
        rows += measured
    return rows


def random_inputs(b: int, t: int, d: int) -> tuple[Tensor, ...]:
    """x, dt, A, B, C, D of a scan (see ops/selective_scan.py), dt and A in a trained model's range."""
    random = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random)

    dt = torch.nn.functional.softplus(normal(b, t, d) - 4)
    A = -torch.arange(1, D_STATE + 1).float().repeat(d, 1)
    return normal(b, t, d), dt, A, normal(b, t, D_STATE), normal(b, t, D_STATE), normal(d)
