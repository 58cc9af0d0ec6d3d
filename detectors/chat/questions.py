"""Questions about random sheets with their true answers: conversations to train on, and a test set whose
phrasings are never trained on.
"""

from dataclasses import dataclass

import numpy as np

from detectors.chat.answers import Asked, answers_to
from detectors.chat.facts import TITLES, FactSheet
from detectors.chat.phrasings import Split, phrasings
from detectors.chat.prompt import system_text
from detectors.chat.sheets import random_sheet

__all__ = [
    "Conversation",
    "Exchange",
    "TestItem",
    "random_sheet",
    "system_text",
    "test_questions",
    "training_conversations",
]

#: Questions that only make sense after another, and what may come before them.
FOLLOW_UPS = {
    "other_one": ("most", "least", "where_listen", "weakest_part", "detector_score"),
    "are_you_sure": ("verdict", "how_sure", "why", "claim_verdict"),
}
#: What people ask most, and what is hardest to learn, comes more often.
_OFTEN = {
    "verdict": 2.0, "why": 2.0, "scores": 1.5, "most": 2.0, "least": 2.0, "detector_score": 3.0, "agree": 3.0,
    "where_listen": 2.0, "weakest_part": 1.5, "claim_verdict": 2.5, "claim_percent": 1.5, "claim_most": 3.0,
    "claim_agree": 1.5, "greeting": 0.4, "thanks": 0.4, "help": 0.5, "other_one": 2.0, "why_differ": 1.5,
    "clipping": 1.5, "speech": 1.3, "bandwidth": 1.3, "missing": 1.3, "no_verdict": 1.5,
}  # fmt: skip
_SIDES: dict[Split, tuple[str, ...]] = {
    "train": ("real", "fake", "human", "machine-made", "genuine", "synthetic", "a real person", "a deepfake"),
    "held_out": (
        "real",
        "fake",
        "human",
        "machine-made",
        "authentic",
        "artificial",
        "cloned",
        "a human voice",
    ),
}
_OPENERS = ("OK. ", "Hi, ", "Please: ", "Hm, ", "Tell me, ", "One question: ", "And now: ", "Well, ")


@dataclass(frozen=True)
class Exchange:
    """A question, its true answer, and what kind of question it is."""

    question: str
    answer: str
    intent: str


@dataclass(frozen=True)
class Conversation:
    """Exchanges about one sheet."""

    sheet: FactSheet
    exchanges: list[Exchange]


@dataclass(frozen=True)
class TestItem:
    """A question to put to a talker, after the exchanges of `history`. expected: one true answer."""

    sheet: FactSheet
    history: tuple[Exchange, ...]
    question: str
    intent: str
    expected: str


def training_conversations(count: int, seed: int) -> list[Conversation]:
    """Conversations of 3 to 5 questions over random sheets, in the training phrasings only."""
    rng = np.random.default_rng(seed)
    return [_conversation(rng) for _ in range(count)]


def test_questions(count: int = 320, seed: int = 7) -> list[TestItem]:  # noqa: PT028
    """Questions in held-out phrasings on new sheets, the intents by turns; follow-ups have a history."""
    rng = np.random.default_rng(seed)
    kinds = list(phrasings("held_out"))
    items = []
    for index in range(count):
        sheet, intent = random_sheet(rng), kinds[index % len(kinds)]
        before = []
        if intent in FOLLOW_UPS:
            before.append(_exchange(rng, sheet, str(rng.choice(FOLLOW_UPS[intent])), None, "held_out"))
        asked = _exchange(rng, sheet, intent, before[-1] if before else None, "held_out")
        items.append(TestItem(sheet, tuple(before), asked.question, intent, asked.answer))
    return items


test_questions.__test__ = False  # type: ignore[attr-defined]  # pytest would take it for a test
TestItem.__test__ = False  # type: ignore[attr-defined]


def _conversation(rng: np.random.Generator) -> Conversation:
    sheet = random_sheet(rng)
    exchanges: list[Exchange] = []
    for _ in range(rng.integers(3, 6)):
        previous = exchanges[-1] if exchanges else None
        exchanges.append(_exchange(rng, sheet, _intent(rng, previous), previous, "train"))
    return Conversation(sheet, exchanges)


def _intent(rng: np.random.Generator, previous: Exchange | None) -> str:
    kinds = [
        kind
        for kind in phrasings("train")
        if kind not in FOLLOW_UPS or (previous and previous.intent in FOLLOW_UPS[kind])
    ]
    weights = np.array([_OFTEN.get(kind, 1.0) * (4.0 if kind in FOLLOW_UPS else 1.0) for kind in kinds])
    return str(rng.choice(kinds, p=weights / weights.sum()))


def _exchange(
    rng: np.random.Generator, sheet: FactSheet, intent: str, previous: Exchange | None, split: Split
) -> Exchange:
    phrasing = str(rng.choice(phrasings(split)[intent]))
    question = phrasing.format(
        detector=_some_title(rng, sheet), side=rng.choice(_SIDES[split]), pct=_some_percent(rng, sheet)
    )
    asked = Asked(question, previous.question if previous else "", previous.intent if previous else "")
    variants = answers_to(intent, sheet, asked)
    shown = _as_typed(rng, question) if split == "train" else question
    return Exchange(shown, str(rng.choice(variants)), intent)


def _some_title(rng: np.random.Generator, sheet: FactSheet) -> str:
    absent = [title for title, _ in sheet.unavailable]
    ran = [fact.title for fact in sheet.detectors]
    if ran and not (absent and rng.random() < 0.15):
        return str(rng.choice(ran))
    return str(rng.choice(absent or list(TITLES.values())))


def _some_percent(rng: np.random.Generator, sheet: FactSheet) -> int:
    """A wrong number mostly, and at times the clip's own."""
    if sheet.p_spoof is not None and rng.random() < 0.3:
        return round(100 * sheet.p_spoof)
    return int(rng.choice([rng.integers(1, 100), 10 * rng.integers(1, 11)]))


def _as_typed(rng: np.random.Generator, question: str) -> str:
    """As people type: at times with an opener, without a capital, without the question mark."""
    if rng.random() < 0.1:
        opener = str(rng.choice(_OPENERS))
        question = opener + (question if opener.endswith(". ") else question[0].lower() + question[1:])
    if rng.random() < 0.2:
        question = question.lower() if rng.random() < 0.5 else question[0].lower() + question[1:]
    if rng.random() < 0.2:
        question = question.rstrip("?.!")
    return question
