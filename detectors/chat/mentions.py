"""Which detectors and which sides (human, machine-made) a text names."""

import re

from detectors.detection import Verdict

#: Ways in which people and models write the detectors' names.
_NAMES = {
    "SLS": r"(?:xls-?r\s*\+?\s*)?\bsls\b",
    "Fake-Mamba": r"\bfake[\s-]?mamba\b|\bmamba\b",
    "ALLM4ADD": r"\ballm\s?4\s?add\b",
}
TITLE = re.compile("|".join(f"(?P<_{i}>{names})" for i, names in enumerate(_NAMES.values())), re.IGNORECASE)
_TITLES = list(_NAMES)

MACHINE = (
    r"machine[- ]made|machine[- ]generated|fake[ds]?|synthetic|synthesi[sz]ed|spoof(?:ed)?|generated|"
    r"artificial|deep[- ]?fake|cloned|a machine|computer[- ]made|not real|not human|a robot|a bot"
)
HUMAN = r"human|real|genuine|bona[- ]?fide|authentic|a person|real person"
_SIDE = re.compile(rf"\b(?:(?P<spoof>{MACHINE})|(?P<bonafide>{HUMAN}))\b", re.IGNORECASE)


def title_of(match: re.Match[str]) -> str:
    """The detector that a match of TITLE names."""
    return _TITLES[int((match.lastgroup or "_0")[1:])]


def titles_in(text: str) -> list[str]:
    """Detectors named in a text, each once, in order."""
    return list(dict.fromkeys(title_of(match) for match in TITLE.finditer(text)))


def sides_in(text: str) -> set[Verdict]:
    """Sides that a text names, detectors' names apart."""
    text = TITLE.sub(" ", text)
    return {"spoof" if match["spoof"] else "bonafide" for match in _SIDE.finditer(text)}
