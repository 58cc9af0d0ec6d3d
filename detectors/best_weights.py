"""The best weights of a run by a figure that should be low, kept on disk until they are averaged.

The mean of the weights of several good epochs is often better than any of them (Izmailov et al., Averaging
Weights Leads to Wider Optima, 2018); Fake-Mamba is evaluated with that of its five best.
"""

from pathlib import Path

import torch
from torch import Tensor

from detectors.whole_files import written_whole

Weights = dict[str, Tensor]


class BestWeights:
    """At most `count` state dicts in `folder`, one file each; 0: none are kept.

    ranking: (figure, step) of those that count, the best first. A run's checkpoint holds it too: files are
    deleted only by `tidy`, once such a checkpoint is written, so that a run which is cut off between the two
    still finds all that its checkpoint names.
    """

    def __init__(self, folder: Path, count: int) -> None:
        self.folder, self.count = folder, count
        self.ranking: list[tuple[float, int]] = []

    @property
    def steps(self) -> list[int]:
        """The steps that the kept weights are of, in order."""
        return sorted(step for _, step in self.ranking)

    def ranks(self, figure: float, step: int) -> bool:
        """Enter a step's figure; whether its weights are among the best, and so have to be kept. Of equals,
        the earlier counts as better."""
        self.ranking = sorted([*self.ranking, (figure, step)])[: self.count]
        return (figure, step) in self.ranking

    def keep(self, step: int, weights: Weights) -> None:
        """Write them, all at once."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with written_whole(self._path(step)) as part:
            torch.save(weights, part)

    def tidy(self) -> None:
        """Delete what is no longer among the best."""
        kept = {self._path(step) for step in self.steps}
        for path in self.folder.glob("step-*"):
            if path not in kept:
                path.unlink()

    def mean(self) -> Weights:
        """The kept weights averaged, the batch norm's statistics too; whole numbers are those of the best."""
        parts = (
            torch.load(self._path(step), map_location="cpu", weights_only=True) for _, step in self.ranking
        )
        total = dict(next(parts))
        for part in parts:
            for name, value in part.items():
                if value.is_floating_point():
                    total[name] += value
        return {k: v / len(self.ranking) if v.is_floating_point() else v for k, v in total.items()}

    def _path(self, step: int) -> Path:
        return self.folder / f"step-{step}.pt"
