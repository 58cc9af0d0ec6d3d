"""Training of SLS and Fake-Mamba, alone or together over one front-end.

A run that was killed goes on from its last checkpoint when it is started again.
"""

import copy
import json
import logging
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator, DataLoaderConfiguration, DistributedDataParallelKwargs
from torch import Tensor, nn
from torch.utils.data import DataLoader

from detectors.checkpoints import load_front_end, save_model
from detectors.corpus import ClipCache, build_cache, read_manifest
from detectors.dev_scores import eer_by_source, score_clips
from detectors.frontends.whisper_init import init_from_whisper, read_whisper_base
from detectors.frontends.xlsr import XlsrFrontEnd, load_pretrained_xlsr
from detectors.head_start import keep_features, start_head
from detectors.models import FakeMamba, Sls, build_model
from detectors.recipe import Recipe
from detectors.schedule import warm_cosine
from detectors.views import From, Views

log = logging.getLogger(__name__)


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


def learning_rate_factor(step: int, recipe: Recipe) -> float:
    """Linear warm-up, then half a cosine down to 2 %."""
    return warm_cosine(step, recipe.steps, recipe.warmup_steps)


def _groups(jury: Jury, recipe: Recipe) -> list[dict[str, Any]]:
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


def _accelerator(recipe: Recipe) -> Accelerator:
    """Several processes share each batch; a detector alone leaves parts of the front-end unused
    (SLS the final norm), which torch must be told."""
    return Accelerator(
        mixed_precision=recipe.mixed_precision,
        dataloader_config=DataLoaderConfiguration(split_batches=True),
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )


class Run:
    """The state of a training run: live weights, averaged weights, optimiser, step."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.config = next(iter(recipe.models.values()))  # front-end and windows are the same in all
        self.folder = Path(recipe.output_dir)
        self.folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(recipe.seed)
        self.accelerator = _accelerator(recipe)
        self.jury = Jury(recipe)
        self.averaged = copy.deepcopy(self.jury)
        self.optimizer = torch.optim.AdamW(_groups(self.jury, recipe), weight_decay=recipe.weight_decay)
        self.base_lrs = [group["lr"] for group in self.optimizer.param_groups]
        self.step, self.best = 0, math.inf

    def resume(self) -> None:
        """Go on from last.pt if this run was cut off."""
        path = self.folder / "last.pt"
        if path.exists():
            state = torch.load(path, map_location="cpu", weights_only=True)
            self.jury.load_state_dict(state["jury"])
            self.averaged.load_state_dict(state["averaged"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.step, self.best = state["step"], state["best"]
            log.info("going on from step %d", self.step)

    def save(self) -> None:
        """Write last.pt so that a kill at any moment leaves a whole file."""
        state = {
            "jury": self.jury.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "best": self.best,
        }
        torch.save(state, self.folder / "last.pt.part")
        os.replace(self.folder / "last.pt.part", self.folder / "last.pt")

    def start_heads(self, views: Views) -> None:
        """The heads' start, for a run that has not begun yet."""
        config, recipe = self.recipe.head_start, self.recipe
        if self.step or not config.views:
            return
        self.jury.to(self.accelerator.device).eval()
        of_views = (views.cache.made_from, recipe.seed, recipe.balance, recipe.copy_synthesis, recipe.augment)
        made_from = str((of_views, recipe.init, self.config.front_end, self.config.window_samples))
        folder = Path(recipe.cache_dir) / "features"
        with self.accelerator.main_process_first():  # the others then find the features
            kept = keep_features(folder, self.jury.front_end, views, config.views, made_from)
        self.jury.cpu()  # where the kept features are; the heads alone are little work
        for model in self.jury.members.values():
            start_head(model, kept, config, recipe.seed)
        self.averaged.load_state_dict(self.jury.state_dict())

    def train_step(self, jury: nn.Module, wave: Tensor, label: Tensor) -> dict[str, float]:
        """One update; returns the loss of each detector."""
        for group, base in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            group["lr"] = base * learning_rate_factor(self.step, self.recipe)
        weights = torch.tensor(self.recipe.class_weights, device=wave.device)
        losses = {
            name: nn.functional.cross_entropy(
                logits.float(), label, weight=weights, label_smoothing=self.recipe.label_smoothing
            )
            for name, logits in jury(wave).items()
        }
        self.optimizer.zero_grad()
        self.accelerator.backward(torch.stack(list(losses.values())).sum())
        self.accelerator.clip_grad_norm_(jury.parameters(), self.recipe.clip_grad)
        self.optimizer.step()
        self.step += 1
        self._average()
        return {name: loss.item() for name, loss in losses.items()}

    @torch.no_grad()
    def _average(self) -> None:
        # Early on, the average would be dominated by the untrained heads: let it follow faster.
        keep = min(self.recipe.average, self.step / (self.step + 10))
        live = self.jury.state_dict()
        for name, value in self.averaged.state_dict().items():
            if value.is_floating_point():
                value.lerp_(live[name].to(value.device, value.dtype), 1 - keep)
            else:
                value.copy_(live[name])

    def evaluate(self, dev: ClipCache) -> dict[str, Any]:
        """EER on dev, pooled and per source; the best average so far is saved as the result."""
        device = self.accelerator.device
        self.averaged.to(device).eval()
        scores = score_clips(self.averaged, self.config, (dev.wave(i) for i in range(len(dev))), device)
        reports = {name: eer_by_source(dev.clips, values) for name, values in scores.items()}
        badness = float(np.mean([r["pooled"] + r["macro"] for r in reports.values()]))
        if badness < self.best:
            self.best = badness
            for name, model in self.averaged.members.items():
                save_model(model, name, self.folder / name, {"step": self.step, "dev_eer": reports[name]})
        return reports


def train(recipe: Recipe) -> None:
    """Run the recipe to its end. Losses and dev EERs go to `output_dir`/log.jsonl."""
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    run = Run(recipe)
    with run.accelerator.main_process_first():  # the others then find the cache complete
        caches = {
            split: build_cache(
                Path(recipe.cache_dir) / split,
                read_manifest(Path(recipe.manifest), split),
                recipe.coded_variants if split == "train" else 0,
                recipe.seed,
            )
            for split in ("train", "dev")
        }
    run.resume()
    views = Views(caches["train"], recipe, run.config.window_samples)
    run.start_heads(views)
    if recipe.steps == 0:  # the head start alone
        _record(run, {"step": 0, "dev": run.evaluate(caches["dev"])})
        return
    order = From(run.step * recipe.batch_size, recipe.steps * recipe.batch_size)
    loader = DataLoader(views, recipe.batch_size, sampler=order, num_workers=recipe.workers, drop_last=True)
    jury, run.optimizer, loader = run.accelerator.prepare(run.jury, run.optimizer, loader)
    jury.train()
    recent: list[dict[str, float]] = []
    for wave, label in loader:
        recent.append(run.train_step(jury, wave, label))
        if run.step % 25 == 0:
            means = {name: float(np.mean([r[name] for r in recent])) for name in recent[0]}
            recent.clear()
            _record(run, {"step": run.step, "loss": means})
        if run.step % recipe.evaluate_every == 0 or run.step == recipe.steps:
            if run.accelerator.is_main_process:
                _record(run, {"step": run.step, "dev": run.evaluate(caches["dev"])})
                run.save()
            run.accelerator.wait_for_everyone()


def _record(run: Run, entry: dict[str, Any]) -> None:
    if run.accelerator.is_main_process:
        log.info("%s", entry)
        with (run.folder / "log.jsonl").open("a") as file:
            file.write(json.dumps(entry) + "\n")
