"""ALLM4ADD: an audio language model is asked whether a clip is real or fake (Gu et al., ACM MM 2025).

Its answer is not the score, but how much rather it would begin that answer with the first token of "Real"
than with that of "Fake": s = logit(Real) - logit(Fake).
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from detectors.checkpoints import CONFIG, config_of
from detectors.errors import DetectorError
from detectors.llm.checkpoint import load_audio_llm, save_audio_llm
from detectors.llm.detection import answer_logits
from detectors.llm.model import AudioLlm
from detectors.llm.qwen2_audio import SIZES, Qwen2Audio, load_qwen2_audio, save_qwen2_audio
from detectors.progress import Progress
from detectors.timeline import OverTime


@dataclass(frozen=True)
class Allm4addConfig:
    """How a clip is cut, in samples."""

    window_samples: int = 48_000
    hop_samples: int = 24_000


class Answers(NamedTuple):
    """logits [b, 2]: of an answer that begins with "Fake" (0) and of one that begins with "Real" (1)."""

    logits: Tensor

    @property
    def cm_scores(self) -> Tensor:
        """[b], higher = bona fide."""
        return self.logits[:, 1] - self.logits[:, 0]

    def maps(self, over_time: OverTime) -> dict[str, np.ndarray]:
        """answer_logits [b, 2]."""
        return {"answer_logits": self.logits.numpy()}


class Allm4add(nn.Module):
    """waveform [b, window_samples] -> Answers."""

    def __init__(self, listener: AudioLlm, config: Allm4addConfig | None = None) -> None:
        super().__init__()
        self.listener, self.config = listener, config or Allm4addConfig()

    def forward(self, waveform: Tensor) -> Answers:
        return self.judge(self.listener.hear(waveform))

    def judge(self, features: Iterable[Tensor]) -> Answers:
        """What it would answer to what the encoder heard: [b, t, d], or b clips [t, d] of any lengths."""
        return Answers(answer_logits(self.listener, list(features)))


def save_allm4add(
    model: Allm4add, folder: Path, extra: dict[str, Any], dtype: torch.dtype = torch.float16
) -> None:
    """Write a checkpoint that `load_allm4add` reads; `extra` is kept in its config.json too."""
    values = {"detector": "allm4add", **asdict(model.config), **extra}
    if isinstance(model.listener, Qwen2Audio):
        save_qwen2_audio(model.listener, folder, values)
    else:
        save_audio_llm(model.listener, folder, values, dtype)


def load_allm4add(folder: Path, device: str, progress: Progress | None = None) -> Allm4add:
    """The detector of a checkpoint folder, on a device and in eval mode. progress: of fetching its base.

    Raises DetectorError when the folder is damaged, or when the language model beneath cannot be had.
    """
    values = config_of(folder, "allm4add")
    known = [field.name for field in fields(Allm4addConfig)]
    config = Allm4addConfig(**{name: values[name] for name in known if name in values})
    if not 0 < config.hop_samples <= config.window_samples:
        raise DetectorError(
            f"{folder / CONFIG} asks for windows of {config.window_samples} samples every "
            f"{config.hop_samples}: the second number must be between 1 and the first."
        )
    listener: AudioLlm
    if SIZES in values:
        listener = load_qwen2_audio(folder, device, progress)
    else:
        listener = load_audio_llm(folder, progress=progress, merge=True)
    return Allm4add(listener, config).to(device).eval()
