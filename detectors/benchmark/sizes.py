"""The sizes of models that a benchmark measures, by name."""

from dataclasses import dataclass

from detectors.cards import CARDS
from detectors.checkpoints import read_config
from detectors.config import FakeMambaConfig, FrontEndConfig, SlsConfig, config_from_dict

FULL, MINI, TINY = "XLS-R 300M", "mini", "tiny"


@dataclass(frozen=True)
class Sizes:
    """name, and the two detectors of these sizes; their weights are made at random, which costs the same."""

    name: str
    sls: SlsConfig
    fake_mamba: FakeMambaConfig


def sizes_of(preset: str) -> Sizes:
    """ "full": XLS-R 300M and the papers' heads. "mini": as in the shipped checkpoints' config.json.
    "tiny": for tests of the benchmark itself; its figures say nothing about the detectors."""
    if preset == "full":
        return Sizes(FULL, SlsConfig(), FakeMambaConfig())
    if preset == "mini":
        return Sizes(MINI, *(_shipped(name) for name in ("sls", "fake_mamba")))  # type: ignore[arg-type]
    # One group: in groups of 8 channels torch 2.11 computes nonsense in bf16 where the CPU has AMX.
    front_end = FrontEndConfig(2, 16, 2, 32, extractor_channels=8, position_kernel=8, position_groups=1)
    sls = SlsConfig(front_end, window_samples=8_000, hop_samples=8_000, fc_hidden=8)
    mamba = FakeMambaConfig(front_end, 8_000, 8_000, dim=16, layers=2, d_state=4, conv_kernel=7)
    return Sizes(TINY, sls, mamba)


def _shipped(name: str) -> SlsConfig | FakeMambaConfig:
    return config_from_dict(name, read_config(CARDS[name, "mini"].folder)["model"])
