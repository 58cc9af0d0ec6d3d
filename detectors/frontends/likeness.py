"""Which views of known clips something sounds like: a kernel machine (Saunders et al., ICML 1998).

A network that learns by steps remembers its luckier or unluckier start; this has none, and gains from every
further view. It compares in few directions only: those in which what it says changes most, learnt too
(Radhakrishnan et al., Science 2024). See likeness_start.py.
"""

import torch
from torch import Tensor, nn

#: Directions in which views are compared.
DIRECTIONS = 128


class Likeness(nn.Module):
    """statistics [..., width], each around 0 with a spread of 1 -> log-odds [...] of bona fide: the sum over
    all known views of their weight, less the further off the view is. Unlike everything known: 0.
    """

    directions: Tensor
    views: Tensor
    weights: Tensor
    reach: Tensor

    def __init__(self, width: int, views: int) -> None:
        super().__init__()
        self.register_buffer("directions", torch.zeros(DIRECTIONS, width))
        self.register_buffer("views", torch.zeros(views, DIRECTIONS))
        self.register_buffer("weights", torch.zeros(views))
        self.register_buffer("reach", torch.ones(()))

    def forward(self, statistics: Tensor) -> Tensor:
        along = statistics @ self.directions.T
        near = closeness(along.flatten(0, -2), self.views, self.reach)
        return (near @ self.weights).reshape(along.shape[:-1])


def closeness(ours: Tensor, theirs: Tensor, reach: Tensor | float) -> Tensor:
    """ours [n, d], theirs [m, d] -> [n, m]: exp(-(distance / reach)^2), 1 for the same."""
    squares = ours.square().sum(dim=1)[:, None] + theirs.square().sum(dim=1) - 2 * ours @ theirs.T
    return squares.clamp_min_(0).mul_(-1 / reach**2).exp_()
