"""Detectors of machine-made speech.

Shapes are written with one alphabet: b batch, s samples, t frames, l front-end layers, d features,
n state. Waveforms are float32 [b, s] or [s], 16 kHz mono in [-1, 1]. Class 0 is spoof, class 1 bona
fide, and a countermeasure (CM) score is HIGHER for bona fide, everywhere.
"""

from typing import TYPE_CHECKING, Any

from detectors.audio import SAMPLE_RATE, load_audio
from detectors.detection import Detection, Window
from detectors.errors import DetectorError

if TYPE_CHECKING:
    from detectors.registry import available_detectors, load_detector

__all__ = [
    "SAMPLE_RATE",
    "Detection",
    "DetectorError",
    "Window",
    "available_detectors",
    "load_audio",
    "load_detector",
]


def __getattr__(name: str) -> Any:
    """Import the registry, and torch with it, only when it is asked for: that takes seconds."""
    if name in ("available_detectors", "load_detector"):
        from detectors import registry

        return getattr(registry, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
