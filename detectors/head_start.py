"""A start for the heads: they learn on kept features of the front-end before all learn together.

Untrained heads pull pretrained features out of shape (Kumar et al., ICLR 2022), and on a CPU the
front-end is most of a step's cost. So features of some thousand views are computed once, the heads
go over them many times, and only then does end-to-end training begin.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from detectors.backends.sls import SlsHead
from detectors.fitting import fit
from detectors.frontends.xlsr import XlsrFrontEnd
from detectors.kept import made_once
from detectors.llm.projector import pooled
from detectors.models import FakeMamba, Sls
from detectors.views import Views

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class HeadStartConfig:
    """0 views: no start. `shallow` passes over so many views, of SLS's fully connected layers with the gates
    as they are and of Fake-Mamba on few frames with its mixers as they are; then `deep` ones of everything
    over the first `deep_views`, all of their frames."""

    views: int = 0
    deep_views: int = 3056
    # Frames of which the mean is kept for the shallow passes, which need no more: room for many views.
    pool: int = 8
    sls_shallow: int = 20
    sls_deep: int = 2
    fake_mamba_shallow: int = 12
    fake_mamba_deep: int = 1
    shallow_lr: float = 3e-3
    deep_lr: float = 3e-4
    # Random kept frames of a view. The mixers begin as averages, to which these are nearly as good as all.
    shallow_frames: int = 15
    weight_decay: float = 0.1
    dropout: float = 0.4
    # Of SLS's hidden layer.
    hidden_dropout: float = 0.6
    # How much of the loss is that within each source, human clips should score above machine-made ones. What
    # tells whole sources apart, such as their channel, is of no use there.
    ranking: float = 0.0
    # Layers, from 1, whose gates in SLS begin open, and the others' all but shut. None: as the gates come.
    sls_open: tuple[int, ...] = ()


#: Views of one source that come together, so that a batch has some of both classes to be ranked.
TOGETHER = 8


class KeptFeatures:
    """float16 [views, layers, t, d] in a file that is mapped into memory; labels [views]; and
    targets [views, 2], the label and the number of the view's source. by_source: how `order` goes."""

    def __init__(self, folder: Path, by_source: bool = False) -> None:
        self.by_source = by_source
        self.layers = np.load(folder / "layers.npy", mmap_mode="r")
        self.targets = torch.from_numpy(np.load(folder / "targets.npy"))
        self.labels = self.targets[:, 0]

    def order(self, rng: np.random.Generator) -> np.ndarray:
        """Every view once [views], in random order; by source, some of each source come together."""
        mixed = rng.permutation(len(self.targets))
        if not self.by_source:
            return mixed
        of_source = mixed[np.argsort(self.targets[mixed, 1].numpy(), kind="stable")]
        starts = np.flatnonzero(np.diff(self.targets[of_source, 1].numpy(), prepend=-1))
        parts = [
            part[start : start + TOGETHER]
            for part in np.split(of_source, starts[1:])
            for start in range(0, len(part), TOGETHER)
        ]
        return np.concatenate([parts[i] for i in rng.permutation(len(parts))])

    def batches(
        self, size: int, rng: np.random.Generator, places: Sequence[int] | None = None
    ) -> Iterator[tuple[list[Tensor], Tensor]]:
        """Every view once: targets [size, 2] and, of each layer or of those at `places`, [size, t, d]."""
        wanted = np.array(range(self.layers.shape[1]) if places is None else places)
        order = self.order(rng)
        for start in range(0, len(order), size):
            chosen = np.sort(order[start : start + size])  # a file is read fastest forwards
            layers = torch.from_numpy(self.layers[np.ix_(chosen, wanted)]).float()
            yield list(layers.unbind(dim=1)), self.targets[chosen]


def ranked_loss(share: float) -> Callable[[Tensor, Tensor], Tensor]:
    """Of logits [b, 2] and targets [b, 2]: cross-entropy, and as `share` of the loss the logistic one of all
    pairs of a human and a machine-made view of one source (RankNet, Burges et al., ICML 2005)."""

    def loss_of(logits: Tensor, targets: Tensor) -> Tensor:
        label, source = targets.unbind(dim=1)
        plain = nn.functional.cross_entropy(logits, label)
        pairs = (source[:, None] == source) & (label[:, None] > label)
        if not share or not pairs.any():
            return plain
        scores = logits[:, 1] - logits[:, 0]
        apart = (scores[:, None] - scores)[pairs]
        return (1 - share) * plain + share * nn.functional.softplus(-apart).mean()

    return loss_of


class Kept(NamedTuple):
    """What a start learns from: many views in few frames, and fewer of them in all frames."""

    means: KeptFeatures
    whole: KeptFeatures


