"""Clips that several tests of commands measure on."""

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """The CSV of six noises in `dev`, half of either label."""
    rng = np.random.default_rng(0)
    rows = ["path,utt_id,label,split,source"]
    for i in range(6):
        label = "bonafide" if i % 2 else "spoof"
        sf.write(tmp_path / f"{i}.wav", rng.uniform(-0.5, 0.5, 12_000), 16_000)
        rows.append(f"{i}.wav,u{i},{label},dev,{label}-source")
    (tmp_path / "manifest.csv").write_text("\n".join(rows) + "\n")
    return tmp_path / "manifest.csv"


@pytest.fixture
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kept views are made here: a worker starts slowly, and asks for views out of this process's sight."""
    loader = torch.utils.data.DataLoader
    monkeypatch.setattr(
        "detectors.head_start.DataLoader",
        lambda views, size, sampler, num_workers: loader(views, size, sampler=sampler),
    )
