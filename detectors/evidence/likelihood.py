"""A likelihood ratio in words: the two propositions that it weighs, and a verbal band for its size."""

import math

from detectors.detection import INCONCLUSIVE_LLR

PROPOSITIONS = {
    "bonafide": "The voice in the recording is that of a person, recorded as it sounded.",
    "spoof": (
        "The voice in the recording was, at least in part, made or changed by speech synthesis or voice "
        "conversion."
    ),
}
#: Upper ends of the likelihood ratio, and the words up to there; after ENFSI's guideline for evaluative
#: reporting (2015). Below the first stands what the verdict calls inconclusive.
_BANDS = (
    (10.0, "weak support"),
    (100.0, "moderate support"),
    (1_000.0, "moderately strong support"),
    (10_000.0, "strong support"),
    (math.inf, "very strong support"),
)
NEITHER = "The scores support neither proposition over the other."


def likelihood_ratio(llr: float) -> float:
    """How many times likelier the scores are under the proposition that they favour: at least 1."""
    return math.exp(min(abs(llr), 700.0))  # beyond, exp overflows


def verbal_band(llr: float) -> str:
    """One sentence. llr: natural log, bona fide over spoof."""
    if abs(llr) < INCONCLUSIVE_LLR:
        return NEITHER
    ratio = likelihood_ratio(llr)
    words = next(words for end, words in _BANDS if ratio < end)
    favoured, other = ("human", "machine-made") if llr > 0 else ("machine-made", "human")
    return (
        f"The scores give {words} to “{favoured}” over “{other}”: they are about {shown(ratio)} times "
        f"likelier if the voice is {favoured}."
    )


def shown(ratio: float) -> str:
    """A likelihood ratio without digits that nobody measured: two significant ones."""
    if ratio >= 1e6:
        return "over a million"
    return f"{float(f'{ratio:.2g}'):,g}"
