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
from torch.utils.data import DataLoader, Dataset

from detectors.backends.sls import SlsHead
from detectors.fitting import fit
from detectors.frontends.xlsr import XlsrFrontEnd
from detectors.kept import made_once
from detectors.llm.projector import pooled
from detectors.models import FakeMamba, Sls

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
    # Layers, from 1, whose gates in SLS begin open, and the others' all but shut. None: as the gates come.
    sls_open: tuple[int, ...] = ()


class KeptFeatures:
    """float16 [views, layers, t, d] in a file that is mapped into memory, and the labels [views]."""

    def __init__(self, folder: Path) -> None:
        self.layers = np.load(folder / "layers.npy", mmap_mode="r")
        self.labels = torch.from_numpy(np.load(folder / "labels.npy"))

    def batches(
        self, size: int, rng: np.random.Generator, places: Sequence[int] | None = None
    ) -> Iterator[tuple[list[Tensor], Tensor]]:
        """Every view once, in random order: labels [size] and, of each layer or of those at `places`,
        [size, t, d]."""
        wanted = np.array(range(self.layers.shape[1]) if places is None else places)
        order = rng.permutation(len(self.labels))
        for start in range(0, len(order), size):
            chosen = np.sort(order[start : start + size])  # a file is read fastest forwards
            layers = torch.from_numpy(self.layers[np.ix_(chosen, wanted)]).float()
            yield list(layers.unbind(dim=1)), self.labels[chosen]


class Kept(NamedTuple):
    """What a start learns from: many views in few frames, and fewer of them in all frames."""

    means: KeptFeatures
    whole: KeptFeatures


def keep_features(
    folder: Path,
    front_end: XlsrFrontEnd,
    views: Dataset[tuple[Tensor, int]],
    config: HeadStartConfig,
    made_from: str,
    precision: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Kept:
    """Features of the first views, unless `folder` has those made from the same already.

    precision: what the front-end runs in, such as accelerate's autocast.
    """
    means, whole = folder / "means", folder / "whole"
    deep_views = min(config.deep_views, config.views)
    for part, count, pool in ((means, config.views, config.pool), (whole, deep_views, 1)):
        write = partial(_write_features, part, front_end, views, count, pool, precision)
        made_once(part, f"{made_from} {count} {pool}", write)
    return Kept(KeptFeatures(means), KeptFeatures(whole))


@torch.inference_mode()
def _write_features(
    folder: Path,
    front_end: XlsrFrontEnd,
    views: Dataset[tuple[Tensor, int]],
    count: int,
    pool: int,
    precision: Callable[[], AbstractContextManager[None]],
) -> None:
    device = next(front_end.parameters()).device
    loader = DataLoader(views, 16, sampler=range(count), num_workers=1)
    kept, labels, done = None, np.zeros(count, np.int64), 0
    for wave, label in loader:
        with precision():  # of the front-end alone: what makes the views needs fp32
            found = front_end(wave.to(device)).layers
        layers = torch.stack([pooled(layer.float(), pool) for layer in found], dim=1).half().cpu().numpy()
        if kept is None:
            shape = (count, *layers.shape[1:])
            kept = np.lib.format.open_memmap(folder / "layers.npy", "w+", np.float16, shape)
        kept[done : done + len(label)], labels[done : done + len(label)] = layers, label
        done += len(label)
        if done % 800 == 0:
            log.info("kept the features of %d of %d views", done, count)
    np.save(folder / "labels.npy", labels)


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
    x, y = _gated_means(head.eval(), kept.means, nn.MaxPool2d((1, head.config.pool)))
    entry = Whitened(x, head.fc1.out_features, config.dropout)
    net = nn.Sequential(entry, nn.SELU(), nn.Dropout(config.hidden_dropout), head.fc3, nn.SELU())

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        for i in torch.from_numpy(rng.permutation(len(x))).split(64):
            yield x[i], y[i]

    steps = -(-len(x) // 64)
    fit(net, batches, steps, config.sls_shallow, config.shallow_lr, config.weight_decay, "SLS, shallow")
    if head.config.pool_frames > 1:
        entry.whiten(_gated_means(head.eval(), kept.whole, head.pool)[0])
    plain = head.fc1
    head.add_module("fc1", entry)  # for the type checker, an assignment would have to be of a Linear
    everything = partial(kept.whole.batches, 32, rng)
    steps = -(-len(kept.whole.labels) // 32)
    fit(head, everything, steps, config.sls_deep, config.deep_lr, config.weight_decay, "SLS, deep")
    head.fc1 = plain
    entry.fold_into(plain)


@torch.no_grad()
def _gated_means(head: SlsHead, kept: KeptFeatures, pool: nn.Module) -> tuple[Tensor, Tensor]:
    """Of every view, [views, d / pool]: what reaches fc1, averaged over time; and the labels [views]."""
    rows: list[Tensor] = []
    labels: list[Tensor] = []
    for layers, label in kept.batches(64, np.random.default_rng(0)):
        gates = torch.stack([head.fc0(h).mean(dim=(1, 2)) for h in layers], dim=1).sigmoid()
        rows.append(pool(head.gated_sum(layers, gates)[:, None]).mean(dim=(1, 2)))
        labels.append(label)
    return torch.cat(rows), torch.cat(labels)


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
    final_norm = model.front_end.model.encoder.layer_norm
    last = [model.config.front_end.layers - 1]

    @torch.no_grad()
    def frames_of(features: KeptFeatures) -> Iterator[tuple[Tensor, Tensor]]:
        for layers, label in features.batches(32, rng, last):
            yield final_norm(layers[0]), label

    def few_frames() -> Iterator[tuple[Tensor, Tensor]]:
        for final, label in frames_of(kept.means):
            frames = np.sort(rng.permutation(final.shape[1])[: config.shallow_frames])
            yield final[:, frames], label

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
    )
    head.LL = plain
    entry.fold_into(plain)
