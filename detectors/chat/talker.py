"""The language model that answers in the chat: its own checkpoint, loaded once, and what it hears of a clip.

The checkpoint is ours and lies in assets; the language model that it builds on is fetched once (see
llm/base.py). Both may be missing: `talker_status` then says so, and the templates answer instead.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

import numpy as np

from detectors.audio import SAMPLE_RATE
from detectors.cards import ASSETS
from detectors.chat.facts import FactSheet
from detectors.errors import DetectorError

if TYPE_CHECKING:  # torch and transformers take seconds to import, and refusing a question needs neither
    from torch import Tensor

    from detectors.llm.model import AudioLlm
    from detectors.llm.prompts import Turn

CHECKPOINT = ASSETS / "audio_llm-mini"
#: Longest question, in characters.
MAX_QUESTION = 500
#: The model hears this much of the clip at most, in seconds: more would cost time and memory.
HEARS = 3.0
#: Longest answer, in tokens: three sentences need fewer.
MAX_TOKENS = 120
#: Temperature of a second try.
NEXT_TRY = 0.7

#: What a question could use to speak as somebody else: marks of the chat template and of a clip.
_MARKS = re.compile(r"<(?=\||/?audio>)")


def check_question(question: str) -> str:
    """The question as it may be asked. Raises DetectorError when it is empty or too long."""
    if not isinstance(question, str) or not question.strip():
        raise DetectorError("There is no question yet: type one, or choose one of the suggested ones.")
    question = " ".join(question.split())
    if len(question) > MAX_QUESTION:
        raise DetectorError(
            f"A question can have {MAX_QUESTION} characters at most, and this one has {len(question):,}. "
            "Ask in fewer words."
        )
    return _MARKS.sub("‹", question)


def talker_status(folder: Path = CHECKPOINT) -> str | None:
    """None when the language model can probably be loaded, or why not, fit to stand within a sentence.

    Looks at files only.
    """
    from detectors.llm.base import base_status
    from detectors.llm.checkpoint import read_audio_llm_config

    try:
        config = read_audio_llm_config(folder)
    except DetectorError:
        return f"its weights, {folder.parent.name}/{folder.name}, are missing or damaged"
    return base_status(config["audio_llm"].base)


def load_speaker(
    folder: Path = CHECKPOINT,
    device: str = "auto",
    progress: Callable[[float, str], None] | None = None,
    merge: bool = False,
) -> Speaker:
    """Load the language model of a checkpoint folder; what it builds on is fetched first if it must be, and
    `progress` hears of that. merge: faster answers, from a model whose adapter cannot be told apart any more.

    Raises DetectorError when checkpoint, language model or device are not at hand.
    """
    from detectors.llm.checkpoint import load_audio_llm
    from detectors.registry import resolve_device

    device = resolve_device(device)
    return Speaker(load_audio_llm(folder, progress=progress, merge=merge).to(device))


class Speaker:
    """A loaded language model; `about` gives a talker that hears one clip."""

    def __init__(self, model: AudioLlm) -> None:
        self.model = model

    def about(self, wave: np.ndarray, sheet: FactSheet) -> Talker:
        """wave: float32 [s], 16 kHz mono. Heard is its most machine-like window, HEARS seconds of it."""
        import torch

        heard = torch.from_numpy(excerpt(wave, sheet)).to(next(self.model.encoder.parameters()).device)
        with torch.inference_mode():
            return Talker(self.model, self.model.hear(heard[None])[0])


class Talker:
    """Answers about one clip, as detectors.chat.conversation asks for them. features: [t, d] of the clip."""

    def __init__(self, model: AudioLlm, features: Tensor) -> None:
        self._model, self._features = model, features

    def answer(self, turns: Sequence[Turn], stop: Event, attempt: int) -> Iterator[str]:
        """The likeliest words at the first try; drawn ones at the next, which would else be the same."""
        from detectors.llm.generate import stream

        temperature = NEXT_TRY if attempt else 0.0
        return stream(self._model, turns, [self._features], MAX_TOKENS, temperature, attempt, stop)


def excerpt(wave: np.ndarray, sheet: FactSheet) -> np.ndarray:
    """HEARS seconds of the clip [s], from its most machine-like window on; from the beginning without one."""
    start = int(sheet.strongest.start * SAMPLE_RATE) if sheet.strongest else 0
    length = int(HEARS * SAMPLE_RATE)
    start = max(0, min(start, len(wave) - length))
    return np.ascontiguousarray(wave[start : start + length], dtype=np.float32)
