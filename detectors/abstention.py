"""When a clip gets no verdict, whatever its score: there is nothing to judge, or nothing that was learnt.

The detectors give every sound a score. It means something only for speech, enough of it, that was not
destroyed by clipping and is of a kind that they learnt from.
"""

import numpy as np

from detectors.audio import SAMPLE_RATE
from detectors.clipping import clipped_samples
from detectors.detection import Reason
from detectors.familiar import Familiar
from detectors.speech import SpeechMeter

#: Less speech than this is too little, and less than that is none.
LEAST_SPEECH, SOME_SPEECH = 1.0, 0.3
#: Share of samples that were cut off at full scale from which on clipping is heavy.
HEAVY_CLIPPING = 0.1


class Checks:
    """One clip on its way through a detector: its sound block by block, and what the front-end makes of it.

    familiar: None where it is not known what the detector learnt from.
    """

    def __init__(self, familiar: Familiar | None = None) -> None:
        self._familiar = familiar
        self._speech = SpeechMeter()
        self._samples = self._clipped = 0
        self._summaries: list[np.ndarray] = []

    def feed(self, block: np.ndarray) -> None:
        """The next float32 [s], 16 kHz mono in [-1, 1]."""
        self._speech.feed(block)
        self._samples += len(block)
        self._clipped += clipped_samples(block)

    def take(self, summary: np.ndarray) -> None:
        """What the front-end makes of a window (familiar.summary), [2 d]."""
        self._summaries.append(summary)

    def reasons(self) -> tuple[Reason, ...]:
        """Why the clip gets no verdict, in the order of detection.REASONS; empty when it gets one."""
        found: list[Reason] = []
        speech = min(self._speech.seconds(), self._samples / SAMPLE_RATE)
        if speech < SOME_SPEECH:
            found.append("no_speech")
        elif speech < LEAST_SPEECH:
            found.append("little_speech")
        if self._clipped >= HEAVY_CLIPPING * max(1, self._samples):
            found.append("clipping")
        if self._familiar and self._summaries and not self._familiar.knows(np.mean(self._summaries, axis=0)):
            found.append("unfamiliar")
        return tuple(found)
