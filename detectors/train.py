"""Training of SLS and Fake-Mamba, alone or together over one front-end.

A run that was killed goes on from its last checkpoint when it is started again.
"""

import copy
import json
import logging
import math
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from accelerate import Accelerator, DataLoaderConfiguration
from accelerate.utils import broadcast
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from detectors.best_weights import BestWeights
from detectors.checkpoints import load_exactly, save_model
from detectors.corpus import Clip, ClipCache, bonafide_mask, build_cache, read_corpus, read_manifest
from detectors.dev_scores import eer_by_source, score_cache_together, weighted_loss
from detectors.devices import make_accelerator
from detectors.errors import DetectorError
from detectors.head_start import keep_features, start_head
from detectors.jury import Jury, parameter_groups
from detectors.recipe import Recipe
from detectors.schedule import warm_cosine
from detectors.speaker_start import start_comparing, start_speaker
from detectors.texture_start import keep_views, start_textures
from detectors.views import From, Views
from detectors.whole_files import written_whole

log = logging.getLogger(__name__)


def learning_rate_factor(step: int, recipe: Recipe) -> float:
    """Linear warm-up, then half a cosine down to `lr_floor`."""
    return warm_cosine(step, recipe.steps, recipe.warmup_steps, recipe.lr_floor)


def _accelerator(recipe: Recipe) -> Accelerator:
    """Several processes share each batch."""
    accelerator = make_accelerator(
        recipe.mixed_precision,
        recipe.output_dir,
        ["tensorboard"] if recipe.tensorboard else [],
        asdict(recipe),
        dataloader_config=DataLoaderConfiguration(split_batches=True),
    )
    if recipe.batch_size % accelerator.num_processes:
        raise DetectorError(
            f"A batch of {recipe.batch_size} cannot be shared by {accelerator.num_processes} processes: "
            "set batch_size to a multiple of their number."
        )
    return accelerator


