"""How many detectors, parts or tests an answer counts, in digits or words."""

import re

from detectors.chat.claims import Claim
from detectors.chat.facts import FactSheet
from detectors.chat.reading import subjects
from detectors.chat.wording import COUNTS

_OF_TESTS = re.compile(r"\b(\d+|all) (?:out )?of (?:the )?(\d+)\b")
_COUNTED = re.compile(
    r"\b(?P<count>no|one|two|three|four|five|six|\d+)\s+(?:other\s+)?(?P<what>detectors?|systems?|models?|scores?|"
    r"opinions?|of them|parts?|stress tests?)\b",
    re.IGNORECASE,
)


def blanked(text: str, match: re.Match[str]) -> str:
    """The text with a match read: spaces stand in its place, so that positions stay."""
    return text[: match.start()] + " " * (match.end() - match.start()) + text[match.end() :]


def count_claims(text: str, sheet: FactSheet) -> tuple[list[Claim], str]:
    """ "three detectors", "both", "only one part"; and the text without them."""
    claims = []
    ran = len(sheet.detectors)
    for match in _COUNTED.finditer(text):
        word = match["count"].lower()
        count = int(word) if word.isdigit() else COUNTS.index(word)
        what = match["what"].lower()
        if count == 0 and what.startswith("score"):  # "it has no score": see detector_claims
            continue
        if what.startswith("stress"):
            right = (sheet.robustness.tests if sheet.robustness else 0) == count
        elif what.startswith("part"):
            right = (
                count == 0 if sheet.strongest is None else (count == 1) == (sheet.strongest == sheet.weakest)
            )
        elif re.search(r"\bdid not run|\bmissing|\bunavailable", text):
            right = count == len(sheet.unavailable)
        elif " ran" in text or re.search(r"\b(?:all|the|these|only)\s+$", text[: match.start()]):
            right = count == ran
        else:  # "one detector stands apart" or "no detector agrees" counts some of them
            right = count <= ran
        claims.append(Claim("count", match[0], right, f"{ran} detectors ran"))
        text = blanked(text, match)
    if both := re.search(r"\bboth\b", text, re.IGNORECASE):
        two = ran == 2 or re.search(r"\bboth (?:the )?others?\b", text) or len(subjects(text)) > 1
        claims.append(Claim("count", both[0], bool(two), f"{ran} detectors ran"))
    for match in re.finditer(r"\b(?:all|the other) (two|three)\b", text):
        wanted = ran if match[0].startswith("all") else ran - 1
        claims.append(Claim("count", match[0], COUNTS.index(match[1]) == wanted, f"{ran} detectors ran"))
        text = blanked(text, match)
    return claims, text


def test_claims(text: str, sheet: FactSheet) -> tuple[list[Claim], str]:
    """ "5 of 6 stress tests"; and the text without them."""
    claims = []
    for match in _OF_TESTS.finditer(text):
        held = match[2] if match[1] == "all" else match[1]
        done = sheet.robustness
        right = done is not None and (int(held), int(match[2])) == (done.held, done.tests)
        claims.append(Claim("number", match[0], right, "not how the stress tests went"))
        text = blanked(text, match)
    return claims, text


test_claims.__test__ = False  # type: ignore[attr-defined]
