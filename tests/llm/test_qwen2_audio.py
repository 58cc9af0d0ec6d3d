"""Qwen2-Audio as a listener, on a tiny model with random weights: as transformers' own way through it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    Qwen2AudioConfig,
    Qwen2AudioForConditionalGeneration,
    Qwen2AudioProcessor,
    WhisperFeatureExtractor,
)

from detectors.backends.allm4add import Allm4add, Allm4addConfig, load_allm4add, save_allm4add
from detectors.cards import CARDS
from detectors.checkpoints import weights_digest
from detectors.errors import DetectorError
from detectors.llm import qwen2_audio
from detectors.llm.config import LoraSizes
from detectors.llm.detection import PREAMBLE, detection_turns
from detectors.llm.prompts import Example, Turn
from detectors.llm.qwen2_audio import (
    Qwen2Audio,
    Qwen2AudioSizes,
    load_qwen2_audio,
    numbered,
    save_qwen2_audio,
)
from detectors.registry import detector_status, load_detector
from tests.llm.tiny import outspoken, tiny_tokenizer, unsettle, waves

#: The tiny encoder hears one second at most; the windows are shorter, so a part of it is always padding.
WINDOW, HOP = 9_600, 4_800
CONFIG = Allm4addConfig(WINDOW, HOP)
SIZES = Qwen2AudioSizes(lora=LoraSizes(rank=4, alpha=8, dropout=0.0))
CLOSE = {"rtol": 1e-4, "atol": 1e-4}


def tiny_base() -> tuple[Qwen2AudioForConditionalGeneration, Qwen2AudioProcessor]:
    """The same weights every time."""
    torch.manual_seed(11)
    tokenizer = tiny_tokenizer()
    extractor = WhisperFeatureExtractor(feature_size=8, chunk_length=1)
    processor = Qwen2AudioProcessor(extractor, tokenizer)
    audio = {
        "model_type": "qwen2_audio_encoder",
        "num_mel_bins": 8,
        "encoder_layers": 2,
        "encoder_attention_heads": 2,
        "encoder_ffn_dim": 24,
        "d_model": 16,
        "max_source_positions": 50,
    }
    text = {
        "model_type": "qwen2",
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    }
    config = Qwen2AudioConfig(
        audio_config=audio,
        text_config=text,
        audio_token_index=tokenizer.convert_tokens_to_ids("<|AUDIO|>"),
    )
    model = outspoken(Qwen2AudioForConditionalGeneration(config))
    torch.nn.init.normal_(model.model.multi_modal_projector.linear.weight, std=0.5)
    return model, processor


def tiny_qwen(seed: int = 0, sizes: Qwen2AudioSizes = SIZES) -> tuple[Qwen2Audio, Qwen2AudioProcessor]:
    base, processor = tiny_base()
    listener = Qwen2Audio(sizes, base, processor)
    torch.manual_seed(seed)
    unsettle(listener)
    return listener.eval(), processor


@pytest.fixture(scope="module")
def made() -> tuple[Qwen2Audio, Qwen2AudioProcessor]:
    return tiny_qwen()


@pytest.fixture(scope="module")
def model(made: tuple[Qwen2Audio, Any]) -> Allm4add:
    return Allm4add(made[0], CONFIG).eval()


def scores(model: Allm4add, wave: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return model(wave).cm_scores.float()


@torch.inference_mode()
def as_transformers_does(listener: Qwen2Audio, processor: Qwen2AudioProcessor, wave: torch.Tensor) -> float:
    """The log of the odds of the two answers, by the processor and the whole model's own forward pass."""
    conversation = [
        {"role": "system", "content": PREAMBLE},
        {
            "role": "user",
            "content": [
                {"type": "audio", "audio_url": "clip.wav"},
                {"type": "text", "text": "Is this audio real or fake?"},
            ],
        },
    ]
    template = processor.default_chat_template
    text = processor.apply_chat_template(
        conversation, chat_template=template, add_generation_prompt=True, tokenize=False
    )
    inputs = processor(text=[text], audio=[wave.numpy()], sampling_rate=16_000, return_tensors="pt")
    probabilities = listener.llm.get_base_model()(**inputs).logits[0, -1].double().softmax(-1)
    fake, real = (probabilities[processor.tokenizer.encode(word)[0]] for word in ("Fake", "Real"))
    return float((real / fake).log())


