"""Questions about a clip that was analysed, and their answers. No Gradio in here."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from threading import Event
from typing import Any, Literal

import numpy as np

from demo import messages
from demo.analysis import Analysis
from demo.limits import Limits, TimedStop
from demo.talkers import LazySpeaker
from demo.zerogpu import LentGpu, NoGpuError
from detectors.chat import conversation
from detectors.chat.facts import FactSheet, Measured, Robustness, measure, sheet_of
from detectors.chat.talker import MAX_QUESTION, check_question
from detectors.errors import DetectorError

__all__ = ["MAX_QUESTION", "Chat", "Said", "check_question"]

#: Earlier questions, with their answers, that the next answer takes into account.
TURNS = 4
#: Characters of an earlier answer that are taken into account.
MAX_ANSWER = 1000
#: Seconds that a GPU is asked for, to write one answer.
GPU_SECONDS = 20
#: Measurements of this many clips are kept: to measure a long clip takes a moment.
MEASURED = 32


@dataclass(frozen=True)
class Said:
    """An answer as far as it is. speaker: None while nobody speaks yet; `text` then says what is being done.

    final: checked against the facts, and complete. contradictions: what the check found in the language
    model's tries that were thrown away. late: the model took too long, so the facts answer.
    note: what a visitor should know of where it was written, if anything.
    """

    text: str
    speaker: Literal["model", "template"] | None
    final: bool = False
    contradictions: tuple[str, ...] = ()
    late: bool = False
    note: str = ""


class Chat:
    """Answers questions about analyses. One per app; its methods may be called from any thread.

    find: gives a recent analysis by its id, DetectorError when it is gone. seconds: that the language model
    may take for one answer, not counting the time until it is loaded. lent: where it writes if it can, with
    the model that `on_gpu` gives.
    """

    def __init__(
        self,
        find: Callable[[str], Analysis],
        speakers: LazySpeaker,
        seconds: float = Limits.answer_seconds,
        lent: LentGpu | None = None,
        on_gpu: LazySpeaker | None = None,
    ) -> None:
        self._find, self._speakers, self._seconds, self._lent = find, speakers, seconds, lent
        if lent and on_gpu:
            for each in (on_gpu, speakers):
                each.load_now()  # a lent GPU gets a copy of the process as it is then
            lent.register("write", partial(_write, on_gpu, seconds, stop=Event()))
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
        stop, note = stop or Event(), ""
        asked = analysis.wave, self._sheet(analysis), earlier, question
        if self._lent and self.reason() is None:
            yield Said(messages.WAITING_FOR_GPU, None)
            try:
                yield from _until(stop, self._lent.stream("write", GPU_SECONDS, *asked))
                return
            except NoGpuError as error:
                note = str(error)
        for said in _until(stop, _write(self._speakers, self._seconds, *asked, stop=stop)):
            yield replace(said, note=note)

    def _sheet(self, analysis: Analysis) -> FactSheet:
        stress = analysis.stress
        robustness = Robustness(stress.held, len(stress.trials)) if stress and stress.trials else None
        measured = self._measured(analysis.id)
        return sheet_of(
            analysis.detections,
            analysis.llr,
            measured,
            analysis.unavailable,
            robustness,
            left_out=analysis.left_out,
        )

    def _measure(self, analysis_id: str) -> Measured:
        return measure(self._find(analysis_id).wave)


def _write(
    speakers: LazySpeaker,
    seconds: float,
    wave: np.ndarray,
    sheet: FactSheet,
    earlier: list[tuple[str, str]],
    question: str,
    *,
    stop: Event,
) -> Iterator[Said]:
    """The answer as it grows, of the language model that `speakers` gives; see Chat.ask."""
    for doing in speakers.wait(stop):
        yield Said(doing, None)
    timed, said = TimedStop(stop, seconds), Said("", None)
    talker = speakers.speaker.about(wave, sheet) if speakers.speaker else None
    for reply in conversation.reply(talker, sheet, earlier, question, timed):
        wrong = tuple(f"{each.text}: {each.why}" for each in reply.contradictions)
        said = Said(reply.text, reply.speaker, reply.final, wrong)
        yield said
    if not said.final and not stop.is_set():  # the time was up
        *_, answer = conversation.reply(None, sheet, earlier, question)
        yield Said(answer.text, "template", True, said.contradictions, late=True)


def _until(stop: Event, pieces: Iterator[Said]) -> Iterator[Said]:
    """The pieces that come before `stop` is set."""
    for piece in pieces:
        if stop.is_set():
            return
        yield piece


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
