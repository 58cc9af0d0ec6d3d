"""A loaded detector: clip in, Detection out. What the models have in common lives here."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from detectors.audio import SAMPLE_RATE
from detectors.calibration import Calibration
from detectors.cards import DetectorCard
from detectors.detection import Detection, Window
from detectors.errors import DetectorError
from detectors.familiar import Familiar
from detectors.hearing import Batches, Judge
from detectors.long_clips import LongClips
from detectors.models import Countermeasure
from detectors.windows import spans

#: Windows that go through the model at once: bounds memory, whatever the clip's length.
BATCH = 8

Progress = Callable[[float], None]
#: Hears all windows that are judged so far, in order.
SoFar = Callable[[Sequence[Window]], None]


class Detector:
    """A countermeasure with its weights, its calibration and its card.

    version: first 12 digits of the weights' sha256. device: "cpu" or "cuda". long_clips: how they are
    judged, where the mean over their windows does not count. familiar: what clips it learnt from are like,
    where that is known.
    """

    def __init__(
        self,
        card: DetectorCard,
        model: Countermeasure,
        calibration: Calibration,
        version: str,
        device: str,
        long_clips: LongClips | None = None,
        familiar: Familiar | None = None,
    ) -> None:
        self.card, self.calibration, self.version, self.device = card, calibration, version, device
        self.long_clips, self.familiar = long_clips, familiar
        self.name: str = card.name
        self.preset: str = card.preset
        self.model = model.to(device).eval()
        self.window_seconds = model.config.window_samples / SAMPLE_RATE

    def analyze(
        self, wave: np.ndarray, progress: Progress | None = None, so_far: SoFar | None = None
    ) -> Detection:
        """Judge a clip: float32 [s], 16 kHz mono in [-1, 1].

        progress: hears shares from 0 to 1; so_far, just before it, the windows that are judged by then.

        Raises DetectorError when the clip is shorter than 0.5 s or is silent throughout.
        """
        wave = np.ascontiguousarray(wave, dtype=np.float32)
        if wave.ndim != 1:
            raise DetectorError(f"A mono clip [samples] is needed, not an array of shape {wave.shape}.")
        hop = self.model.config.hop_samples
        blocks = (wave[start : start + hop] for start in range(0, len(wave), hop))
        return self.analyze_stream(blocks, len(wave) / SAMPLE_RATE, progress, so_far)

    def analyze_stream(
        self,
        blocks: Iterable[np.ndarray],
        seconds: float | None = None,
        progress: Progress | None = None,
        so_far: SoFar | None = None,
    ) -> Detection:
        """`analyze` of a clip that comes in blocks of any length, such as those of `stream_audio`.

        The clip is never held as a whole, so an hour takes hardly more memory than a minute. seconds:
        its length as far as it is known, for `progress` only.
        """
        batches = self.batches()
        clip = batches.hear(maps=True)
        total = self._count(seconds) if seconds else None
        told = 0

        def tell() -> None:
            nonlocal told
            if told == len(clip.windows):
                return
            told = len(clip.windows)
            if so_far:
                so_far(clip.windows)
            if progress and total:
                progress(1.0 if clip.done else min(told / total, 1.0))

        for block in blocks:
            clip.feed(block)
            tell()
        clip.end()
        batches.flush()
        tell()
        return clip.detection()

    def scores(self, waves: Sequence[np.ndarray]) -> np.ndarray:
        """CM scores [clips] of many clips, float32 [s] each, in full batches and without maps.

        Raises DetectorError as `analyze` does.
        """
        batches = self.batches()
        clips = [batches.hear() for _ in waves]
        for clip, wave in zip(clips, waves, strict=True):
            clip.feed(np.ascontiguousarray(wave, dtype=np.float32))
            clip.end()
        batches.flush()
        return np.array([clip.detection().score for clip in clips])

    def batches(self) -> Batches:
        """For many clips: their windows go through the model in full batches (see hearing.py)."""
        judge = Judge(self.name, self.model, self.calibration, self.device, self.long_clips, self.familiar)
        return Batches(judge, BATCH)

    def _count(self, seconds: float) -> int:
        """Windows of a clip of this length."""
        config = self.model.config
        samples = max(1, round(seconds * SAMPLE_RATE))
        return len(spans(samples, config.window_samples, config.hop_samples))
