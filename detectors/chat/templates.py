"""Answers without a language model: the words tell the kind of question, the facts make the answer."""

from detectors.chat.answers import Asked, answers_to
from detectors.chat.facts import FactSheet
from detectors.chat.intents import intent_of
from detectors.chat.wording import CANNOT_TELL


def template_answer(question: str, sheet: FactSheet, previous: str = "") -> str:
    """A true answer from the facts. previous: the question before this one, for "and the other one?"."""
    intent = intent_of(question)
    if intent is None:
        return CANNOT_TELL
    previous_intent = (intent_of(previous) or "") if previous else ""
    return answers_to(intent, sheet, Asked(question, previous, previous_intent))[0]
