"""What an answer says the voice is, in which of the five steps, and how certain it makes that sound."""

import math
import re
from collections.abc import Iterator

from detectors.chat.claims import Claim
from detectors.chat.facts import FactSheet
from detectors.chat.mentions import HUMAN, MACHINE
from detectors.chat.reading import NEGATION, Subject, group_ending_at, parts_of, subjects
from detectors.detection import STEPS, Step, Verdict, step_of

_SIDE = re.compile(
    rf"\b(?:(?P<spoof>{MACHINE})|(?P<bonafide>{HUMAN})(?!-|\s+time)|(?P<inconclusive>inconclusive|undecided|"
    r"unclear (?:verdict|which)|too weak))\b",
    re.IGNORECASE,
)
_ANY = rf"(?:an? )?(?:{MACHINE}|{HUMAN})"
_MEANS = r"(?:scores? )?(?:is|are|means?|stands? for) (?:more )?(?:an? )?"
#: Words in which a side is named without being claimed.
_NO_CLAIM = re.compile(
    rf"\b(?:{MACHINE}|{HUMAN})(?: voice)?,? or {_ANY}|\bprobability of (?:being |it being )?{_ANY}|"
    rf"\bgood fakes?\b|\b(?:most|least|more|less) {_ANY}(?:-like)?|"
    rf"\b(?:high|higher|low|lower) {_MEANS}{_ANY}|"
    r"\b(?:score|LLR) (?:below|above|under|over) [\w.]+ (?:is|means|points to) \w[\w-]*|"
    rf"\d %? ?(?:{HUMAN})",
    re.IGNORECASE,
)
_WRONG_SCALE = re.compile(
    rf"\b(?:high|higher|larger|bigger) {_MEANS}(?:{HUMAN})|"
    rf"\b(?:low|lower|smaller) {_MEANS}(?:{MACHINE})|"
    rf"(?<![\d.])(?:0(?:\.00)?|zero) (?:=|is|means) \w* ?(?:{MACHINE})|"
    rf"(?<![\d.])1(?:\.00)? (?:=|is|means) \w* ?(?:{HUMAN})|"
    rf"\bbelow zero[^.,]*(?:{HUMAN})|\babove zero[^.,]*(?:{MACHINE})",
    re.IGNORECASE,
)
_UNSURE = re.compile(
    r"\b(?:if|whether|could be|may be|might be|can't tell|cannot tell)\b[^,;]*$", re.IGNORECASE
)
#: Words before a side that say how far the verdict goes; "93 % likely" and "how likely" speak of the score.
_GRADE = re.compile(
    r"(?<!% )(?<!how )(?<!more )(?<!less )(?<!not )(?<!%)\b(?:(?P<likely>likely)|lean(?:s|ing))\s+"
    r"(?:(?:to|towards?)\s+)?(?:be(?:ing)?\s+)?(?:an?\s+)?$",
    re.IGNORECASE,
)
_NEGATED = re.compile(
    rf"(?:{NEGATION.pattern}|\brather than|\binstead of)(?:\W+\w+){{0,3}}\W*$", re.IGNORECASE
)
_NONE = re.compile(r"\b(?:no detector|none of (?:them|the detectors)|neither)\b", re.IGNORECASE)
_ACCORDING = re.compile(r"^\s*,?\s*(?:according to|for|by|says?)\s*$", re.IGNORECASE)
_CERTAINTY = re.compile(
    r"\b(?:certain(?:ly)?|definite(?:ly)?|undoubtedly|surely|no doubt|without (?:a |any )?doubt|"
    r"proo?f|proves?|proven|guaranteed?|absolutely|for sure|conclusive(?:ly)?|always right|clearly|"
    r"obviously)(?!-)\b|(?<!speech fills )\b100 %(?! of the clip is speech)",
    re.IGNORECASE,
)


