"""Training of a Likeness (frontends/likeness.py): two kernel ridge regressions, without steps or luck."""

import logging
from collections.abc import Sequence

import torch
from torch import Tensor

from detectors.frontends.likeness import DIRECTIONS, Likeness, closeness

log = logging.getLogger(__name__)

#: Of the median distance between two views: how far closeness reaches.
REACH = 3.0
#: Views that the directions are learnt on, and those that the median distance is taken between.
SLOPES, PAIRS = 4_800, (300, 2_000)


@torch.no_grad()
def start_likeness(likeness: Likeness, statistics: Tensor, labels: Tensor, ridge: float, odds: float) -> None:
    """Learn from statistics [views, width], each around 0 with a spread of 1, and labels [views], 1 for bona
    fide and 0 for spoof; in place. While it does, a view takes some 8 (width + views) bytes.

    ridge: how little it trusts a single view. odds: what a human view's 1 and a machine-made one's -1 count
    as log-odds. Raises ValueError when a class is missing.
    """
    human = labels == 1
    if human.all() or not human.any():
        raise ValueError("views of both classes are needed")
    log.info("likeness: comparing %d views", len(labels))
    parts = likeness.parts(statistics)
    reach = _reach(parts)
    weights = _regression(parts, human, reach, ridge)
    along = []
    directions = likeness.directions.zero_().split(likeness.sizes, dim=1)
    for part, far, into in zip(parts, reach, directions, strict=True):
        axes = _main_axes(_slopes(part, weights, far))
        into[: len(axes)] = axes
        along.append(part @ into.T)
    reach = _reach(along)
    likeness.views.copy_(torch.stack(along))
    likeness.weights.copy_(odds * _regression(along, human, reach, ridge))
    likeness.reach.copy_(reach)


def _reach(parts: Sequence[Tensor]) -> Tensor:
    pairs = [[part[:count] for count in PAIRS] for part in parts]
    return torch.stack([REACH * torch.cdist(first, more).median() for first, more in pairs])


def _regression(parts: Sequence[Tensor], human: Tensor, reach: Tensor, ridge: float) -> Tensor:
    """Weights [views] with which the views say 1 of human ones and -1 of others, both classes weighing the
    same, as nearly as the ridge lets them."""
    share = torch.where(human, human.float().mean(), 1 - human.float().mean())
    close = closeness(parts, parts, reach)
    close.diagonal().add_(2 * ridge * share)
    wanted = torch.where(human, 1.0, -1.0)[:, None]
    return torch.cholesky_solve(wanted, torch.linalg.cholesky(close))[:, 0]


def _slopes(part: Tensor, weights: Tensor, reach: Tensor) -> Tensor:
    """How what is said changes with each statistic of a part [views, size] at the first SLOPES views,
    [places, size], but for a factor."""
    places = part[:SLOPES]
    pull = closeness([places], [part], reach[None]).mul_(weights)
    return pull @ part - pull.sum(dim=1, keepdim=True) * places


def _main_axes(rows: Tensor) -> Tensor:
    """The DIRECTIONS along which rows [n, size] reach furthest, of length 1, the first the furthest; fewer
    where there are fewer."""
    rows = rows.double()  # far apart in size: float32 would not tell the last ones
    if rows.shape[1] < len(rows):
        _, axes = torch.linalg.eigh(rows.T @ rows)
        return axes.flip(1).T[:DIRECTIONS].float()
    _, sides = torch.linalg.eigh(rows @ rows.T)
    along = sides.flip(1)[:, : min(DIRECTIONS, len(rows))].T @ rows
    return (along / along.norm(dim=1, keepdim=True)).float()
