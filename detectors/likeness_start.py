"""Training of a Likeness (frontends/likeness.py): two kernel ridge regressions, without steps or luck."""

import logging

import torch
from torch import Tensor

from detectors.frontends.likeness import DIRECTIONS, Likeness, closeness

log = logging.getLogger(__name__)

#: Of the median distance between two views: how far closeness reaches.
REACH = 1.475
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
    reach = _reach(statistics)
    weights = _regression(statistics, human, reach, ridge)
    axes = _main_axes(_slopes(statistics[:SLOPES], statistics, weights, reach))
    likeness.directions.zero_()[: len(axes)] = axes
    along = statistics @ likeness.directions.T
    reach = _reach(along)
    likeness.views.copy_(along)
    likeness.weights.copy_(odds * _regression(along, human, reach, ridge))
    likeness.reach.fill_(reach)


def _reach(statistics: Tensor) -> float:
    first, more = (statistics[:count] for count in PAIRS)
    return REACH * float(torch.cdist(first, more).median())


def _regression(statistics: Tensor, human: Tensor, reach: float, ridge: float) -> Tensor:
    """Weights [views] with which the views say 1 of human ones and -1 of others, both classes weighing the
    same, as nearly as the ridge lets them."""
    share = torch.where(human, human.float().mean(), 1 - human.float().mean())
    close = closeness(statistics, statistics, reach)
    close.diagonal().add_(2 * ridge * share)
    wanted = torch.where(human, 1.0, -1.0)[:, None]
    return torch.cholesky_solve(wanted, torch.linalg.cholesky(close))[:, 0]


def _slopes(places: Tensor, statistics: Tensor, weights: Tensor, reach: float) -> Tensor:
    """How what is said changes with each statistic at some places, [places, width], but for a factor."""
    pull = closeness(places, statistics, reach).mul_(weights)
    return pull @ statistics - pull.sum(dim=1, keepdim=True) * places


def _main_axes(rows: Tensor) -> Tensor:
    """The DIRECTIONS along which rows [n, width] reach furthest, of length 1, the first the furthest; fewer
    where there are fewer."""
    rows = rows.double()  # far apart in size: float32 would not tell the last ones
    _, sides = torch.linalg.eigh(rows @ rows.T)
    along = sides.flip(1)[:, : min(DIRECTIONS, *rows.shape)].T @ rows
    return (along / along.norm(dim=1, keepdim=True)).float()
