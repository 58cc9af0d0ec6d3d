"""What training begins with: a language model, an audio encoder, and a projector between them."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from detectors.checkpoints import load_model
from detectors.errors import DetectorError
from detectors.frontends.whisper_init import read_whisper_base
from detectors.llm.checkpoint import load_audio_llm, load_base, load_encoder, read_audio_llm_config
from detectors.llm.config import AudioLlmConfig, audio_llm_config, lora_sizes
from detectors.llm.encoder import from_ctranslate2
from detectors.llm.model import AudioLlm
from detectors.llm.recipe import LlmRecipe

#: Of mixed precision: the frozen language model is held in it too.
DTYPES = {"no": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}

#: The fields of AudioLlmConfig that say nothing about the encoder.
_NOT_HEARING = ("llm_hidden", "pool", "projector_hidden", "summary", "dropout", "base", "lora")


def build_model(recipe: LlmRecipe, device: str = "cpu") -> AudioLlm:
    """The untrained model of a recipe, or the checkpoint that it goes on from.

    device: where Qwen2-Audio, of 7 billion parameters, is put at once.
    Raises DetectorError when a part is missing or does not fit.
    """
    dtype = DTYPES[recipe.mixed_precision]
    if recipe.backend == "qwen2_audio":
        model = _qwen2_audio(recipe, device)
    elif recipe.start:
        model = load_audio_llm(Path(recipe.start), dtype=dtype)
    else:
        sizes, tensors, layers = _encoder(recipe.encoder)
        llm, tokenizer = load_base(recipe.base, dtype)
        told = {"base": recipe.base, "llm_hidden": llm.config.hidden_size}
        config = _sizes({**sizes, **told, **recipe.model})
        model = AudioLlm(config, llm, tokenizer)
        if tensors is None:
            load_encoder(model, Path(recipe.encoder.partition(":")[2]))
        else:
            model.encoder.load_whisper(tensors, layers)
            _load_textures(model, recipe.textures)
    return model


def make_ready(model: AudioLlm, recipe: LlmRecipe) -> None:
    """Say which of the model's parts learn, and how it saves memory."""
    if recipe.train_encoder:
        for name, parameter in model.encoder.named_parameters():
            parameter.requires_grad = "embed_positions" not in name  # codes that are computed, not learnt
    if recipe.gradient_checkpointing:
        model.causal_lm.gradient_checkpointing_enable({"use_reentrant": False})


def _load_textures(model: AudioLlm, folder: str) -> None:
    """The textures that it hears, from a checkpoint of Fake-Mamba, of those with phases the first ones."""
    wanted = list(model.encoder.textures)
    if not wanted:
        return
    front_end = load_model(Path(folder), "fake_mamba").front_end if folder else None
    found = [texture for texture in front_end.textures if texture.phases] if front_end else []
    if len(found) < len(wanted):
        raise DetectorError(
            f"The recipe's model hears {len(wanted)} textures with phases, but {folder or 'no checkpoint'} "
            f"has {len(found)}. As textures, name a checkpoint of Fake-Mamba trained with phase_textures."
        )
    for own, texture in zip(wanted, found, strict=False):
        own.load_state_dict(texture.state_dict())


def _sizes(values: dict[str, Any]) -> AudioLlmConfig:
    try:
        return audio_llm_config(values)
    except (TypeError, ValueError) as error:
        raise DetectorError(f"The recipe's model is not one: {error}.") from error


def _qwen2_audio(recipe: LlmRecipe, device: str) -> AudioLlm:
    from detectors.llm.qwen2_audio import Qwen2Audio, Qwen2AudioSizes, load_qwen2_audio, load_qwen2_base

    if recipe.start:
        return load_qwen2_audio(Path(recipe.start), device)
    values = {"base": recipe.base, **recipe.model}
    if "lora" in values:
        values["lora"] = lora_sizes(values["lora"])
    sizes = Qwen2AudioSizes(**values)
    return Qwen2Audio(sizes, *load_qwen2_base(sizes, device))


def _encoder(source: str) -> tuple[dict[str, Any], dict[str, Tensor] | None, int]:
    """Fields of the config, weights under transformers' names, and the layers that these were trained with.

    The weights are None for the encoder of one of our checkpoints.
    """
    kind, _, where = source.partition(":")
    if kind == "whisper_base":
        tensors, layers = from_ctranslate2(read_whisper_base(Path(where)))
        return {}, tensors, layers
    if kind == "whisper":
        return _from_transformers(where)
    if kind == "audio_llm":
        config: AudioLlmConfig = read_audio_llm_config(Path(where))["audio_llm"]
        names = [name for name in AudioLlmConfig.__dataclass_fields__ if name not in _NOT_HEARING]
        return {name: getattr(config, name) for name in names}, None, 0
    raise DetectorError(
        "The recipe names no audio encoder. Add one, such as encoder: whisper_base:FOLDER or "
        "encoder: whisper:openai/whisper-base."
    )


def _from_transformers(name: str) -> tuple[dict[str, Any], dict[str, Tensor], int]:
    """A Whisper of the hub or of a folder; it sees what it was trained to see."""
    from transformers import WhisperModel

    try:
        whisper = WhisperModel.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise DetectorError(
            f"The Whisper model {name} cannot be loaded: {error}. Name a folder with config.json and "
            "model.safetensors, or a model of the Hugging Face hub while it can be reached."
        ) from error
    config = whisper.config
    sizes = {
        "encoder_layers": config.encoder_layers,
        "encoder_hidden": config.d_model,
        "encoder_heads": config.encoder_attention_heads,
        "encoder_ffn": config.encoder_ffn_dim,
        "mel_bands": config.num_mel_bins,
        "visible_range": 8.0,
        "relative_level": False,
    }
    return sizes, whisper.get_encoder().state_dict(), config.encoder_layers
