"""Qwen2-Audio (Chu et al., 2024) in the place of an AudioLLM: the same questions, 7 billion parameters.

A checkpoint folder has config.json (with "qwen2_audio": the sizes), adapter_config.json and
adapter_model.safetensors, and in model.safetensors the audio encoder where it was trained too, else nothing.
"""

import json
from dataclasses import asdict, dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch
from peft import get_peft_model, get_peft_model_state_dict
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoProcessor, BitsAndBytesConfig, Qwen2AudioForConditionalGeneration
from transformers.masking_utils import create_bidirectional_mask

from detectors.audio import SAMPLE_RATE
from detectors.errors import DetectorError
from detectors.llm.base import find_base
from detectors.llm.checkpoint import (
    ADAPTER,
    CONFIG,
    WEIGHTS,
    load_adapter,
    load_part,
    read_tensors,
    write_tensors,
)
from detectors.llm.config import LoraSizes, lora_sizes
from detectors.llm.model import AudioLlm, lora_config
from detectors.llm.prompts import AUDIO, Example, Turn
from detectors.progress import Progress

#: Where config.json keeps the sizes; tells these checkpoints from those of an AudioLLM.
SIZES = "qwen2_audio"

Precision = Literal["bf16", "4-bit"]


@dataclass(frozen=True)
class Qwen2AudioSizes:
    """base: a name for llm/base.py. precision: of its weights. LoRA's sizes are those of ALLM4ADD's paper.

    `lora` is None for a model without an adapter.
    """

    base: str = "Qwen/Qwen2-Audio-7B-Instruct"
    precision: Precision = "bf16"
    lora: LoraSizes | None = field(default_factory=lambda: LoraSizes(rank=64, alpha=16, dropout=0.05))

    @property
    def pool(self) -> int:
        """As AudioLlmConfig.pool; the encoder has pooled its frames already."""
        return 1


