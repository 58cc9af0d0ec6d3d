"""How facts are put in words: shared by the sheet's lines, the answers and the check."""

from collections.abc import Sequence

from detectors.chat.facts import Part
from detectors.detection import Reason, Step, Verdict

#: A detector's verdict.
SIDES: dict[Verdict, str] = {"spoof": "machine-made", "bonafide": "human", "inconclusive": "inconclusive"}
#: The clip's, in five steps.
CLIP_VERDICTS: dict[Step, str] = {
    "likely_spoof": "likely machine-made",
    "leaning_spoof": "leaning machine-made",
    "inconclusive": "inconclusive",
    "leaning_bonafide": "leaning human",
    "likely_bonafide": "likely human",
}
#: What a clip has that gets no verdict.
ABSTAINED: dict[Reason, str] = {
    "no_speech": "no speech",
    "little_speech": "less than a second of speech",
    "clipping": "heavy clipping",
    "unfamiliar": "a sound unlike the training clips",
}
#: The number words that may stand for a number of detectors.
COUNTS = ("no", "one", "two", "three", "four", "five", "six")
CANNOT_TELL = "I can't tell that from this analysis."
ONLY_THIS_CLIP = "I can only answer questions about this clip's analysis."


def joined(words: Sequence[str]) -> str:
    """ "A", "A and B", "A, B and C"."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def percent(share: float, digits: int = 0) -> str:
    return f"{100 * share:.{digits}f} %"


def seconds(value: float) -> str:
    return f"{value:.1f} s"


def span(part: Part) -> str:
    """ "3.0-6.0 s"."""
    return f"{part.start:.1f}-{part.end:.1f} s"


def refuses(answer: str) -> bool:
    """Whether an answer says that it cannot answer."""
    return answer.strip().startswith((CANNOT_TELL, ONLY_THIS_CLIP))
