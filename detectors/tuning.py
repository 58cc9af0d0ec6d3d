"""Fitting a trained detector to labelled clips without forgetting what it knew.

Half of each batch are bona fide and half spoof; half of each class are views of labelled clips,
where that class was labelled, and the others replay: clips that the detector was trained on or, when
none are at hand, the shipped examples. On replayed views, the loss also holds the detector to what
it said before (Li and Hoiem, Learning without Forgetting, 2016); with only the examples to replay,
it does so on every view.
"""

import copy
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from peft import LoraConfig, LoraModel
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torch.utils.hooks import RemovableHandle
from tqdm import tqdm

from detectors.augment import AugmentConfig, augment, cut_view
from detectors.backends.sls import SlsHead
from detectors.corpus import ClipCache, bonafide_mask
from detectors.dev_scores import Judge
from detectors.errors import DetectorError
from detectors.frontends.heard_once import remember_together
from detectors.models import FakeMamba, Sls
from detectors.views import draw_odds

Model = Sls | FakeMamba
Trained = Literal["heads", "lora", "all"]
#: What may be trained: the head; that, low-rank additions to the attention and the judge of what a speaker
#: network hears; everything but that network.
TRAINED: tuple[Trained, ...] = ("heads", "lora", "all")

#: The attention's projections, by the names that transformers gives them.
ATTENTION = ("q_proj", "k_proj", "v_proj", "out_proj")
#: With LoRA. Small, as the judge has thousands of inputs; other rates were not tried.
JUDGE_LR = 5e-5
_FRONT_END_LR = {"heads": 0.0, "lora": 1e-3, "all": 2e-5}


@dataclass(frozen=True)
class Tuning:
    """What a fine-tuning run is told. batch_size: views a step, a multiple of 4.

    hold: weight of the divergence from the old detector's answers, beside the loss of the labels.
    augment: lighter than in training, since a few clips of one origin are to be learnt.
    """

    train: Trained = "lora"
    steps: int = 100
    batch_size: int = 16
    seed: int = 1234
    head_lr: float = 5e-4
    warmup_steps: int = 10
    hold: float = 1.0
    lora_rank: int = 16
    augment: AugmentConfig = field(
        default_factory=lambda: AugmentConfig(
            coded=0.3, trim=0.3, speed=0.1, room=0.05, low_pass=0.2, rawboost=0.1, noise_floor=0.3
        )
    )


class TuningViews(Dataset[tuple[Tensor, int, float]]):
    """Endless views (waveform [s], label, 1 if held to the old answers); view k depends on the seed and k.

    Raises DetectorError when the labelled and the replayed clips together lack a class.
    """

    def __init__(
        self, labelled: ClipCache, replay: ClipCache, tuning: Tuning, length: int, hold_all: bool
    ) -> None:
        self.tuning, self.length, self.hold_all = tuning, length, hold_all
        self._labelled, self._replay = _by_class(labelled), _by_class(replay)
        for is_bonafide, name in ((True, "bona fide"), (False, "spoof")):
            if not (is_bonafide in self._labelled or is_bonafide in self._replay):
                raise DetectorError(f"There is no {name} clip to learn from. Label some, or give --base.")

    def __len__(self) -> int:
        return self.tuning.steps * self.tuning.batch_size

    def __getitem__(self, k: int) -> tuple[Tensor, int, float]:
        rng = np.random.default_rng([self.tuning.seed, k])
        is_bonafide = k % 2 == 0
        first, second = self._labelled, self._replay
        if k % 4 >= 2:
            first, second = second, first
        pool = first if is_bonafide in first else second
        cache, members, odds = pool[is_bonafide]
        i = int(rng.choice(members, p=odds))
        wave = cache.random_rendering(i, self.tuning.augment.coded, rng)
        # Longer than the view, for the changes that shorten it.
        wave = cut_view(wave, self.length * 5 // 4, self.tuning.augment, rng)
        view = augment(wave, self.length, self.tuning.augment, rng)
        held = self.hold_all or pool is self._replay
        return torch.from_numpy(view), int(is_bonafide), float(held)


def _by_class(cache: ClipCache) -> dict[bool, tuple[ClipCache, np.ndarray, np.ndarray]]:
    """Per class that the cache has: the cache, its clips of that class and the chance of each."""
    odds = draw_odds(cache.clips)
    bonafide = bonafide_mask(cache.clips)
    pools = {}
    for is_bonafide in (True, False):
        members = np.flatnonzero(bonafide == is_bonafide)
        if len(members):
            pools[is_bonafide] = (cache, members, odds[members] / odds[members].sum())
    return pools


def tune(model: Model, views: TuningViews, tuning: Tuning, device: str) -> Model:
    """A tuned copy of `model`, on `device`; the model itself stays as it is.

    The copy stays in eval mode throughout: BatchNorm keeps the statistics of the full training,
    which a few clips of one origin would bend. With "heads", the front-end is shared and runs once.
    """
    torch.manual_seed(tuning.seed)
    old = model.to(device).eval()
    new = _copy(old, share_front_end=tuning.train == "heads")
    for each in (old, new):
        remember_together(each.front_end.speaker)  # its ear stays the same in both, so it hears a view once
    adapter = _add_adapter(new, tuning) if tuning.train == "lora" else None
    tied = _tie_times(new.head) if isinstance(new, Sls) else None
    optimizer = torch.optim.AdamW(_parameters(new, tuning), weight_decay=0.01)
    warmup = torch.optim.lr_scheduler.LinearLR(optimizer, 0.1, 1.0, tuning.warmup_steps)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, tuning.steps - tuning.warmup_steps))
    schedule = torch.optim.lr_scheduler.SequentialLR(optimizer, [warmup, cosine], [tuning.warmup_steps])
    loader = DataLoader(views, tuning.batch_size)
    for batch in tqdm(loader, desc=f"fine-tuning ({tuning.train})", unit="step"):
        loss = _loss(old, new, tuning, *(part.to(device) for part in batch))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], 1.0)
        optimizer.step()
        schedule.step()
    if tied is not None:
        tied.remove()
    if adapter is not None:
        adapter.merge_and_unload()
    return new.requires_grad_(True)


