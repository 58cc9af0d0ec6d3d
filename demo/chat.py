"""Questions about a clip that was analysed, and their answers. No Gradio in here."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from threading import Event
from typing import Any, Literal

from demo import messages
from demo.analysis import Analysis
from demo.talkers import LazySpeaker
from detectors.chat import conversation
from detectors.chat.facts import FactSheet, Measured, Robustness, measure, sheet_of
from detectors.chat.talker import MAX_QUESTION, check_question
from detectors.errors import DetectorError

__all__ = ["MAX_QUESTION", "Chat", "Said", "check_question"]

#: Earlier questions, with their answers, that the next answer takes into account.
TURNS = 4
#: Characters of an earlier answer that are taken into account.
MAX_ANSWER = 1000
#: Measurements of this many clips are kept: to measure a long clip takes a moment.
MEASURED = 32


@dataclass(frozen=True)
class Said:
    """An answer as far as it is. speaker: None while nobody speaks yet; `text` then says what is being done.

    final: checked against the facts, and complete. contradictions: what the check found in the language
    model's tries that were thrown away.
    """

    text: str
    speaker: Literal["model", "template"] | None
    final: bool = False
    contradictions: tuple[str, ...] = ()


class Chat:
    """Answers questions about analyses. One per app; its methods may be called from any thread.

    find: gives a recent analysis by its id, DetectorError when it is gone.
    """

    def __init__(self, find: Callable[[str], Analysis], speakers: LazySpeaker) -> None:
        self._find, self._speakers = find, speakers
        self._measured = lru_cache(MEASURED)(self._measure)

    def reason(self) -> str | None:
        """Why the language model does not speak here, as far as is known; None when it may."""
        return self._speakers.reason()

    def ask(
        self,
        analysis_id: str,
        question: str,
        history: Sequence[dict[str, str]] = (),
        stop: Event | None = None,
    ) -> Iterator[Said]:
        """The answer as it grows, its last form at the end; nothing more once `stop` is set.

        history: messages {"role", "content"}, oldest first. Raises DetectorError when the analysis is gone
        or when question or history are not fit.
        """
        question, earlier = check_question(question), _checked(history)
        analysis = self._find(analysis_id)
        stop = stop or Event()
        for doing in self._speakers.wait(stop):
            yield Said(doing, None)
        sheet, speaker = self._sheet(analysis), self._speakers.speaker
        talker = speaker.about(analysis.wave, sheet) if speaker else None
        for reply in conversation.reply(talker, sheet, earlier, question, stop):
            if stop.is_set():
                return
            wrong = tuple(f"{each.text}: {each.why}" for each in reply.contradictions)
            yield Said(reply.text, reply.speaker, reply.final, wrong)

    def _sheet(self, analysis: Analysis) -> FactSheet:
        stress = analysis.stress
        robustness = Robustness(stress.held, len(stress.trials)) if stress and stress.trials else None
        measured = self._measured(analysis.id)
        return sheet_of(analysis.detections, analysis.llr, measured, analysis.unavailable, robustness)

    def _measure(self, analysis_id: str) -> Measured:
        return measure(self._find(analysis_id).wave)


def _checked(history: Sequence[Any]) -> list[tuple[str, str]]:
    """The last questions with their answers. DetectorError for what is no conversation: an API can send
    anything."""
    if not isinstance(history, list | tuple):
        raise DetectorError(messages.BAD_HISTORY)
    found: list[tuple[str, str]] = []
    asked: str | None = None
    for message in history:
        match message:
            case {"role": "user", "content": str(text)}:
                asked = check_question(text)
            case {"role": "assistant", "content": str(text)} if asked is not None:
                found.append((asked, text[:MAX_ANSWER]))
                asked = None
            case _:
                raise DetectorError(messages.BAD_HISTORY)
    return found[-TURNS:]
