"""Saving and loading an AudioLLM: what we trained, not the language model that it builds on.

A checkpoint folder has config.json (with "audio_llm": the sizes), model.safetensors (projector and audio
encoder) and, with LoRA, peft's adapter_config.json and adapter_model.safetensors. Where "encoder_in" names
a folder beside it, the encoder is that one's, and is kept there alone.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from peft import get_peft_model_state_dict, set_peft_model_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

from detectors.checkpoints import folder_beside
from detectors.errors import DetectorError
from detectors.llm.base import find_base
from detectors.llm.config import AudioLlmConfig, audio_llm_config
from detectors.llm.model import AudioLlm, lora_config
from detectors.progress import Progress
from detectors.whole_files import written_whole

WEIGHTS, CONFIG, ADAPTER = "model.safetensors", "config.json", "adapter_model.safetensors"


def save_audio_llm(
    model: AudioLlm,
    folder: Path,
    extra: dict[str, Any],
    dtype: torch.dtype = torch.float16,
    encoder_in: str = "",
) -> None:
    """Write what was trained and the encoder, in fp16 by default; `extra` stands in config.json too.

    encoder_in: name of the folder beside `folder` that has the same encoder, which is then not written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = {**extra, "audio_llm": asdict(model.config)}
    if encoder_in:
        config["encoder_in"] = encoder_in
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n")
    if model.config.lora:
        write_tensors(
            folder / ADAPTER, get_peft_model_state_dict(model.llm, save_embedding_layers=False), dtype
        )
        adapter = lora_config(model.config.lora)
        adapter.base_model_name_or_path = model.config.base
        adapter.inference_mode = True
        adapter.save_pretrained(str(folder))
    # The weights come last and at once: where they are, the folder is whole.
    parts: dict[str, torch.nn.Module] = {"projector": model.projector}
    if not encoder_in:
        parts["encoder"] = model.encoder
    own = {
        f"{part}.{name}": value
        for part, module in parts.items()
        for name, value in module.state_dict().items()
    }
    write_tensors(folder / WEIGHTS, own, dtype)


def read_audio_llm_config(folder: Path) -> dict[str, Any]:
    """config.json of a checkpoint folder. Raises DetectorError when it is not one of an AudioLLM."""
    if not (folder / CONFIG).is_file() or not (folder / WEIGHTS).is_file():
        raise DetectorError(f"{folder} is no AudioLLM checkpoint: it needs {WEIGHTS} and {CONFIG}.")
    try:
        config = json.loads((folder / CONFIG).read_text())
        config["audio_llm"] = audio_llm_config(config["audio_llm"])
    except (ValueError, TypeError, KeyError) as error:
        raise DetectorError(
            f"{folder / CONFIG} is not that of an AudioLLM ({error}). Fetch or save the checkpoint again."
        ) from error
    return dict(config)


def load_base(
    name: str, dtype: torch.dtype = torch.float32, progress: Progress | None = None
) -> tuple[Any, Any]:
    """The language model and its tokenizer; fetched once where need be.

    Raises DetectorError when it is not at hand and cannot be fetched.
    """
    folder = find_base(name, progress)
    try:
        llm = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, local_files_only=True)
        return llm, AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, SafetensorError) as error:
        raise DetectorError(
            f"The language model in {folder} cannot be loaded: {error}. Delete the folder to fetch it anew."
        ) from error


def load_audio_llm(
    folder: Path,
    llm: Any = None,
    tokenizer: Any = None,
    dtype: torch.dtype = torch.float32,
    progress: Progress | None = None,
    merge: bool = False,
) -> AudioLlm:
    """The model of a checkpoint folder, in eval mode. llm, tokenizer: instead of those that it names.

    merge: work the adapter into the language model's weights, which answers faster and cannot be
    trained further. Raises DetectorError when the folder is damaged or the language model is missing.
    """
    config: AudioLlmConfig = read_audio_llm_config(folder)["audio_llm"]
    if llm is None:
        llm, tokenizer = load_base(config.base, dtype, progress)
    model = AudioLlm(config, llm, tokenizer)
    load_part(model.projector, read_tensors(folder / WEIGHTS), "projector.", folder)
    load_encoder(model, folder)
    if config.lora:
        load_adapter(model, folder)
        if merge:
            model.merge()
    return model.eval()


def load_encoder(model: AudioLlm, folder: Path) -> None:
    """Load the audio encoder of a checkpoint folder into a model of the same sizes.

    A model that hears no textures takes the encoder of one that does, without them.
    """
    elsewhere = str(read_audio_llm_config(folder).get("encoder_in", ""))
    owner = folder_beside(folder, "encoder_in", elsewhere) if elsewhere else folder
    tensors = read_tensors(owner / WEIGHTS)
    if not model.config.heard_textures:
        tensors = {name: value for name, value in tensors.items() if not name.startswith("encoder.textures.")}
    load_part(model.encoder, tensors, "encoder.", owner)


def load_adapter(model: AudioLlm, folder: Path) -> None:
    """Load the LoRA additions of a checkpoint folder into a model of the same sizes."""
    result: Any = set_peft_model_state_dict(model.llm, read_tensors(folder / ADAPTER))
    if result.unexpected_keys:
        raise DetectorError(
            f"{folder / ADAPTER} does not fit the language model {model.config.base}: it does not have "
            f"{result.unexpected_keys[0]} and {len(result.unexpected_keys) - 1} more."
        )


def load_part(module: torch.nn.Module, tensors: dict[str, Tensor], prefix: str, folder: Path) -> None:
    """Load the tensors whose names begin with `prefix`. DetectorError when they do not fit."""
    of_part = {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}
    try:
        module.load_state_dict(of_part)
    except RuntimeError as error:
        raise DetectorError(f"{folder / WEIGHTS} does not fit its config.json: {error}") from error


def read_tensors(path: Path) -> dict[str, Tensor]:
    """A safetensors file, in fp32. Raises DetectorError when it is missing or damaged."""
    try:
        return {name: value.float() for name, value in load_file(path).items()}
    except (OSError, SafetensorError) as error:
        raise DetectorError(
            f"{path} is missing or damaged: {error}. Fetch or save the checkpoint again."
        ) from error


def write_tensors(path: Path, tensors: dict[str, Tensor], dtype: torch.dtype) -> None:
    """Write a safetensors file all at once, so that a kill leaves no half file."""
    with written_whole(path) as part:
        save_file(
            {name: value.detach().to(dtype).cpu().contiguous() for name, value in tensors.items()}, part
        )
