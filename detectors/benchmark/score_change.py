"""How far bf16 moves scores: what its speed costs."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from detectors.audio import load_audio
from detectors.cards import ASSETS
from detectors.config import DetectorConfig
from detectors.errors import DetectorError
from detectors.models import FakeMamba, Sls, build_model
from detectors.precision import has_bf16, set_precision
from detectors.windows import cut, spans

#: Windows that go through a model at once.
BATCH = 4


@dataclass(frozen=True)
class ScoreChange:
    """weights: "trained" or "random". windows: how many were scored. largest, mean: |CM score in bf16 - in
    fp32|. spread: standard deviation of the fp32 scores, to judge the change by."""

    detector: str
    sizes: str
    weights: str
    windows: int
    largest: float
    mean: float
    spread: float


def example_clips() -> list[np.ndarray]:
    """The shipped example clips, float32 [s] each. Raises DetectorError when there is none."""
    folder = ASSETS / "examples"
    clips = [
        load_audio(path) for path in sorted(folder.glob("*")) if path.suffix in (".ogg", ".flac", ".wav")
    ]
    if not clips:
        raise DetectorError(f"There are no example clips in {folder}. Fetch the project again.")
    return clips


def random_models(configs: Mapping[str, DetectorConfig]) -> dict[str, Sls | FakeMamba]:
    """By detector, a model with random weights, always the same, in eval mode on the CPU."""
    models = {}
    for name, config in configs.items():
        torch.manual_seed(0)
        models[name] = build_model(config).eval()
    return models


def measure_score_change(
    models: Mapping[str, Sls | FakeMamba],
    sizes: str,
    weights: str,
    device: str,
    clips: Sequence[np.ndarray],
    limit: int = 16,
) -> list[ScoreChange]:
    """For each detector on its first `limit` windows of the clips; nothing where bf16 is not at hand."""
    if not has_bf16(device):
        return []
    found = []
    for name, model in models.items():
        windows = _windows(clips, model, limit).to(device)
        plain = _scores(model.to(device), windows)
        rounded = copy.deepcopy(model)
        set_precision(rounded, "bf16", device)
        change = np.abs(_scores(rounded, windows) - plain)
        largest, mean, spread = float(change.max()), float(change.mean()), float(plain.std())
        found.append(ScoreChange(name, sizes, weights, len(plain), largest, mean, spread))
    return found


def _windows(clips: Sequence[np.ndarray], model: Sls | FakeMamba, limit: int) -> torch.Tensor:
    """Windows [b, window_samples], the same number of each clip as far as they last."""
    size, hop = model.config.window_samples, model.config.hop_samples
    by_clip = [[cut(clip, span, size) for span in spans(len(clip), size, hop)] for clip in clips]
    each = max(1, limit // len(by_clip))
    return torch.from_numpy(np.stack([window for of_clip in by_clip for window in of_clip[:each]][:limit]))


def _scores(model: Sls | FakeMamba, windows: torch.Tensor) -> np.ndarray:
    with torch.inference_mode():
        parts = [model(part).cm_scores.float().cpu() for part in windows.split(BATCH)]
    return np.concatenate([part.numpy() for part in parts])
