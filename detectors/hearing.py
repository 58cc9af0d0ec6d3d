"""Clips on their way through a detector: they come block by block, their windows go in full batches.

A window is of one length whatever its clip, so windows of several clips share a batch as they come;
nothing is padded and no sorting by length is needed.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from detectors.abstention import Checks
from detectors.audio import SAMPLE_RATE
from detectors.calibration import Calibration
from detectors.clip_score import clip_score
from detectors.detection import VOICE_TIME, Detection, Window, p_spoof_of
from detectors.errors import DetectorError
from detectors.familiar import Familiar, summary
from detectors.long_clips import LongClips
from detectors.models import Countermeasure, FakeMamba, Judgement, Sls
from detectors.timeline import Timeline
from detectors.windows import Cutter, Span

#: Below this there is too little speech in a clip for any verdict.
MIN_SECONDS = 0.5


class Judge(NamedTuple):
    """What of a detector is needed to judge windows."""

    name: str
    model: Countermeasure
    calibration: Calibration
    device: str
    long_clips: LongClips | None = None
    familiar: Familiar | None = None


class Batches:
    """Windows of any number of clips, gathered until they fill a batch of `size`, then judged together."""

    def __init__(self, judge: Judge, size: int) -> None:
        self.judge, self.size = judge, size
        self._waiting: list[tuple[Hearing, Span, np.ndarray]] = []

    def hear(self, maps: bool = False) -> "Hearing":
        """Begin with a clip. maps: whether its detection is to have them."""
        return Hearing(self, maps)

    def add(self, clip: "Hearing", span: Span, window: np.ndarray) -> None:
        """window: float32 [window_samples] of `clip`."""
        self._waiting.append((clip, span, window))
        if len(self._waiting) >= self.size:
            self.flush()

    def flush(self) -> None:
        """Judge the windows that wait, however few."""
        group, self._waiting = self._waiting, []
        if group:
            self._answer(group)

    def _answer(self, group: list[tuple["Hearing", Span, np.ndarray]]) -> None:
        windows = np.stack([window for *_, window in group])
        own = [min(span.end - span.start, windows.shape[1]) for _, span, _ in group]
        try:
            output, summaries, voice = self._ask(windows, own if any(clip.maps for clip, *_ in group) else [])
        except Exception as error:
            if len(group) == 1:
                group[0][0].fail(error)
                return
            # One by one, so that a window which the model cannot take costs its own clip only.
            for alone in group:
                self._answer([alone])
            return
        scores = output.cm_scores.tolist()
        for row, (clip, span, _) in enumerate(group):
            # [1, ...] of each field: what the model says of this window alone.
            answer = type(output)(*(field[row : row + 1] for field in output))
            clip.take(span, scores[row], answer, None if voice is None else voice[row : row + 1])
            if summaries is not None:
                clip.checks.take(summaries[row])

    @torch.inference_mode()
    def _ask(
        self, windows: np.ndarray, own: Sequence[int]
    ) -> tuple[Any, np.ndarray | None, np.ndarray | None]:
        """What the model says of windows [b, window_samples], on the CPU; where it is known what it learnt
        from, what its front-end makes of them [b, 2 d]; and, where it is told how many samples of each
        window are its clip's `own`, what each moment makes of what its speaker network's judge says
        [b, moments]."""
        model: Any = self.judge.model
        waves, summaries, voice = torch.from_numpy(windows).to(self.judge.device), None, None
        moments = own and isinstance(model, Sls | FakeMamba) and model.front_end.speaker is not None
        if self.judge.familiar or moments:
            features = model.front_end(waves, torch.tensor(own, device=waves.device) if moments else None)
            output = model.judge(features)
            if self.judge.familiar:
                summaries = summary(features.layers[-1]).cpu().numpy()
            if moments:
                voice = features.speaker_moments.cpu().numpy()
        else:
            output = model(waves)
        return type(output)(*(field.float().cpu() for field in output)), summaries, voice


class Hearing:
    """One clip before a detector: `feed` its blocks, then `end` it; once it is `done`, see `detection`.

    It holds a window or two of sound, a few numbers for each window and, for maps, what the model says
    of each frame: with XLS-R's 24 layers 17 MB for an hour.
    """

    def __init__(self, batches: Batches, maps: bool) -> None:
        self._batches, self.maps = batches, maps
        config = batches.judge.model.config
        self._cutter = Cutter(config.window_samples, config.hop_samples)
        self.checks = Checks(batches.judge.familiar)
        self._has_sound = self._ended = False
        self._asked = 0
        self._error: Exception | None = None
        self._answers: list[tuple[Span, Judgement, np.ndarray | None]] = []
        #: Those that are judged, in order.
        self.windows: list[Window] = []

    @property
    def seconds(self) -> float:
        """Length of what was fed so far."""
        return self._cutter.samples / SAMPLE_RATE

    def feed(self, block: np.ndarray) -> None:
        """The next float32 [s], 16 kHz mono. Raises DetectorError when it holds NaN or infinity."""
        if not np.isfinite(block).all():
            raise DetectorError(
                "This clip has samples that are not numbers; export it again from its source."
            )
        self._has_sound = self._has_sound or bool(block.any())
        self.checks.feed(block)
        for span, window in self._cutter.feed(block):
            self._add(span, window)

    def end(self) -> None:
        """Nothing follows. Raises DetectorError when the clip was below 0.5 s or silent throughout."""
        if self.seconds < MIN_SECONDS:
            raise DetectorError(
                f"This clip is {self.seconds:.2f} s long; at least {MIN_SECONDS} s of speech is needed, "
                "and 2 s or more is better. Try a longer recording."
            )
        if not self._has_sound:
            raise DetectorError("This clip is silent throughout: there is no voice to judge.")
        self._add(*self._cutter.rest())
        self._ended = True

    @property
    def done(self) -> bool:
        """Whether every window was judged, or one cannot be."""
        return self._error is not None or (self._ended and len(self.windows) == self._asked)

    def detection(self) -> Detection:
        """The judgement of the whole clip, once it is `done`. Raises what the model raised on it."""
        if self._error:
            raise self._error
        name, _, calibration, device, long_clips, _ = self._batches.judge
        scores = [window.score for window in self.windows]
        score = clip_score(scores, calibration.of_log_prob)
        llr, mean_llr = calibration.llr(score), None
        if long_clips and len(scores) >= long_clips.from_windows:
            llr, mean_llr = calibration.limited(long_clips.llr(scores)), llr
        maps = self._drawn() if self.maps else {}
        own = self.windows, self.seconds, device, maps, mean_llr, self.checks.reasons()
        return Detection(name, score, llr, p_spoof_of(llr), *own)

    def take(self, span: Span, score: float, answer: Judgement, voice: np.ndarray | None = None) -> None:
        """What the model says of a window: its CM score, and all of it, b = 1. voice: [1, moments]."""
        llr = self._batches.judge.calibration.llr(score)
        start, end = span.start / SAMPLE_RATE, span.end / SAMPLE_RATE
        self.windows.append(Window(start, end, score, llr, p_spoof_of(llr)))
        if self.maps:
            self._answers.append((span, answer, voice))

    def fail(self, error: Exception) -> None:
        """The model cannot take one of the windows."""
        self._error = error

    def _add(self, span: Span, window: np.ndarray) -> None:
        self._asked += 1
        self._batches.add(self, span, window)

    def _drawn(self) -> dict[str, np.ndarray]:
        window_seconds = self._cutter.window / SAMPLE_RATE
        spans, answers, voices = zip(*self._answers, strict=True)

        def over_time(values: np.ndarray) -> np.ndarray:
            _, rows, frames = values.shape
            timeline = Timeline(rows, self.seconds, frames / window_seconds)
            for span, of_window in zip(spans, values, strict=True):
                timeline.add(span.start / SAMPLE_RATE, of_window)
            return timeline.mean()

        maps = _joined(list(answers)).maps(over_time)
        if all(voice is not None for voice in voices):
            (maps[VOICE_TIME],) = over_time(np.stack(voices))
        return maps


def _joined(answers: list[Any]) -> Judgement:
    """What the model says of several windows as one."""
    fields = zip(*answers, strict=True)
    joined: Judgement = type(answers[0])(*(torch.cat(parts) for parts in fields))
    return joined
