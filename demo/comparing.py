"""A questioned clip beside known ones: each judged in the same way, and what differs. No Gradio in here."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from demo import messages, messages_compare, messages_verdict
from demo.analysis import Analysis
from detectors.audio import SAMPLE_RATE
from detectors.chat.acoustics import Measured, measure
from detectors.detection import Verdict
from detectors.errors import DetectorError
from detectors.progress import Progress

logger = logging.getLogger(__name__)

#: Clips side by side, the questioned one included.
MOST = 6
#: Seconds of each clip that are drawn, from its start: on one time scale, a long one would crush the others.
DRAWN_SECONDS = 15.0
#: Differences from the known clips that are pointed out: of the bandwidth in kHz, of the noise floor in dB,
#: and how many times as long the speech is.
BANDWIDTH_KHZ, NOISE_DB, SPEECH_TIMES = 1.0, 10, 3.0
#: Below this there is little speech to judge.
LITTLE_SPEECH = 2.0


@dataclass(frozen=True)
class Compared:
    """One clip. headline: its verdict in a few words. p_spoof: of all detectors together, and detectors: of
    each by name. wave: its first DRAWN_SECONDS, float32 [s], 16 kHz. refusal: why it could not be judged;
    then all the rest is None or empty.
    """

    name: str
    refusal: str = ""
    headline: str = ""
    verdict: Verdict | None = None
    p_spoof: float | None = None
    detectors: dict[str, float] | None = None
    measured: Measured | None = None
    wave: np.ndarray | None = None

    @property
    def speech(self) -> float:
        """Seconds of speech."""
        return self.measured.seconds * self.measured.speech if self.measured else 0.0


def compare(
    questioned: str | None,
    known: Sequence[str],
    judge: Callable[[str, Progress], Analysis],
    progress: Progress | None = None,
) -> list[Compared]:
    """Judge the questioned clip and the known ones, in this order. judge: as Services.judge.

    A clip that cannot be judged has its reason and does not stop the others. Raises DetectorError when a
    clip is missing or there are too many.
    """
    if not questioned:
        raise DetectorError(messages_compare.NO_QUESTIONED)
    if not known:
        raise DetectorError(messages_compare.NO_KNOWN)
    paths = [questioned, *known]
    if len(paths) > MOST:
        raise DetectorError(messages_compare.TOO_MANY.format(most=MOST, count=len(paths)))
    tell = progress or (lambda share, doing: None)
    found = []
    for turn, path in enumerate(paths):

        def telling(share: float, doing: str, turn: int = turn) -> None:
            text = messages_compare.DOING.format(number=turn + 1, count=len(paths), doing=doing)
            tell((turn + share) / len(paths), text)

        found.append(_one(path, judge, telling))
    return found


def _one(path: str, judge: Callable[[str, Progress], Analysis], tell: Progress) -> Compared:
    name = Path(path).name
    try:
        analysis = judge(path, tell)
    except DetectorError as error:
        return Compared(name, refusal=str(error))
    except Exception:
        # A bug that one clip brings out must not hide the others; the log keeps the trace.
        logger.exception("a clip could not be compared")
        return Compared(name, refusal=messages.DETECTOR_FAILED)
    return Compared(
        name,
        headline=messages_verdict.headline(analysis.step, bool(analysis.abstained)),
        verdict=analysis.verdict,
        p_spoof=analysis.p_spoof,
        detectors={detector: detection.p_spoof for detector, detection in analysis.detections.items()},
        measured=measure(analysis.wave),
        # A copy: the rest of a long clip need not stay in memory.
        wave=analysis.wave[: round(DRAWN_SECONDS * SAMPLE_RATE)].copy(),
    )


def differences(found: Sequence[Compared]) -> list[str]:
    """What sets the questioned clip, the first one, apart from the known ones that could be judged."""
    questioned, *known = found
    known = [clip for clip in known if clip.measured]
    if questioned.measured is None or not known:
        return [messages_compare.NOTHING_TO_COMPARE]
    told = [_verdicts(questioned, known), *_channel(questioned.measured, known)]
    speech = median(clip.speech for clip in known)
    if questioned.speech < LITTLE_SPEECH:
        told.append(messages_compare.LITTLE_SPEECH.format(seconds=questioned.speech))
    elif questioned.speech * SPEECH_TIMES < speech:
        told.append(messages_compare.LESS_SPEECH.format(seconds=questioned.speech, known=speech))
    return told


def _verdicts(questioned: Compared, known: Sequence[Compared]) -> str:
    mine = messages.SHORT_VERDICTS[questioned.verdict] if questioned.verdict else ""
    if not mine:
        return messages_compare.NO_VERDICT
    same = sum(clip.verdict == questioned.verdict for clip in known)
    if same == len(known):
        return messages_compare.SAME_VERDICT.format(verdict=mine)
    return messages_compare.OTHER_VERDICT.format(verdict=mine, same=same, known=messages.clips(len(known)))


def _channel(questioned: Measured, known: Sequence[Compared]) -> list[str]:
    """How its channel differs from those of all known clips; that it does not, if so."""
    others = [clip.measured for clip in known if clip.measured]
    bands = [questioned.bandwidth_khz - each.bandwidth_khz for each in others]
    noises = [questioned.noise_db - each.noise_db for each in others]
    told = []
    if apart := _all_apart(bands, BANDWIDTH_KHZ):
        other = median(each.bandwidth_khz for each in others)
        told.append(messages_compare.BANDWIDTH[apart].format(mine=questioned.bandwidth_khz, known=other))
    if apart := _all_apart(noises, NOISE_DB):
        level = median(each.noise_db for each in others)
        told.append(messages_compare.NOISE[apart].format(mine=questioned.noise_db, known=level))
    return [*told, messages_compare.OTHER_CHANNEL] if told else [messages_compare.LIKE_CHANNEL]


def _all_apart(gaps: Sequence[float], least: float) -> int:
    """1 when all gaps are at least this far above 0, -1 when all are as far below, else 0."""
    if min(gaps) >= least:
        return 1
    return -1 if max(gaps) <= -least else 0
