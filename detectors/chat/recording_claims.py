"""What an answer says about the recording in words: quiet, telephone, compressed, clipped, short."""

import re
from collections.abc import Callable, Iterator

from detectors.chat.claims import Claim
from detectors.chat.facts import FactSheet
from detectors.chat.reading import NEGATION

_POSSIBLE = re.compile(r"\b(?:can|could|may|might|if|whether)\b", re.IGNORECASE)
_NOISE = re.compile(r"\b(?:noise|noisy|background)\b", re.IGNORECASE)

#: Words, and what the facts must be for them to be true.
_WORDS: tuple[tuple[str, Callable[[FactSheet], bool]], ...] = (
    (r"\b(?:telephone|phone|landline)\b", lambda sheet: sheet.measured.band == "telephone band"),
    (r"\bfull band\b", lambda sheet: sheet.measured.band == "full band"),
    (r"\blow-pass\b", lambda sheet: sheet.measured.band == "low-pass band"),
    (r"\bunclear\b", lambda sheet: sheet.measured.band == "unclear band"),
    (
        r"\b(?:codec|compressed|mp3)\b",
        lambda sheet: sheet.measured.band in ("telephone band", "low-pass band"),
    ),
    (r"(?<!heavy )\b(?:clipping|clipped|distorted|overdriven)\b", lambda sheet: sheet.measured.clipped > 0),
    (r"\b(?:is|too|rather|very) short\b", lambda sheet: sheet.is_short),
    (r"\blong enough\b", lambda sheet: not sheet.is_short),
    (r"\bstress tests?\b|\btested\b", lambda sheet: sheet.robustness is not None),
)
#: Why a clip gets no verdict, and what the facts must give as the reason.
_REASONS: tuple[tuple[str, Callable[[FactSheet], bool]], ...] = (
    (r"\bno speech\b", lambda sheet: "no_speech" in sheet.abstained),
    (
        r"\b(?:less than|under|not even) (?:a|one|1) s(?:econd)? of speech\b",
        lambda sheet: "little_speech" in sheet.abstained,
    ),
    (
        r"\b(?:too little|not enough|hardly any) speech\b",
        lambda sheet: bool({"no_speech", "little_speech"} & set(sheet.abstained)),
    ),
    (r"\bheav(?:y|ily) clipp(?:ing|ed)\b", lambda sheet: "clipping" in sheet.abstained),
    (r"\bunlike (?:the|its|their) training\b|\bunfamiliar\b", lambda sheet: "unfamiliar" in sheet.abstained),
    (r"\babstain\w*", lambda sheet: bool(sheet.abstained)),
    (r"\bno verdict\b", lambda sheet: sheet.verdict is None or bool(sheet.abstained)),
)
_DENIED_REASON = re.compile(
    rf"(?:{NEGATION.pattern})(?:\s+(?:an?|the|any|have|has|been|really))*\s*$", re.IGNORECASE
)
_NOISE_WORDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"\b(?:low|quiet|clean|silent)\b", ("low",)),
    (r"\bmoderate\b", ("moderate",)),
    (r"\b(?:high|loud|strong|noisy)\b", ("high",)),
)


def recording_claims(sentence: str, sheet: FactSheet) -> Iterator[Claim]:
    """Claims of one sentence."""
    if _POSSIBLE.search(sentence):
        return
    for pattern, holds in _WORDS:
        for match in re.finditer(pattern, sentence, re.IGNORECASE):
            denied = _denied(sentence, match)
            yield Claim("recording", match[0], holds(sheet) != denied, "the recording was measured otherwise")
    for pattern, holds in _REASONS:
        for match in re.finditer(pattern, sentence, re.IGNORECASE):
            denied = _DENIED_REASON.search(sentence[: match.start()]) is not None
            yield Claim(
                "recording", match[0], holds(sheet) != denied, "the verdict was not withheld for this"
            )
    if not _NOISE.search(sentence):
        return
    for pattern, levels in _NOISE_WORDS:
        for match in re.finditer(pattern, sentence, re.IGNORECASE):
            right = (sheet.measured.noise in levels) != _denied(sentence, match)
            yield Claim("recording", match[0], right, f"the noise is {sheet.measured.noise}")


def _denied(sentence: str, match: re.Match[str]) -> bool:
    """Whether a "not" or "no" comes before, in the same clause; the "No," of an answer does not count."""
    clause = re.split(r"[:,]", sentence[: match.start()])[-1]
    return NEGATION.search(clause) is not None
