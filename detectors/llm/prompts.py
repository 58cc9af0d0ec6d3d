"""Conversations with clips in them, as the tokens that a language model reads and learns."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from torch import Tensor

from detectors.errors import DetectorError

#: Stands in a prompt wherever a clip is to be heard; each is replaced by one clip's tokens.
AUDIO = "<audio>"
#: May follow the marker, as in "<audio></audio>"; the end vector of the clip takes its place.
AUDIO_END = "</audio>"

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True)
class Turn:
    """One message. learn: whether training asks for its words; only an assistant's can be learnt."""

    role: Role
    content: str
    learn: bool = True


class Piece(NamedTuple):
    """A run of text tokens, or a clip. tokens: ids. learn: whether the loss counts them. clip: its number."""

    tokens: list[int]
    learn: bool
    clip: int | None = None


class Example(NamedTuple):
    """A conversation and, for each marker in it, the features [t, d] of one clip, or its waveform [s]."""

    turns: list[Turn]
    features: list[Tensor]


def render(turns: Sequence[Turn], tokenizer: Any, ask: bool = False) -> list[Piece]:
    """The conversation in the tokenizer's chat template, in order; `ask` ends it where an answer begins.

    Learnt are an assistant's words and the mark that ends them. Raises DetectorError when the template
    does not write the messages one after another.
    """
    pieces: list[Piece] = []
    clips = 0
    written = ""
    messages: list[dict[str, str]] = []
    for turn in turns:
        messages.append({"role": turn.role, "content": turn.content.replace(AUDIO_END, "")})
        if turn.role == "assistant":
            # The template's opening of an answer is given, not learnt.
            opened = _template(messages[:-1], tokenizer, ask=True)
            text = _template(messages, tokenizer)
            body = _after(opened, text)
            pieces += _text_pieces(_after(written, opened), tokenizer, clips)
            clips += opened[len(written) :].count(AUDIO)
            ending = body.rstrip("\n")
            pieces.append(Piece(_ids(ending, tokenizer), turn.learn))
            pieces += _text_pieces(body[len(ending) :], tokenizer, clips)
            written = text
    text = _template(messages, tokenizer, ask)
    pieces += _text_pieces(_after(written, text), tokenizer, clips)
    return [piece for piece in pieces if piece.tokens or piece.clip is not None]


def clips_wanted(turns: Sequence[Turn]) -> int:
    """How many clips the conversation's markers ask for."""
    return sum(turn.content.count(AUDIO) for turn in turns)


def _template(messages: list[dict[str, str]], tokenizer: Any, ask: bool = False) -> str:
    if not messages:
        return ""
    text: str = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=ask)
    return text


def _after(start: str, text: str) -> str:
    if not text.startswith(start):
        raise DetectorError(
            "This language model's chat template rewrites earlier messages, so answers in the middle of a "
            "conversation cannot be told apart. Use conversations with one answer, or another model."
        )
    return text[len(start) :]


def _text_pieces(text: str, tokenizer: Any, clips: int) -> list[Piece]:
    """Text that is given, split at its markers."""
    pieces = []
    for i, part in enumerate(text.split(AUDIO)):
        if i:
            pieces.append(Piece([], False, clips + i - 1))
        pieces.append(Piece(_ids(part, tokenizer), False))
    return pieces


def _ids(text: str, tokenizer: Any) -> list[int]:
    return list(tokenizer.encode(text, add_special_tokens=False)) if text else []
