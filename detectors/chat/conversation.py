"""One turn of the conversation: the model writes, the facts check it, a template stands in when it fails."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from threading import Event
from typing import Literal, Protocol

from detectors.chat.check import Contradiction, check
from detectors.chat.facts import FactSheet
from detectors.chat.prompt import system_text
from detectors.chat.templates import template_answer
from detectors.chat.wording import refuses
from detectors.llm.prompts import AUDIO, Turn

#: How often the model may try before the template speaks.
TRIES = 2


class Talker(Protocol):
    """A language model that hears one clip."""

    def answer(self, turns: Sequence[Turn], stop: Event, attempt: int) -> Iterator[str]:
        """The answer to the last turn, in pieces that join to it; it ends early once `stop` is set.

        attempt: 0 for the first try, 1 for the next, which must not come out the same.
        """


@dataclass(frozen=True)
class Reply:
    """An answer as far as it is. final: complete and checked; before that nothing in it may be relied on.

    contradictions: what was wrong with the tries that were thrown away.
    """

    text: str
    speaker: Literal["model", "template"]
    final: bool
    contradictions: tuple[Contradiction, ...] = ()


def reply(
    talker: Talker | None,
    sheet: FactSheet,
    history: Sequence[tuple[str, str]],
    question: str,
    stop: Event | None = None,
) -> Iterator[Reply]:
    """The answer as it grows; the last reply is final, unless `stop` was set before.

    history: (question, answer) of the turns before, oldest first. Without a talker the template speaks.
    """
    stop = stop or Event()
    previous = history[-1][0] if history else ""
    from_the_facts = template_answer(question, sheet, previous)
    found: list[Contradiction] = []
    if talker is not None:
        turns = turns_of(sheet, history, question)
        for attempt in range(TRIES):
            text = ""
            for piece in talker.answer(turns, stop, attempt):
                text += piece
                yield Reply(text, "model", False, tuple(found))
            if stop.is_set():
                return
            wrong = check(text, sheet, question)
            if not wrong and refuses(text) and not refuses(from_the_facts):
                wrong = [Contradiction("refusal", text.strip(), "the facts do answer this")]
            if not wrong:
                yield Reply(text.strip(), "model", True, tuple(found))
                return
            found += wrong
    yield Reply(from_the_facts, "template", True, tuple(found))


def turns_of(sheet: FactSheet, history: Sequence[tuple[str, str]], question: str) -> list[Turn]:
    """The conversation as the model reads it; the clip stands before the first question."""
    turns = [Turn("system", system_text(sheet))]
    for asked, answered in history:
        turns += [Turn("user", asked), Turn("assistant", answered)]
    turns.append(Turn("user", question))
    turns[1] = Turn("user", AUDIO + turns[1].content)
    return turns
