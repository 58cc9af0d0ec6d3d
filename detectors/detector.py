"""A loaded detector: clip in, Detection out. What the models have in common lives here."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from detectors.audio import SAMPLE_RATE
from detectors.calibration import Calibration
from detectors.cards import DetectorCard
from detectors.detection import Detection, Window, p_spoof_of
from detectors.errors import DetectorError
from detectors.models import Countermeasure, Judgement
from detectors.timeline import Timeline
from detectors.windows import Span, cut, spans

#: Below this there is too little speech in a clip for any verdict.
MIN_SECONDS = 0.5
#: Windows that go through the model at once: bounds memory, whatever the clip's length.
BATCH = 8

Progress = Callable[[float], None]


class Detector:
    """A countermeasure with its weights, its calibration and its card.

    version: first 12 digits of the weights' sha256. device: "cpu" or "cuda".
    """

    def __init__(
        self, card: DetectorCard, model: Countermeasure, calibration: Calibration, version: str, device: str
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
        config = self.model.config
        all_spans = spans(len(wave), config.window_samples, config.hop_samples)
        judgement = self._judge(wave, all_spans, progress)
        windows = [
            self._window(span, window_score)
            for span, window_score in zip(all_spans, judgement.cm_scores.tolist(), strict=True)
        ]

        def over_time(values: np.ndarray) -> np.ndarray:
            _, rows, frames = values.shape
            timeline = Timeline(rows, seconds, frames / self.window_seconds)
            for span, of_window in zip(all_spans, values, strict=True):
                timeline.add(span.start / SAMPLE_RATE, of_window)
            return timeline.mean()

        score = float(np.mean([w.score for w in windows]))
        llr = self.calibration.llr(score)
        maps = judgement.maps(over_time)
        return Detection(self.name, score, llr, p_spoof_of(llr), windows, seconds, self.device, maps)

    def _judge(self, wave: np.ndarray, all_spans: list[Span], progress: Progress | None) -> Judgement:
        """What the model says of every window, on the CPU."""
        outputs = []
        for first in range(0, len(all_spans), BATCH):
            group = all_spans[first : first + BATCH]
            waves = np.stack([cut(wave, span, self.model.config.window_samples) for span in group])
            with torch.inference_mode():
                outputs.append(self.model(torch.from_numpy(waves).to(self.device)))
            if progress:
                progress((first + len(group)) / len(all_spans))
        return _joined(outputs)

    def _window(self, span: Span, score: float) -> Window:
        llr = self.calibration.llr(score)
        return Window(span.start / SAMPLE_RATE, span.end / SAMPLE_RATE, score, llr, p_spoof_of(llr))


def _joined(outputs: list[Any]) -> Any:
    """The judgements of several batches as one."""
    fields = zip(*outputs, strict=True)
    return type(outputs[0])(*(torch.cat([part.float().cpu() for part in parts]) for parts in fields))


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
