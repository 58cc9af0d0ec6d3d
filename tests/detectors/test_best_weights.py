"""The best weights by a figure are kept, and averaged, whatever the order they come in."""

from pathlib import Path

import torch

from detectors.best_weights import BestWeights


def weights(step: int) -> dict[str, torch.Tensor]:
    return {"weight": torch.full((2,), float(step)), "count": torch.tensor(step)}


def test_the_best_are_kept_and_the_rest_deleted_when_told(tmp_path: Path) -> None:
    best = BestWeights(tmp_path / "best", 2)
    kept = []
    for step, figure in ((10, 5.0), (20, 3.0), (30, 4.0), (40, 9.0), (50, 3.0)):
        kept.append(best.ranks(figure, step))
        if kept[-1]:
            best.keep(step, weights(step))
    assert kept == [True, True, True, False, True]
    assert best.ranking == [(3.0, 20), (3.0, 50)]
    # Until a checkpoint names the new ones, those that an older one names are still there.
    assert {path.name for path in best.folder.iterdir()} == {f"step-{n}.pt" for n in (10, 20, 30, 50)}
    best.tidy()
    assert {path.name for path in best.folder.iterdir()} == {"step-20.pt", "step-50.pt"}


def test_the_mean_is_of_the_kept_ones_and_whole_numbers_are_the_bests(tmp_path: Path) -> None:
    best = BestWeights(tmp_path / "best", 2)
    for step, figure in ((1, 0.1), (4, 0.3), (7, 0.2)):
        if best.ranks(figure, step):
            best.keep(step, weights(step))
    mean = best.mean()
    torch.testing.assert_close(mean["weight"], torch.full((2,), 4.0))  # of 1 and 7
    assert mean["count"] == 1


def test_nothing_is_kept_unless_wanted(tmp_path: Path) -> None:
    best = BestWeights(tmp_path / "best", 0)
    assert not best.ranks(1.0, 1)
    best.tidy()
    assert best.steps == []
    assert not best.folder.exists()
