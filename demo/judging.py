"""A clip before every detector that can run: what each says of it, or why it says nothing."""

import logging
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from demo import messages
from demo.limits import Deadline
from demo.loaded import Loaded
from detectors.detection import Detection, Window
from detectors.errors import DetectorError
from detectors.fusion import fused
from detectors.progress import Progress

logger = logging.getLogger(__name__)

#: Share of the progress bar that reading the file takes; the detectors divide the rest.
READING = 0.05


class ClipRefusedError(DetectorError):
    """A detector was loaded but will not judge this clip: too short, silent."""


class Heard(NamedTuple):
    """What came of a clip: by detector, for those that judged it, and the reasons of the others."""

    detections: dict[str, Detection]
    versions: dict[str, str]
    unavailable: dict[str, str]

    @property
    def llr(self) -> float | None:
        """Of all detectors together; None when none judged the clip."""
        if not self.detections:
            return None
        return fused({name: found.llr for name, found in self.detections.items()}, self.versions)


def judge_with_all(
    detectors: Loaded, device: str, wave: np.ndarray, deadline: Deadline, tell: Progress
) -> Heard:
    """Judge a clip, float32 [s], with each detector in turn; one that fails does not stop the others.

    Raises ClipRefusedError when every detector that ran refuses the clip.
    """
    names = detectors.names()
    unavailable = {name: reason for name in names if (reason := detectors.status(name)) is not None}
    ready = [name for name in names if name not in unavailable]
    step = (1 - READING) / max(1, len(ready))
    detections: dict[str, Detection] = {}
    versions: dict[str, str] = {}
    refusals: list[ClipRefusedError] = []
    for turn, name in enumerate(ready):
        try:
            stretch = _Stretch(tell, READING + turn * step, step)
            detections[name], versions[name] = _judge(detectors, name, device, wave, stretch, deadline)
        except ClipRefusedError as refusal:
            refusals.append(refusal)
            unavailable[name] = str(refusal)
        except DetectorError as error:
            unavailable[name] = str(error)
        except Exception:
            # A bug in one detector must not hide what the others found; the log keeps the trace.
            logger.exception("detector %s failed", name)
            unavailable[name] = messages.DETECTOR_FAILED
    if refusals and not detections:
        raise refusals[0]
    return Heard(detections, versions, {name: unavailable[name] for name in names if name in unavailable})


class _Stretch:
    """One detector's part of the progress bar."""

    def __init__(self, tell: Progress, start: float, length: float) -> None:
        self._tell, self._start, self._length = tell, start, length

    def tell(self, share: float, doing: str) -> None:
        self._tell(self._start + share * self._length, doing)


def _judge(
    detectors: Loaded, name: str, device: str, wave: np.ndarray, stretch: _Stretch, deadline: Deadline
) -> tuple[Detection, str]:
    """What a detector says, and its version."""
    title = detectors.card(name).title
    stretch.tell(0.0, messages.LOADING.format(title=title))

    def fetching(share: float, doing: str) -> None:
        stretch.tell(0.0, messages.fetching(share, doing))

    heard: Sequence[Window] = ()

    def so_far(windows: Sequence[Window]) -> None:
        nonlocal heard
        heard = windows

    def listening(share: float) -> None:
        deadline.check()
        stretch.tell(share, messages.listening(title, heard))

    detector = detectors.get(name, device, fetching)
    try:
        with deadline.running():
            return detector.analyze(wave, listening, so_far), detector.version
    except DetectorError as error:
        raise ClipRefusedError(str(error)) from error
