"""Answers of a language model that hears, piece by piece as they come."""

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from detectors.llm.model import AudioLlm
from detectors.llm.prompts import Example, Turn, render

#: What a tokenizer makes of bytes that are no character yet.
_UNFINISHED = "\ufffd"


def stream(
    model: AudioLlm,
    turns: Sequence[Turn],
    features: Sequence[Tensor],
    max_new_tokens: int = 120,
    temperature: float = 0.0,
    seed: int = 0,
    stop: threading.Event | None = None,
) -> Iterator[str]:
    """The answer to the last turn, in pieces of whole characters; joined, they are the answer.

    features: [t, d] of the clip for each marker in the turns. temperature: 0 takes the likeliest token each
    time; above, tokens are drawn with `seed`. stop: set it, from any thread, and the answer ends where it is.
    """
    ends = answer_ends(model.tokenizer)
    said: list[int] = []
    shown = ""
    tokens = _tokens(model, Example(list(turns), list(features)), temperature, seed)
    while len(said) < max_new_tokens and not (stop is not None and stop.is_set()):
        token = next(tokens)
        if token in ends:
            break
        said.append(token)
        text = _text(model.tokenizer, said)
        if not text.endswith(_UNFINISHED):
            yield from _new(shown, text)
            shown = text
    yield from _new(shown, _text(model.tokenizer, said).rstrip(_UNFINISHED))


def answer(
    model: AudioLlm, turns: Sequence[Turn], features: Sequence[Tensor], max_new_tokens: int = 120
) -> str:
    """The whole answer, the likeliest token each time."""
    return "".join(stream(model, turns, features, max_new_tokens))


def answer_ends(tokenizer: Any) -> set[int]:
    """The tokens that end an answer: the end of the text, and the mark that training has learnt."""
    pieces = render([Turn("user", "?"), Turn("assistant", ".")], tokenizer)
    (learnt,) = (piece.tokens for piece in pieces if piece.learn)
    return {tokenizer.eos_token_id, learnt[-1]}


def _tokens(model: AudioLlm, example: Example, temperature: float, seed: int) -> Iterator[int]:
    """Tokens without end. Each is computed when it is asked for; what came before is kept, not redone."""
    llm = model.causal_lm
    drawn = torch.Generator().manual_seed(seed)
    given: dict[str, Any] = {}
    with torch.inference_mode():
        given["inputs_embeds"] = model.prompt([example], ask=True).embeds
    cache = None
    while True:
        # Not around the `yield`: whoever reads the pieces would be in inference mode, too.
        with torch.inference_mode():
            output = llm(**given, past_key_values=cache, use_cache=True, logits_to_keep=1)
            cache = output.past_key_values
            token = _choose(output.logits[0, -1].float(), temperature, drawn)
            given = {"input_ids": torch.tensor([[token]], device=output.logits.device)}
        yield token


def _choose(logits: Tensor, temperature: float, drawn: torch.Generator) -> int:
    if temperature <= 0:
        return int(logits.argmax())
    odds = (logits / temperature).softmax(dim=-1).cpu()
    return int(torch.multinomial(odds, 1, generator=drawn))


def _text(tokenizer: Any, tokens: list[int]) -> str:
    text: str = tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return text


def _new(shown: str, text: str) -> Iterator[str]:
    if len(text) > len(shown):
        yield text[len(shown) :]
