"""Detectors for tests: cheap, deterministic functions of the wave that answer like the real ones."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile

from demo.loaded import DetectorSource
from demo.services import Services
from demo.settings import Settings
from demo.talkers import LazySpeaker
from detectors.audio import SAMPLE_RATE, load_audio
from detectors.cards import DetectorCard
from detectors.detection import VOICE_TIME, Detection, Window, p_spoof_of
from detectors.errors import DetectorError
from detectors.progress import Progress
from tests.demo.fake_talkers import silent

NO_LLM = "its language model could not be fetched"
TITLES = {"sls": "XLS-R + SLS", "fake_mamba": "Fake-Mamba", "allm4add": "ALLM4ADD"}


class FakeDetector:
    """Calls a window spoof when it is quiet: LLR = 40 * (RMS - 0.1) + `shift`. 2 s windows, hop 1 s."""

    def __init__(self, name: str, shift: float = 0.0) -> None:
        self.name, self.version, self.shift = name, f"{name}-v1", shift

    def analyze(
        self,
        wave: np.ndarray,
        progress: Callable[[float], None] | None = None,
        so_far: Callable[[list[Window]], None] | None = None,
    ) -> Detection:
        seconds = len(wave) / SAMPLE_RATE
        if seconds < 0.5:
            raise DetectorError(f"This clip is {seconds:.2f} s long; at least 0.5 s of speech is needed.")
        starts = np.arange(0, max(seconds - 1, 1e-9), 1.0)
        windows = [self._window(wave, start, min(start + 2, seconds)) for start in starts]
        if progress:
            progress(0.0)  # nothing is known yet
        if so_far:
            so_far(windows)
        if progress:
            progress(1.0)
        llr = float(np.mean([window.llr for window in windows]))
        return Detection(
            self.name, llr, llr, p_spoof_of(llr), windows, seconds, "cpu", self._maps(wave, windows)
        )

    def scores(self, waves: Sequence[np.ndarray]) -> np.ndarray:
        return np.array([self.analyze(wave).score for wave in waves])

    def _window(self, wave: np.ndarray, start: float, end: float) -> Window:
        part = wave[int(start * SAMPLE_RATE) : int(end * SAMPLE_RATE)]
        llr = 40 * (float(np.sqrt(np.mean(part**2))) - 0.1) + self.shift
        return Window(float(start), float(end), llr, llr, p_spoof_of(llr))

    def _maps(self, wave: np.ndarray, windows: list[Window]) -> dict[str, np.ndarray]:
        frames = np.array([np.mean(part**2) for part in np.array_split(wave, min(6000, len(wave) // 320))])
        voice = {VOICE_TIME: np.log(frames[::5] + 1e-4) + 4.0}
        if self.name == "sls":
            logits = np.stack([np.log(frames + 1e-4) + layer for layer in range(4)]).astype(np.float32)
            gates = 1 / (1 + np.exp(-logits.mean(axis=1)))
            return {"layer_time": logits, "layer_gates": np.tile(gates, (len(windows), 1)), **voice}
        return {"attention": (frames + 1e-6) / (frames + 1e-6).sum(), **voice}


class BrokenDetector(FakeDetector):
    """Stops with a bug."""

    def analyze(
        self,
        wave: np.ndarray,
        progress: Callable[[float], None] | None = None,
        so_far: Callable[[list[Window]], None] | None = None,
    ) -> Detection:
        raise RuntimeError("a bug in the model")


@dataclass
class FakeSource:
    """Stands in for detectors.registry. `loads` lists each load, `missing` the unavailable detectors."""

    detectors: dict[str, FakeDetector] = field(
        default_factory=lambda: {"sls": FakeDetector("sls"), "fake_mamba": FakeDetector("fake_mamba", 0.4)}
    )
    missing: dict[str, str] = field(default_factory=lambda: {"allm4add": NO_LLM})
    loads: list[str] = field(default_factory=list)

    def source(self) -> DetectorSource:
        return DetectorSource(
            names=lambda: ["sls", "fake_mamba", "allm4add"],
            status=lambda name, preset: self.missing.get(name),
            load=self.load,
            card=fake_card,
            device=lambda device: "cpu",
        )

    def load(self, name: str, preset: str, device: str, progress: Progress) -> FakeDetector:
        self.loads.append(name)
        return self.detectors[name]


def fake_card(name: str, preset: str) -> DetectorCard:
    folder = Path("nowhere") / f"{name}-{preset}"
    return DetectorCard(
        name, "mini", TITLES[name], "Looks at loudness.", folder, "MIT", "A paper", "Some clips"
    )


def fake_services(
    folder: Path,
    source: FakeSource | None = None,
    speakers: LazySpeaker | None = None,
    settings: Settings | None = None,
) -> Services:
    """The app's services on this folder. Clips are decoded in this process, which is quicker for tests."""
    return Services(
        settings or Settings(data=folder),
        (source or FakeSource()).source(),
        load_audio,
        speakers=speakers or silent(),
    )


def speech_like(seconds: float = 4.0, level: float = 0.3) -> np.ndarray:
    """A buzzing voice: harmonics of a gliding pitch, in syllables. float32 [s], 16 kHz."""
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    phase = 2 * np.pi * (120 * time + 6 * np.sin(2 * np.pi * 0.6 * time))
    voice = sum(np.sin(k * phase) / k for k in range(1, 25))
    syllables = 0.15 + np.maximum(0, np.sin(2 * np.pi * 2.3 * time)) ** 0.5
    wave = (voice * syllables).astype(np.float32)
    scaled: np.ndarray = wave * np.float32(level / np.abs(wave).max())
    return scaled


def write_clip(path: Path, seconds: float = 4.0, level: float = 0.3) -> Path:
    soundfile.write(path, speech_like(seconds, level), SAMPLE_RATE)
    return path
