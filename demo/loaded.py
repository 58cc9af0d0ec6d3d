"""The detectors of a running app: where they come from, and each loaded once for all visitors."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np

from demo import messages
from detectors import registry
from detectors.cards import DetectorCard
from detectors.detection import Detection, Window
from detectors.errors import DetectorError
from detectors.progress import Progress
from detectors.versions import Versions


class AnyDetector(Protocol):
    """The part of a loaded detector that the app needs."""

    name: str
    version: str

    def analyze(
        self,
        wave: np.ndarray,
        progress: Callable[[float], None] | None = None,
        so_far: Callable[[Sequence[Window]], None] | None = None,
    ) -> Detection: ...

    def scores(self, waves: Sequence[np.ndarray]) -> np.ndarray: ...


@dataclass(frozen=True)
class DetectorSource:
    """Where detectors come from: the registry, or in tests something that answers like it.

    names() lists all detectors. status(name, preset) is None or why it cannot run.
    load(name, preset=, device=, progress=), card(name, preset) and device("auto") are as in
    detectors.registry.
    in_use(name, preset) names the fine-tuned version that `load` would give, "" for the shipped weights.
    """

    names: Callable[[], list[str]] = registry.available_detectors
    status: Callable[[str, str], str | None] = registry.detector_status
    load: Callable[..., AnyDetector] = registry.load_detector
    card: Callable[[str, str], DetectorCard] = registry.card_of
    device: Callable[[str], str] = registry.resolve_device
    in_use: Callable[[str, str], str] = lambda name, preset: ""

    @classmethod
    def of(cls, versions: Versions) -> "DetectorSource":
        """The registry, with the versions that a data folder has in use."""

        def in_use(name: str, preset: str) -> str:
            version = versions.current(name, preset)
            return version.name if version else ""

        return cls(
            status=partial(registry.detector_status, data=versions.data),
            load=partial(registry.load_detector, data=versions.data),
            in_use=in_use,
        )


class Loaded:
    """The detectors of one preset. Its methods may be called from any thread."""

    def __init__(self, source: DetectorSource, preset: str) -> None:
        self._source, self._preset = source, preset
        self._loaded: dict[tuple[str, str], tuple[str, AnyDetector]] = {}  # by name and device: version
        # One each: a language model that is being fetched must not hold up the others.
        self._loading = {name: threading.Lock() for name in source.names()}

    def names(self) -> list[str]:
        """Every detector that is known, able to run or not, in the order to show them."""
        return self._source.names()

    def card(self, name: str) -> DetectorCard:
        """The card of a detector."""
        return self._source.card(name, self._preset)

    def titles(self) -> dict[str, str]:
        """What each detector is called on the page, by name."""
        return {name: self.card(name).title for name in self.names()}

    def status(self, name: str) -> str | None:
        """None when the detector can run here, else the reason, fit to show."""
        return self._source.status(name, self._preset)

    def in_use(self, name: str) -> str:
        """The fine-tuned version of a detector that is in use, "" for the shipped weights."""
        return self._source.in_use(name, self._preset)

    def get(self, name: str, device: str, fetching: Progress) -> AnyDetector:
        """A detector, loaded now or before. fetching: hears of a language model that is fetched first.

        Raises DetectorError when it cannot be loaded.
        """
        with self._loading[name]:
            # A version that was made or put in use since takes over without a restart.
            version = self.in_use(name)
            loaded = self._loaded.get((name, device))
            if loaded is None or loaded[0] != version:
                detector = self._source.load(name, preset=self._preset, device=device, progress=fetching)
                self._loaded[name, device] = loaded = version, detector
            return loaded[1]

    def as_used(self, name: str, version: str, device: str) -> AnyDetector:
        """The detector that judged a clip. Raises DetectorError when another version has taken its place."""
        detector = self.get(name, device, untold)
        if detector.version != version:
            raise DetectorError(messages.VERSION_CHANGED)
        return detector


def untold(share: float, doing: str) -> None:
    """Progress that nobody hears of."""