class Encoder(nn.Module):
    """waveform [b, s] (16 kHz, in [-1, 1]) -> audio tokens [b, t, h], 25 a second, of 30 s at most.

    The parts are Qwen2-Audio's own: they run on 30 s of frames, of which those past the clip are masked.
    """

    def __init__(self, model: Any, extractor: Any) -> None:
        super().__init__()
        self.tower: Any = model.model.audio_tower
        self.projector: Any = model.model.multi_modal_projector
        self.extractor = extractor

    def forward(self, waveform: Tensor) -> Tensor:
        heard = self.extractor(
            list(waveform.detach().float().cpu().numpy()),
            sampling_rate=SAMPLE_RATE,
            padding="max_length",
            return_attention_mask=True,
            return_tensors="pt",
        )
        weight = self.projector.linear.weight
        mel = heard["input_features"].to(weight.device)
        # The waves of a batch are of one length; two strides halve their frames, then a pooling by two.
        frames = (int(heard["attention_mask"][0].sum()) - 1) // 2 + 1
        length = (mel.shape[-1] - 2) // 2 + 1
        real = torch.zeros(len(mel), length, dtype=torch.long, device=mel.device)
        real[:, :frames] = 1
        mask = create_bidirectional_mask(self.tower.config, real[..., None].to(weight.dtype), real)
        tokens = self.projector(self.tower(mel, attention_mask=mask).last_hidden_state)
        return tokens[:, : (frames - 2) // 2 + 1]


class Brackets(nn.Module):
    """audio tokens [b, t, h] -> the same between the two vectors [h] that mark a clip's begin and end."""

    begin: Tensor
    end: Tensor

    def __init__(self, begin: Tensor, end: Tensor) -> None:
        super().__init__()
        self.register_buffer("begin", begin.detach().clone(), persistent=False)
        self.register_buffer("end", end.detach().clone(), persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        begin, end = (mark.expand(len(tokens), 1, -1) for mark in (self.begin, self.end))
        return torch.cat([begin, tokens.to(begin.dtype), end], dim=1)


class Qwen2Audio(AudioLlm):
    """model: a Qwen2AudioForConditionalGeneration. processor: its Qwen2AudioProcessor.

    Only the adapter learns, unless the encoder is told to.
    """

    config: Any
    encoder: Any
    projector: Any

    def __init__(self, config: Qwen2AudioSizes, model: Any, processor: Any) -> None:
        nn.Module.__init__(self)  # the parts are Qwen2-Audio's, not those that AudioLlm would make
        self.config, self.tokenizer = config, processor.tokenizer
        if self.tokenizer.chat_template is None:
            self.tokenizer.chat_template = processor.chat_template
        self.llm = model.requires_grad_(False)
        self.encoder = Encoder(model, processor.feature_extractor)
        marks = [processor.audio_bos_token, processor.audio_eos_token]
        table = model.get_input_embeddings().weight
        self.projector = Brackets(*(table[self.tokenizer.convert_tokens_to_ids(mark)] for mark in marks))
        self.encoder_restored = False
        if config.lora:
            # The encoder's attention goes by the same names and stays as it is.
            of_llm = replace(lora_config(config.lora), exclude_modules=".*audio_tower.*")
            self.llm = get_peft_model(model, of_llm)

    def _row(self, example: Example, ask: bool) -> tuple[Tensor, Tensor]:
        return super()._row(Example(numbered(example.turns), example.features), ask)


def numbered(turns: list[Turn]) -> list[Turn]:
    """Clips introduced as Qwen2-Audio's own template does: "Audio 1: <audio>" on a line."""
    count = 0
    found = []
    for turn in turns:
        first, *rest = turn.content.split(AUDIO)
        for part in rest:
            count += 1
            first += f"Audio {count}: {AUDIO}\n{part}"
        found.append(replace(turn, content=first))
    return found


def save_qwen2_audio(model: Qwen2Audio, folder: Path, extra: dict[str, Any]) -> None:
    """Write what was trained; `extra` stands in config.json too."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG).write_text(json.dumps({**extra, SIZES: asdict(model.config)}, indent=2) + "\n")
    if model.config.lora:
        adapter = get_peft_model_state_dict(model.llm, save_embedding_layers=False)
        write_tensors(folder / ADAPTER, adapter, torch.float32)
        model.llm.peft_config["default"].save_pretrained(folder)
    trained = model.encoder_restored or model.encoder_learns()
    # Last and at once: where it is, the folder is whole.
    write_tensors(folder / WEIGHTS, model.encoder.state_dict() if trained else {}, torch.bfloat16)


def load_qwen2_audio(
    folder: Path,
    device: str,
    progress: Progress | None = None,
    base: tuple[Any, Any] | None = None,
) -> Qwen2Audio:
    """The model of a checkpoint folder, on a device and in eval mode. base: model and processor, instead of
    those that it names.

    Raises DetectorError when a part is missing or damaged, or for 4-bit weights without what they need.
    """
    try:
        values = json.loads((folder / CONFIG).read_text())[SIZES]
        config = Qwen2AudioSizes(**{**values, "lora": lora_sizes(values["lora"])})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DetectorError(f"{folder / CONFIG} is not that of a Qwen2-Audio adapter ({error}).") from error
    model = Qwen2Audio(config, *(base or load_qwen2_base(config, device, progress)))
    if config.lora:
        load_adapter(model, folder)
    encoder = read_tensors(folder / WEIGHTS)
    if encoder:
        load_part(model.encoder, encoder, "", folder)
        model.encoder_restored = True
    return model.to(device).eval()


def load_qwen2_base(
    config: Qwen2AudioSizes, device: str, progress: Progress | None = None
) -> tuple[Any, Any]:
    """Qwen2-Audio and its processor, fetched from the hub where need be: 17 GB.

    Raises DetectorError when it cannot be had, or for 4-bit weights without bitsandbytes and a GPU.
    """
    kwargs: dict[str, Any] = {"dtype": torch.bfloat16, "device_map": {"": device}, "local_files_only": True}
    if config.precision == "4-bit":
        kwargs["quantization_config"] = _four_bit(device)
    folder = find_base(config.base, progress)
    try:
        model = Qwen2AudioForConditionalGeneration.from_pretrained(folder, **kwargs)
        return model, AutoProcessor.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, SafetensorError) as error:
        raise DetectorError(f"The model {config.base} in {folder} cannot be loaded: {error}.") from error


def _four_bit(device: str) -> BitsAndBytesConfig:
    if find_spec("bitsandbytes") is None or not device.startswith("cuda"):
        raise DetectorError(
            "4-bit weights need the package bitsandbytes (pip install bitsandbytes) and a CUDA GPU. Without "
            'them, set "precision" to "bf16" in the checkpoint\'s config.json; that takes 17 GB of memory.'
        )
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=torch.bfloat16,
        # The audio encoder is small, and may be replaced by a trained one.
        llm_int8_skip_modules=["audio_tower", "multi_modal_projector", "lm_head"],
    )
