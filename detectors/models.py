"""The two whole countermeasures: a front-end and a head each."""

from torch import Tensor, nn

from detectors.backends.fake_mamba import FakeMambaHead, FakeMambaOutput
from detectors.backends.sls import SlsHead, SlsOutput
from detectors.config import DetectorConfig, FakeMambaConfig, SlsConfig
from detectors.frontends.xlsr import Features, XlsrFrontEnd


class Sls(nn.Module):
    """XLS-R + SLS: waveform [b, window_samples] -> SlsOutput. CM score = log_probs[:, 1]."""

    def __init__(self, config: SlsConfig, front_end: XlsrFrontEnd | None = None) -> None:
        super().__init__()
        self.config = config
        self.front_end = front_end or XlsrFrontEnd(config.front_end)
        self.head = SlsHead(config)

    def forward(self, waveform: Tensor) -> SlsOutput:
        return self.judge(self.front_end(waveform))

    def judge(self, features: Features) -> SlsOutput:
        """The head alone, for a front-end that several heads share."""
        return self.head(features.layers)


class FakeMamba(nn.Module):
    """Fake-Mamba: waveform [b, window_samples] -> FakeMambaOutput. CM score = logits[:, 1]."""

    def __init__(self, config: FakeMambaConfig, front_end: XlsrFrontEnd | None = None) -> None:
        super().__init__()
        self.config = config
        self.front_end = front_end or XlsrFrontEnd(config.front_end)
        self.head = FakeMambaHead(config)

    def forward(self, waveform: Tensor) -> FakeMambaOutput:
        return self.judge(self.front_end(waveform))

    def judge(self, features: Features) -> FakeMambaOutput:
        """The head alone, for a front-end that several heads share."""
        return self.head(features.final)


def build_model(config: DetectorConfig, front_end: XlsrFrontEnd | None = None) -> Sls | FakeMamba:
    """A model with fresh weights, to be trained or to have weights loaded into it."""
    if isinstance(config, SlsConfig):
        return Sls(config, front_end)
    return FakeMamba(config, front_end)
