"""Detectors that insist on a GPU where they were loaded for one, for tests of a Space that lends GPUs."""

from collections.abc import Callable
from typing import Any

import numpy as np

from demo.loaded import DetectorSource
from detectors.detection import Detection
from detectors.progress import Progress
from tests.demo.fake_detectors import NO_LLM, FakeDetector, FakeSource, fake_card


class GpuDetector(FakeDetector):
    """A FakeDetector on a device. inside: whether there is a GPU now."""

    def __init__(self, name: str, device: str, inside: Callable[[], bool]) -> None:
        super().__init__(name)
        self.device, self.inside = device, inside

    def analyze(self, wave: np.ndarray, *rest: Any) -> Detection:
        assert self.device == "cpu" or self.inside(), "CUDA is used without a GPU"
        found = super().analyze(wave, *rest)
        return Detection(**{**found.__dict__, "device": self.device})


class GpuSource(FakeSource):
    """Stands in for detectors.registry where torch says that there is a GPU. placed: each load."""

    def __init__(self, inside: Callable[[], bool]) -> None:
        super().__init__()
        self.inside = inside
        self.placed: list[tuple[str, str]] = []

    def source(self) -> DetectorSource:
        return DetectorSource(
            names=lambda: ["sls", "fake_mamba", "allm4add"],
            status=lambda name, preset: NO_LLM if name == "allm4add" else None,
            load=self.load,
            card=fake_card,
            device=lambda device: "cuda",
        )

    def load(self, name: str, preset: str, device: str, progress: Progress) -> FakeDetector:
        self.placed.append((name, device))
        return GpuDetector(name, device, self.inside)
