"""What an answer says about the detectors beyond numbers: who ranks where, who ran, whether they agree."""

import re
from collections.abc import Iterator

from detectors.chat.claims import Claim
from detectors.chat.facts import FactSheet
from detectors.chat.reading import (
    NEGATION,
    Subject,
    group_ending_at,
    group_starting_at,
    place_of,
    subjects,
)
from detectors.chat.wording import joined

#: What may stand between "the highest score" and the detector it belongs to.
_LINK = re.compile(
    r"^(?![^.]*\b(?:and|while|but|whereas)\b)[^;]*?(?:\bis|\bare|\bwas|\bfrom|\bby|:|\bto|\bof|=|\()\s*(?:the\s+)?$",
    re.IGNORECASE,
)
_COMPARED = re.compile(
    r"\b(?:(?P<more>higher|more (?:machine-like|suspicious|alarmed|fake)|above|larger|bigger)|"
    r"(?P<less>lower|less (?:machine-like|suspicious|alarmed|fake)|more human(?:-like)?|below|smaller))\b"
    r"(?!\s+(?:is|means?)\b)",
    re.IGNORECASE,
)
_ABSENT = re.compile(
    r"\b(?:did not|didn't|could not|couldn't) run\b|"
    r"\b(?:is|are|was|were) (?:missing|unavailable|not available)\b|"
    r"\b(?:has|have|gave|gives?) no score\b",
    re.IGNORECASE,
)
_RAN = re.compile(r"\bran\b", re.IGNORECASE)
_AGREE = re.compile(
    r"\b(?:agree(?:s|d|ment)?|says? the same|consistent|unanimous|"
    r"(?:of|share) (?:one|the same) (?:mind|opinion))\b",
    re.IGNORECASE,
)
_DISAGREE = re.compile(
    r"\b(?:disagree\w*|differ(?:s|ed)?|stands? (?:apart|out)|outlier|contradict\w*|far apart)\b",
    re.IGNORECASE,
)
_EQUAL = re.compile(r"\b(?:equal|the same score|tied|identical)\b", re.IGNORECASE)
_TOGETHER = re.compile(r"\btogether\b", re.IGNORECASE)
_NOT_COUNTED = re.compile(r"\b(?:does not|doesn't|do not|don't) count\b", re.IGNORECASE)
_POSSIBLE = re.compile(r"\b(?:can|could|may|might|if|whether|when)\b[^,;]*$", re.IGNORECASE)


def detector_claims(sentence: str, sheet: FactSheet) -> Iterator[Claim]:
    """Claims of one sentence."""
    among = subjects(sentence)
    yield from _places(sentence, among, sheet)
    yield from _comparisons(sentence, among, sheet)
    yield from _presence(sentence, among, sheet)
    yield from _agreement(sentence, among, sheet)
    yield from _counting(sentence, among, sheet)


def _places(sentence: str, among: list[Subject], sheet: FactSheet) -> Iterator[Claim]:
    for rank in among:
        if rank.kind != "rank":
            continue
        linked = _linked(sentence, among, rank)
        if not linked:
            continue
        place = {fact.title for fact in place_of(sheet, rank.label)}
        if len(sheet.ranking) == 1 and len(sheet.detectors) > 1:
            place = set()  # all are equal: nobody is first
        named = {subject.title for subject in linked}
        first, last = min(linked[0].end, rank.start), max(linked[-1].start, rank.start)
        denied = NEGATION.search(sentence[first:last]) is not None
        right = named.isdisjoint(place) if denied else named <= place
        words = sentence[min(linked[0].start, rank.start) : max(linked[-1].end, rank.end)]
        yield Claim(
            "ranking",
            words,
            right,
            f"the {rank.label} of the ranking: {', '.join(sorted(place)) or 'nobody'}",
        )


def _linked(sentence: str, among: list[Subject], rank: Subject) -> list[Subject]:
    """The detectors that a superlative is said of: after "is", "from" and the like, else those before it."""
    titles = [subject for subject in among if subject.kind == "detector"]
    following = next((subject for subject in titles if subject.start >= rank.end), None)
    if following and _LINK.match(sentence[rank.end : following.start]):
        return group_starting_at(sentence, among, following)
    before = [subject for subject in titles if subject.end <= rank.start]
    return group_ending_at(sentence, among, before[-1]) if before else []


