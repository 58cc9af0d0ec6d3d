"""Answers that hold for every clip: what a score means, what the detectors cannot do, what to do next."""

from collections.abc import Callable

from detectors.chat.facts import FactSheet
from detectors.chat.wording import CANNOT_TELL, CLIP_VERDICTS, ONLY_THIS_CLIP
from detectors.detection import Verdict

NOT_PROOF = "This is not proof."
_SCALE = "0.00 = certainly human, 1.00 = certainly machine-made."
_TRUSTED = "ask the speaker through a channel you trust"
_NEXT: dict[Verdict | None, str] = {
    "spoof": f"Look for the original recording, and {_TRUSTED}. Do not accuse anyone on this score alone.",
    "bonafide": f"If much depends on it, {_TRUSTED}. A good fake can pass.",
    "inconclusive": f"Try a longer or cleaner copy, and {_TRUSTED}.",
    None: "Read on the page why no detector ran, and try again.",
}


def _cannot_tell(sheet: FactSheet) -> list[str]:
    return [CANNOT_TELL, f"{CANNOT_TELL} It only judges whether the voice is human or machine-made."]


def _limits(sheet: FactSheet) -> list[str]:
    return [
        "The detectors can be wrong: they miss new voice generators, and phone calls, noise, compression or "
        f"editing can mislead them. {NOT_PROOF}"
    ]


def _score_meaning(sheet: FactSheet) -> list[str]:
    here = "" if sheet.p_spoof is None else f" This clip has {sheet.p_spoof:.2f}."
    return [f"{_SCALE}{here}", f"The score is the probability of machine-made: {_SCALE}{here}"]


def _steps(sheet: FactSheet) -> list[str]:
    meaning = "Likely means that the score is far to one side, leaning that it is less far."
    here = "" if sheet.step is None else f" This clip: {CLIP_VERDICTS[sheet.step]}."
    return [f"{meaning}{here}", meaning]


def _llr(sheet: FactSheet) -> list[str]:
    meaning = "Below zero the LLR points to machine-made, above zero to human."
    here = "There is no LLR: no detector ran." if sheet.llr is None else f"The LLR is {sheet.llr:.1f}."
    return [f"{here} {meaning}"]


def _direction(sheet: FactSheet) -> list[str]:
    return [_SCALE, f"Higher is more machine-like: {_SCALE}"]


def _next_steps(sheet: FactSheet) -> list[str]:
    return [_NEXT[sheet.verdict]]


def _court(sheet: FactSheet) -> list[str]:
    return [f"No. {NOT_PROOF} Do not accuse anyone on this score alone.", f"No. {NOT_PROOF}"]


def _off_topic(sheet: FactSheet) -> list[str]:
    return [ONLY_THIS_CLIP]


def _greeting(sheet: FactSheet) -> list[str]:
    return ["Hello! Ask me about this clip's analysis."]


def _thanks(sheet: FactSheet) -> list[str]:
    return ["You are welcome."]


def _help(sheet: FactSheet) -> list[str]:
    return ["I explain this clip's analysis: the verdict, the detectors, the parts and the recording."]


GENERAL: dict[str, Callable[[FactSheet], list[str]]] = {
    "limits": _limits,
    "score_meaning": _score_meaning,
    "steps": _steps,
    "llr": _llr,
    "direction": _direction,
    "next_steps": _next_steps,
    "court": _court,
    "who_made": _cannot_tell,
    "who_speaks": _cannot_tell,
    "transcript": _cannot_tell,
    "off_topic": _off_topic,
    "greeting": _greeting,
    "thanks": _thanks,
    "help": _help,
}