def verdict_claims(sentence: str, sheet: FactSheet, topic: list[Subject]) -> Iterator[Claim]:
    """Claims of one sentence. topic: subjects of what came before, for a sentence that starts with "it"."""
    if match := _WRONG_SCALE.search(sentence):
        yield Claim("verdict", match[0], False, "the scale goes the other way")
    for match in _CERTAINTY.finditer(sentence):
        denied = NEGATION.search(sentence[: match.start()]) and match[0].lower() not in ("no doubt",)
        yield Claim("certainty", match[0], bool(denied), "a score is no proof")
    cleared = _NO_CLAIM.sub(lambda m: " " * len(m[0]), sentence)
    among = [s for s in subjects(sentence) if s.kind != "rank"]
    for match in _SIDE.finditer(_without_titles(cleared, among)):
        before = cleared[: match.start()]
        if _UNSURE.search(before):
            continue
        side: Verdict = match.lastgroup  # type: ignore[assignment]
        denied = _NEGATED.search(before) is not None
        about, judged = _judged(match, sentence, among, topic, sheet)
        if _NONE.search(before):
            about, judged, denied = "the detectors", [fact.verdict for fact in sheet.detectors], True
        right = all((one == side) != denied for one in judged)
        if not judged:
            right = denied
        words = ", ".join(str(one) for one in judged) or "no verdict"
        yield Claim("verdict", f"{'not ' * denied}{match[0]}", right, f"{about}: {words}")
        if (grade := _GRADE.search(before)) and not denied and right:
            steps = _steps_of(about, side, sheet)
            step = f"{'likely' if grade['likely'] else 'leaning'}_{side}"
            yield Claim("grade", f"{grade[0]}{match[0]}", step in steps, f"{about}: {' or '.join(steps)}")


def _steps_of(about: str, side: Verdict, sheet: FactSheet) -> list[Step]:
    """The steps that may be named: the clip's own. Of detectors and parts the facts have no step, but the
    rounded probability, which fits two near the threshold; of several, what fits any of them."""
    if about == "the clip":
        return [] if sheet.step is None else [sheet.step]
    if about == "the part":
        scores = [part.p_spoof for part in parts_of(sheet, "")]
    else:
        scores = [fact.p_spoof for fact in sheet.detectors if fact.title in about or about == "the detectors"]
    llrs = [-math.log(p / (1 - p)) for one in scores for p in (one - 0.005, one + 0.005)]
    return [step for step in STEPS if step in map(step_of, llrs) and step.endswith(side)]


def _without_titles(text: str, among: list[Subject]) -> str:
    """Fake-Mamba's name says nothing about the voice."""
    for subject in among:
        if subject.kind == "detector":
            text = text[: subject.start] + "_" * (subject.end - subject.start) + text[subject.end :]
    return text


def _judged(
    match: re.Match[str], sentence: str, among: list[Subject], topic: list[Subject], sheet: FactSheet
) -> tuple[str, list[Verdict | None]]:
    """Whom a side is claimed of, and what the facts say there."""
    following = next((s for s in among if s.kind == "detector" and s.start >= match.end()), None)
    if following and _ACCORDING.match(sentence[match.end() : following.start]):
        return _of_detectors([following.title], sheet)
    before = [subject for subject in among if subject.start < match.start()]
    if not before and re.match(r"\W*(?:it|its)\b", sentence, re.IGNORECASE):
        before = [subject for subject in topic if subject.kind == "detector"]
        if before:
            return _of_detectors([before[-1].title], sheet)
    if not before or before[-1].kind == "clip":
        return "the clip", [sheet.verdict]
    last = before[-1]
    if last.kind == "detector":
        return _of_detectors([one.title for one in group_ending_at(sentence, among, last)], sheet)
    if last.kind == "part":
        parts = parts_of(sheet, last.label)
        if last.times:
            parts = [part for part in parts if (part.start, part.end) == last.times]
        return "the part", [_side_of(part.p_spoof) for part in parts[:1]]
    named = {s.title for s in among if s.kind == "detector"} if last.kind == "others" else set()
    return _of_detectors([f.title for f in sheet.detectors if f.title not in named], sheet)


def _of_detectors(titles: list[str], sheet: FactSheet) -> tuple[str, list[Verdict | None]]:
    facts = [sheet.detector(title) for title in titles]
    return " and ".join(titles), [fact.verdict if fact else None for fact in facts]


def _side_of(p_spoof: float) -> Verdict:
    """As detectors.detection.verdict_of, from a rounded probability."""
    if p_spoof >= 0.7:
        return "spoof"
    return "bonafide" if p_spoof <= 0.3 else "inconclusive"
