"""Sizes of the models: plain frozen records, saved as config.json beside the weights."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Extractor = Literal["conv", "log_mel"]
#: Features of a frame in frontends/signal_features.py.
SIGNAL_WIDTH = 293
Block = Literal["pn_bimamba", "trans_bimamba", "con_bimamba"]


@dataclass(frozen=True)
class FrontEndConfig:
    """An XLS-R shaped encoder. The defaults are XLS-R 300M (Babu et al., 2021)."""

    layers: int = 24
    hidden: int = 1024
    heads: int = 16
    ffn: int = 4096
    # "conv": wav2vec 2.0's seven convolutions over the waveform. "log_mel": a spectral stem
    # (frontends/log_mel.py), which needs far less data and time to train from small corpora.
    extractor: Extractor = "conv"
    extractor_channels: int = 512
    position_kernel: int = 128
    position_groups: int = 16
    # Whether frontends/signal_features.py stands beside every layer's output.
    signal: bool = False
    # How many networks of frontends/texture.py look at the spectra beside the transformer: at levels alone,
    # and at phases too. Not in repr, which tells what kept features are made from: they add nothing to these.
    textures: int = field(default=0, repr=False)
    phase_textures: int = field(default=0, repr=False)
    # Blocks of a speaker network that hear the voice beside it (frontends/speaker.py), 0 for none; 3 at most.
    speaker_blocks: int = field(default=0, repr=False)
    # At how many of its HEARINGS, speeds of one recording, the judge of that network is asked.
    speaker_hearings: int = field(default=1, repr=False)
    # Known views that the judge compares with (frontends/likeness.py), 0 for none.
    speaker_views: int = field(default=0, repr=False)

    @property
    def width(self) -> int:
        """Features of a frame: the transformer's, and the signal's if they are heard."""
        return self.hidden + (SIGNAL_WIDTH if self.signal else 0)

    def frames(self, samples: int) -> int:
        """Frames that `samples` at 16 kHz become: 201 for 64,600 with "conv"."""
        if self.extractor == "log_mel":
            return -(-(samples // 160) // 2)
        for kernel, stride in zip(CONV_KERNELS, CONV_STRIDES, strict=True):
            samples = (samples - kernel) // stride + 1
        return samples


CONV_KERNELS = (10, 3, 3, 3, 3, 2, 2)
CONV_STRIDES = (5, 2, 2, 2, 2, 2, 2)


@dataclass(frozen=True)
class SlsConfig:
    """XLS-R + SLS (Zhang, Wen, Hu, ACM MM 2024); the defaults are the released model."""

    front_end: FrontEndConfig = field(default_factory=FrontEndConfig)
    window_samples: int = 64_600
    hop_samples: int = 64_600
    fc_hidden: int = 1024
    # Max-pooling over frames and over features.
    pool_frames: int = 3
    pool: int = 3
    # What the front-end's speaker network says counts so much beside the head.
    speaker_weight: float = 0.0

    @property
    def slots(self) -> int:
        """Stretches of time that pooling leaves: 67 in the released model."""
        return self.front_end.frames(self.window_samples) // self.pool_frames

    @property
    def flat(self) -> int:
        """Width after pooling frames x features: 67 * 341 = 22,847 in the released model."""
        return self.slots * (self.front_end.width // self.pool)


@dataclass(frozen=True)
class FakeMambaConfig:
    """Fake-Mamba (Xuan et al., ASRU 2025); the defaults are the paper's model."""

    front_end: FrontEndConfig = field(default_factory=FrontEndConfig)
    window_samples: int = 66_800
    hop_samples: int = 66_800
    dim: int = 144
    layers: int = 7
    block: Block = "pn_bimamba"
    ffn_mult: int = 4
    d_state: int = 16
    d_conv: int = 4
    expand: int = 2
    conv_kernel: int = 31  # ConBiMamba's convolution module
    # What the front-end's textures and its speaker network say counts so much beside the head.
    texture_weight: float = 0.0
    speaker_weight: float = 0.0


DetectorConfig = SlsConfig | FakeMambaConfig
CONFIGS: dict[str, type[SlsConfig] | type[FakeMambaConfig]] = {
    "sls": SlsConfig,
    "fake_mamba": FakeMambaConfig,
}


def config_to_dict(config: DetectorConfig) -> dict[str, Any]:
    """JSON-ready form; `config_from_dict` is its inverse."""
    return asdict(config)


def config_from_dict(detector: str, values: dict[str, Any]) -> DetectorConfig:
    """Rebuild a config. Raises TypeError on a field this version does not know."""
    return CONFIGS[detector](**{**values, "front_end": FrontEndConfig(**values["front_end"])})
