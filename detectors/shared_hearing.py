"""Several detectors before the same windows: those that have the same front-end let it hear them once."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from detectors.dev_scores import Judge
from detectors.frontends.xlsr import Features, XlsrFrontEnd
from detectors.models import Countermeasure, FakeMamba, Sls


def share_front_ends(models: Sequence[Countermeasure]) -> None:
    """Give models whose front-ends are the same, in sizes and weight by weight, one of them together."""
    own = [model for model in models if isinstance(model, Sls | FakeMamba)]
    for i, model in enumerate(own):
        for earlier in own[:i]:
            if _same(model.front_end, earlier.front_end):
                model.front_end = earlier.front_end
                break


def together(models: Mapping[str, Countermeasure]) -> Judge:
    """Models by name as one judge; they cut a clip in the same way."""

    def judge(windows: Tensor) -> dict[str, Tensor]:
        heard: dict[int, Features] = {}
        scores = {}
        for name, model in models.items():
            if not isinstance(model, Sls | FakeMamba):
                scores[name] = model(windows).cm_scores
                continue
            front_end = id(model.front_end)
            if front_end not in heard:
                heard[front_end] = model.front_end(windows)
            scores[name] = model.judge(heard[front_end]).cm_scores
        return scores

    return judge


def _same(one: XlsrFrontEnd, other: XlsrFrontEnd) -> bool:
    # The sizes tell whether the signal is heard, which has no weights.
    weights, others = one.state_dict(), other.state_dict()
    return (
        one.config == other.config
        and weights.keys() == others.keys()
        and all(torch.equal(weights[name], others[name]) for name in weights)
    )
