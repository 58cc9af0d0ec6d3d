"""A tiny training run: two kinds of sound that anyone can tell apart, and a model that learns them soon.

`python -m tests.llm.training CORPUS RECIPE STEP` trains until update STEP and then waits to be killed.
RECIPE: values over those of `tiny_recipe`, as JSON.
"""

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

from detectors.augment import AugmentConfig
from detectors.llm.config import LoraSizes
from detectors.llm.model import AudioLlm
from detectors.llm.recipe import LlmRecipe, ProjectorStart
from tests.llm.tiny import TINY, tiny_llm, tiny_tokenizer

NO_CHANGES = AugmentConfig(0, 0, 0, 0, 0, 0, 0, 0)


def sound(is_bonafide: bool, seed: int, samples: int = 9_600) -> np.ndarray:
    """A buzz with a pitch of its own (bona fide), or noise (spoof), float32 [samples]."""
    rng = np.random.default_rng([seed, is_bonafide])
    if not is_bonafide:
        return (0.3 * rng.standard_normal(samples).clip(-3, 3)).astype(np.float32)
    phase = 2 * np.pi * rng.uniform(100, 300) * np.arange(samples) / 16_000
    return np.sum([0.3 / k * np.sin(k * phase) for k in range(1, 20)], axis=0).astype(np.float32)


def write_corpus(folder: Path) -> Path:
    """12 clips to train on and 6 to measure on, half of them buzzes; returns the manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = ["path,utt_id,label,split,source"]
    for i in range(18):
        is_bonafide, split = i % 2 == 0, "train" if i < 12 else "dev"
        soundfile.write(folder / f"{i}.wav", sound(is_bonafide, i), 16_000, subtype="PCM_16")
        rows.append(f"{i}.wav,utt{i},{'bonafide' if is_bonafide else 'spoof'},{split},src{i % 4}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    return folder / "manifest.csv"


def tiny_recipe(folder: Path, **values: Any) -> LlmRecipe:
    """Detection of the corpus in `folder`, in few updates."""
    recipe = LlmRecipe(
        name="allm4add",
        manifest=str(folder / "manifest.csv"),
        output_dir=str(folder / "out"),
        cache_dir=str(folder / "cache"),
        views=24,
        window_samples=8_000,
        hop_samples=8_000,
        coded_variants=0,
        copy_synthesis=0.0,
        augment=NO_CHANGES,
        projector_start=ProjectorStart(passes=20, lr=1e-2, batch_size=8),
        steps=80,
        batch_size=8,
        projector_lr=3e-2,
        adapter_lr=1e-2,
        warmup_ratio=0.1,
        evaluate_every=40,
        threads=1,
    )
    return replace(recipe, **values)


def learner(dropout: float = 0.0) -> AudioLlm:
    """An untrained model, the same each time; of the adapter's inputs a share is dropped while it learns."""
    tokenizer = tiny_tokenizer()
    llm = tiny_llm(len(tokenizer))
    torch.manual_seed(3)
    config = replace(TINY, lora=LoraSizes(rank=4, alpha=8, dropout=dropout))
    return AudioLlm(config, llm, tokenizer)


def log_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def train_until(recipe: LlmRecipe, step: int) -> None:
    """Train, and stand still after so many updates."""
    from detectors.llm import train

    update = train.Run._update

    def slowed(run: Any, *given: Any) -> float:
        if run.step == step:
            (Path(recipe.output_dir) / "waiting").touch()
            time.sleep(600)
        return update(run, *given)

    train.Run._update = slowed  # type: ignore[method-assign]
    train.train_llm(recipe, learner(dropout=0.2))


if __name__ == "__main__":
    folder, output, step = sys.argv[1:]
    train_until(tiny_recipe(Path(folder), **json.loads(output)), int(step))
