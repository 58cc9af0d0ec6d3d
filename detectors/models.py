"""Whole countermeasures: what all of them answer, and the two that are a front-end and a head each."""

from typing import Any, Protocol, Self

import numpy as np
import torch
from torch import Tensor, nn

from detectors.backends.fake_mamba import FakeMambaHead, FakeMambaOutput
from detectors.backends.sls import SlsHead, SlsOutput, log_probs_of_two
from detectors.config import DetectorConfig, FakeMambaConfig, SlsConfig
from detectors.frontends.xlsr import Features, XlsrFrontEnd
from detectors.timeline import OverTime


class Judgement(Protocol):
    """What a countermeasure says of windows: a NamedTuple of tensors [b, ...], a row for each window."""

    @property
    def cm_scores(self) -> Tensor:
        """[b], higher = bona fide."""

    def maps(self, over_time: OverTime) -> dict[str, np.ndarray]:
        """Named arrays that explain the scores of a clip's windows, all of them, on the CPU."""


class WindowSizes(Protocol):
    """How a clip is cut for a countermeasure, in samples."""

    @property
    def window_samples(self) -> int: ...

    @property
    def hop_samples(self) -> int: ...


class Countermeasure(Protocol):
    """A module: waveform [b, window_samples] -> Judgement."""

    @property
    def config(self) -> WindowSizes: ...

    def __call__(self, waveform: Tensor, /) -> Any: ...

    def to(self, device: str, /) -> Self: ...

    def eval(self) -> Self: ...


class Sls(nn.Module):
    """XLS-R + SLS: waveform [b, window_samples] -> SlsOutput."""

    def __init__(self, config: SlsConfig, front_end: XlsrFrontEnd | None = None) -> None:
        super().__init__()
        self.config = config
        self.front_end = front_end or XlsrFrontEnd(config.front_end)
        self.head = SlsHead(config)

    def forward(self, waveform: Tensor) -> SlsOutput:
        return self.judge(self.front_end(waveform))

    def judge(self, features: Features) -> SlsOutput:
        """The head alone, for a front-end that several heads share."""
        answer = self.head(features.layers)
        if features.speaker is None:
            return answer
        said = _both_ways(self.config.speaker_weight * features.speaker)
        return answer._replace(log_probs=log_probs_of_two(answer.log_probs + said))


class FakeMamba(nn.Module):
    """Fake-Mamba: waveform [b, window_samples] -> FakeMambaOutput."""

    def __init__(self, config: FakeMambaConfig, front_end: XlsrFrontEnd | None = None) -> None:
        super().__init__()
        self.config = config
        self.front_end = front_end or XlsrFrontEnd(config.front_end)
        self.head = FakeMambaHead(config)

    def forward(self, waveform: Tensor) -> FakeMambaOutput:
        return self.judge(self.front_end(waveform))

    def judge(self, features: Features) -> FakeMambaOutput:
        """The head alone, for a front-end that several heads share."""
        answer = self.head(features.final)
        beside = (
            (self.config.texture_weight, features.texture),
            (self.config.speaker_weight, features.speaker),
        )
        for weight, said in beside:
            if said is not None:
                answer = answer._replace(logits=answer.logits + _both_ways(weight * said.float()))
        return answer


def _both_ways(said: Tensor) -> Tensor:
    """[b] in favour of bona fide -> [b, 2], to be added to logits."""
    return torch.stack([-said, said], dim=1)


def build_model(config: DetectorConfig, front_end: XlsrFrontEnd | None = None) -> Sls | FakeMamba:
    """A model with fresh weights, to be trained or to have weights loaded into it."""
    if isinstance(config, SlsConfig):
        return Sls(config, front_end)
    return FakeMamba(config, front_end)
