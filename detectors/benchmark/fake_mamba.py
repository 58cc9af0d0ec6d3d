"""Fake-Mamba's head against itself with the sequential scan, and against self-attention in its place.

The heads differ in their encoder only. They are timed on features of random numbers. The front-end, which all
share and which takes far more time, is timed apart, and two real-time factors are given: of the head alone,
and of the whole system, front-end and head added.
"""

import copy
from functools import partial

import torch
from torch import nn

from detectors.audio import SAMPLE_RATE
from detectors.backends.fake_mamba import FakeMambaHead
from detectors.benchmark.clock import race, tell
from detectors.benchmark.rows import Row, rows_of
from detectors.benchmark.self_attention import conformer, transformer
from detectors.config import FakeMambaConfig
from detectors.frontends.xlsr import XlsrFrontEnd
from detectors.ops.mamba import MambaMixer
from detectors.ops.selective_scan import scan_reference

OURS, SEQUENTIAL = "Fake-Mamba", "sequential scan"
TRANSFORMER, CONFORMER, FRONT_END = "self-attention", "Conformer", "front-end alone"


def measure_fake_mamba(
    sizes: str, config: FakeMambaConfig, device: str, seconds: tuple[float, ...], runs: int
) -> list[Row]:
    """Rows for a clip of each length in `seconds`, taken as one window whatever the config's."""
    torch.manual_seed(0)
    front_end = XlsrFrontEnd(config.front_end).to(device).eval()
    heads = {name: head.to(device).eval() for name, head in build_heads(config).items()}
    rows = []
    for length in seconds:
        tell(f"Fake-Mamba, {sizes}, {length:g} s")
        samples = round(length * SAMPLE_RATE)
        wave = 0.1 * torch.randn(1, samples, device=device)
        features = torch.randn(1, config.front_end.frames(samples), config.front_end.width, device=device)
        # The front-end alone takes long, so it is not run as often.
        before = race({FRONT_END: partial(front_end, wave)}, device, max(1, runs // 5))
        ways = {name: partial(head, features) for name, head in heads.items()}
        timings = race(ways, device, runs)
        case = f"{length:g} s clip"
        rows += rows_of("fake_mamba", sizes, case, before, sound=length)
        for row in rows_of("fake_mamba", sizes, case, timings, (SEQUENTIAL, TRANSFORMER, CONFORMER), length):
            row.notes["rtf_with_front_end"] = (row.seconds + before[FRONT_END].best) / length
            rows.append(row)
    return rows


def build_heads(config: FakeMambaConfig) -> dict[str, nn.Module]:
    """By name, Fake-Mamba's head and those that it is compared with; random weights."""
    ours = FakeMambaHead(config)
    sequential = copy.deepcopy(ours)
    for module in sequential.modules():
        if isinstance(module, MambaMixer):
            module.scan = scan_reference
    heads: dict[str, nn.Module] = {SEQUENTIAL: sequential}
    for name, build in ((TRANSFORMER, transformer), (CONFORMER, conformer)):
        other = FakeMambaHead(config)
        other.encoder = build(config)  # type: ignore[assignment]
        heads[name] = other
    return {**heads, OURS: ours}
