"""The comparison with known views: what it computes, and what it learns."""

import math

import pytest
import torch
from torch import Tensor

from detectors.frontends.likeness import DIRECTIONS, Likeness
from detectors.likeness_start import start_likeness

WIDTH = 40
HUMAN = torch.nn.functional.normalize(torch.arange(1.0, WIDTH + 1), dim=0)
#: The second and third have statistics in turn, and the third too little to tell human from machine by.
PARTS = [range(10, 40), range(0, 10, 2), range(1, 10, 2)]


def views(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Of which every third is human: these lie further along HUMAN, by three times the spread."""
    labels = (torch.arange(count) % 3 == 0).long()
    noise = torch.randn(count, WIDTH, generator=torch.Generator().manual_seed(seed))
    return noise + 3 * (2 * labels[:, None] - 1) * HUMAN, labels


@pytest.fixture(scope="module")
def likeness() -> Likeness:
    found = Likeness(PARTS, 150)
    start_likeness(found, *views(150, seed=1), ridge=0.1, odds=2.0)
    return found


def test_it_adds_up_the_weights_of_what_is_near(likeness: Likeness) -> None:
    statistics, _ = views(6, seed=2)
    said = likeness(statistics.reshape(2, 3, WIDTH))
    assert said.shape == (2, 3)
    directions = likeness.directions.split([30, 5, 5], dim=1)
    for one, odds in zip(statistics, said.flatten(), strict=True):
        expected = 0.0
        for part, (places, along) in enumerate(zip(PARTS, directions, strict=True)):
            ours, reach = (along @ one[list(places)]).tolist(), likeness.reach[part].item()
            for view, weight in zip(likeness.views[part].tolist(), likeness.weights.tolist(), strict=True):
                expected += weight / 3 * math.exp(-((math.dist(ours, view) / reach) ** 2))
        assert odds.item() == pytest.approx(expected, abs=1e-3)


def test_it_tells_new_views_apart_and_says_nothing_of_what_is_unlike_all(likeness: Likeness) -> None:
    statistics, labels = views(60, seed=3)
    said = likeness(statistics)
    assert said[labels == 1].min() > 0 > said[labels == 0].max()
    assert said.abs().median() > 1  # of 2, which known views count
    assert likeness(1_000 * HUMAN[None]).abs().max() < 1e-6


def test_the_weights_are_those_of_the_regression(likeness: Likeness) -> None:
    _, labels = views(150, seed=1)
    distances = torch.cdist(likeness.views, likeness.views) / likeness.reach[:, None, None]
    close = torch.exp(-distances.square()).mean(dim=0)
    share = torch.where(labels == 1, 50 / 150, 100 / 150)
    wanted = torch.where(labels == 1, 1.0, -1.0)
    said = close @ likeness.weights + 2 * 0.1 * share * likeness.weights
    torch.testing.assert_close(said, 2.0 * wanted, atol=1e-2, rtol=0)


def test_its_first_direction_is_the_one_that_matters(likeness: Likeness) -> None:
    for places, directions in zip(PARTS, likeness.directions.split([30, 5, 5], dim=1), strict=True):
        kept = directions[: len(places)]
        torch.testing.assert_close(kept @ kept.T, torch.eye(len(places)), atol=1e-4, rtol=0)
        assert not directions[len(places) :].any()  # there are no more than the part has statistics
    largest = (likeness.directions[:30, :30] @ HUMAN[10:]).abs()
    assert largest.argmax() == 0
    assert largest[0] > 0.8  # any other than it would have 0.18


@pytest.mark.parametrize("count", [20, 3 * DIRECTIONS])
def test_few_views_do_and_of_many_the_directions_are_bounded(count: int) -> None:
    found = Likeness(PARTS, count)
    start_likeness(found, *views(count, seed=4), ridge=0.1, odds=1.0)
    statistics, labels = views(30, seed=5)
    assert found(statistics)[labels == 1].min() > found(statistics)[labels == 0].max()


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_alone_is_refused(label: int) -> None:
    with pytest.raises(ValueError, match="both classes"):
        start_likeness(Likeness(PARTS, 8), torch.randn(8, WIDTH), torch.full((8,), label), 0.1, 1.0)
