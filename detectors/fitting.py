"""A short training run over things that are computed beforehand."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

log = logging.getLogger(__name__)


def fit(
    net: nn.Module,
    batches: Callable[[], Iterator[tuple[Any, Tensor]]],
    steps: int,
    passes: int,
    lr: float,
    weight_decay: float,
    name: str,
    loss_of: Callable[[Tensor, Tensor], Tensor] = nn.functional.cross_entropy,
) -> None:
    """AdamW over `passes` of `steps` batches each; the rate rises for a seventh, then falls to 0.

    loss_of: of logits [b, 2] and what each batch gives beside its input.
    """
    if not passes:
        return
    learning = [p for p in net.parameters() if p.requires_grad]
    matrices = [p for p in learning if p.dim() > 1]
    vectors = [p for p in learning if p.dim() < 2]
    groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=lr)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, lr, total_steps=max(10, passes * steps + 1), pct_start=1 / 7
    )
    net.train()
    for done in range(passes):
        losses = []
        for x, target in batches():
            output = net(x)
            logits = output[0] if isinstance(output, tuple) else output
            loss = loss_of(logits, target)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        log.info("start of %s, pass %d: loss %.3f", name, done + 1, np.mean(losses))
