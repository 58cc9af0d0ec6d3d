"""AudioLlm: text and clips as one row of vectors, what is learnt of it, and what is asked."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from detectors.errors import DetectorError
from detectors.llm.detection import ANSWERS, DETECT_PROMPT, answer_logits, answer_tokens, detection_turns
from detectors.llm.model import IGNORED, AudioLlm, Prompt
from detectors.llm.prompts import Example, Turn, render
from tests.llm.tiny import TINY, tiny_audio_llm, tiny_llm, tiny_tokenizer, waves

CLOSE = {"rtol": 1e-4, "atol": 1e-4}
ANSWERED = [Turn("user", "<audio>Real?"), Turn("assistant", "Fake.")]


@pytest.fixture(scope="module")
def model() -> AudioLlm:
    return tiny_audio_llm()


@pytest.fixture(scope="module")
def clips(model: AudioLlm) -> list[Tensor]:
    """Features of three clips of different lengths."""
    with torch.inference_mode():
        return [model.hear(waves(1, samples, seed=samples))[0].clone() for samples in (8_000, 16_000, 24_000)]


def learnt_text(model: AudioLlm, prompt: Prompt, row: int) -> str:
    labels = prompt.labels[row]
    return model.tokenizer.decode(labels[labels != IGNORED])


@torch.inference_mode()
def test_labels_are_those_of_the_response_alone(model: AudioLlm, clips: list[Tensor]) -> None:
    longer = [Turn("system", "Listen."), *ANSWERED, Turn("user", "Sure?"), Turn("assistant", "Yes, I am.")]
    prompt = model.prompt([Example(ANSWERED, clips[:1]), Example(longer, clips[2:])])
    assert learnt_text(model, prompt, 0) == "Fake.<|im_end|>"
    assert learnt_text(model, prompt, 1) == "Fake.<|im_end|>Yes, I am.<|im_end|>"
    # A label stands at the position whose embedding is that token's.
    table = model.causal_lm.get_input_embeddings().weight
    for row in range(2):
        places = prompt.labels[row] != IGNORED
        torch.testing.assert_close(prompt.embeds[row][places], table[prompt.labels[row][places]])


@torch.inference_mode()
@pytest.mark.parametrize(
    "text", ["<audio>Alike to <audio>?", "Alike: <audio><audio>", "One <audio></audio>, two <audio></audio>!"]
)
def test_clips_stand_at_their_markers_in_order(model: AudioLlm, clips: list[Tensor], text: str) -> None:
    turns = [Turn("user", text)]
    prompt = model.prompt([Example(turns, clips[:2])], ask=True)
    table, at = model.causal_lm.get_input_embeddings(), 0
    for piece in render(turns, model.tokenizer, ask=True):
        if piece.clip is None:
            expected = table(torch.tensor(piece.tokens))
        else:
            expected = model.projector(clips[piece.clip][None])[0]
        torch.testing.assert_close(prompt.embeds[0, at : at + len(expected)], expected)
        at += len(expected)
    assert at == prompt.embeds.shape[1]


@torch.inference_mode()
def test_training_pads_on_the_right_and_asking_on_the_left(model: AudioLlm, clips: list[Tensor]) -> None:
    examples = [Example(ANSWERED, [clip]) for clip in (clips[0], clips[2])]
    answered = model.prompt(examples).mask[0]
    asked = model.prompt(examples, ask=True).mask[0]
    assert answered.tolist() == sorted(answered.tolist(), reverse=True)
    assert asked.tolist() == sorted(asked.tolist())
    assert answered.min() == asked.min() == 0


@torch.inference_mode()
def test_padding_does_not_change_what_is_asked(model: AudioLlm, clips: list[Tensor]) -> None:
    turns = [
        [Turn("user", "<audio>Real?")],
        [Turn("system", "Voice check."), Turn("user", "Is this audio real or fake? <audio>")],
        [Turn("user", "Real?")],
    ]
    heard = [[clips[2]], [clips[0]], []]
    examples = [Example(*one) for one in zip(turns, heard, strict=True)]
    together = model.next_logits(examples)
    alone = torch.cat([model.next_logits([example]) for example in examples])
    torch.testing.assert_close(together, alone, **CLOSE)


@torch.inference_mode()
def test_the_loss_is_the_mean_over_the_learnt_tokens(model: AudioLlm, clips: list[Tensor]) -> None:
    examples = [Example(ANSWERED, clips[:1]), Example([*ANSWERED[:1], Turn("assistant", "No.")], clips[1:2])]
    prompt = model.prompt(examples)
    whole = model.causal_lm(inputs_embeds=prompt.embeds, attention_mask=prompt.mask, labels=prompt.labels)
    torch.testing.assert_close(model(examples), whole.loss, **CLOSE)


@torch.inference_mode()
def test_an_example_longer_than_allowed_is_cut_at_its_end(model: AudioLlm, clips: list[Tensor]) -> None:
    whole = model.prompt([Example(ANSWERED, clips[:1])])
    length = whole.embeds.shape[1]
    cut = model.prompt([Example(ANSWERED, clips[:1])], max_length=length - 2)
    torch.testing.assert_close(cut.embeds, whole.embeds[:, :-2])
    assert model([Example(ANSWERED, clips[:1])], 5) == 0  # nothing is left to learn


@torch.inference_mode()
def test_a_clip_may_be_given_as_its_wave(model: AudioLlm) -> None:
    wave = waves(1, 16_000)
    features = model.hear(wave)[0]
    by_wave, by_features = (model.next_logits([Example(ANSWERED[:1], [x])]) for x in (wave[0], features))
    torch.testing.assert_close(by_wave, by_features)


def test_a_marker_without_a_clip_is_refused(model: AudioLlm, clips: list[Tensor]) -> None:
    with pytest.raises(DetectorError, match="1 <audio> markers for 2 clips"):
        model.prompt([Example(ANSWERED, clips[:2])])
    with pytest.raises(DetectorError, match="1 <audio> markers for 0 clips"):
        model.prompt([Example(ANSWERED, [])])


def test_a_language_model_of_another_width_is_refused() -> None:
    tokenizer = tiny_tokenizer()
    with pytest.raises(DetectorError, match="32 wide"):
        AudioLlm(replace(TINY, llm_hidden=64), tiny_llm(len(tokenizer)), tokenizer)


def test_the_projector_and_the_adapter_learn_and_nothing_else(clips: list[Tensor]) -> None:
    model = tiny_audio_llm()
    model([Example(ANSWERED, clips[:1])]).backward()
    for name, parameter in model.named_parameters():
        of_ours = name.startswith("projector.") or "lora_" in name
        assert parameter.requires_grad == of_ours, name
        assert (parameter.grad is not None) == of_ours, name


def test_the_encoder_learns_when_told_to() -> None:
    model = tiny_audio_llm()
    assert not model.encoder_learns()
    assert not model.hear(waves(1, 8_000)).requires_grad
    model.encoder.requires_grad_(True)
    assert model.encoder_learns()
    model([Example(ANSWERED, [waves(1, 8_000)[0]])]).backward()
    conv: Tensor = model.encoder.encoder.conv1.weight
    assert conv.grad is not None
    assert conv.grad.abs().sum() > 0


@torch.inference_mode()
def test_a_merged_adapter_says_the_same(clips: list[Tensor]) -> None:
    model = tiny_audio_llm()
    example = Example(ANSWERED[:1], clips[:1])
    before = model.next_logits([example])
    model.merge()
    assert not any("lora_" in name for name, _ in model.named_parameters())
    torch.testing.assert_close(model.next_logits([example]), before, **CLOSE)


# Detection


@torch.inference_mode()
def test_answer_logits_are_those_of_the_first_words(model: AudioLlm, clips: list[Tensor]) -> None:
    logits = answer_logits(model, clips)
    assert logits.shape == (3, 2)
    fake, real = (model.tokenizer.encode(answer)[0] for answer in ("Fake.", "Real."))
    turns = [Turn("system", "Voice check."), Turn("user", DETECT_PROMPT)]
    for k, clip in enumerate(clips):
        expected = model.next_logits([Example(turns, [clip])])[0, [fake, real]]
        torch.testing.assert_close(logits[k], expected, **CLOSE)


def test_what_is_learnt_is_what_is_asked_and_its_answer() -> None:
    for is_bonafide, answer in ((True, "Real."), (False, "Fake.")):
        *asked, answered = detection_turns(is_bonafide=is_bonafide)
        assert asked == detection_turns()
        assert answered == Turn("assistant", answer)


def test_answers_that_begin_alike_cannot_be_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ANSWERS, "bonafide", "Fact.")
    monkeypatch.setitem(ANSWERS, "spoof", "Fact or not.")
    with pytest.raises(DetectorError, match="begin alike"):
        answer_tokens(tiny_tokenizer())
