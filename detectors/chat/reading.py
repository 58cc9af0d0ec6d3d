"""How the check reads an answer: one spelling for numbers and units, sentences, and the subjects in them."""

import re
from dataclasses import dataclass
from typing import Literal

from detectors.chat.facts import DetectorFact, FactSheet, Part
from detectors.chat.mentions import TITLE, title_of

_SPELLINGS = (
    (r"[’ʼ]", "'"),
    (r"[–—−‐‑]", "-"),
    (r"\bper\s?cent\b", "%"),
    (r"(?<=\d)\s*(?:seconds?|secs?|sec\.)(?![\w])", " s"),
    (r"(?<=\d)\s*(?:decibels?|dBFS|db)\b", " dB"),
    (r"(?<=\d)\s*(?:kilohertz|khz|KHz)\b", " kHz"),
    (r"(?<=\d)\s*(?:hertz)\b", " Hz"),
    (r"(?<![\d.])(\d+),(\d+)(?![\d.,])", r"\1.\2"),
    (r"\b(minus)\s+(?=\d)", "-"),
)
_NUMBER_WORDS = {
    word: number
    for number, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve".split()
    )
}
_WORD_WITH_UNIT = re.compile(
    rf"\b({'|'.join(_NUMBER_WORDS)})\s+(seconds?|percent|per cent|decibels?)\b", re.I
)

#: What the scale means, rightly put; such words claim nothing about the clip.
_SURE = r"(?:certainly|surely|definitely)?\s*(?:an?\s+)?"
_MEANS = r"\s*(?:=|is|means?|stands for|for|being|\()\s*"
_LOW = rf"(?:\b0(?:\.00?)?|\bzero){_MEANS}{_SURE}(?:human|real)(?:\s+voice)?\)?"
_HIGH = rf"(?:\b1(?:\.00?)?|\bone){_MEANS}{_SURE}(?:machine-made|fake)\)?"
_LLR_SIGN = (
    r"\b(?:below|under) zero (?:the LLR |it )?(?:points|leans|speaks) (?:to|for) (?:a )?machine-made|"
    r"\babove zero (?:the LLR |it )?(?:(?:points|leans|speaks) )?(?:to|for) (?:a )?human"
)
_SCALE = re.compile(f"{_LOW}|{_HIGH}|{_LLR_SIGN}", re.IGNORECASE)

NEGATION = re.compile(r"\b(?:not|no|never|neither|nor|none|nobody|cannot|without)\b|n't\b", re.IGNORECASE)
_PART = r"(?:part|stretch|moment|window|section|segment|passage|spot|place|bit|evidence)s?\b"
_ALARM = r"(?:machine-like|machine-made|suspicious|fake|artificial|alarmed)"
_LABEL = re.compile(
    rf"(?P<top>\bstrongest\b|\bhighest\b|\btop\b|\bmost {_ALARM}|\blargest\b|\bbiggest\b)|"
    r"(?P<bottom>\bweakest\b|\blowest\b|\bmost (?:human|real|natural|genuine)(?:-like)?\b|"
    rf"\bleast\b(?: {_ALARM})?|\bsmallest\b)|"
    r"(?P<middle>\bin between\b|\bin the middle\b)",
    re.IGNORECASE,
)
_TIMES = r"(\d+(?:\.\d+)?)\s*(?:s\s*)?(?:-|to|and|until)\s*(\d+(?:\.\d+)?)\s*s\b"
SPAN = re.compile(_TIMES)
_CLIP = re.compile(
    r"\b(?:verdict|overall|together|combined|fused|in total|probability)\b|"
    r"^\W*(?:yes|no)?\W*(?:the|this|your)?\s*(?:clip|voice|recording|audio|score)\b",
    re.IGNORECASE,
)
_OTHERS = re.compile(r"\b(?:the|both|all)\s+(?:two\s+)?others?\b(?:\s+two)?", re.IGNORECASE)
_EVERY = re.compile(
    r"\b(?:all|both|every|each)\b(?:\s+(?:of\s+)?(?:the\s+)?(?:two|three|detectors?|of them))*", re.IGNORECASE
)
_JOINED = re.compile(r"\s*(?:,|and|,\s*and|&)\s*", re.IGNORECASE)

