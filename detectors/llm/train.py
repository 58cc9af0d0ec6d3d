"""Training of AudioLLM and ALLM4ADD: the projector and the adapter learn, the rest stays as it is.

A run that was killed goes on from its last.pt when it is started again, with the same data in the same order.
"""

import json
import logging
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch.utils.data import DataLoader

from detectors.backends.allm4add import Allm4add, Allm4addConfig, save_allm4add
from detectors.dev_scores import eer_by_source
from detectors.llm.adapter_start import start_adapter
from detectors.llm.checkpoint import save_audio_llm
from detectors.llm.clips import Features
from detectors.llm.evaluate import held_out_loss
from detectors.llm.gather import Dev, Gathered, gather
from detectors.llm.learning import accelerator_of, parameter_groups
from detectors.llm.model import AudioLlm
from detectors.llm.projector import Projector
from detectors.llm.projector_start import start_projector, statistics
from detectors.llm.prompts import Example
from detectors.llm.recipe import LlmRecipe
from detectors.llm.start import build_model, make_ready
from detectors.llm.state import Average, load_state, save_state
from detectors.schedule import warm_cosine

log = logging.getLogger(__name__)


def train_llm(recipe: LlmRecipe, model: AudioLlm | None = None) -> None:
    """Run the recipe to its end; the best weights are in `output_dir`, losses and EERs in its log.jsonl.

    model: to train instead of the recipe's own. Raises DetectorError when something is missing.
    """
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    torch.manual_seed(recipe.seed)
    accelerator = accelerator_of(recipe)
    with accelerator.main_process_first():  # the others then find what is fetched, decoded and kept
        model = model or build_model(recipe, str(accelerator.device))
        make_ready(model, recipe)
        model.encoder.to(accelerator.device)
        gathered = gather(recipe, model)
    run = Run(recipe, model, gathered, accelerator)
    run.go()
    accelerator.end_training()


