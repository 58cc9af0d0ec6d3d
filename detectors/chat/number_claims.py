"""Every number in an answer, held against the fact that it is said of."""

import re
from collections.abc import Iterator

from detectors.chat.claims import Claim
from detectors.chat.count_claims import blanked, count_claims, test_claims
from detectors.chat.facts import FactSheet
from detectors.chat.reading import (
    NEGATION,
    SPAN,
    Subject,
    group_ending_at,
    parts_of,
    place_of,
    subjects,
)

_NUMBER = re.compile(r"(?<![\w.])(?P<value>-?\d+(?:\.\d+)?)(?![\d])\s*(?P<unit>%|s\b|dB\b|kHz\b|Hz\b)?")
_SPEECH = re.compile(r"\b(?:speech|spoken|speaking|talking|talk)\b", re.IGNORECASE)
_SILENCE = re.compile(r"\b(?:silence|silent|pauses?)\b", re.IGNORECASE)
_CLIPPING = re.compile(r"\b(?:clipping|clipped|clips|distort\w*|overdriven|cut off)\b", re.IGNORECASE)
_LLR_BEFORE = re.compile(r"(?:\bLLR\b|likelihood[ -]ratio)[^\d;.]{0,30}$", re.IGNORECASE)
_GAP_BEFORE = re.compile(
    r"(?:\b(?:apart|differ\w*|disagree\w*|gap|difference|distance|spread)\b[^\d;]*\b(?:by|of|is|only)|\bwithin)"
    r"\s*(?:only |about )?$",
    re.IGNORECASE,
)
_GAP_AFTER = re.compile(r"^\s*(?:apart|points? apart)\b", re.IGNORECASE)
_BINDS_AFTER = re.compile(
    r"^\s*(?:,?\s*(?:for|from|by|of|according to|in|with)\s+(?:the\s+)?|\()$", re.IGNORECASE
)
_OF_HUMAN = re.compile(
    r"^\s*(?:(?:chance|probability|likelihood|likely|sure)\s*)?"
    r"(?:(?:of|that|to be|for|being|it is|it's)\s+)*(?:an?\s+)?(?:human|real|genuine)\b",
    re.IGNORECASE,
)
_HUMAN_BEFORE = re.compile(
    r"\b(?:probability|chance|likelihood)\s+(?:of|that|for)\s+[\w\s]*?(?:human|real)\b[^\d]{0,15}$",
    re.IGNORECASE,
)
_LENGTH = re.compile(r"\b(?:long|length|lasts?|duration|short|runs?)\b", re.IGNORECASE)
_EDGE = re.compile(r"\b(?:at|from|start\w*|begin\w*|until|end\w*|around|after|before)\s*$", re.IGNORECASE)
_STRAY_WORDS = re.compile(
    r"\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen|twenty|thirty|forty|fifty|sixty|"
    r"seventy|eighty|ninety|hundred|thousand|million|half|twice|double|triple|quarter|dozen|thirds?)\b",
    re.IGNORECASE,
)


def number_claims(sentence: str, sheet: FactSheet, topic: list[Subject], question: str) -> Iterator[Claim]:
    """Claims of one sentence. topic: subjects of what came before, for a sentence that names none itself."""
    rest = sentence
    for claims in (test_claims, count_claims, _spans):
        found, rest = claims(rest, sheet)
        yield from found
    among = subjects(sentence)
    numbers = list(_NUMBER.finditer(rest))
    for match in numbers:
        if _is_echo(match, sentence, question):
            continue
        yield _number(match, sentence, among or topic, bool(among), sheet, numbers)
    for match in _STRAY_WORDS.finditer(rest):
        if not re.search(rf"\b{match[0]}\b", question, re.IGNORECASE):
            yield Claim("number", match[0], False, "a number that the facts do not have")


def _spans(text: str, sheet: FactSheet) -> tuple[list[Claim], str]:
    claims = []
    among = subjects(text)
    for match in SPAN.finditer(text):
        times = (float(match[1]), float(match[2]))
        label = label_of_span(match.start(), among)
        parts = [(part.start, part.end) for part in parts_of(sheet, label)]
        whole = not label and times == (0.0, sheet.measured.seconds)
        claims.append(Claim("time", match[0], times in parts or whole, "not the part that is meant"))
        text = blanked(text, match)
    return claims, text


def label_of_span(start: int, among: list[Subject]) -> str:
    """ "top" or "bottom" when a sentence says that the span at `start` is the strongest or weakest part."""
    labels = [subject for subject in among if subject.label in ("top", "bottom")]
    before = [subject for subject in labels if subject.start < start]
    other = next((s for s in reversed(among) if s.times and s.start < start), None)
    if before and not (other and other.start > before[-1].start):
        return before[-1].label
    following = [subject for subject in labels if subject.start > start]
    later = next((s for s in among if s.times and s.start > start), None)
    if following and not (later and later.start < following[0].start):
        return following[0].label
    return ""


def _is_echo(match: re.Match[str], sentence: str, question: str) -> bool:
    """A number of the question, taken up to deny it: "it is not 90 %"."""
    if not NEGATION.search(sentence[: match.start()].rsplit(",", 1)[-1]):
        return False
    return any(float(other["value"]) == float(match["value"]) for other in _NUMBER.finditer(question))


