"""Generate, check, try again, template: with a talker that reads from a script."""

from collections.abc import Iterator, Sequence
from threading import Event

import pytest

from detectors.chat.conversation import Reply, reply, turns_of
from detectors.chat.evaluate_chat import report_lines, spread_out
from detectors.chat.grounding import grounded_report
from detectors.chat.prompt import system_text
from detectors.chat.questions import TestItem, test_questions
from detectors.chat.sheets import random_sheet
from detectors.chat.templates import template_answer
from detectors.chat.wording import CANNOT_TELL
from detectors.llm.prompts import Turn
from tests.chat.test_check import SHEET

QUESTION = "Which detector has the highest score?"
RIGHT = "SLS is the most machine-like, at 0.97."
WRONG = "Fake-Mamba is the most machine-like, at 0.55."


class Script:
    """Says one prepared answer a try, word by word."""

    def __init__(self, *answers: str) -> None:
        self.answers, self.heard = answers, list[Sequence[Turn]]()

    def answer(self, turns: Sequence[Turn], stop: Event, attempt: int) -> Iterator[str]:
        self.heard.append(turns)
        for word in self.answers[attempt].split(" "):
            if stop.is_set():
                return
            yield f"{word} "


def replies(talker: Script | None, question: str = QUESTION) -> list[Reply]:
    return list(reply(talker, SHEET, [], question))


def test_the_model_may_not_refuse_what_the_facts_answer() -> None:
    last = replies(Script(CANNOT_TELL, CANNOT_TELL))[-1]
    assert (last.text, last.speaker) == (RIGHT, "template")
    assert {one.kind for one in last.contradictions} == {"refusal"}
    unknowable = replies(Script(CANNOT_TELL), "Who is speaking here?")[-1]
    assert (unknowable.text, unknowable.speaker) == (CANNOT_TELL, "model")


def test_a_right_answer_is_streamed_and_then_final() -> None:
    *partial, last = replies(Script(RIGHT))
    assert [one.text.strip() for one in partial][:2] == ["SLS", "SLS is"]
    assert not any(one.final for one in partial)
    assert last == Reply(RIGHT, "model", True)


def test_a_wrong_answer_gets_a_second_try() -> None:
    script = Script(WRONG, RIGHT)
    last = replies(script)[-1]
    assert (last.text, last.speaker, last.final) == (RIGHT, "model", True)
    assert last.contradictions
    assert len(script.heard) == 2


def test_after_two_wrong_answers_the_template_speaks() -> None:
    last = replies(Script(WRONG, WRONG))[-1]
    assert (last.text, last.speaker, last.final) == (RIGHT, "template", True)
    assert {one.kind for one in last.contradictions} == {"ranking", "number"}


def test_an_empty_answer_is_none() -> None:
    assert replies(Script("", ""))[-1].speaker == "template"


def test_without_a_talker_the_template_speaks_at_once() -> None:
    assert replies(None) == [Reply(RIGHT, "template", True)]


def test_stopping_leaves_no_final_answer() -> None:
    stop = Event()
    found = []
    for one in reply(Script(RIGHT), SHEET, [], QUESTION, stop):
        found.append(one)
        if len(found) == 2:
            stop.set()
    assert len(found) == 2
    assert not found[-1].final


def test_the_template_knows_what_was_asked_before() -> None:
    (last,) = reply(None, SHEET, [(QUESTION, RIGHT)], "And the other one?")
    assert last.text == "Fake-Mamba is the least machine-like, at 0.55."


def test_turns_have_the_facts_first_and_the_clip_once() -> None:
    turns = turns_of(SHEET, [("Why?", "Because.")], QUESTION)
    assert [turn.role for turn in turns] == ["system", "user", "assistant", "user"]
    assert turns[0].content == system_text(SHEET)
    assert [turn.content for turn in turns[1:]] == ["<audio>Why?", "Because.", QUESTION]


def test_turns_are_those_of_the_training() -> None:
    from detectors.chat.questions import training_conversations
    from detectors.llm.sources import chat_turns

    (conversation,) = training_conversations(1, 0)
    *before, last = conversation.exchanges
    asked = turns_of(conversation.sheet, [(e.question, e.answer) for e in before], last.question)
    assert asked == chat_turns(conversation)[:-1]


def knowing(item: TestItem) -> Script:
    return Script(item.expected, item.expected)


def test_a_talker_that_knows_the_answers_is_clean_and_fits() -> None:
    report = grounded_report(knowing, test_questions(82, 3))
    assert (report.clean, report.fitting, report.replaced, report.mended) == (1.0, 1.0, 0.0, 0.0)


def test_a_talker_about_another_clip_is_found_out() -> None:
    import numpy as np

    other = random_sheet(np.random.default_rng(5))

    def wrong(item: TestItem) -> Script:
        text = template_answer("What are the scores?", other)
        return Script(text, item.expected)

    report = grounded_report(wrong, test_questions(41, 3))
    assert report.clean < 0.05
    assert report.fitting < 0.05
    assert report.mended > 0.95
    assert report.judged[0].contradictions


def test_the_report_counts_and_shows() -> None:
    items = test_questions(8, 3)

    def half(item: TestItem) -> Script:
        return knowing(item) if items.index(item) % 2 else Script("It is 0.123.", "It is 0.123.")

    report = grounded_report(half, items)
    assert (report.clean, report.replaced) == (0.5, 0.5)
    text = "\n".join(report_lines(report, 8))
    assert "before any mending: 50.0%" in text
    assert text.count("Shown instead (template)") == 4
    assert len(spread_out(report.judged, 3)) == 3
    assert report.summary()["count"] == 8


def test_no_questions_no_report() -> None:
    with pytest.raises(ValueError, match="no questions"):
        grounded_report(knowing, [])