Kind = Literal["detector", "others", "every", "clip", "part", "rank"]


@dataclass(frozen=True)
class Subject:
    """What a stretch of a sentence is about. title: of a detector. label: top, bottom or middle of a ranking
    of detectors ("rank") or parts ("part"); times: the part's, as written."""

    kind: Kind
    start: int
    end: int
    title: str = ""
    label: str = ""
    times: tuple[float, float] | None = None


def normalised(text: str) -> str:
    """One way to write dashes, units and decimal points; numbers with a unit in digits."""
    text = _WORD_WITH_UNIT.sub(lambda m: f"{_NUMBER_WORDS[m[1].lower()]} {m[2]}", text)
    for pattern, replacement in _SPELLINGS:
        text = re.sub(pattern, replacement, text)
    return text.strip()


def sentences(text: str) -> list[str]:
    """Sentences of a normalised text, without what only explains the scale."""
    cleared = _SCALE.sub(" ", text)
    return [part.strip() for part in re.split(r"(?<=[.!?])\s+|[;\n]", cleared) if part.strip(" .!?:,")]


def subjects(sentence: str) -> list[Subject]:
    """Everything in a sentence that a number or a claim can be about, in order."""
    found = [Subject("detector", m.start(), m.end(), title_of(m)) for m in TITLE.finditer(sentence)]
    for match in _LABEL.finditer(sentence):
        is_part = re.match(rf"(?:\s+\w+-?\w*)?\s+{_PART}", sentence[match.end() :], re.IGNORECASE)
        found.append(
            Subject("part" if is_part else "rank", match.start(), match.end(), label=match.lastgroup or "")
        )
    for match in SPAN.finditer(sentence):
        times = (float(match[1]), float(match[2]))
        found.append(Subject("part", match.start(), match.end(), times=times))
    found += [Subject("clip", m.start(), m.end()) for m in _CLIP.finditer(sentence)]
    others = [Subject("others", m.start(), m.end()) for m in _OTHERS.finditer(sentence)]
    every = [
        Subject("every", m.start(), m.end())
        for m in _EVERY.finditer(sentence)
        if not any(o.start <= m.start() < o.end for o in others)
    ]
    return sorted([*found, *others, *every], key=lambda subject: subject.start)


def group_ending_at(sentence: str, among: list[Subject], last: Subject) -> list[Subject]:
    """The list of detectors that ends with `last`: "A, B and C"."""
    titles = [subject for subject in among if subject.kind == "detector"]
    index = titles.index(last)
    group = [last]
    while index and _JOINED.fullmatch(sentence[titles[index - 1].end : group[0].start]):
        index -= 1
        group.insert(0, titles[index])
    return group


def group_starting_at(sentence: str, among: list[Subject], first: Subject) -> list[Subject]:
    """The list of detectors that starts with `first`."""
    titles = [subject for subject in among if subject.kind == "detector"]
    index = titles.index(first)
    group = [first]
    while index + 1 < len(titles) and _JOINED.fullmatch(sentence[group[-1].end : titles[index + 1].start]):
        index += 1
        group.append(titles[index])
    return group


def place_of(sheet: FactSheet, label: str) -> list[DetectorFact]:
    """Detectors at the top, the bottom or in the middle of the ranking."""
    places = sheet.ranking
    if not places:
        return []
    chosen = {"top": places[:1], "bottom": places[-1:], "middle": places[1:-1]}[label]
    return [fact for place in chosen for fact in place]


def parts_of(sheet: FactSheet, label: str) -> list[Part]:
    """The strongest or the weakest part, or both when the label is empty."""
    parts = {"top": [sheet.strongest], "bottom": [sheet.weakest]}.get(label, [sheet.strongest, sheet.weakest])
    return [part for part in parts if part is not None]