def _number(
    match: re.Match[str],
    sentence: str,
    among: list[Subject],
    own: bool,
    sheet: FactSheet,
    numbers: list[re.Match[str]],
) -> Claim:
    value, unit = float(match["value"]), match["unit"]
    before, after = sentence[: match.start()], sentence[match.end() :]
    measured = sheet.measured
    if unit == "dB":
        below = after.lstrip().startswith("below")
        allowed = {float(-measured.noise_db if below else measured.noise_db)}
    elif unit in ("kHz", "Hz"):
        value = round(value / 1000, 1) if unit == "Hz" else value
        allowed = set() if measured.band == "unclear band" else {measured.bandwidth_khz}
    elif unit == "s":
        allowed = _seconds_allowed(before, sentence, sheet)
    elif unit == "%" and (_SPEECH.search(sentence) or _SILENCE.search(sentence)):
        speech = round(100 * measured.speech)
        allowed = {float(speech if _SPEECH.search(sentence) else 100 - speech)}
    elif unit == "%" and _CLIPPING.search(sentence):
        allowed = {round(100 * measured.clipped, 1)}
    elif _LLR_BEFORE.search(before):
        allowed = _llrs_allowed(match.start(), among, sheet)
    else:
        value = round(value / 100, 4) if unit == "%" else value
        allowed = _scores_allowed(match, sentence, among, own, sheet, numbers)
        if _OF_HUMAN.match(after) or _HUMAN_BEFORE.search(before):
            allowed = {round(1 - one, 2) for one in allowed}
    shown = ", ".join(f"{one:g}" for one in sorted(allowed)) or "nothing"
    return Claim("number", match[0].strip(), value in allowed, f"the facts have {shown} here")


def _seconds_allowed(before: str, sentence: str, sheet: FactSheet) -> set[float]:
    allowed = {sheet.measured.seconds}
    if not _LENGTH.search(sentence) and _EDGE.search(before):
        allowed |= {time for part in parts_of(sheet, "") for time in (part.start, part.end)}
    return allowed


def _llrs_allowed(position: int, among: list[Subject], sheet: FactSheet) -> set[float]:
    named = [s for s in among if s.kind == "detector" and s.start < position]
    fact = sheet.detector(named[-1].title) if named else None
    if named:
        return {fact.llr} if fact else set()
    return set() if sheet.llr is None else {sheet.llr}


def _scores_allowed(
    match: re.Match[str],
    sentence: str,
    among: list[Subject],
    own: bool,
    sheet: FactSheet,
    numbers: list[re.Match[str]],
) -> set[float]:
    """Probabilities that may stand here: those of what the number is said of."""
    before, after = sentence[: match.start()], sentence[match.end() :]
    clip = set() if sheet.p_spoof is None else {sheet.p_spoof}
    if _GAP_BEFORE.search(before) or _GAP_AFTER.match(after):
        return _gaps(among, sheet)
    if not own:
        return clip.union(*(_scores_of(subject, among, sheet) for subject in among))
    bound = _bound_after(match, sentence, among)
    if bound:
        return _scores_of(bound, among, sheet)
    preceding = [subject for subject in among if subject.start < match.start()]
    if not preceding:
        return clip if not among else _scores_of(among[0], among, sheet)
    subject = preceding[-1]
    if subject.kind != "detector":
        return _scores_of(subject, among, sheet)
    group = group_ending_at(sentence, among, subject)
    following = next((s.start for s in among if s.start > subject.start), len(sentence))
    run = [n for n in numbers if subject.end <= n.start() < following and n["unit"] in (None, "%")]
    if len(group) > 1 and len(run) == len(group):
        return _scores_of(group[run.index(match)], among, sheet)
    return set.intersection(*(_scores_of(one, among, sheet) for one in group)) if group else set()


def _bound_after(match: re.Match[str], sentence: str, among: list[Subject]) -> Subject | None:
    """The subject in "0.97 for SLS" and "0.97 (SLS)"."""
    following = next((subject for subject in among if subject.start >= match.end()), None)
    if following and _BINDS_AFTER.match(sentence[match.end() : following.start]):
        return following
    return None


def _scores_of(subject: Subject, among: list[Subject], sheet: FactSheet) -> set[float]:
    if subject.kind == "detector":
        fact = sheet.detector(subject.title)
        return {fact.p_spoof} if fact else set()
    if subject.kind == "part":
        parts = parts_of(sheet, subject.label)
        if subject.times:
            parts = [part for part in parts if (part.start, part.end) == subject.times]
        return {part.p_spoof for part in parts}
    if subject.kind == "rank":
        return {fact.p_spoof for fact in place_of(sheet, subject.label)}
    if subject.kind == "others":
        named = {other.title for other in among if other.kind == "detector"}
        return {fact.p_spoof for fact in sheet.detectors if fact.title not in named}
    if subject.kind == "every":
        return {fact.p_spoof for fact in sheet.detectors} if len(sheet.ranking) == 1 else set()
    return set() if sheet.p_spoof is None else {sheet.p_spoof}


def _gaps(among: list[Subject], sheet: FactSheet) -> set[float]:
    facts = [sheet.detector(s.title) for s in among if s.kind == "detector"]
    scores = [fact.p_spoof for fact in facts if fact]
    if len(scores) == 2:
        return {round(abs(scores[0] - scores[1]), 2)}
    if len(scores) == 1 and sheet.stray:
        return {sheet.stray.by} if not sheet.stray.title or among_is(sheet.stray.title, among) else set()
    return {sheet.spread} if len(sheet.detectors) > 1 else set()


def among_is(title: str, among: list[Subject]) -> bool:
    """Whether a detector is among the subjects."""
    return any(subject.title == title for subject in among)
