"""Answers about the verdict: what it is, why, how sure, and to those who claim another."""

from detectors.chat.detector_answers import Answers, Asked, scored_list, uncounted, where_listen
from detectors.chat.facts import FactSheet
from detectors.chat.general_answers import NOT_PROOF
from detectors.chat.mentions import sides_in
from detectors.chat.wording import ABSTAINED, CLIP_VERDICTS, joined


def _verdict_words(sheet: FactSheet) -> str:
    assert sheet.step is not None
    return CLIP_VERDICTS[sheet.step]


def _has(sheet: FactSheet) -> str:
    """What the clip has that it gets no verdict for."""
    return f"the clip has {joined([ABSTAINED[reason] for reason in sheet.abstained])}"


def _verdict_at(sheet: FactSheet) -> str:
    if sheet.abstained:
        return f"The verdict is inconclusive: {_has(sheet)}."
    return f"The verdict is {_verdict_words(sheet)}, at {sheet.p_spoof:.2f}."


def _verdict(sheet: FactSheet, asked: Asked) -> list[str]:
    if sheet.abstained:
        return [
            _verdict_at(sheet),
            f"{_verdict_at(sheet)} The score alone, {sheet.p_spoof:.2f}, does not count.",
        ]
    words = _verdict_words(sheet)
    short = f"{words[0].upper()}{words[1:]}, at {sheet.p_spoof:.2f}."
    return [_verdict_at(sheet), short, f"{short} {NOT_PROOF}"]


def _why(sheet: FactSheet, asked: Asked) -> list[str]:
    if sheet.abstained:
        return [_verdict_at(sheet), f"Because {_has(sheet)}."]
    counted = [fact for fact in sheet.detectors if fact.counts]
    if len(sheet.detectors) == 1:
        basis = f"The only detector, {scored_list(counted)}, decides."
    elif len(counted) == 1:
        basis = f"{scored_list(counted)} decides.{uncounted(sheet)}"
    else:
        basis = f"Together the detectors give {sheet.p_spoof:.2f}: {scored_list(counted)}.{uncounted(sheet)}"
    return [basis, f"{basis} {where_listen(sheet, asked)[0]}"]


def _no_verdict(sheet: FactSheet, asked: Asked) -> list[str]:
    """To those who ask why there is none."""
    if sheet.abstained:
        return [f"There is no verdict: {_has(sheet)}.", f"Because {_has(sheet)}."]
    if sheet.step == "inconclusive":
        return [f"The evidence is too weak: the score is {sheet.p_spoof:.2f}, inconclusive."]
    return [f"There is a verdict: {_verdict_words(sheet)}, at {sheet.p_spoof:.2f}."]


def _how_sure(sheet: FactSheet, asked: Asked) -> list[str]:
    if sheet.abstained:
        score = f"The score is {sheet.p_spoof:.2f}, but it does not count"
        return [f"{score}: {_has(sheet)}.", f"{_verdict_at(sheet)} {score}."]
    score = f"The score is {sheet.p_spoof:.2f} and the LLR is {sheet.llr:.1f}: {_verdict_words(sheet)}."
    return [f"{score} {NOT_PROOF}", score]


def _are_you_sure(sheet: FactSheet, asked: Asked) -> list[str]:
    return [f"{NOT_PROOF} {_verdict_at(sheet)}", f"{_verdict_at(sheet)} {NOT_PROOF}"]


def _claim_verdict(sheet: FactSheet, asked: Asked) -> list[str]:
    claimed = sides_in(asked.question)
    if sheet.verdict == "inconclusive" or len(claimed) != 1:
        return [_verdict_at(sheet)]
    if sheet.verdict in claimed:
        return [f"Yes, {_verdict_words(sheet)}, at {sheet.p_spoof:.2f}. {NOT_PROOF}"]
    return [f"No, the verdict is {_verdict_words(sheet)}, at {sheet.p_spoof:.2f}."]


def _claim_percent(sheet: FactSheet, asked: Asked) -> list[str]:
    # No yes or no: a share of "real" and the probability of machine-made are too easily mixed up.
    score = f"The score is {sheet.p_spoof:.2f}, where 1.00 = certainly machine-made."
    return [score, f"{score} {_verdict_at(sheet)}"]


VERDICT: dict[str, Answers] = {
    "verdict": _verdict,
    "why": _why,
    "no_verdict": _no_verdict,
    "how_sure": _how_sure,
    "are_you_sure": _are_you_sure,
    "claim_verdict": _claim_verdict,
    "claim_percent": _claim_percent,
}
