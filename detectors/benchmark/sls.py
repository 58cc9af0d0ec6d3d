"""Our SLS against the way in which the released implementation runs it, and how far bf16 moves its scores.

The released way: the front-end twice for each batch, once for its output and once for its layers; fp32; one
window at a time. It is run on our own classes, so that nothing else differs: the released classes also
return every layer's attention matrices and would be slower still.
"""

import copy
from functools import partial

import torch
from torch import Tensor

from detectors.audio import SAMPLE_RATE
from detectors.benchmark.clock import Way, race, tell
from detectors.benchmark.rows import Row, rows_of
from detectors.config import SlsConfig
from detectors.models import Sls
from detectors.precision import has_bf16, set_precision

RELEASED, OURS, OURS_BF16 = "released way", "ours, fp32", "ours, bf16"


def measure_sls(sizes: str, config: SlsConfig, device: str, batches: tuple[int, ...], runs: int) -> list[Row]:
    """Rows for each number of windows in `batches`: time, throughput and peak memory of each way."""
    torch.manual_seed(0)
    models = {OURS: Sls(config).to(device).eval()}
    if has_bf16(device):
        models[OURS_BF16] = copy.deepcopy(models[OURS])
        set_precision(models[OURS_BF16], "bf16", device)
    rows = []
    for count in batches:
        tell(f"SLS, {sizes}, {count} windows")
        windows = 0.1 * torch.randn(count, config.window_samples, device=device)
        timings = race(_ways(models, windows), device, runs)
        sound = count * config.window_samples / SAMPLE_RATE
        case = f"{count} window" + "s" * (count > 1)
        rows += rows_of("sls", sizes, case, timings, (RELEASED,), sound, count)
    return rows


def _ways(models: dict[str, Sls], windows: Tensor) -> dict[str, Way]:
    ways: dict[str, Way] = {RELEASED: partial(released_scores, models[OURS], windows)}
    return ways | {name: partial(our_scores, model, windows) for name, model in models.items()}


def our_scores(model: Sls, windows: Tensor) -> Tensor:
    """CM scores [b] of windows [b, s], on the CPU, in one batch."""
    return model(windows).cm_scores.cpu()


def released_scores(model: Sls, windows: Tensor) -> Tensor:
    """CM scores [b] of windows [b, s], computed as the released code does."""
    scores = []
    for window in windows.split(1):
        model.front_end(window)  # for the output, which its SLS head then leaves aside
        scores.append(model.judge(model.front_end(window)).cm_scores.cpu())
    return torch.cat(scores)
