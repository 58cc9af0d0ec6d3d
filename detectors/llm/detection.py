"""Detection as a question to a language model that hears (ALLM4ADD, Gu et al., ACM MM 2025)."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from detectors.errors import DetectorError
from detectors.labels.forms import ANSWERS, QUESTION
from detectors.llm.model import AudioLlm
from detectors.llm.prompts import AUDIO, Example, Turn

#: What is asked about each window: the paper's words, short, as every token of it costs time.
DETECT_PROMPT = f"{AUDIO}{QUESTION}"
#: What training asks in its stead, in turn with it.
PARAPHRASES = (
    f"{AUDIO}Is this audio fake or real?",
    f"{AUDIO}Is this voice real or fake?",
    f"Is this recording real or fake? {AUDIO}",
    f"{AUDIO}Is this speech genuine or made by a machine? Answer real or fake.",
    f"Listen: {AUDIO} Real or fake?",
    f"{AUDIO}Did a person say this, or a machine? Answer real or fake.",
)
#: Said before, or else a chat template says something longer of its own.
PREAMBLE = "Voice check."


def detection_turns(prompt: str = DETECT_PROMPT, is_bonafide: bool | None = None) -> list[Turn]:
    """The conversation that judges one clip; with the answer to learn, where it is known."""
    turns = [Turn("system", PREAMBLE), Turn("user", prompt)]
    if is_bonafide is None:
        return turns
    return [*turns, Turn("assistant", ANSWERS["bonafide" if is_bonafide else "spoof"])]


def answer_tokens(tokenizer: Any) -> list[int]:
    """The first tokens of "Fake." and of "Real.". Raises DetectorError when they are the same."""
    first = [tokenizer.encode(ANSWERS[key], add_special_tokens=False)[0] for key in ("spoof", "bonafide")]
    if first[0] == first[1]:
        raise DetectorError(
            "This language model's tokens for Real and Fake begin alike, so its answers cannot be told "
            "apart by their first token. Use another language model."
        )
    return first


def answer_logits(model: AudioLlm, features: Sequence[Tensor]) -> Tensor:
    """Logits [b, 2] of an answer that begins with "Fake" (0) and of one that begins with "Real" (1).

    features: of each of b clips, [t, d], or its waveform [s].
    """
    turns = detection_turns()
    logits = model.next_logits([Example(turns, [clip]) for clip in features])
    return logits[:, answer_tokens(model.tokenizer)]
