"""Answers as they come: the likeliest tokens, in whole characters, until their end or until told to stop."""

import threading
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from detectors.llm import generate
from detectors.llm.generate import answer, answer_ends, stream
from detectors.llm.model import AudioLlm
from detectors.llm.prompts import Example, Turn
from tests.llm.tiny import tiny_audio_llm, waves

ASKED = [Turn("user", "<audio>Real?")]


@pytest.fixture(scope="module")
def model() -> AudioLlm:
    return tiny_audio_llm()


@pytest.fixture(scope="module")
def clip(model: AudioLlm) -> Tensor:
    return model.hear(waves(1, 8_000))[0]


def speak(monkeypatch: pytest.MonkeyPatch, tokens: list[int]) -> list[int]:
    """Have the model say these tokens; returns those that were asked of it so far."""
    asked: list[int] = []

    def said(*_: object) -> Iterator[int]:
        for token in tokens:
            asked.append(token)
            yield token

    monkeypatch.setattr(generate, "_tokens", said)
    return asked


def test_the_likeliest_tokens_are_those_of_a_pass_over_everything(model: AudioLlm, clip: Tensor) -> None:
    """What was computed before is kept; this does it all anew for each token."""
    said: list[int] = []
    with torch.inference_mode():
        table = model.causal_lm.get_input_embeddings()
        begin = model.prompt([Example(ASKED, [clip])], ask=True).embeds
        for _ in range(12):
            embeds = torch.cat([begin, table(torch.tensor([said], dtype=torch.long))], dim=1)
            said.append(int(model.causal_lm(inputs_embeds=embeds).logits[0, -1].argmax()))
    kept = generate._tokens(model, Example(ASKED, [clip]), 0.0, 0)
    assert [next(kept) for _ in range(12)] == said


def test_the_pieces_make_the_answer(model: AudioLlm, clip: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    end = model.tokenizer.eos_token_id
    speak(monkeypatch, [*model.tokenizer.encode("Is this audio real?"), end, *model.tokenizer.encode("No")])
    pieces = list(stream(model, ASKED, [clip]))
    assert len(pieces) > 3
    assert "".join(pieces) == "Is this audio real?"
    assert answer(model, ASKED, [clip]) == "Is this audio real?"


def test_an_answer_ends_with_the_mark_that_was_learnt(model: AudioLlm) -> None:
    assert answer_ends(model.tokenizer) == {model.tokenizer.convert_tokens_to_ids("<|im_end|>")}


def test_no_piece_has_half_a_character(
    model: AudioLlm, clip: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "Ça va: 語 🎙 ok"
    tokens = model.tokenizer.encode(text)
    assert len(tokens) > len(text)  # the rare characters are bytes to this tokenizer
    speak(monkeypatch, [*tokens, model.tokenizer.eos_token_id])
    pieces = list(stream(model, ASKED, [clip]))
    assert "".join(pieces) == text
    assert not any("\ufffd" in piece for piece in pieces)
    for count in range(len(tokens)):
        cut = "".join(stream(model, ASKED, [clip], max_new_tokens=count))
        assert text.startswith(cut)


def test_no_more_tokens_than_asked_for(
    model: AudioLlm, clip: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = model.tokenizer.encode("Fake. Real. Fake.")
    speak(monkeypatch, tokens)
    assert answer(model, ASKED, [clip], max_new_tokens=3) == model.tokenizer.decode(tokens[:3])


def test_stop_ends_the_answer_where_it_is(
    model: AudioLlm, clip: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = speak(monkeypatch, model.tokenizer.encode("Is this audio real or fake?"))
    stop = threading.Event()
    pieces = stream(model, ASKED, [clip], stop=stop)
    first = next(pieces)
    stop.set()
    assert list(pieces) == []
    assert first == model.tokenizer.decode(asked[:1])
    assert len(asked) == 1


def test_a_warm_answer_is_drawn_by_its_seed(model: AudioLlm, clip: Tensor) -> None:
    def drawn(temperature: float, seed: int) -> list[int]:
        tokens = generate._tokens(model, Example(ASKED, [clip]), temperature, seed)
        return [next(tokens) for _ in range(8)]

    assert drawn(2.0, 1) == drawn(2.0, 1)
    assert len({tuple(drawn(2.0, seed)) for seed in range(4)}) > 1
    assert drawn(1e-4, 1) == drawn(0.0, 0)


def test_whoever_reads_the_pieces_can_go_on_training(model: AudioLlm, clip: Tensor) -> None:
    for _ in stream(model, ASKED, [clip], max_new_tokens=3):
        assert not torch.is_inference_mode_enabled()
        assert torch.ones(1, requires_grad=True).mul(2).requires_grad
