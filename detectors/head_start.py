"""A start for the heads: they learn on kept features of the front-end before all learn together.

Untrained heads pull pretrained features out of shape (Kumar et al., ICLR 2022), and on a CPU the
front-end is most of a step's cost. So features of some thousand views are computed once, the heads
go over them many times, and only then does end-to-end training begin.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from detectors.fitting import fit
from detectors.frontends.xlsr import XlsrFrontEnd
from detectors.kept import made_once
from detectors.models import FakeMamba, Sls

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class HeadStartConfig:
    """0 views: no start. Passes over the kept views: `shallow` ones of SLS's fully connected layers
    with the gates as they are, and of Fake-Mamba on few frames with its mixers as they are; then `deep`
    ones of everything."""

    views: int = 0
    sls_shallow: int = 20
    sls_deep: int = 2
    fake_mamba_shallow: int = 12
    fake_mamba_deep: int = 1
    shallow_lr: float = 3e-3
    deep_lr: float = 3e-4
    # Random frames of a view. The mixers begin as averages, to which these are nearly as good as all.
    shallow_frames: int = 15
    weight_decay: float = 0.1
    dropout: float = 0.4
    # Of SLS's hidden layer.
    hidden_dropout: float = 0.6


class KeptFeatures:
    """float16 [views, layers, t, d] in a file that is mapped into memory, and the labels [views]."""

    def __init__(self, folder: Path) -> None:
        self.layers = np.load(folder / "layers.npy", mmap_mode="r")
        self.labels = torch.from_numpy(np.load(folder / "labels.npy"))

    def batches(
        self, size: int, rng: np.random.Generator, last_only: bool = False
    ) -> Iterator[tuple[list[Tensor], Tensor]]:
        """Every view once, in random order: per layer (or of the last) [size, t, d], and labels [size]."""
        first = self.layers.shape[1] - 1 if last_only else 0
        order = rng.permutation(len(self.labels))
        for start in range(0, len(order), size):
            chosen = np.sort(order[start : start + size])  # a file is read fastest forwards
            layers = torch.from_numpy(self.layers[chosen, first:]).float()
            yield list(layers.unbind(dim=1)), self.labels[chosen]


def keep_features(
    folder: Path, front_end: XlsrFrontEnd, views: Dataset[tuple[Tensor, int]], count: int, made_from: str
) -> KeptFeatures:
    """Features of views 0 to `count`, unless `folder` has those made from the same already."""
    made_once(folder, f"{made_from} {count}", lambda: _write_features(folder, front_end, views, count))
    return KeptFeatures(folder)


@torch.inference_mode()
def _write_features(
    folder: Path, front_end: XlsrFrontEnd, views: Dataset[tuple[Tensor, int]], count: int
) -> None:
    device = next(front_end.parameters()).device
    loader = DataLoader(views, 16, sampler=range(count), num_workers=1)
    kept, labels, done = None, np.zeros(count, np.int64), 0
    for wave, label in loader:
        layers = torch.stack(front_end(wave.to(device)).layers, dim=1).half().cpu().numpy()
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
        self.register_buffer("mean", inputs.mean(dim=0))
        self.register_buffer("std", inputs.std(dim=0) + 1e-5)
        self.linear = nn.Linear(inputs.shape[1], out)
        self.dropout = nn.Dropout(dropout)

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


def start_head(model: Sls | FakeMamba, kept: KeptFeatures, config: HeadStartConfig, seed: int) -> None:
    """Train the head of `model` on kept features, in place."""
    model.head.start_simply()
    rng = np.random.default_rng(seed)
    if isinstance(model, Sls):
        _start_sls(model, kept, config, rng)
    else:
        _start_fake_mamba(model, kept, config, rng)


def _start_sls(model: Sls, kept: KeptFeatures, config: HeadStartConfig, rng: np.random.Generator) -> None:
    """First fc1 and fc3 on what reaches fc1, averaged over time, then the gates and the norm too."""
    head, slots = model.head, model.config.slots
    rows: list[Tensor] = []
    labels: list[Tensor] = []
    with torch.no_grad():
        for layers, _ in kept.batches(32, np.random.default_rng(0)):  # settles the batch norm
            head.train()(layers)
        hook = head.fc1.register_forward_pre_hook(
            lambda _, given: rows.append(given[0].unflatten(-1, (slots, -1)).mean(dim=1))
        )
        for layers, label in kept.batches(32, np.random.default_rng(0)):
            head.eval()(layers)
            labels.append(label)
        hook.remove()
    x, y = torch.cat(rows), torch.cat(labels)
    entry = Whitened(x, head.fc1.out_features, config.dropout)
    net = nn.Sequential(entry, nn.SELU(), nn.Dropout(config.hidden_dropout), head.fc3, nn.SELU())

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        for i in torch.from_numpy(rng.permutation(len(x))).split(64):
            yield x[i], y[i]

    steps = -(-len(x) // 64)
    fit(net, batches, steps, config.sls_shallow, config.shallow_lr, config.weight_decay, "SLS, shallow")
    plain = head.fc1
    head.add_module("fc1", entry)  # for the type checker, an assignment would have to be of a Linear
    steps = -(-len(y) // 32)
    everything = partial(kept.batches, 32, rng)
    fit(head, everything, steps, config.sls_deep, config.deep_lr, config.weight_decay, "SLS, deep")
    head.fc1 = plain
    entry.fold_into(plain)


def _start_fake_mamba(
    model: FakeMamba, kept: KeptFeatures, config: HeadStartConfig, rng: np.random.Generator
) -> None:
    """The whole head; its mixers, which begin as averages over time, only in the deep passes."""
    head, plain = model.head, model.head.LL
    final_norm = model.front_end.model.encoder.layer_norm

    @torch.no_grad()
    def all_frames() -> Iterator[tuple[Tensor, Tensor]]:
        for layer, label in kept.batches(32, rng, last_only=True):
            yield final_norm(layer[0]), label

    def few_frames() -> Iterator[tuple[Tensor, Tensor]]:
        for final, label in all_frames():
            frames = np.sort(rng.permutation(final.shape[1])[: config.shallow_frames])
            yield final[:, frames], label

    entry = Whitened(next(all_frames())[0].flatten(0, 1), plain.out_features, config.dropout)
    head.add_module("LL", entry)
    steps = -(-len(kept.labels) // 32)
    mixers = [p for name, p in head.named_parameters() if ".mamba." in name or ".mixer." in name]
    for parameter in mixers:
        parameter.requires_grad = False
    fit(
        head,
        few_frames,
        steps,
        config.fake_mamba_shallow,
        config.shallow_lr,
        config.weight_decay,
        "Fake-Mamba, shallow",
    )
    for parameter in mixers:
        parameter.requires_grad = True
    fit(
        head,
        all_frames,
        steps,
        config.fake_mamba_deep,
        config.deep_lr,
        config.weight_decay,
        "Fake-Mamba, deep",
    )
    head.LL = plain
    entry.fold_into(plain)
