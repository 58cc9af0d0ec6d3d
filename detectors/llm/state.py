"""What a training run has learnt so far: written so that a kill at any moment costs little."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from detectors.errors import DetectorError
from detectors.whole_files import written_whole


def learnt_tensors(model: nn.Module) -> dict[str, Tensor]:
    """What learns in the model, and the statistics that its projector was settled with, by name."""
    found = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    return found | {name: b for name, b in model.named_buffers() if name.startswith("projector.")}


class Average:
    """An exponential average of what a model learns, over about `steps` updates; 0: no average."""

    def __init__(self, model: nn.Module, steps: int) -> None:
        self.model, self.steps = model, steps
        self.values = {k: v.clone() for k, v in learnt_tensors(model).items()} if steps else {}

    def to(self, device: torch.device) -> None:
        """Keep the average where the model is."""
        self.values = {name: value.to(device) for name, value in self.values.items()}

    @torch.no_grad()
    def follow(self, update: int) -> None:
        """Take in the weights after `update` updates. Early ones are soon forgotten."""
        if self.steps:
            keep = min(1 - 1 / self.steps, update / (update + 10))
            for name, value in learnt_tensors(self.model).items():
                self.values[name].lerp_(value, 1 - keep)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Inside, the model has the averaged weights."""
        live = {name: value.clone() for name, value in learnt_tensors(self.model).items()}
        put(self.model, self.values)
        try:
            yield
        finally:
            put(self.model, live)


@torch.no_grad()
def put(model: nn.Module, values: dict[str, Tensor]) -> None:
    """Write values into the model's tensors of those names."""
    own = learnt_tensors(model)
    for name, value in values.items():
        own[name].copy_(value)


def save_state(path: Path, model: nn.Module, average: Average, rest: dict[str, Any]) -> None:
    """All at once: a kill leaves the file as it was, or as it should be."""
    learnt = {name: value.cpu() for name, value in learnt_tensors(model).items()}
    with written_whole(path) as part:
        torch.save({"learnt": learnt, "average": average.values, **rest}, part)


def load_state(path: Path, model: nn.Module, average: Average) -> dict[str, Any]:
    """Put back what `save_state` wrote; returns the rest.

    Raises DetectorError when it is of another model.
    """
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    own = {name: value.shape for name, value in learnt_tensors(model).items()}
    if own != {name: value.shape for name, value in state["learnt"].items()} or (
        average.values.keys() != state["average"].keys()
    ):
        raise DetectorError(
            f"{path} is of a run with other sizes or another average. Finish that run with its own recipe, "
            "or choose another output_dir."
        )
    put(model, state["learnt"])
    for name, value in state["average"].items():
        average.values[name].copy_(value)
    return state
