"""Which views of known clips something sounds like: a kernel machine (Saunders et al., ICML 1998).

A network that learns by steps remembers its luckier or unluckier start; this has none, and gains from further
views. It compares part by part, as a network's stages hear them, and takes the mean (an additive kernel:
Duvenaud et al., NeurIPS 2011): voices that are alike to one stage only are a little alike. Of each part it
compares few directions only: those in which what it says changes most, learnt too (Radhakrishnan et al.,
Science 2024). See likeness_start.py.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

#: Directions in which each part of two views is compared.
DIRECTIONS = 40


class Likeness(nn.Module):
    """statistics [..., width], each around 0 with a spread of 1 -> log-odds [...] of bona fide: the sum over
    all known views of their weight, less the further off the view is. Unlike everything known: 0.

    parts: of each, the places among the statistics of those that are compared together.
    """

    directions: Tensor
    views: Tensor
    weights: Tensor
    reach: Tensor
    order: Tensor

    def __init__(self, parts: Sequence[Sequence[int]], views: int) -> None:
        super().__init__()
        self.sizes = [len(part) for part in parts]
        order = torch.tensor([place for part in parts for place in part])
        self.register_buffer("order", order, persistent=False)
        #: Those of each part, side by side.
        self.register_buffer("directions", torch.zeros(DIRECTIONS, len(order)))
        self.register_buffer("views", torch.zeros(len(parts), views, DIRECTIONS))
        self.register_buffer("weights", torch.zeros(views))
        self.register_buffer("reach", torch.ones(len(parts)))

    def forward(self, statistics: Tensor) -> Tensor:
        directions = self.directions.split(self.sizes, dim=1)
        parts = self.parts(statistics.flatten(0, -2))
        ours = [part @ along.T for part, along in zip(parts, directions, strict=True)]
        return (closeness(ours, self.views, self.reach) @ self.weights).reshape(statistics.shape[:-1])

    def parts(self, statistics: Tensor) -> Sequence[Tensor]:
        """statistics [n, width] -> each part of them, [n, its size]."""
        return statistics[:, self.order].split(self.sizes, dim=1)


def closeness(ours: Sequence[Tensor], theirs: Sequence[Tensor] | Tensor, reach: Tensor) -> Tensor:
    """Of each part ours [n, d], theirs [m, d] and its reach -> [n, m]: the mean over the parts of
    exp(-(distance / reach)^2), 1 for the same."""
    near = ours[0].new_zeros(len(ours[0]), len(theirs[0]))
    for one, other, far in zip(ours, theirs, reach, strict=True):
        squares = one.square().sum(dim=1)[:, None] + other.square().sum(dim=1) - 2 * one @ other.T
        near += squares.clamp_min_(0).mul_(-1 / far**2).exp_()
    return near.div_(len(ours))
