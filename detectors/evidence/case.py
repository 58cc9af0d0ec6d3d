"""What goes into an evidence package, as whoever made the analysis hands it over."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detectors.detection import Detection
from detectors.labels.records import Label
from detectors.map_test import MapTest
from detectors.robustness import StressTest


@dataclass(frozen=True)
class Picture:
    """A figure. key: its name in the package, letters, digits and _ only. title, caption: in words."""

    key: str
    title: str
    caption: str
    png: bytes

    def __post_init__(self) -> None:
        # It becomes a file name in the zip.
        if not self.key.replace("_", "").isalnum() or not self.key.isascii():
            raise ValueError(f"a picture's key must be letters, digits and _, not {self.key!r}")


@dataclass(frozen=True, kw_only=True)
class Case:
    """One analysis and what belongs to it.

    name: of the clip's file, as it was given; it may hold anything. path: where its original bytes lie now,
    sha256: what they were at the analysis. analysed: UTC, ISO 8601. seconds: of sound. device: that the
    detectors ran on, None when none ran. detections and versions: by detector, of those that ran;
    unavailable: why the others did not. llr: of all together, natural log, bona fide over spoof.
    labels: what people said of the clip that may be passed on. data: the folder whose fine-tuned versions
    were in use, if any. file: what file_facts says of the clip's file; None: to be read when it is needed.
    """

    name: str
    path: Path
    sha256: str
    analysed: str
    seconds: float
    preset: str
    device: str | None
    detections: Mapping[str, Detection]
    versions: Mapping[str, str]
    unavailable: Mapping[str, str]
    llr: float | None
    labels: Sequence[Label] = ()
    stress: StressTest | None = None
    map_test: MapTest | None = None
    data: Path | None = None
    file: Mapping[str, Any] | None = None
