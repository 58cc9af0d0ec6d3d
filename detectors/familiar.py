"""How far a clip lies from those that a detector learnt from, by what its front-end makes of it.

The mean and the spread over time of the front-end's features are held against a Gaussian of the training
clips: its directions of most variance in full, one variance for all others (the probabilistic PCA of Tipping
and Bishop, 1999). Their Mahalanobis distance finds clips of another kind (Lee et al., NeurIPS 2018), such as
music. `python -m detectors familiar` measures it and keeps it beside the weights.
"""

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from torch import Tensor, nn

#: Not *.safetensors: those are the weights that a version stands for (checkpoints.weights_digest).
FILE = "familiar.stats"
#: Directions that are kept in full.
RANK = 64

logger = logging.getLogger(__name__)


def summary(features: Tensor) -> Tensor:
    """What is compared of windows: mean and standard deviation over time; [b, t, d] -> [b, 2 d]."""
    features = features.float()
    return torch.cat([features.mean(dim=1), features.std(dim=1)], dim=-1)


@dataclass(frozen=True)
class Familiar:
    """mean [2 d]; directions [RANK, 2 d], of length 1; variances [RANK] of the training clips along these and
    `rest` along all others; distances above `threshold` are unfamiliar."""

    mean: np.ndarray
    directions: np.ndarray
    variances: np.ndarray
    rest: float
    threshold: float

    def distance(self, summary: np.ndarray) -> float:
        """Of a clip's summary [2 d], the mean over its windows: about 1 for clips like the training's."""
        apart = summary - self.mean
        along = self.directions @ apart
        left = float(apart @ apart - along @ along)
        return float(np.sqrt((np.sum(along**2 / self.variances) + max(0.0, left) / self.rest) / len(apart)))

    def knows(self, summary: np.ndarray) -> bool:
        """Whether a clip is like those that were learnt from."""
        return self.distance(summary) <= self.threshold


def fit(summaries: np.ndarray, rank: int = RANK) -> Familiar:
    """The Gaussian of training clips [n, 2 d]; nothing is unfamiliar to it until it has a threshold."""
    mean = summaries.mean(axis=0)
    _, lengths, directions = np.linalg.svd(summaries - mean, full_matrices=False)
    variances = lengths**2 / (len(summaries) - 1)
    rank = min(rank, len(variances) - 1)
    rest = float(variances[rank:].sum() / (len(mean) - rank))
    return Familiar(mean, directions[:rank], variances[:rank], rest, np.inf)


def front_end_digest(front_end: nn.Module) -> str:
    """SHA-256 of its weights and of what stands beside them: what was measured on another front-end holds for
    that one only."""
    digest = hashlib.sha256()
    if getattr(front_end, "signal", None) is not None:  # it has no weights
        digest.update(b"signal")
    for name, tensor in sorted(front_end.state_dict().items()):
        if name.startswith(("textures.", "speaker.")):
            continue  # they take no part in the summaries
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()


def save(folder: Path, familiar: Familiar, front_end: nn.Module, facts: dict[str, str]) -> None:
    """Keep it beside the weights. facts: what it was measured on."""
    arrays: dict[str, np.ndarray] = {
        "mean": familiar.mean.astype(np.float32),
        "directions": familiar.directions.astype(np.float16),
        "variances": familiar.variances.astype(np.float32),
    }
    numbers = {"rest": repr(familiar.rest), "threshold": repr(familiar.threshold)}
    save_file(arrays, folder / FILE, {**facts, **numbers, "front_end": front_end_digest(front_end)})
    (folder / FILE).chmod(0o644)  # as the weights beside it; safetensors makes it for its owner only


def load(folder: Path, model: Any) -> Familiar | None:
    """What was kept for a model's front-end; None where it has none, it is another's, or, with a
    warning, it is damaged."""
    front_end = getattr(model, "front_end", None)
    if front_end is None or not (folder / FILE).is_file():
        return None
    try:
        with safe_open(folder / FILE, "np") as file:
            facts = file.metadata() or {}
            if facts["front_end"] != front_end_digest(front_end):
                logger.info("%s was measured on another front-end", folder / FILE)
                return None
            arrays = {name: file.get_tensor(name).astype(np.float64) for name in file.keys()}  # noqa: SIM118
            return Familiar(**arrays, rest=float(facts["rest"]), threshold=float(facts["threshold"]))
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        logger.warning("%s cannot be used: %s", folder / FILE, error)
        return None