def keep_features(
    folder: Path,
    front_end: XlsrFrontEnd,
    views: Views,
    config: HeadStartConfig,
    made_from: str,
    precision: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Kept:
    """Features of the first views, unless `folder` has those made from the same already.

    precision: what the front-end runs in, such as accelerate's autocast.
    """
    device = next(front_end.parameters()).device

    def heard(pool: int, waves: Tensor) -> Tensor:
        with precision():  # of the front-end alone: what makes the views needs fp32
            found = front_end.streams(waves.to(device))
        return torch.stack([pooled(layer.float(), pool) for layer in found], dim=1)

    means, whole = folder / "means", folder / "whole"
    deep_views = min(config.deep_views, config.views)
    for part, count, pool in ((means, config.views, config.pool), (whole, deep_views, 1)):
        write = partial(write_kept, part, views, range(count), partial(heard, pool))
        made_once(part, f"{made_from} {count} {pool}", write)
    by_source = bool(config.ranking)
    return Kept(KeptFeatures(means, by_source), KeptFeatures(whole, by_source))


@torch.inference_mode()
def write_kept(
    folder: Path, views: Views, numbers: Sequence[int], of_waves: Callable[[Tensor], Tensor]
) -> None:
    """Fill `folder` with what is to be kept of the views of these numbers, for KeptFeatures.

    of_waves: [b, s] -> [b, layers, t, d].
    """
    kept, done = None, 0
    for waves, label in DataLoader(views, 16, sampler=numbers, num_workers=1):
        rows = of_waves(waves).half().cpu().numpy()
        if kept is None:
            shape = (len(numbers), *rows.shape[1:])
            kept = np.lib.format.open_memmap(folder / "layers.npy", "w+", np.float16, shape)
        kept[done : done + len(label)] = rows
        done += len(label)
        if done % 800 == 0:
            log.info("kept %d of %d views", done, len(numbers))
    sources = [views.source(k) for k in numbers]
    places = {source: place for place, source in enumerate(sorted(set(sources)))}
    targets = [(views.label(k), places[source]) for k, source in zip(numbers, sources, strict=True)]
    np.save(folder / "targets.npy", np.array(targets, np.int64))


class Whitened(nn.Module):
    """Stands for a head's first wide layer while the head starts.

    Inputs [b, slots * d] or [b, t, d] are averaged over their slots, brought to mean 0 and variance 1
    in each feature, and some features left out at random, the same in all frames of a view. Whisper's
    features differ a hundredfold in size, and Adam moves the weights of all by the same step.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, inputs: Tensor, out: int, dropout: float) -> None:
        super().__init__()
        self.whiten(inputs)
        self.linear = nn.Linear(inputs.shape[1], out)
        self.dropout = nn.Dropout(dropout)

    def whiten(self, inputs: Tensor) -> None:
        """Take mean and variance from inputs [n, d]."""
        self.register_buffer("mean", inputs.mean(dim=0))
        self.register_buffer("std", inputs.std(dim=0) + 1e-5)

    def forward(self, x: Tensor) -> Tensor:
        x = x.unflatten(-1, (-1, len(self.mean))).mean(dim=-2)
        kept = x.new_ones(len(x), *[1] * (x.dim() - 2), x.shape[-1])
        return self.linear((x - self.mean) / self.std * self.dropout(kept))

    @torch.no_grad()
    def fold_into(self, plain: nn.Linear) -> None:
        """Write weights that compute the same into `plain`."""
        slots = plain.in_features // self.linear.in_features
        weight = self.linear.weight / self.std
        plain.weight.copy_(weight.repeat(1, slots) / slots)
        assert plain.bias is not None  # for the type checker
        plain.bias.copy_(self.linear.bias - weight @ self.mean)


def start_head(model: Sls | FakeMamba, kept: Kept, config: HeadStartConfig, seed: int) -> None:
    """Train the head of `model` on kept features, in place."""
    model.head.start_simply()
    rng = np.random.default_rng(seed)
    if isinstance(model, Sls):
        _start_sls(model, kept, config, rng)
    else:
        _start_fake_mamba(model, kept, config, rng)


def _start_sls(model: Sls, kept: Kept, config: HeadStartConfig, rng: np.random.Generator) -> None:
    """First fc1 and fc3 on the gated sum, averaged over time, then the gates and the norm too."""
    head = model.head
    if config.sls_open:
        open_gates(head.fc0, kept.means, [layer - 1 for layer in config.sls_open])
    with torch.no_grad():
        for layers, _ in kept.whole.batches(32, np.random.default_rng(0)):  # settles the batch norm
            head.train()(layers)
    # The means of frames know no maximum over neighbouring frames.
    x, y = _gated_means(head.eval(), kept.means, nn.MaxPool2d((1, head.config.pool))), kept.means.targets
    entry = Whitened(x, head.fc1.out_features, config.dropout)
    net = nn.Sequential(entry, nn.SELU(), nn.Dropout(config.hidden_dropout), head.fc3, nn.SELU())

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        for i in torch.from_numpy(kept.means.order(rng)).split(64):
            yield x[i], y[i]

    steps = -(-len(x) // 64)
    loss = ranked_loss(config.ranking)
    fit(net, batches, steps, config.sls_shallow, config.shallow_lr, config.weight_decay, "SLS, shallow", loss)
    if head.config.pool_frames > 1:
        entry.whiten(_gated_means(head.eval(), kept.whole, head.pool))
    plain = head.fc1
    head.add_module("fc1", entry)  # for the type checker, an assignment would have to be of a Linear
    everything = partial(kept.whole.batches, 32, rng)
    steps = -(-len(kept.whole.labels) // 32)
    fit(head, everything, steps, config.sls_deep, config.deep_lr, config.weight_decay, "SLS, deep", loss)
    head.fc1 = plain
    entry.fold_into(plain)


@torch.no_grad()
def _gated_means(head: SlsHead, kept: KeptFeatures, pool: nn.Module) -> Tensor:
    """Of every view in its order, [views, d / pool]: what reaches fc1, averaged over time."""
    rows: list[Tensor] = []
    for start in range(0, len(kept.targets), 64):
        layers = list(torch.from_numpy(kept.layers[start : start + 64].astype(np.float32)).unbind(dim=1))
        gates = torch.stack([head.fc0(h).mean(dim=(1, 2)) for h in layers], dim=1).sigmoid()
        rows.append(pool(head.gated_sum(layers, gates)[:, None]).mean(dim=(1, 2)))
    return torch.cat(rows)


@torch.no_grad()
def open_gates(fc0: nn.Linear, kept: KeptFeatures, places: Sequence[int]) -> None:
    """Let the gates of the layers at `places` begin open and the others all but shut (logits about +3, -3).

    All layers share fc0 [1, d], so it has to tell them apart by what they put out: ridge regression on the
    layers' means over time. From there the gates learn like everything else.
    """
    count = min(len(kept.labels), 500)
    x = torch.from_numpy(np.array(kept.layers[:count])).float().mean(dim=2)  # [views, layers, d]
    wanted = torch.full(x.shape[:2], -3.0)
    wanted[:, list(places)] = 3.0
    x, y = x.flatten(0, 1), wanted.flatten()
    mean, std = x.mean(dim=0), x.std(dim=0) + 1e-5
    z = (x - mean) / std
    weight = torch.linalg.solve(z.T @ z + len(z) * torch.eye(z.shape[1]), z.T @ (y - y.mean()))
    fc0.weight.copy_((weight / std)[None])
    fc0.bias.copy_(y.mean() - (weight / std) @ mean)


def _start_fake_mamba(
    model: FakeMamba, kept: Kept, config: HeadStartConfig, rng: np.random.Generator
) -> None:
    """The whole head; its mixers, which begin as averages over time, only in the deep passes."""
    head, plain = model.head, model.head.LL
    finish = model.front_end.finish
    last = [model.config.front_end.layers - 1]

    @torch.no_grad()
    def frames_of(features: KeptFeatures) -> Iterator[tuple[Tensor, Tensor]]:
        for layers, target in features.batches(32, rng, last):
            yield finish(layers[0]), target

    def few_frames() -> Iterator[tuple[Tensor, Tensor]]:
        for final, target in frames_of(kept.means):
            frames = np.sort(rng.permutation(final.shape[1])[: config.shallow_frames])
            yield final[:, frames], target

    entry = Whitened(next(frames_of(kept.whole))[0].flatten(0, 1), plain.out_features, config.dropout)
    head.add_module("LL", entry)
    mixers = [p for name, p in head.named_parameters() if ".mamba." in name or ".mixer." in name]
    for parameter in mixers:
        parameter.requires_grad = False
    fit(
        head,
        few_frames,
        -(-len(kept.means.labels) // 32),
        config.fake_mamba_shallow,
        config.shallow_lr,
        config.weight_decay,
        "Fake-Mamba, shallow",
        ranked_loss(config.ranking),
    )
    for parameter in mixers:
        parameter.requires_grad = True
    fit(
        head,
        partial(frames_of, kept.whole),
        -(-len(kept.whole.labels) // 32),
        config.fake_mamba_deep,
        config.deep_lr,
        config.weight_decay,
        "Fake-Mamba, deep",
        ranked_loss(config.ranking),
    )
    head.LL = plain
    entry.fold_into(plain)
