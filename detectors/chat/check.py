"""Holds an answer against the fact sheet: every number, time, name, ranking and verdict in it.

Strict: what the sheet does not have is a contradiction, even if it might be true. A rule-based reader cannot
understand every sentence; it is made for the short ones that the model learns, and for what goes wrong there.
"""

import re
from typing import NamedTuple

from detectors.chat.claims import Claim
from detectors.chat.detector_claims import detector_claims
from detectors.chat.facts import FactSheet
from detectors.chat.mentions import TITLE
from detectors.chat.number_claims import number_claims
from detectors.chat.reading import Subject, normalised, sentences, subjects
from detectors.chat.recording_claims import recording_claims
from detectors.chat.verdict_claims import verdict_claims

#: Longer answers are a model that has lost its thread.
MAX_LENGTH = 500
#: Capitals that are no names.
_KNOWN = frozenset("I LLR MP3 AI OK Hz Yes No It It's".split())
_NAME = re.compile(r"(?<![.!?:\"“(]\s)(?<!^)\b[A-Z][\w'-]*|\b\w+[a-z][A-Z]\w*|\b[A-Z]{2,}\w*")
_YES = re.compile(r"^\W*(?:yes|right|correct|exactly|indeed|true)\b", re.IGNORECASE)
_NO = re.compile(r"^\W*no\b\s*[,.:;!-]", re.IGNORECASE)
_ASKS_FOR_PROOF = re.compile(r"\b(?:proof|prove[ns]?|court|evidence|certain|sure|accuse)\b", re.IGNORECASE)
_PREMISES = ("number", "ranking", "agreement", "verdict")


class Contradiction(NamedTuple):
    """kind: see detectors.chat.claims, or "empty", "unreadable", "name" and "premise"; the
    conversation adds "refusal", of what the facts do answer. text: the words."""

    kind: str
    text: str
    why: str


def check(answer: str, sheet: FactSheet, question: str = "") -> list[Contradiction]:
    """Everything in an answer that the facts do not bear out; empty when it may be shown."""
    text = normalised(answer)
    if not re.search(r"\w", text):
        return [Contradiction("empty", answer, "there is no answer")]
    if len(text) > MAX_LENGTH or "<|" in text or "\ufffd" in text:
        return [Contradiction("unreadable", text[:80], "too long, or not a text")]
    asked = normalised(question)
    wrong = [
        Contradiction(claim.kind, claim.text, claim.why)
        for claim in claims(text, sheet, asked)
        if not claim.right
    ]
    return wrong + _strange_names(text, asked) + _premise(text, asked, sheet)


def claims(text: str, sheet: FactSheet, question: str = "") -> list[Claim]:
    """All that a normalised text claims, right and wrong."""
    found: list[Claim] = []
    topic: list[Subject] = subjects(question)
    for sentence in sentences(text):
        found += number_claims(sentence, sheet, topic, question)
        found += detector_claims(sentence, sheet)
        found += verdict_claims(sentence, sheet, topic)
        found += recording_claims(sentence, sheet)
        topic = subjects(sentence) or topic
    return found


def _strange_names(text: str, question: str) -> list[Contradiction]:
    """Names of detectors, tools or people that are in neither the facts nor the question."""
    text = TITLE.sub(lambda match: "-" * len(match[0]), text)
    return [
        Contradiction("name", match[0], "the facts do not have this name")
        for match in _NAME.finditer(text)
        if match[0] not in _KNOWN and match[0].lower() not in question.lower()
    ]


def _premise(text: str, question: str, sheet: FactSheet) -> list[Contradiction]:
    """ "Yes" to a question that claims something wrong, "No" to one that claims nothing but the truth."""
    if not question or _ASKS_FOR_PROOF.search(question):
        return []
    claimed = [claim for claim in claims(question, sheet) if claim.kind in _PREMISES]
    wrong = [claim for claim in claimed if not claim.right]
    if wrong and _YES.match(text):
        return [Contradiction("premise", question, wrong[0].why)]
    if claimed and not wrong and _NO.match(text):
        return [Contradiction("premise", question, "what the question says is true")]
    return []
