"""What a frozen network heard is remembered for other detectors, and never mistaken for something else."""

import copy
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from detectors.cards import ASSETS
from detectors.checkpoints import load_model, save_model
from detectors.config import FrontEndConfig
from detectors.frontends.heard_once import HeardOnce, Remembering, forget_all, memory_of, remember_together
from detectors.frontends.xlsr import XlsrFrontEnd
from detectors.registry import load_detector


class Counting(Remembering):
    """Twice the wave, and how often it was asked."""

    def __init__(self, factor: float = 2.0) -> None:
        super().__init__()
        self.factor, self.asked = nn.Parameter(torch.tensor(factor), requires_grad=False), 0

    def forward(self, waveform: Tensor) -> Tensor:
        return self.recalled(waveform, self._listen)

    def _listen(self, waveform: Tensor) -> Tensor:
        self.asked += 1
        return self.factor * waveform


def test_networks_with_the_same_weights_hear_a_wave_once() -> None:
    one, same, other = Counting(), Counting(), Counting(3.0)
    for network in (one, same, other):
        remember_together(nn.Sequential(network))
    wave = torch.randn(2, 100)
    with torch.inference_mode():
        for network in (one, same, one):
            torch.testing.assert_close(network(wave), 2 * wave)
        torch.testing.assert_close(other(wave), 3 * wave)
        assert (one.asked, same.asked, other.asked) == (1, 0, 1)
        torch.testing.assert_close(same(wave + 1), 2 * wave + 2)  # another wave is another question
        torch.testing.assert_close(same(wave[:1]), 2 * wave[:1])
    assert same.asked == 2


def test_front_ends_that_differ_beside_their_layers_share_these() -> None:
    plain = FrontEndConfig(
        1, 16, 2, 24, "log_mel", extractor_channels=16, position_kernel=8, position_groups=2
    )
    one, other = XlsrFrontEnd(plain).eval(), XlsrFrontEnd(replace(plain, signal=True, textures=1)).eval()
    other.model.load_state_dict(one.model.state_dict())
    wave = torch.randn(2, 8_000)
    with torch.inference_mode():
        alone, beside = one(wave), other(wave)
        for front_end in (one, other):
            remember_together(front_end)
        forget_all()
        one(wave)
        other.model.feature_extractor.forward = None  # nothing is computed anew
        again = other(wave)
    torch.testing.assert_close(again.layers, beside.layers)
    torch.testing.assert_close(again.final, beside.final)
    torch.testing.assert_close(alone.layers[0], again.layers[0][..., :16])
    other.use_bf16()
    assert other.memory is None


def test_detectors_that_share_weights_share_what_they_heard(tmp_path: Path) -> None:
    one, other = (load_detector(name, device="cpu").model.front_end for name in ("sls", "fake_mamba"))
    assert one.memory is not None
    assert one.memory is other.memory
    assert one.speaker.ear.memory is other.speaker.ear.memory is not None
    save_model(load_model(ASSETS / "fake_mamba-mini", "fake_mamba"), "fake_mamba", tmp_path, {})
    alone = load_detector("fake_mamba", checkpoint=tmp_path, device="cpu").model.front_end
    assert alone.memory is None
    assert alone.speaker.ear.memory is None


def test_while_something_learns_nothing_is_remembered() -> None:
    network = Counting()
    remember_together(network)
    wave = torch.ones(1, 4)
    with torch.inference_mode():
        network(wave)
    wave.requires_grad = True
    network(wave).sum().backward()
    torch.testing.assert_close(wave.grad, torch.full((1, 4), 2.0))
    fresh = Counting()
    with torch.inference_mode():
        fresh(wave)
        fresh(wave)
    assert fresh.asked == 2  # no memory was given


def test_a_copy_goes_its_own_way_and_remembers_nothing() -> None:
    network = Counting()
    remember_together(network)
    wave = torch.ones(1, 4)
    with torch.inference_mode():
        network(wave)
        other = copy.deepcopy(network)
        other.factor.fill_(5.0)
        torch.testing.assert_close(other(wave), 5 * wave)
        torch.testing.assert_close(network(wave), 2 * wave)
    assert network.memory is not None
    assert other.memory is None


def test_only_the_latest_are_remembered() -> None:
    memory, asked = HeardOnce(most_bytes=8), []

    def listen(wave: Tensor) -> Tensor:
        asked.append(float(wave[0]))
        return wave

    for value in (1.0, 2.0, 1.0, 3.0, 1.0, 2.0):
        memory.recall(torch.tensor([value]), listen)
    assert asked == [1.0, 2.0, 3.0, 2.0]
    memory.forget()
    memory.recall(torch.tensor([2.0]), listen)
    assert asked[-1] == 2.0
    assert len(asked) == 5


def test_what_cannot_remember_is_left_alone() -> None:
    remember_together(nn.Linear(2, 2))
    remember_together(object())
    assert memory_of(Counting()) is memory_of(Counting())
    assert memory_of(Counting()) is not memory_of(Counting(5.0))
