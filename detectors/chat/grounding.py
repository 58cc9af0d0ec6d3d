"""How well a talker keeps to the facts, over questions whose phrasings it was not trained on."""

import re
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from detectors.chat.answers import Asked, answers_to
from detectors.chat.check import check
from detectors.chat.conversation import Talker, reply
from detectors.chat.mentions import TITLE, title_of
from detectors.chat.prompt import lines
from detectors.chat.questions import TestItem
from detectors.chat.reading import normalised

#: An answer without any number or name fits when it shares so much of its words with a true one.
_SHARED_WORDS = 0.6


@dataclass(frozen=True)
class Judged:
    """One question, and what became of it.

    first: the model's first try. shown: what a visitor would see, and who spoke. fits: the first try gives
    the facts that the question asked for. contradictions: of the first try.
    """

    intent: str
    question: str
    first: str
    contradictions: tuple[str, ...]
    fits: bool
    shown: str
    speaker: str
    sheet: tuple[str, ...]


@dataclass(frozen=True)
class GroundedReport:
    """Shares from 0 to 1. clean: first tries free of any contradiction. fitting: first tries that give the
    facts that were asked for, whether or not anything else is wrong. mended: answers that the second try
    saved. replaced: answers that a template had to give."""

    judged: tuple[Judged, ...]

    @property
    def clean(self) -> float:
        return self._share(lambda one: not one.contradictions)

    @property
    def fitting(self) -> float:
        return self._share(lambda one: one.fits)

    @property
    def replaced(self) -> float:
        return self._share(lambda one: one.speaker == "template")

    @property
    def mended(self) -> float:
        return self._share(lambda one: bool(one.contradictions) and one.speaker == "model")

    def _share(self, holds: Callable[[Judged], bool]) -> float:
        return sum(map(holds, self.judged)) / len(self.judged)

    def by_intent(self) -> dict[str, tuple[int, int, int]]:
        """Intent -> questions, clean first tries, fitting first tries."""
        found: dict[str, tuple[int, int, int]] = {}
        for one in self.judged:
            count, clean, fitting = found.get(one.intent, (0, 0, 0))
            found[one.intent] = (count + 1, clean + (not one.contradictions), fitting + one.fits)
        return found

    def summary(self) -> dict[str, Any]:
        """For JSON: the shares, and every question with its answer."""
        return {
            "count": len(self.judged),
            "clean": self.clean,
            "fitting": self.fitting,
            "mended": self.mended,
            "replaced": self.replaced,
            "answers": [asdict(one) for one in self.judged],
        }


def grounded_report(
    talker_for: Callable[[TestItem], Talker],
    items: Iterable[TestItem],
    tell: Callable[[int], None] | None = None,
) -> GroundedReport:
    """Put every question to a talker. tell: hears how many are done. Raises ValueError without items."""
    judged = []
    for item in items:
        judged.append(_judge(talker_for(item), item))
        if tell:
            tell(len(judged))
    if not judged:
        raise ValueError("there are no questions to judge a talker by")
    return GroundedReport(tuple(judged))


def _judge(talker: Talker, item: TestItem) -> Judged:
    listening = _FirstTry(talker)
    history = [(exchange.question, exchange.answer) for exchange in item.history]
    *_, last = reply(listening, item.sheet, history, item.question)
    wrong = check(listening.text, item.sheet, item.question)
    return Judged(
        item.intent,
        " / ".join([*(asked for asked, _ in history), item.question]),
        listening.text,
        tuple(f"{one.kind}: {one.text} ({one.why})" for one in wrong),
        fits(listening.text, item),
        last.text,
        last.speaker,
        tuple(lines(item.sheet)),
    )


class _FirstTry:
    """A talker whose first try is kept."""

    def __init__(self, talker: Talker) -> None:
        self._talker, self.text = talker, ""

    def answer(self, turns: Any, stop: Any, attempt: int) -> Any:
        for piece in self._talker.answer(turns, stop, attempt):
            if attempt == 0:
                self.text += piece
            yield piece


def fits(answer: str, item: TestItem) -> bool:
    """Whether an answer gives the numbers and names of a true answer, or its words where that has none."""
    before = item.history[-1] if item.history else None
    asked = Asked(item.question, before.question if before else "", before.intent if before else "")
    said = _facts_in(answer)
    for known in answers_to(item.intent, item.sheet, asked):
        if said == _facts_in(known) and (said or _shared_words(answer, known) >= _SHARED_WORDS):
            return True
    return False


def _facts_in(text: str) -> frozenset[str]:
    text = normalised(text)
    titles = {title_of(match) for match in TITLE.finditer(text)}
    numbers = {
        f"{float(number):g}" for number in re.findall(r"(?<![\w.])\d+(?:\.\d+)?", TITLE.sub(" ", text))
    }
    return frozenset(titles | numbers)


def _shared_words(one: str, other: str) -> float:
    first, second = (set(re.findall(r"[a-z']+", text.lower())) for text in (one, other))
    return len(first & second) / max(1, len(first | second))
