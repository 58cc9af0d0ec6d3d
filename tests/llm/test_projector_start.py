"""The projector's start learns from kept means: it must hear what it would hear of the frames themselves."""

import torch

from detectors.llm.config import AudioLlmConfig
from detectors.llm.projector import Projector, frames_in, pooled
from detectors.llm.projector_start import Probe
from detectors.llm.recipe import ProjectorStart

POOL, FRAMES = 4, 10  # the last mean is of two frames


def projector(config: AudioLlmConfig) -> Projector:
    torch.manual_seed(3)
    made = Projector(config)
    made.settle(torch.randn(config.feature_size), torch.rand(config.feature_size) + 0.5)
    return made.eval()


def test_the_probe_hears_of_means_what_it_would_hear_of_frames() -> None:
    config = AudioLlmConfig(llm_hidden=12, encoder_hidden=6, pool=POOL, projector_hidden=8, summary=True)
    heard = projector(config)
    frames = torch.randn(1, FRAMES, config.feature_size)
    means = pooled(frames, POOL)
    counts = frames_in(FRAMES, POOL)
    assert counts.tolist() == [4, 4, 2]
    probe = Probe(heard, counts, ProjectorStart(passes=1)).eval()
    tokens = heard(frames)[:, 1:-1]
    assert tokens.shape == (1, 4, 12)  # a token for each mean, and one for all frames
    torch.testing.assert_close(probe(means), probe.judge(probe.norm(tokens.mean(dim=1))))
    assert not torch.allclose(Probe(heard, torch.ones(3), ProjectorStart()).shares, probe.shares)
