"""Tells the kind of a question: by the known question whose words it shares most of the weight with.

Words are brought to their stem and to one of several synonyms, so that a question need not be worded as a
known one. Weights are inverse frequencies: what every kind of question says tells none of them.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable
from functools import cache

from detectors.chat.mentions import TITLE, titles_in
from detectors.chat.phrasings import Split, phrasings

#: A question less like all known ones than this is not understood.
_UNDERSTOOD = 0.3
#: Weight of a word that no known question has: it speaks for none of them.
_UNSEEN = 1.0
#: Words that mean the same in questions about a clip: the first stands for all.
_SYNONYMS = tuple(
    tuple(line.split())
    for line in """
detector model system
part segment section passage stretch bit spot moment stretche
highest biggest largest top loudest strongest worst harshest first
lowest smallest weakest least last gentlest mildest calmest
fake faked synthetic artificial deepfake cloned bot robot machine generated machine-made computer
human person genuine natural authentic living real
suspicious suspicion alarmed convinced
score value number figure
verdict result outcome conclusion conclude judgement finding
sure certain confident firm solid dependable reliable safe
agree agreement match consistent unanimous united
differ difference disagree disagreement gap identical differently different outlier
noise noisy hiss disturb sound
codec encod encoding encoder compress compressed compression mp3 lossy encode re-encode
phone telephone landline mobile call caller line
clipping clipped clip-over distort distortion distorted overdriven overload loud gain peak
band bandwidth frequency frequencie spectrum treble khz kilohertz tone
length long duration lengthy lasting running
enough sufficient short brief little
speech talk talking spoken speak silence voice-share
proof prove proven court legal legally evidence judge trial lawyer admissible police sue accuse
wrong mistake mistaken error fail fooled fool mislead trick astray
made make created create produced produce generator tool software company app firm technology engine
transcript transcribe text words sentence said
speaker speaking person-name name language accent age woman mood emotion nationality
missing absent unavailable out skipped available drop
hello hi hey howdy hiya greeting evening morning
thank thanks thx cheers appreciate appreciated
next recommend advice suggestion guidance continue proceed confirm verify
other opposite counterpart reverse
robust stable sturdy survive withstand stress hold altered changed
abstain abstaining abstained undecided inconclusive open withheld
leaning lean
step grade
""".strip().splitlines()
)
_ONE_WORD = {word: line[0] for line in _SYNONYMS for word in line}
_SLOTS = {"detector": "SLS", "side": "fake", "pct": "50"}


def intent_of(question: str, known: tuple[Split, ...] = ("train", "held_out")) -> str | None:
    """The kind of question, or None when it is like none that is known. known: the phrasings to go by."""
    features = _features(question)
    weights = _weights(known)
    norm = _norm(features, weights)
    best, likeness = None, 0.0
    for intent, other, other_norm in _known_questions(known):
        shared = sum(weights[word] ** 2 for word in features & other)
        if shared > likeness * norm * other_norm:
            best, likeness = intent, shared / (norm * other_norm)
    return best if likeness >= _UNDERSTOOD else None


def _features(question: str) -> frozenset[str]:
    """Words and pairs of neighbours; a detector and a percentage become slots, as in the phrasings."""
    text = question
    if len(titles_in(text)) == 1:
        text = TITLE.sub("xdetector", text)
    text = re.sub(r"\d+(?:\.\d+)?\s*(?:%|percent)", " xpercent ", text.lower())
    words = [_word(word) for word in re.findall(r"[a-z0-9][a-z0-9'-]*", text)]
    return frozenset(words) | {f"{a} {b}" for a, b in zip(["^", *words], [*words, "$"], strict=True)}


def _word(word: str) -> str:
    word = word.removesuffix("'s")
    if word in _ONE_WORD:
        return _ONE_WORD[word]
    for ending in ("ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: -len(ending)]
            break
    return _ONE_WORD.get(word, word)


def _norm(features: Iterable[str], weights: dict[str, float]) -> float:
    return math.sqrt(sum(weights.get(word, _UNSEEN) ** 2 for word in features)) or 1.0


@cache
def _known_questions(known: tuple[Split, ...]) -> list[tuple[str, frozenset[str], float]]:
    weights = _weights(known)
    return [
        (intent, features, _norm(features, weights))
        for intent, questions in _by_intent(known).items()
        for features in questions
    ]


@cache
def _weights(known: tuple[Split, ...]) -> dict[str, float]:
    """Inverse frequency over the kinds of question."""
    kinds = _by_intent(known)
    used_by = Counter(word for questions in kinds.values() for word in frozenset().union(*questions))
    return {word: math.log(1 + len(kinds) / count) for word, count in used_by.items()}


@cache
def _by_intent(known: tuple[Split, ...]) -> dict[str, list[frozenset[str]]]:
    found: dict[str, list[frozenset[str]]] = {}
    for split in known:
        for intent, questions in phrasings(split).items():
            found.setdefault(intent, []).extend(_features(q.format(**_SLOTS)) for q in questions)
    return found