@pytest.mark.parametrize("samples", [WINDOW, 5_000, 16_000])
def test_the_score_is_that_of_transformers_own_way(made, model, samples):
    listener, processor = made
    wave = waves(3, samples)
    expected = [as_transformers_does(listener, processor, one) for one in wave]
    with torch.inference_mode():
        answers = model(wave)
    assert answers.logits.shape == (3, 2)
    assert answers.cm_scores.tolist() == pytest.approx(expected, abs=1e-4)
    assert max(expected) - min(expected) > 1e-3  # it does depend on what is heard


def test_padding_changes_nothing(model):
    """Neither that of a prompt beside longer ones, nor what the encoder sees past the end of a clip."""
    with torch.inference_mode():
        clips = [model.listener.hear(waves(1, samples))[0] for samples in (4_000, 16_000, 9_000)]
        assert [len(clip) for clip in clips] == [6, 25, 14]  # 25 a second
        together = model.judge(clips).logits
        alone = torch.cat([model.judge([clip]).logits for clip in clips])
    torch.testing.assert_close(together, alone, **CLOSE)

    tower, handed = model.listener.encoder.tower, []
    hook = tower.register_forward_pre_hook(lambda _, given: handed.append(given[0]))
    before = scores(model, waves(2, 5_000))
    hook.remove()
    frames = 5_000 // 160
    silence = handed[0][..., frames + 4 :]  # the convolutions look a few frames ahead
    assert silence.shape[-1] > 60

    def shout(_: Any, given: tuple[torch.Tensor]) -> None:
        given[0][..., frames + 4 :] += 3.0

    changing = tower.register_forward_pre_hook(shout)
    try:
        torch.testing.assert_close(scores(model, waves(2, 5_000)), before, **CLOSE)
    finally:
        changing.remove()


def test_clips_are_numbered_as_the_models_own_template_does():
    turns = [Turn("user", "<audio>Same as <audio>?"), Turn("assistant", "No."), Turn("user", "And <audio>")]
    assert [turn.content for turn in numbered(turns)] == [
        "Audio 1: <audio>\nSame as Audio 2: <audio>\n?",
        "No.",
        "And Audio 3: <audio>\n",
    ]


def test_only_the_language_models_adapter_learns():
    listener, _ = tiny_qwen()
    learning = {name for name, parameter in listener.named_parameters() if parameter.requires_grad}
    assert learning
    assert all("language_model" in name and "lora_" in name for name in learning)
    places = {name.split(".lora_")[0].rsplit(".", 1)[-1] for name in learning}
    assert places == set(LoraSizes().targets)
    features = listener.hear(waves(2, WINDOW))
    loss = listener([Example(detection_turns(is_bonafide=False), [clip]) for clip in features])
    loss.backward()
    assert all(p.grad is not None for p in listener.parameters() if p.requires_grad)


def test_saved_and_loaded_it_gives_the_same_scores(model, tmp_path):
    save_allm4add(model, tmp_path, {"step": 7})
    config = json.loads((tmp_path / "config.json").read_text())
    assert (config["detector"], config["window_samples"], config["step"]) == ("allm4add", WINDOW, 7)
    listener = load_qwen2_audio(tmp_path, "cpu", base=tiny_base())
    loaded = Allm4add(listener, CONFIG).eval()
    wave = waves(3, WINDOW, 3)
    torch.testing.assert_close(scores(loaded, wave), scores(model, wave), **CLOSE)
    listener.llm.disable_adapter_layers()
    assert (scores(loaded, wave) - scores(model, wave)).abs().max() > 1e-3


