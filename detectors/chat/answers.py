"""True answers to each kind of question, made of the facts alone: what the model learns to say, and what the
templates say in its place. One to three short sentences, in the words of the sheet's lines.
"""

from detectors.chat.detector_answers import DETECTORS, Asked
from detectors.chat.facts import FactSheet
from detectors.chat.general_answers import GENERAL
from detectors.chat.recording_answers import RECORDING
from detectors.chat.verdict_answers import VERDICT

__all__ = ["Asked", "answers_to", "intents"]

_NO_VERDICT = "There is no verdict: no detector ran."
_NO_SCORE = "No detector ran, so there is no score."
#: Questions about the analysis that have an answer even when no detector ran.
_ALWAYS = ("missing", "count")


def answers_to(intent: str, sheet: FactSheet, asked: Asked) -> list[str]:
    """All ways to answer, the usual one first. Every one is true of the sheet. KeyError: no such intent."""
    if intent in GENERAL:
        return GENERAL[intent](sheet)
    if intent in RECORDING:
        return RECORDING[intent](sheet)
    if not sheet.detectors and intent not in _ALWAYS:
        return [_NO_VERDICT if intent in VERDICT else _NO_SCORE]
    return {**VERDICT, **DETECTORS}[intent](sheet, asked)


def intents() -> list[str]:
    """Every kind of question that can be answered."""
    return [*VERDICT, *DETECTORS, *RECORDING, *GENERAL]