def _copy(old: Model, share_front_end: bool) -> Model:
    if not share_front_end:
        return copy.deepcopy(old)
    return copy.deepcopy(old, {id(old.front_end): old.front_end})


def _add_adapter(new: Model, tuning: Tuning) -> LoraModel:
    """LoRA (Hu et al., 2022) on the attention projections of the front-end, in place."""
    named = new.front_end.named_modules()
    targets = [
        name
        for name, module in named
        if isinstance(module, nn.Linear) and name.rsplit(".", 1)[-1] in ATTENTION
    ]
    if not targets:
        raise DetectorError("This front-end has no attention to adapt. Choose --train heads or --train all.")
    config = LoraConfig(r=tuning.lora_rank, lora_alpha=2 * tuning.lora_rank, target_modules=targets)
    return LoraModel(new.front_end, {"default": config}, "default")


def _tie_times(head: SlsHead) -> RemovableHandle:
    """Change fc1 alike for every stretch of time. Where in a window the evidence lies is chance: with
    weights of its own for each place, the head would learn a few clips by heart.
    """
    slots = head.config.slots

    def mean_over_slots(gradient: Tensor) -> Tensor:
        by_slot = gradient.unflatten(1, (slots, -1))
        return by_slot.mean(1, keepdim=True).expand_as(by_slot).flatten(1)

    return head.fc1.weight.register_hook(mean_over_slots)


def _parameters(new: Model, tuning: Tuning) -> list[dict[str, Any]]:
    """The parameters to train, by learning rate. LoRA leaves only its own ones trainable in the front-end."""
    head = dict(new.head.named_parameters())
    groups: list[dict[str, Any]] = []
    if isinstance(new, Sls):
        # Steps that are alike at every slot add up, so each of them is made smaller.
        lr = tuning.head_lr / new.config.slots**0.5
        groups.append({"params": [head.pop("fc1.weight")], "lr": lr})
    groups.append({"params": list(head.values()), "lr": tuning.head_lr})
    if tuning.train != "heads":
        front_end = [p for p in new.front_end.parameters() if p.requires_grad]
        groups.append({"params": front_end, "lr": _FRONT_END_LR[tuning.train]})
    if tuning.train == "lora" and new.front_end.speaker is not None:
        judge = new.front_end.speaker.judge.requires_grad_(True)
        groups.append({"params": list(judge.parameters()), "lr": JUDGE_LR})
    return groups


def _loss(old: Model, new: Model, tuning: Tuning, wave: Tensor, label: Tensor, held: Tensor) -> Tensor:
    """Cross-entropy of the labels, and KL(old || new) on the views that are held to the old answers."""
    with torch.no_grad():
        features = old.front_end(wave)
        before = old.judge(features)[0].log_softmax(-1)
    if new.front_end is not old.front_end:
        features = new.front_end(wave)
    after = new.judge(features)[0].log_softmax(-1)
    kl = (before.exp() * (before - after)).sum(-1)
    labels = nn.functional.nll_loss(after, label)
    return labels + tuning.hold * (kl * held).mean()


def before_and_after(old: Model, new: Model) -> Judge:
    """Both as one judge, for score_clips; a front-end that they share runs once."""

    def judge(windows: Tensor) -> dict[str, Tensor]:
        features = old.front_end(windows)
        answers = {"before": old.judge(features)[0]}
        if new.front_end is not old.front_end:
            features = new.front_end(windows)
        return {**answers, "after": new.judge(features)[0]}

    return judge
