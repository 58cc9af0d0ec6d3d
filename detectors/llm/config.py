"""Sizes of an AudioLLM, saved as config.json beside its weights."""

from dataclasses import dataclass, field
from typing import Any

from detectors.config import SIGNAL_WIDTH


@dataclass(frozen=True)
class LoraSizes:
    """Low-rank additions to the language model (Hu et al., 2022). targets: names of its linear layers."""

    rank: int = 8
    alpha: int = 16
    dropout: float = 0.05
    targets: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True)
class AudioLlmConfig:
    """The defaults are the mini preset: four layers of whisper-base and SmolLM2-135M-Instruct.

    encoder_*: a Whisper encoder, of which the first `encoder_layers` run. heard_layers: those whose outputs
    stand side by side in the features, counted from 1; empty: the last one alone. heard_signal: whether
    frontends/signal_features.py stands beside them. heard_textures: how many networks over fine spectra and
    phases (frontends/texture.py) say there, too, what they think of the clip. visible_range: log10 units
    below the loudest point that the encoder sees; Whisper's own is 8. relative_level: a clip's loudest point
    always lies at the same height, so that its gain cannot be seen. pool: encoder frames (20 ms each) that
    become one audio token. summary: one more token, made from the mean over the whole clip.
    base: name of the language model (see base.py). `lora` is None for a model without an adapter.
    """

    encoder_layers: int = 4
    encoder_hidden: int = 512
    encoder_heads: int = 8
    encoder_ffn: int = 2048
    heard_layers: tuple[int, ...] = ()
    heard_signal: bool = False
    heard_textures: int = 0
    mel_bands: int = 80
    visible_range: float = 6.0
    relative_level: bool = True
    llm_hidden: int = 576
    pool: int = 16
    projector_hidden: int = 256
    summary: bool = True
    dropout: float = 0.0
    base: str = "smollm2-135m-instruct"
    lora: LoraSizes | None = field(default_factory=LoraSizes)

    def __post_init__(self) -> None:
        if not all(1 <= layer <= self.encoder_layers for layer in self.heard_layers):
            raise ValueError(f"heard_layers must lie between 1 and {self.encoder_layers}")
        object.__setattr__(self, "heard_layers", tuple(self.heard_layers))

    @property
    def feature_size(self) -> int:
        """Width of what the encoder gives for one frame."""
        signal = SIGNAL_WIDTH if self.heard_signal else 0
        return self.encoder_hidden * max(1, len(self.heard_layers)) + signal + self.heard_textures


def audio_llm_config(values: dict[str, Any]) -> AudioLlmConfig:
    """Rebuild a config from JSON or YAML values. Raises TypeError on a field this version does not know,
    ValueError on layers that the encoder does not have."""
    return AudioLlmConfig(**{**values, "lora": lora_sizes(values.get("lora", LoraSizes()))})


def lora_sizes(values: Any) -> LoraSizes | None:
    """Rebuild LoRA's sizes from JSON or YAML values, or pass on what is rebuilt; None is no adapter."""
    if isinstance(values, dict):
        return LoraSizes(**{**values, "targets": tuple(values.get("targets", LoraSizes.targets))})
    sizes: LoraSizes | None = values
    return sizes
