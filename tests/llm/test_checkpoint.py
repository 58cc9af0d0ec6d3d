"""Checkpoints hold what we trained, and load to the same model or say what is wrong."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from detectors.errors import DetectorError
from detectors.llm import checkpoint
from detectors.llm.checkpoint import (
    load_audio_llm,
    load_encoder,
    read_audio_llm_config,
    save_audio_llm,
)
from detectors.llm.config import LoraSizes
from detectors.llm.model import AudioLlm
from detectors.llm.prompts import Example, Turn
from tests.llm.tiny import TINY, tiny_audio_llm, tiny_llm, tiny_tokenizer, waves


def loaded(folder: Path, **how: Any) -> AudioLlm:
    tokenizer = tiny_tokenizer()
    return load_audio_llm(folder, tiny_llm(len(tokenizer)), tokenizer, **how)


@torch.inference_mode()
def said(model: AudioLlm) -> torch.Tensor:
    """What the model would say to two clips: all of its parts have a part in it."""
    turns = [Turn("user", "<audio>Real?")]
    return model.next_logits([Example(turns, [clip]) for clip in model.hear(waves(2, 8_000))])


@pytest.fixture
def model() -> AudioLlm:
    model = tiny_audio_llm(seed=5)
    model.projector.settle(torch.randn(16), torch.rand(16) + 0.5)
    model.encoder.normed.fill_(1.0)
    return model


@pytest.mark.parametrize("merge", [False, True])
def test_a_checkpoint_loads_to_the_same_model(model: AudioLlm, tmp_path: Path, merge: bool) -> None:
    save_audio_llm(model, tmp_path, {"step": 7}, torch.float32)
    again = loaded(tmp_path, merge=merge)
    assert again.config == model.config
    assert not again.training
    torch.testing.assert_close(said(again), said(model), rtol=1e-4, atol=1e-4)
    assert read_audio_llm_config(tmp_path)["step"] == 7


def test_half_precision_costs_little(model: AudioLlm, tmp_path: Path) -> None:
    save_audio_llm(model, tmp_path, {})
    tensors = load_file(tmp_path / "model.safetensors") | load_file(tmp_path / "adapter_model.safetensors")
    assert {value.dtype for value in tensors.values()} == {torch.float16}
    torch.testing.assert_close(said(loaded(tmp_path)), said(model), rtol=0.02, atol=0.05)


def test_the_language_model_is_not_in_the_checkpoint(model: AudioLlm, tmp_path: Path) -> None:
    save_audio_llm(model, tmp_path, {})
    assert all("lora_" in name for name in load_file(tmp_path / "adapter_model.safetensors"))
    names = {name.split(".")[0] for name in load_file(tmp_path / "model.safetensors")}
    assert names == {"projector", "encoder"}
    assert json.loads((tmp_path / "adapter_config.json").read_text())["base_model_name_or_path"] == "tiny"
    assert not list(tmp_path.glob("*.part"))


def test_a_trained_encoder_is_restored(model: AudioLlm, tmp_path: Path) -> None:
    with torch.no_grad():
        for parameter in model.encoder.parameters():
            parameter.add_(0.1)
    save_audio_llm(model, tmp_path, {}, torch.float32)
    for name, value in loaded(tmp_path).encoder.state_dict().items():
        torch.testing.assert_close(value, model.encoder.state_dict()[name])
    other = tiny_audio_llm()
    load_encoder(other, tmp_path)
    torch.testing.assert_close(other.hear(waves(1, 8_000)), model.hear(waves(1, 8_000)))


def test_the_encoder_of_a_model_that_hears_textures_serves_one_that_does_not(
    model: AudioLlm, tmp_path: Path
) -> None:
    config, tokenizer = replace(TINY, heard_textures=1), tiny_tokenizer()
    hearing = AudioLlm(config, tiny_llm(len(tokenizer)), tokenizer).eval()
    save_audio_llm(hearing, tmp_path, {}, torch.float32)
    other = AudioLlm(config, tiny_llm(len(tokenizer)), tokenizer).eval()
    load_encoder(other, tmp_path)
    wave = waves(1, 8_000)
    torch.testing.assert_close(other.hear(wave), hearing.hear(wave))
    load_encoder(model, tmp_path)
    torch.testing.assert_close(model.hear(wave), hearing.hear(wave)[..., :-1])


def test_a_model_without_an_adapter_has_none_saved(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer()
    model = AudioLlm(replace(TINY, lora=None), tiny_llm(len(tokenizer)), tokenizer).eval()
    save_audio_llm(model, tmp_path, {}, torch.float32)
    assert not (tmp_path / "adapter_model.safetensors").exists()
    torch.testing.assert_close(said(loaded(tmp_path)), said(model))


def test_without_a_given_one_the_named_language_model_is_found(
    model: AudioLlm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tmp_path / "base"
    model_alone, tokenizer = tiny_llm(len(tiny_tokenizer())), tiny_tokenizer()
    model_alone.save_pretrained(base)
    tokenizer.save_pretrained(base)
    asked = []

    def find_base(name: str, progress: Any) -> Path:
        asked.append(name)
        return base

    monkeypatch.setattr(checkpoint, "find_base", find_base)
    save_audio_llm(model, tmp_path / "ours", {}, torch.float32)
    torch.testing.assert_close(said(load_audio_llm(tmp_path / "ours")), said(model), rtol=1e-4, atol=1e-4)
    assert asked == ["tiny"]
    (base / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(DetectorError, match="cannot be loaded"):
        load_audio_llm(tmp_path / "ours")


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match="is no AudioLLM checkpoint"):
        loaded(tmp_path)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("config.json", b"{", "not that of an AudioLLM"),
        ("config.json", b'{"audio_llm": {"wings": 2}}', "not that of an AudioLLM"),
        ("config.json", b"{}", "not that of an AudioLLM"),
        ("model.safetensors", b"broken", "missing or damaged"),
        ("adapter_model.safetensors", b"broken", "missing or damaged"),
    ],
)
def test_a_damaged_file_is_named(
    model: AudioLlm, tmp_path: Path, file: str, content: bytes, message: str
) -> None:
    save_audio_llm(model, tmp_path, {})
    (tmp_path / file).write_bytes(content)
    with pytest.raises(DetectorError, match=f"{file}.*{message}"):
        loaded(tmp_path)


def test_weights_of_other_sizes_than_the_config_says_are_refused(model: AudioLlm, tmp_path: Path) -> None:
    save_audio_llm(model, tmp_path, {})
    config = json.loads((tmp_path / "config.json").read_text())
    config["audio_llm"]["projector_hidden"] += 1
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(DetectorError, match="does not fit its config"):
        loaded(tmp_path)


def test_an_adapter_for_other_layers_is_refused(model: AudioLlm, tmp_path: Path) -> None:
    save_audio_llm(model, tmp_path, {})
    config = json.loads((tmp_path / "config.json").read_text())
    config["audio_llm"]["lora"]["targets"] = ["q_proj"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(DetectorError, match="does not fit the language model"):
        loaded(tmp_path)


def test_a_config_survives_json() -> None:
    from dataclasses import asdict

    from detectors.llm.config import audio_llm_config

    assert audio_llm_config(json.loads(json.dumps(asdict(TINY)))) == TINY
    assert audio_llm_config({"lora": None}).lora is None
    assert audio_llm_config({"lora": {"rank": 2}}).lora == LoraSizes(rank=2)