def _comparisons(sentence: str, among: list[Subject], sheet: FactSheet) -> Iterator[Claim]:
    titles = [subject for subject in among if subject.kind == "detector"]
    for match in _COMPARED.finditer(sentence):
        before = [subject for subject in titles if subject.end <= match.start()]
        if not before or ("than" not in sentence[match.end() :] and match[0] not in ("above", "below")):
            continue
        one = sheet.detector(before[-1].title)
        after = [subject for subject in titles if subject.start >= match.end()]
        others = [sheet.detector(after[0].title)] if after else [f for f in sheet.detectors if f != one]
        compared = [other.p_spoof for other in others if other]
        denied = NEGATION.search(sentence[before[-1].end : match.start()]) is not None
        right = one is not None and bool(compared)
        for value in compared:
            holds = one is not None and (one.p_spoof > value if match["more"] else one.p_spoof < value)
            right = right and holds != denied
        yield Claim("ranking", match[0], right, "the scores are not in this order")


def _presence(sentence: str, among: list[Subject], sheet: FactSheet) -> Iterator[Claim]:
    titles = [subject.title for subject in among if subject.kind == "detector"]
    ran = {fact.title for fact in sheet.detectors}
    absent = _ABSENT.search(sentence)
    if absent:
        before = [s for s in among if s.kind == "detector" and s.end <= absent.start()]
        named = {s.title for s in (group_ending_at(sentence, among, before[-1]) if before else [])}
        yield Claim("detector", absent[0], named.isdisjoint(ran), f"{', '.join(sorted(ran)) or 'none'} ran")
        titles = [title for title in titles if title not in named]
    for title in titles:
        denied = NEGATION.search(sentence) is not None
        yield Claim("detector", title, title in ran or denied, f"{title} did not run")
    if _RAN.search(sentence):
        if re.search(r"\b(?:all|every)\b", sentence, re.IGNORECASE) and not NEGATION.search(sentence):
            yield Claim("detector", sentence, not sheet.unavailable and bool(ran), "a detector did not run")
        if re.search(r"\bno detector\b|\bnone\b", sentence, re.IGNORECASE):
            yield Claim("detector", sentence, not ran, f"{', '.join(sorted(ran))} ran")
        if re.search(r"\bonly\b", sentence, re.IGNORECASE):
            yield Claim("detector", sentence, set(titles) == ran, f"{', '.join(sorted(ran)) or 'none'} ran")


def _agreement(sentence: str, among: list[Subject], sheet: FactSheet) -> Iterator[Claim]:
    several = len(sheet.detectors) > 1
    for pattern, wanted in ((_AGREE, True), (_DISAGREE, False)):
        for match in pattern.finditer(sentence):
            before = sentence[: match.start()]
            if _POSSIBLE.search(before):
                continue
            named = [subject.title for subject in among if subject.kind == "detector"]
            claimed = wanted != bool(
                NEGATION.search(before.rsplit(":", 1)[-1]) and not before.startswith("No,")
            )
            right = several and (sheet.stray is None) == claimed
            if not claimed and right and len(named) == 1 and sheet.stray and sheet.stray.title:
                right = named[0] == sheet.stray.title
            yield Claim("agreement", match[0], right, f"the detectors are {sheet.spread:.2f} apart")
    for match in _EQUAL.finditer(sentence):
        facts = [sheet.detector(subject.title) for subject in among if subject.kind == "detector"]
        denied = NEGATION.search(sentence[: match.start()]) is not None
        if "they are" in sentence or any(subject.kind == "every" for subject in among):
            facts = facts or list(sheet.detectors)
        if len(facts) > 1:
            equal = len({fact.p_spoof if fact else None for fact in facts}) == 1
            yield Claim(
                "agreement", match[0], equal != denied, "the scores are not equal" if not denied else "equal"
            )


def _counting(sentence: str, among: list[Subject], sheet: FactSheet) -> Iterator[Claim]:
    """Whose scores make up what the detectors say together."""
    named = {subject.title for subject in among if subject.kind == "detector"}
    counted = {fact.title for fact in sheet.detectors if fact.counts}
    if match := _NOT_COUNTED.search(sentence):
        if named:
            yield Claim("detector", match[0], named.isdisjoint(counted), f"{joined(sorted(counted))} count")
    elif match := _TOGETHER.search(sentence):
        outside = {fact.title for fact in sheet.detectors if not fact.counts} & named
        yield Claim("detector", match[0], not outside, f"{joined(sorted(outside))} does not count")