class Found(NamedTuple):
    """What dev says of each detector: EERs as eer_by_source gives them, and the mean loss over clips."""

    eers: dict[str, dict[str, Any]]
    losses: dict[str, float]


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
        self.averaged = copy.deepcopy(self.jury) if recipe.average else self.jury
        kind = torch.optim.Adam if recipe.optimizer == "adam" else torch.optim.AdamW
        self.optimizer = kind(parameter_groups(self.jury, recipe), weight_decay=recipe.weight_decay)
        self.base_lrs = [group["lr"] for group in self.optimizer.param_groups]
        self.step, self.best, self.waited = 0, math.inf, 0
        self.kept = BestWeights(self.folder / "best", recipe.average_best)
        self.shipped_mean: list[int] = []  # the steps whose mean is the result
        self._losses: list[float] = []  # of the steps since the last evaluation

    @property
    def is_over(self) -> bool:
        """Whether all steps are done, or the last evaluations brought nothing better."""
        recipe = self.recipe
        return self.step >= recipe.steps or bool(recipe.patience and self.waited >= recipe.patience)

    def resume(self) -> None:
        """Go on from last.pt if this run was cut off. Raises DetectorError when it is of other models."""
        path = self.folder / "last.pt"
        if path.exists():
            state = torch.load(path, map_location="cpu", weights_only=True)
            load_exactly(self.jury, state["jury"], path)
            load_exactly(self.averaged, state["averaged"], path)
            self.optimizer.load_state_dict(state["optimizer"])
            self.step, self.best, self.waited = state["step"], state["best"], state["waited"]
            self.kept.ranking, self.shipped_mean = state["ranking"], state["shipped_mean"]
            if self.accelerator.scaler is not None and state["scaler"]:
                self.accelerator.scaler.load_state_dict(state["scaler"])
            log.info("going on from step %d", self.step)

    def save(self) -> None:
        """Write last.pt so that a kill at any moment leaves a whole file."""
        if self.accelerator.is_main_process:
            scaler = self.accelerator.scaler
            state = {
                "jury": self.jury.state_dict(),
                "averaged": self.averaged.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "scaler": scaler.state_dict() if scaler is not None else None,
                "step": self.step,
                "best": self.best,
                "waited": self.waited,
                "ranking": self.kept.ranking,
                "shipped_mean": self.shipped_mean,
            }
            with written_whole(self.folder / "last.pt") as part:
                torch.save(state, part)
            self.kept.tidy()
        self.accelerator.wait_for_everyone()

    def start_heads(self, views: Views) -> None:
        """The heads' start, for a run that has not begun yet."""
        config, recipe = self.recipe.head_start, self.recipe
        if self.step or not config.views:
            return
        self.jury.to(self.accelerator.device).eval()
        how = (recipe.init, recipe.mixed_precision)
        made_from = str((_what_makes(views), how, self.config.front_end, self.config.window_samples))
        made_from += " in passes" * views.in_passes
        folder = Path(recipe.cache_dir) / "features"
        with self.accelerator.main_process_first():  # the others then find the features
            kept = keep_features(
                folder, self.jury.front_end, views, config, made_from, self.accelerator.autocast
            )
        self.jury.cpu()  # where the kept features are; the heads alone are little work
        for model in self.jury.members.values():
            start_head(model, kept, config, recipe.seed)
        self.averaged.load_state_dict(self.jury.state_dict())

    @property
    def starts_textures(self) -> bool:
        """Whether there are any to train, in a run that has not begun yet."""
        count = self.config.front_end.textures + self.config.front_end.phase_textures
        return count > 0 and not self.step and self.recipe.texture_start.passes > 0

    def start_textures(self, views: Views) -> None:
        """Train the textures by themselves; steps that follow change them at the front-end's rate."""
        recipe, config = self.recipe, self.recipe.texture_start
        folder, made_from = Path(recipe.cache_dir) / "texture-views", _made_from(views)
        with self.accelerator.main_process_first():
            kept = keep_views(folder, views, config.views, made_from)
        half = recipe.mixed_precision == "bf16"
        precision = partial(torch.autocast, "cpu", torch.bfloat16) if half else nullcontext
        textures: Any = self.jury.cpu().front_end.textures  # a ModuleList, whose parts are typed loosely
        start_textures(textures, kept, config, recipe.seed, precision)
        self.averaged.load_state_dict(self.jury.state_dict())

    def start_speaker(self, views: Views) -> None:
        """Train the judge of the speaker network's ear, in a run that has not begun yet."""
        recipe, config = self.recipe, self.recipe.speaker_start
        judge: Any = self.jury.front_end.speaker  # a part or None, which is typed loosely
        if judge is None or self.step or not config.passes:
            return
        how = replace(recipe, augment=config.known or recipe.augment)
        known = Views(views.cache, how, views.length, views.in_passes)
        kept = Path(recipe.cache_dir)
        with self.accelerator.main_process_first():
            start_speaker(judge.cpu(), kept / "speaker", views, _made_from(views), config, recipe.seed)
            start_comparing(judge, kept / "known", known, _made_from(known), config)
        self.averaged.load_state_dict(self.jury.state_dict())

    def go(self, views: Views, dev: ClipCache) -> None:
        """Learn, measure and save by turns until it is over; then ship the mean of the best, if wanted."""
        recipe, accelerator = self.recipe, self.accelerator
        clips = recipe.clips_per_step
        order = From(self.step * clips, recipe.steps * clips)
        loader = DataLoader(views, clips, sampler=order, num_workers=recipe.workers, drop_last=True)
        jury, self.optimizer, loader = accelerator.prepare(self.jury, self.optimizer, loader)
        self.averaged.to(accelerator.device)
        recent: list[dict[str, float]] = []
        with logging_redirect_tqdm(), self._bar() as bar:
            batches: Iterator[tuple[Tensor, Tensor]] = iter(loader)
            while not self.is_over:
                jury.train()
                recent.append(self.train_step(jury, *next(batches)))
                self._losses.append(float(np.mean(list(recent[-1].values()))))
                bar.update()
                if self.step % 25 == 0:
                    means = {name: float(np.mean([r[name] for r in recent])) for name in recent[0]}
                    recent.clear()
                    bar.set_postfix(loss=f"{np.mean(list(means.values())):.3f}")
                    self.record({"step": self.step, "loss": means})
                if self.step % recipe.evaluate_every == 0 or self.step == recipe.steps:
                    self.evaluate(dev)
                    self.save()
        self._ship_mean(dev)

    def _bar(self) -> tqdm:
        hidden = not self.accelerator.is_main_process
        return tqdm(initial=self.step, total=self.recipe.steps, desc="training", unit="step", disable=hidden)

    def train_step(self, jury: nn.Module, wave: Tensor, label: Tensor) -> dict[str, float]:
        """One update; returns the loss of each detector.

        wave: [clips, s], label: [clips], this process's share of a step. They go through the model in
        `accumulate` parts; the gradients add up to those of all at once.
        """
        recipe, accelerator = self.recipe, self.accelerator
        for group, base in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            group["lr"] = base * learning_rate_factor(self.step, recipe)
        weights = torch.tensor(recipe.class_weights, device=wave.device)
        whole = weights[label].sum()
        losses = dict.fromkeys(recipe.models, 0.0)
        self.optimizer.zero_grad()
        parts = list(zip(wave.chunk(recipe.accumulate), label.chunk(recipe.accumulate), strict=True))
        for i, (waves, labels) in enumerate(parts):
            with nullcontext() if i == len(parts) - 1 else accelerator.no_sync(jury):
                # Each part's loss is a mean; its share of the step's is by the weight of its clips.
                share = weights[labels].sum() / whole
                of_part = {
                    name: share * self._loss(logits, labels, weights) for name, logits in jury(waves).items()
                }
                accelerator.backward(torch.stack(list(of_part.values())).sum())
            losses = {name: loss + of_part[name].item() for name, loss in losses.items()}
        if recipe.clip_grad:
            accelerator.clip_grad_norm_(jury.parameters(), recipe.clip_grad)
        self.optimizer.step()
        self.step += 1
        self._average()
        return losses

    def _loss(self, logits: Tensor, label: Tensor, weights: Tensor) -> Tensor:
        """Weighted cross-entropy of logits [b, 2] and labels [b]."""
        smoothing = self.recipe.label_smoothing
        return nn.functional.cross_entropy(logits.float(), label, weight=weights, label_smoothing=smoothing)

    @torch.no_grad()
    def _average(self) -> None:
        if self.averaged is self.jury:
            return
        # Early on, the average would be dominated by the untrained heads: let it follow faster.
        keep = min(self.recipe.average, self.step / (self.step + 10))
        live = self.jury.state_dict()
        for name, value in self.averaged.state_dict().items():
            if value.is_floating_point():
                value.lerp_(live[name].to(value.device, value.dtype), 1 - keep)
            else:
                value.copy_(live[name])

    def evaluate(self, dev: ClipCache) -> dict[str, Any]:
        """EER on dev, pooled and per source; the best weights so far are saved as the result."""
        found = self._judge(self.averaged, dev)
        figure = self._figure(found)
        self.waited += 1
        if figure < self.best:
            self.best, self.waited = figure, 0
            self._save_result(self.averaged, found, {"step": self.step})
        if self.kept.ranks(figure, self.step) and self.accelerator.is_main_process:
            self.kept.keep(self.step, self.averaged.state_dict())
        self._losses.clear()
        self.record({"step": self.step, "dev": found.eers, "dev_loss": found.losses})
        return found.eers

    def _judge(self, jury: Jury, dev: ClipCache) -> Found:
        jury.to(self.accelerator.device).eval()
        broadcast(list(jury.buffers()))  # batch norms: each process has seen other clips
        scores = score_cache_together(
            lambda waves: _scores_and_odds(jury.judge(waves)), self.config, dev, self.accelerator
        )
        bonafide = bonafide_mask(dev.clips)
        return Found(
            {name: eer_by_source(dev.clips, scores[name]) for name in self.recipe.models},
            {
                name: weighted_loss(scores[_odds_of(name)], bonafide, self.recipe.class_weights)
                for name in self.recipe.models
            },
        )

    def _figure(self, found: Found) -> float:
        """What tells the best weights: the lower, the better."""
        if self.recipe.watch == "dev_loss":
            return float(np.mean(list(found.losses.values())))
        if self.recipe.watch == "train_loss":
            mean = torch.tensor(np.mean(self._losses), device=self.accelerator.device, dtype=torch.float32)
            return float(self.accelerator.reduce(mean, reduction="mean"))
        return float(np.mean([r["pooled"] + r["macro"] for r in found.eers.values()]))

    def _save_result(self, jury: Jury, found: Found, extra: dict[str, Any]) -> None:
        if self.accelerator.is_main_process:
            for name, model in jury.members.items():
                save_model(model, name, self.folder / name, {**extra, "dev_eer": found.eers[name]})

    def _ship_mean(self, dev: ClipCache) -> None:
        """Make the mean of the best weights the result, if it is wanted and not so already."""
        steps = self.kept.steps
        if self.shipped_mean == steps:
            return
        jury = Jury(replace(self.recipe, init=""))
        jury.load_state_dict(self.kept.mean())
        found = self._judge(jury, dev)
        self._save_result(jury, found, {"step": self.step, "mean_of_steps": steps})
        self.record({"step": self.step, "mean_of_steps": steps, "dev": found.eers, "dev_loss": found.losses})
        self.shipped_mean = steps
        self.save()

    def record(self, entry: dict[str, Any]) -> None:
        """Log figures, append them to log.jsonl, and show them in TensorBoard if it is wanted."""
        if self.accelerator.is_main_process:
            line = json.dumps(entry)
            log.info(line)
            with (self.folder / "log.jsonl").open("a") as file:
                file.write(line + "\n")
        figures = {f"train loss/{name}": loss for name, loss in entry.get("loss", {}).items()}
        figures |= {f"dev loss/{name}": loss for name, loss in entry.get("dev_loss", {}).items()}
        for name, eers in entry.get("dev", {}).items():
            figures |= {f"dev EER/{name}, {kind}": eers[kind] for kind in ("pooled", "macro")}
        self.accelerator.log(figures, step=self.step)


