"""Answers about the detectors and the parts of the clip: who ranks where, who agrees, where to listen."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from detectors.chat.facts import DetectorFact, FactSheet, Part
from detectors.chat.mentions import titles_in
from detectors.chat.wording import COUNTS, SIDES, joined, span


class Asked(NamedTuple):
    """A question in its place. previous: the question before it and that question's intent, "" if none."""

    question: str
    previous: str = ""
    previous_intent: str = ""


Answers = Callable[[FactSheet, Asked], list[str]]


def scored_list(facts: Sequence[DetectorFact]) -> str:
    """ "SLS 0.97 and Fake-Mamba 0.55"."""
    return joined([_scored(fact) for fact in facts])


def uncounted(sheet: FactSheet) -> str:
    """ " ALLM4ADD, 0.40, does not count.", as a sentence to follow another; "" where all count."""
    return "".join(
        f" {fact.title}, {fact.p_spoof:.2f}, does not count." for fact in sheet.detectors if not fact.counts
    )


# ---- the detectors


def _scored(fact: DetectorFact) -> str:
    return f"{fact.title} {fact.p_spoof:.2f}"


def _place(sheet: FactSheet, index: int, rank: str) -> list[str]:
    """Who is first or last in the ranking."""
    places = sheet.ranking
    place = places[index]
    titles = joined([fact.title for fact in place])
    at = f"at {place[0].p_spoof:.2f}"
    if len(sheet.detectors) == 1:
        return [f"Only {titles} ran, {at}."]
    if len(places) == 1:
        return [f"{titles} are equal, {at}."]
    verb = "is" if len(place) == 1 else "are"
    return [f"{titles} {verb} the {rank} machine-like, {at}.", f"The {rank} machine-like: {titles}, {at}."]


def _most(sheet: FactSheet, asked: Asked) -> list[str]:
    return _place(sheet, 0, "most")


def _least(sheet: FactSheet, asked: Asked) -> list[str]:
    return _place(sheet, -1, "least")


def _scores(sheet: FactSheet, asked: Asked) -> list[str]:
    scores = f"{scored_list(sheet.detectors)}."
    return [scores, f"{scores} Together: {sheet.p_spoof:.2f}.{uncounted(sheet)}"]


def _says(fact: DetectorFact) -> list[str]:
    return [
        f"{fact.title} gives {fact.p_spoof:.2f}, {SIDES[fact.verdict]}.",
        f"{fact.title}: {fact.p_spoof:.2f}, {SIDES[fact.verdict]}.",
    ]


def _did_not_run(title: str) -> str:
    return f"{title} did not run, so it has no score."


def _detector_score(sheet: FactSheet, asked: Asked) -> list[str]:
    titles = titles_in(asked.question)
    if len(titles) != 1:
        return _scores(sheet, asked)
    fact = sheet.detector(titles[0])
    return _says(fact) if fact else [_did_not_run(titles[0])]


def _agree(sheet: FactSheet, asked: Asked) -> list[str]:
    if len(sheet.detectors) == 1:
        return [f"Only {sheet.detectors[0].title} ran, so there is nothing to compare."]
    if len(sheet.ranking) == 1:
        return _most(sheet, asked)
    if sheet.stray is None:
        return [f"They agree within {sheet.spread:.2f}.", f"The detectors agree within {sheet.spread:.2f}."]
    return [_apart(sheet), f"The detectors do not agree: {_apart(sheet)}"]


def _apart(sheet: FactSheet) -> str:
    assert sheet.stray is not None
    if sheet.stray.title:
        return f"{sheet.stray.title} stands apart by {sheet.stray.by:.2f}."
    return f"{joined([fact.title for fact in sheet.detectors])} differ by {sheet.stray.by:.2f}."


def _why_differ(sheet: FactSheet, asked: Asked) -> list[str]:
    reason = "Each detector listens for different traces, so the scores can differ."
    return [f"{reason} {_agree(sheet, asked)[0]}", reason]


def _claim_most(sheet: FactSheet, asked: Asked) -> list[str]:
    titles = titles_in(asked.question)
    if len(titles) != 1 or len(sheet.ranking) < 2:
        return _most(sheet, asked)[:1]
    truth = _most(sheet, asked)[0]
    if sheet.detector(titles[0]) is None:
        return [f"{titles[0]} did not run. {truth}"]
    top = [fact.title for fact in sheet.ranking[0]]
    return [f"{'Yes' if titles[0] in top else 'No'}, {truth}"]


def _claim_agree(sheet: FactSheet, asked: Asked) -> list[str]:
    if len(sheet.ranking) < 2:
        return _agree(sheet, asked)
    if sheet.stray is None:
        return [f"Yes, they agree within {sheet.spread:.2f}."]
    return [f"No, {_apart(sheet)}"]


def _missing(sheet: FactSheet, asked: Asked) -> list[str]:
    if not sheet.unavailable:
        return ["All detectors ran."]
    absent = joined([title for title, _ in sheet.unavailable])
    return [f"{absent} did not run.", f"{absent} did not run. {_ran(sheet)}"]


def _ran(sheet: FactSheet) -> str:
    if not sheet.detectors:
        return "No detector ran."
    titles = joined([fact.title for fact in sheet.detectors])
    if len(sheet.detectors) == 1:
        return f"Only {titles} ran."
    number = COUNTS[len(sheet.detectors)].capitalize()
    return f"{number} detectors ran: {titles}."


def _count(sheet: FactSheet, asked: Asked) -> list[str]:
    return [_ran(sheet)]


# ---- the parts


def _no_choice(sheet: FactSheet) -> list[str]:
    """The answer where there are no two parts to compare; empty where there are."""
    if sheet.strongest is None:
        return ["No part was scored."]
    if sheet.strongest == sheet.weakest:
        return [f"There is only one part, {_part(sheet.strongest)}."]
    return []


def _part(part: Part | None) -> str:
    assert part is not None  # _no_choice has answered for a clip without parts
    return f"{span(part)}, at {part.p_spoof:.2f}"


def where_listen(sheet: FactSheet, asked: Asked) -> list[str]:
    """The strongest part."""
    return _no_choice(sheet) or [
        f"The strongest part is {_part(sheet.strongest)}.",
        f"Listen first to the strongest part, {_part(sheet.strongest)}.",
    ]


def _weakest_part(sheet: FactSheet, asked: Asked) -> list[str]:
    return _no_choice(sheet) or [
        f"The weakest part is {_part(sheet.weakest)}.",
        f"The least machine-like is the weakest part, {_part(sheet.weakest)}.",
    ]


# ---- follow-ups


def _other_one(sheet: FactSheet, asked: Asked) -> list[str]:
    """The counterpart of what was asked before; of a detector, the others."""
    opposite = {"most": _least, "least": _most, "where_listen": _weakest_part, "weakest_part": where_listen}
    if asked.previous_intent in opposite:
        return opposite[asked.previous_intent](sheet, asked)
    named = titles_in(asked.previous)
    others = [fact for fact in sheet.detectors if fact.title not in named]
    if len(others) == 1:
        return _says(others[0])
    return [f"{joined([_scored(fact) for fact in others])}."] if others else [_ran(sheet)]


DETECTORS: dict[str, Answers] = {
    "most": _most,
    "least": _least,
    "scores": _scores,
    "detector_score": _detector_score,
    "agree": _agree,
    "why_differ": _why_differ,
    "where_listen": where_listen,
    "weakest_part": _weakest_part,
    "missing": _missing,
    "count": _count,
    "other_one": _other_one,
    "claim_most": _claim_most,
    "claim_agree": _claim_agree,
}
