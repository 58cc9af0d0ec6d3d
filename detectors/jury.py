"""What is trained together: one front-end and the detectors that judge its features."""

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from detectors.checkpoints import load_front_end
from detectors.frontends.whisper_init import init_from_whisper, read_whisper_base
from detectors.frontends.xlsr import XlsrFrontEnd, load_pretrained_xlsr
from detectors.models import FakeMamba, Sls, build_model
from detectors.recipe import Recipe


class Jury(nn.Module):
    """One front-end and one or more detectors that judge its features."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        first = next(iter(recipe.models.values()))
        self.front_end = XlsrFrontEnd(first.front_end)
        _initialise(self.front_end, recipe.init)
        models = {name: build_model(config, self.front_end) for name, config in recipe.models.items()}
        self.members: dict[str, Sls | FakeMamba] = models  # a plain dict: the heads alone are registered
        self.heads = nn.ModuleDict({name: model.head for name, model in models.items()})

    def forward(self, waveform: Tensor) -> dict[str, Tensor]:
        """waveform [b, s] -> per detector [b, 2] logits (0 spoof, 1 bona fide)."""
        return self.judge(waveform)

    def judge(self, waveform: Tensor) -> dict[str, Tensor]:
        """The same at full precision, though Accelerate may run `forward` at half of it."""
        features = self.front_end(waveform)
        return {name: model.judge(features)[0] for name, model in self.members.items()}


def _initialise(front_end: XlsrFrontEnd, init: str) -> None:
    kind, _, where = init.partition(":")
    if kind == "whisper_base":
        init_from_whisper(front_end, read_whisper_base(Path(where)))
    elif kind == "detector":
        load_front_end(front_end, Path(where))
    elif kind == "xlsr":
        load_pretrained_xlsr(front_end, where)


def parameter_groups(jury: Jury, recipe: Recipe) -> list[dict[str, Any]]:
    """The parameters by learning rate: extractor, the rest of the front-end, SLS's fc1, other heads."""
    extractor = list(jury.front_end.model.feature_extractor.parameters())
    fc1 = [p for name, p in jury.heads.named_parameters() if name.startswith("sls.fc1.")]
    taken = {id(p) for p in extractor + fc1}
    encoder = [p for p in jury.front_end.parameters() if id(p) not in taken]
    heads = [p for p in jury.heads.parameters() if id(p) not in taken]
    fc1_lr = recipe.sls_fc1_lr or recipe.head_lr
    return [
        {"params": extractor, "lr": recipe.extractor_lr},
        {"params": encoder, "lr": recipe.front_end_lr},
        {"params": heads, "lr": recipe.head_lr},
        *([{"params": fc1, "lr": fc1_lr}] if fc1 else []),
    ]