def _odds_of(detector: str) -> str:
    return f"{detector}, log odds"


def _scores_and_odds(logits: dict[str, Tensor]) -> dict[str, Tensor]:
    """Of each detector's logits [b, 2] the CM score [b] and, for the loss, the log odds of bona fide [b]."""
    odds = {_odds_of(name): values[:, 1] - values[:, 0] for name, values in logits.items()}
    return odds | {name: values[:, 1] for name, values in logits.items()}


def _clips(recipe: Recipe, split: Literal["train", "dev"]) -> list[Clip]:
    """What a recipe names for a split: of the manifest, and of corpora."""
    clips = read_manifest(Path(recipe.manifest), split) if recipe.manifest else []
    corpora = recipe.train if split == "train" else recipe.dev
    return clips + [clip for corpus in corpora for clip in read_corpus(corpus)]


def _what_makes(views: Views) -> tuple[Any, ...]:
    """All that decides what a recipe's views are like, but for their length and order."""
    how = views.how
    return views.cache.made_from, how.seed, how.balance, how.copy_synthesis, how.augment


def _made_from(views: Views) -> str:
    """The same, and their length."""
    return str((_what_makes(views), views.length))


def _cache(recipe: Recipe, split: Literal["train", "dev"], name: str = "") -> ClipCache:
    """name: of its folder, if not the split's."""
    coded_variants = recipe.coded_variants if split == "train" else 0
    folder = Path(recipe.cache_dir) / (name or split)
    return build_cache(folder, _clips(recipe, split), coded_variants, recipe.seed, codecs=recipe.codecs)


def train(recipe: Recipe) -> None:
    """Run the recipe to its end. The best weights are in `output_dir`, in a folder for each detector; losses
    and dev EERs go to its log.jsonl.

    Raises DetectorError when clips are missing or cannot be read, when one of the classes is, or when the
    recipe does not fit the machine or the run that it would go on with.
    """
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    run = Run(recipe)
    with run.accelerator.main_process_first():  # the others then find the cache complete
        clips, dev = _cache(recipe, "train"), _cache(recipe, "dev")
    run.recipe = recipe.in_steps(len(clips))
    run.resume()
    views = Views(clips, recipe, run.config.window_samples, in_passes=recipe.epochs > 0)
    run.start_heads(views)
    run.start_speaker(views)
    if run.starts_textures:
        if recipe.texture_start.train:
            both = replace(recipe, train=recipe.train + recipe.texture_start.train)
            with run.accelerator.main_process_first():
                clips = _cache(both, "train", "texture-train")
        run.start_textures(Views(clips, recipe, run.config.window_samples))
    if run.recipe.steps:
        run.go(views, dev)
    else:  # the head start alone
        run.evaluate(dev)
    run.accelerator.end_training()
