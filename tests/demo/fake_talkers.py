"""A language model for tests: says what it is told to, word by word, and no faster than it is let."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from demo.talkers import LazySpeaker
from detectors.chat.facts import FactSheet
from detectors.errors import DetectorError
from detectors.llm.prompts import Turn
from detectors.progress import Progress


@dataclass
class FakeTalker:
    """Says `tries` one after the other. gate: until it is set, only empty pieces come. asked: the turns
    of each call. stopped: how often it was stopped."""

    tries: list[str] = field(default_factory=lambda: ["The detectors agree."])
    gate: threading.Event | None = None
    asked: list[Sequence[Turn]] = field(default_factory=list)
    stopped: int = 0

    def answer(self, turns: Sequence[Turn], stop: threading.Event, attempt: int) -> Iterator[str]:
        words = self.tries[len(self.asked) % len(self.tries)].split(" ")
        self.asked.append(list(turns))
        for word in words:
            while self.gate is not None and not self.gate.wait(0.2) and not stop.is_set():
                yield ""  # as a real model, it never keeps its listener waiting for long
            if stop.is_set():
                self.stopped += 1
                return
            yield word + " "

    def about(self, wave: np.ndarray, sheet: FactSheet) -> "FakeTalker":
        return self


def speaking(talker: FakeTalker) -> LazySpeaker:
    """The fake model, which is loaded at once."""
    return LazySpeaker(lambda progress: talker, lambda: None)


def silent(reason: str = "its weights are missing") -> LazySpeaker:
    """No model, and that is known beforehand."""
    return LazySpeaker(_never, lambda: reason)


def _never(progress: Progress) -> FakeTalker:
    raise DetectorError("must not be tried")