def test_an_encoder_that_was_trained_is_kept_and_restored(tmp_path):
    listener, _ = tiny_qwen()
    listener.encoder.requires_grad_(True)
    with torch.no_grad():
        for parameter in listener.encoder.tower.layers.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    save_qwen2_audio(listener, tmp_path / "a", {})
    for source, target in (("a", "b"), ("b", "c")):  # and is not lost when it is saved again
        again = load_qwen2_audio(tmp_path / source, "cpu", base=tiny_base())
        save_qwen2_audio(again, tmp_path / target, {})
    wave = waves(2, WINDOW)
    with torch.inference_mode():
        torch.testing.assert_close(again.hear(wave), listener.hear(wave), rtol=0.05, atol=0.05)  # bf16
        untrained = tiny_qwen()[0].hear(wave)
        assert (untrained - listener.hear(wave)).abs().max() > 0.2
    assert weights_digest(tmp_path / "b") == weights_digest(tmp_path / "c")


def test_a_missing_adapter_is_named(model, tmp_path):
    save_allm4add(model, tmp_path, {})
    (tmp_path / "adapter_model.safetensors").unlink()
    with pytest.raises(DetectorError, match=r"adapter_model\.safetensors is missing"):
        load_qwen2_audio(tmp_path, "cpu", base=tiny_base())


@pytest.mark.parametrize("values", [{}, {"qwen2_audio": {"lora": None, "wings": 2}}, {"qwen2_audio": [1]}])
def test_a_config_that_cannot_be_read_is_named(values, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(values))
    with pytest.raises(DetectorError, match=r"config\.json is not that of a Qwen2-Audio adapter"):
        load_qwen2_audio(tmp_path, "cpu", base=tiny_base())


@pytest.mark.parametrize(("device", "installed"), [("cuda", None), ("cpu", "found")])
def test_4_bit_without_what_it_needs_says_so_before_anything_is_fetched(device, installed, monkeypatch):
    monkeypatch.setattr(qwen2_audio, "find_spec", lambda name: installed)
    with pytest.raises(DetectorError, match=r"4-bit.*bitsandbytes.*CUDA GPU.*bf16"):
        qwen2_audio.load_qwen2_base(Qwen2AudioSizes(precision="4-bit"), device)


# By its name


@pytest.fixture
def full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The full card on a checkpoint over a tiny base model in a folder, as transformers saves it."""
    listener, processor = tiny_qwen(sizes=replace(SIZES, base=str(tmp_path / "base")))
    folder = tmp_path / "allm4add-full"
    save_allm4add(Allm4add(listener, CONFIG), folder, {"calibration": {"scale": 2.0, "offset": 1.0}})
    listener.llm.unload().save_pretrained(tmp_path / "base")
    processor.save_pretrained(tmp_path / "base")
    card = replace(CARDS["allm4add", "full"], folder=folder, base=str(tmp_path / "base"))
    monkeypatch.setitem(CARDS, ("allm4add", "full"), card)
    return folder


def test_full_is_loaded_by_name_in_bf16(model, full):
    assert detector_status("allm4add", "full") is None
    detector = load_detector("allm4add", "full", device="cpu")
    assert detector.calibration.scale == 2
    assert {p.dtype for n, p in detector.model.named_parameters() if "lora_" not in n} == {torch.bfloat16}
    found = detector.analyze(waves(1, 2 * WINDOW)[0].numpy())
    assert found.maps["answer_logits"].shape == (3, 2)
    expected = scores(model, waves(1, 2 * WINDOW)[:, :WINDOW])
    assert found.windows[0].score == pytest.approx(float(expected), abs=0.3)
    assert load_allm4add(full, "cpu").config == CONFIG


def test_a_base_that_is_damaged_is_named(full):
    (full.parent / "base" / "model.safetensors").write_bytes(b"cut off")
    with pytest.raises(DetectorError, match="cannot be loaded"):
        load_detector("allm4add", "full", device="cpu")