class Run:
    """The state of a training run: weights, their average, optimiser, update."""

    def __init__(
        self, recipe: LlmRecipe, model: AudioLlm, gathered: Gathered, accelerator: Accelerator
    ) -> None:
        self.recipe, self.model, self.gathered, self.accelerator = recipe, model, gathered, accelerator
        self.folder = Path(recipe.output_dir)
        self.folder.mkdir(parents=True, exist_ok=True)
        per_update = recipe.batch_size * recipe.accumulate * accelerator.num_processes
        epoch = gathered.mixture.epoch_size
        self.steps = recipe.steps or math.ceil(recipe.epochs * epoch / per_update)
        self.optimizer: Any = torch.optim.AdamW(parameter_groups(model, recipe), betas=recipe.betas)
        self.base_lrs = [group["lr"] for group in self.optimizer.param_groups]
        self.average = Average(model, recipe.average_steps)
        self.step, self.best = 0, math.inf

    def go(self) -> None:
        """Resume or begin, then learn, measure and save by turns."""
        has_begun = (self.folder / "last.pt").exists()
        if has_begun:
            self._resume()
        else:
            self._begin()
        examples = self._examples()
        prepared, self.optimizer = self.accelerator.prepare(self.model, self.optimizer)
        self.average.to(self.accelerator.device)
        recent: list[float] = []
        for _ in range(self.step, self.steps):
            recent.append(self._update(prepared, examples))
            if self.step % 25 == 0 or self.step == self.steps:
                self._record({"step": self.step, "loss": float(np.mean(recent))})
                recent.clear()
            if self.step % self.recipe.evaluate_every == 0 or self.step == self.steps:
                self._measure()
                self._save()
        if not self.steps and not has_begun:  # the starts alone
            self._measure()
            self._save()

    def _begin(self) -> None:
        recipe, heard, views = self.recipe, self.gathered.heard, self.gathered.views
        projector = self.model.projector
        if isinstance(projector, Projector) and heard and not recipe.start:
            projector.settle(*statistics(self.model, heard))
            if isinstance(views, Features):
                self._start(projector, views)
        self.average = Average(self.model, recipe.average_steps)

    def _start(self, projector: Projector, views: Features) -> None:
        recipe, device = self.recipe, self.accelerator.device
        if not recipe.projector_start.passes:
            return
        probe = start_projector(projector, views, recipe.projector_start, recipe.seed, device)
        start_adapter(self.model, views, probe, recipe.adapter_start, recipe.seed, device)

    def _resume(self) -> None:
        state = load_state(self.folder / "last.pt", self.model, self.average)
        self.step, self.best = state["step"], state["best"]
        if state["optimizer"] is None:
            log.warning("DeepSpeed's optimiser was not kept: its averages begin anew")
        else:
            self.optimizer.load_state_dict(state["optimizer"])
        if self.accelerator.scaler is not None and state["scaler"]:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        log.info("going on from step %d", self.step)

    def _save(self) -> None:
        """last.pt. DeepSpeed shares its optimiser's state among the processes; that is left out."""
        sharded = self.accelerator.state.deepspeed_plugin is not None
        scaler = self.accelerator.scaler
        rest = {
            "optimizer": None if sharded else self.optimizer.state_dict(),
            "scaler": scaler.state_dict() if scaler is not None else None,
            "step": self.step,
            "best": self.best,
        }
        if self.accelerator.is_main_process:
            save_state(self.folder / "last.pt", self.model, self.average, rest)
        self.accelerator.wait_for_everyone()

    def _examples(self) -> Iterator[list[Example]]:
        """This process's examples from the current update on, `batch_size` at a time."""
        recipe, accelerator = self.recipe, self.accelerator
        start, stop = (u * recipe.accumulate * accelerator.num_processes for u in (self.step, self.steps))
        places = range(start + accelerator.process_index, stop, accelerator.num_processes)
        order = [place * recipe.batch_size + i for place in places for i in range(recipe.batch_size)]
        yield from DataLoader(
            self.gathered.mixture,
            recipe.batch_size,
            sampler=order,
            num_workers=recipe.workers,
            collate_fn=list,
            generator=torch.Generator(),  # or else it draws from the one that dropout draws from
        )

    def _update(self, model: Any, examples: Iterator[list[Example]]) -> float:
        """One update of the weights; returns the loss."""
        recipe, accelerator = self.recipe, self.accelerator
        # So that dropout, too, is the same in a run that was cut off and went on.
        torch.manual_seed((recipe.seed * 1_000_003 + self.step) * 4096 + accelerator.process_index)
        factor = warm_cosine(self.step, self.steps, round(recipe.warmup_ratio * self.steps), floor=0.0)
        for group, base in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            group["lr"] = base * factor
        model.train()
        losses = []
        for _ in range(recipe.accumulate):
            with accelerator.accumulate(model):
                loss = model(next(examples), recipe.max_length)
                accelerator.backward(loss)
                if accelerator.sync_gradients:
                    learning = [p for p in self.model.parameters() if p.requires_grad]
                    accelerator.clip_grad_norm_(learning, recipe.clip_grad)
                self.optimizer.step()
                self.optimizer.zero_grad()
            losses.append(loss.item())
        self.step += 1
        self.average.follow(self.step)
        return float(np.mean(losses))

    def _measure(self) -> None:
        """EER on dev and loss on what was held back; the best weights so far are saved as the result."""
        self.model.eval()
        found: dict[str, Any] = {}
        with self.average.in_place(), self.accelerator.autocast():
            if self.gathered.held_back:
                found["loss"] = held_out_loss(self.model, self.gathered.held_back, self.recipe.batch_size)
            if self.gathered.dev:
                found["eer"] = dev_report(self.model, self.gathered.dev, self.accelerator)
            badness = found.get("loss")
            if self.recipe.by == "eer":
                badness = found["eer"]["pooled"] + found["eer"]["macro"]
            # Without anything to measure on, the last weights are the result; of equals, too.
            if badness is None or badness <= self.best:
                self.best = self.best if badness is None else badness
                self._save_result(found)
        self._record({"step": self.step, "dev": found})

    def _save_result(self, found: dict[str, Any]) -> None:
        recipe, extra = self.recipe, {"step": self.step, "dev": found}
        if not self.accelerator.is_main_process:
            return
        if recipe.name == "allm4add":
            config = Allm4addConfig(recipe.window_samples, recipe.hop_samples)
            save_allm4add(Allm4add(self.model, config), self.folder, extra)
        else:
            save_audio_llm(self.model, self.folder, extra, encoder_in=recipe.encoder_in)

    def _record(self, entry: dict[str, Any]) -> None:
        if self.accelerator.is_main_process:
            log.info("%s", entry)
            with (self.folder / "log.jsonl").open("a") as file:
                file.write(json.dumps(entry) + "\n")
            found = entry.get("dev", {})
            figures = {"held-back loss": found.get("loss"), "train loss": entry.get("loss")}
            figures |= {f"dev EER {k}": found["eer"][k] for k in ("pooled", "macro") if "eer" in found}
            self.accelerator.log({k: v for k, v in figures.items() if v is not None}, step=self.step)


@torch.inference_mode()
def dev_report(model: AudioLlm, dev: Dev, accelerator: Accelerator, size: int = 32) -> dict[str, Any]:
    """EERs on dev clips, each scored by the mean over its windows; the processes share the work."""
    judge = Allm4add(model).judge
    scores = torch.zeros(len(dev.windows), device=accelerator.device)
    groups = torch.arange(len(dev.windows)).split(size)
    for group in groups[accelerator.process_index :: accelerator.num_processes]:
        scores[group] = judge([dev.windows.clip(int(i)) for i in group]).cm_scores.to(scores.device)
    of_windows = accelerator.reduce(scores).cpu().numpy()
    means = np.bincount(dev.windows.tags, of_windows) / np.bincount(dev.windows.tags)
    return eer_by_source(dev.cache.clips, means)
