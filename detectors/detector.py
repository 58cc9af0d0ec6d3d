"""A loaded detector: clip in, Detection out. What the models have in common lives here."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch

from detectors.audio import SAMPLE_RATE
from detectors.backends.sls import SlsOutput
from detectors.calibration import Calibration
from detectors.cards import DetectorCard
from detectors.detection import Detection, Window, p_spoof_of
from detectors.errors import DetectorError
from detectors.models import FakeMamba, Sls
from detectors.timeline import Timeline
from detectors.windows import Span, cut, spans

#: Below this there is too little speech in a clip for any verdict.
MIN_SECONDS = 0.5
#: Windows that go through the model at once: bounds memory, whatever the clip's length.
BATCH = 8

Progress = Callable[[float], None]


class Judged(NamedTuple):
    """One window's span, CM score, and the rows that explain it: [rows, t] and, for SLS, gates [l]."""

    span: Span
    score: float
    frames: np.ndarray
    gates: np.ndarray | None


class Detector:
    """SLS or Fake-Mamba with its weights, its calibration and its card.

    version: first 12 digits of the weights' sha256. device: "cpu" or "cuda".
    """

    def __init__(
        self, card: DetectorCard, model: Sls | FakeMamba, calibration: Calibration, version: str, device: str
    ) -> None:
        self.card, self.calibration, self.version, self.device = card, calibration, version, device
        self.name: str = card.name
        self.preset: str = card.preset
        self.model = model.to(device).eval()
        self.window_seconds = model.config.window_samples / SAMPLE_RATE

    def analyze(self, wave: np.ndarray, progress: Progress | None = None) -> Detection:
        """Judge a clip: float32 [s], 16 kHz mono in [-1, 1]. `progress` hears shares from 0 to 1.

        Raises DetectorError when the clip is shorter than 0.5 s or is silent throughout.
        """
        wave = _checked(wave)
        seconds = len(wave) / SAMPLE_RATE
        timeline: Timeline | None = None
        windows, gates = [], []
        for judged in self._judge(wave, progress):
            windows.append(self._window(judged))
            if judged.gates is not None:
                gates.append(judged.gates)
            rows, frames = judged.frames.shape
            timeline = timeline or Timeline(rows, seconds, frames / self.window_seconds)
            timeline.add(judged.span.start / SAMPLE_RATE, judged.frames)
        assert timeline is not None  # spans() gives one window at least
        score = float(np.mean([w.score for w in windows]))
        llr = self.calibration.llr(score)
        maps = _maps(timeline.mean(), gates)
        return Detection(self.name, score, llr, p_spoof_of(llr), windows, seconds, self.device, maps)

    def _judge(self, wave: np.ndarray, progress: Progress | None) -> Iterator[Judged]:
        config = self.model.config
        all_spans = spans(len(wave), config.window_samples, config.hop_samples)
        for first in range(0, len(all_spans), BATCH):
            group = all_spans[first : first + BATCH]
            waves = np.stack([cut(wave, span, config.window_samples) for span in group])
            with torch.inference_mode():
                output = self.model(torch.from_numpy(waves).to(self.device))
            yield from _unpack(group, output)
            if progress:
                progress((first + len(group)) / len(all_spans))

    def _window(self, judged: Judged) -> Window:
        llr = self.calibration.llr(judged.score)
        start, end = judged.span.start / SAMPLE_RATE, judged.span.end / SAMPLE_RATE
        return Window(start, end, judged.score, llr, p_spoof_of(llr))


def _unpack(group: list[Span], output: tuple[torch.Tensor, ...]) -> Iterator[Judged]:
    arrays = [value.float().cpu().numpy() for value in output]
    scores = arrays[0][:, 1]
    for i, span in enumerate(group):
        if isinstance(output, SlsOutput):
            yield Judged(span, float(scores[i]), arrays[2][i], arrays[1][i])
        else:
            yield Judged(span, float(scores[i]), arrays[1][i][None], None)


def _maps(rows: np.ndarray, gates: list[np.ndarray]) -> dict[str, np.ndarray]:
    if gates:
        return {"layer_gates": np.stack(gates), "layer_time": rows}
    return {"attention": rows[0] / rows[0].sum()}


def _checked(wave: np.ndarray) -> np.ndarray:
    wave = np.ascontiguousarray(wave, dtype=np.float32)
    if wave.ndim != 1:
        raise DetectorError(f"A mono clip [samples] is needed, not an array of shape {wave.shape}.")
    seconds = len(wave) / SAMPLE_RATE
    if seconds < MIN_SECONDS:
        raise DetectorError(
            f"This clip is {seconds:.2f} s long; at least {MIN_SECONDS} s of speech is needed, "
            "and 2 s or more is better. Try a longer recording."
        )
    if not np.isfinite(wave).all():
        raise DetectorError("This clip has samples that are not numbers; export it again from its source.")
    if not wave.any():
        raise DetectorError("This clip is silent throughout: there is no voice to judge.")
    return wave
