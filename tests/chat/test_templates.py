"""Answers without a language model."""

from dataclasses import replace

import numpy as np
import pytest

from detectors.chat.check import check
from detectors.chat.facts import DetectorFact
from detectors.chat.intents import intent_of
from detectors.chat.phrasings import phrasings
from detectors.chat.prompt import lines
from detectors.chat.sheets import random_sheet
from detectors.chat.templates import template_answer
from tests.chat.test_check import HUMAN, SHEET

SLOTS = {"detector": "SLS", "side": "fake", "pct": 40}


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Is it fake?", "Yes, likely machine-made, at 0.93. This is not proof."),
        ("Which detector has the highest score?", "SLS is the most machine-like, at 0.97."),
        ("what does fake mamba say", "Fake-Mamba gives 0.55, inconclusive."),
        ("Where should I listen?", "The strongest part is 3.0-6.0 s, at 0.97."),
        ("How long is it?", "The clip is 7.3 s long."),
        ("So it is human, right?", "No, the verdict is likely machine-made, at 0.93."),
        ("Is Fake-Mamba the highest?", "No, SLS is the most machine-like, at 0.97."),
        ("Why is there no verdict?", "There is a verdict: likely machine-made, at 0.93."),
        ("Who made this?", "I can't tell that from this analysis."),
        ("Zyx wvut?", "I can't tell that from this analysis."),
        ("", "I can't tell that from this analysis."),
    ],
)
def test_answers(question: str, answer: str) -> None:
    assert template_answer(question, SHEET) == answer


def test_a_second_opinion_is_not_said_to_be_part_of_what_all_say_together() -> None:
    first, *_, last = SHEET.detectors
    two = replace(SHEET, detectors=(first, replace(last, counts=False)))
    three = replace(
        SHEET, detectors=(*two.detectors, DetectorFact("allm4add", "ALLM4ADD", 0.90, -2.2, "spoof"))
    )
    apart = "Fake-Mamba, 0.55, does not count."
    why = template_answer("Why?", three)
    assert why == f"Together the detectors give 0.93: SLS 0.97 and ALLM4ADD 0.90. {apart}"
    assert template_answer("Why?", two) == f"SLS 0.97 decides. {apart}"
    assert not check(why, three, "Why?")
    assert check(template_answer("Why?", SHEET), three, "Why?")
    assert check(why, SHEET, "Why?")


def test_a_detector_that_did_not_run_is_named_as_such() -> None:
    assert template_answer("What does ALLM4ADD say?", HUMAN) == "ALLM4ADD did not run, so it has no score."


@pytest.mark.parametrize(
    ("previous", "answer"),
    [
        ("Which detector has the highest score?", "Fake-Mamba is the least machine-like, at 0.55."),
        ("Where should I listen?", "The weakest part is 0.0-3.0 s, at 0.41."),
        ("What does SLS say?", "ALLM4ADD 0.90 and Fake-Mamba 0.55."),
    ],
)
def test_the_other_one_depends_on_what_was_asked_before(previous: str, answer: str) -> None:
    assert template_answer("And the other one?", SHEET, previous) == answer


@pytest.mark.parametrize("seed", range(6))
def test_a_template_never_contradicts_the_facts(seed: int) -> None:
    rng = np.random.default_rng(seed)
    questions = [q for split in ("train", "held_out") for qs in phrasings(split).values() for q in qs]
    sheets = [random_sheet(rng) for _ in range(40)]
    for question in rng.permutation(questions)[:250]:
        sheet = sheets[rng.integers(len(sheets))]
        asked = str(question).format(**SLOTS)
        answer = template_answer(asked, sheet, "Which detector has the highest score?")
        assert not check(answer, sheet, asked), (asked, answer, lines(sheet))


def test_known_questions_are_understood() -> None:
    for split in ("train", "held_out"):
        known = [(i, q.format(**SLOTS)) for i, qs in phrasings(split).items() for q in qs]
        wrong = [(intent, q, intent_of(q)) for intent, q in known if intent_of(q) != intent]
        assert len(wrong) <= 0.02 * len(known), wrong


def test_most_questions_in_other_words_are_understood() -> None:
    """With the training phrasings alone; a question that is taken for another still gets a true answer."""
    asked = [(i, q.format(**SLOTS)) for i, qs in phrasings("held_out").items() for q in qs]
    right = sum(intent_of(question, ("train",)) == intent for intent, question in asked)
    assert right / len(asked) > 0.55
