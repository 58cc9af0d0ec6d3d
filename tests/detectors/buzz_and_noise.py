"""Views that any detector can learn to tell apart in seconds."""

import numpy as np
import torch
from torch import Tensor

from detectors.views import Views

RATE, WINDOW = 16_000, 4_800


class BuzzAndNoise(Views):
    """View k: a buzz of 150-300 Hz (bona fide) where k is odd, noise (spoof) where it is even."""

    def __init__(self) -> None:
        self.length = WINDOW

    def __getitem__(self, k: int) -> tuple[Tensor, int]:
        rng = np.random.default_rng(k)
        wave = 0.1 * rng.standard_normal(WINDOW)
        if k % 2:
            wave = 0.1 * wave + 0.1 * (rng.uniform(150, 300) * np.arange(WINDOW) / RATE % 1)
        return torch.from_numpy(wave.astype(np.float32)), k % 2

    def label(self, k: int) -> int:
        return k % 2

    def source(self, k: int) -> str:
        return "abc"[k // 4 % 3]
