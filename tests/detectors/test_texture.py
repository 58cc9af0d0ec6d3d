"""The networks over fine spectra: what they see, what they add to Fake-Mamba's score, how they learn."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from detectors.config import FakeMambaConfig, FrontEndConfig, SlsConfig
from detectors.familiar import front_end_digest
from detectors.frontends.texture import BINS, SEEN, Texture, fine_spectra
from detectors.frontends.xlsr import XlsrFrontEnd
from detectors.models import FakeMamba, Sls, build_model
from detectors.texture_start import TextureStart, keep_views, start_textures
from tests.detectors.buzz_and_noise import WINDOW, BuzzAndNoise

RATE = 16_000
PLAIN = FrontEndConfig(1, 16, 2, 24, "log_mel", extractor_channels=16, position_kernel=8, position_groups=2)
TWO = replace(PLAIN, textures=1, phase_textures=1)
FAKE_MAMBA = FakeMambaConfig(TWO, WINDOW, WINDOW, dim=16, layers=1, d_state=4, texture_weight=0.5)


@pytest.fixture
def waves() -> Tensor:
    return 0.1 * torch.randn(3, RATE, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def texture() -> Texture:
    torch.manual_seed(0)
    return Texture().eval()


def test_one_number_a_window_whatever_its_level(texture: Texture, waves: Tensor) -> None:
    with torch.inference_mode():
        found = texture(fine_spectra(waves))
        assert fine_spectra(waves).shape == (3, SEEN, BINS, 100)
        assert found.shape == (3,)
        torch.testing.assert_close(texture(fine_spectra(0.01 * waves)), found, atol=2e-3, rtol=0)
        spoof, bonafide = texture.logits(fine_spectra(waves)).unbind(dim=1)
    torch.testing.assert_close(found, bonafide - spoof)


def test_silence_and_short_windows_give_numbers(texture: Texture) -> None:
    with torch.inference_mode():
        assert texture(fine_spectra(torch.zeros(2, RATE))).isfinite().all()
        assert texture(fine_spectra(torch.randn(2, 1_600))).isfinite().all()


def test_nothing_above_4_khz_is_seen(waves: Tensor) -> None:
    spectrum = torch.fft.rfft(waves)
    low, whole = spectrum.clone(), spectrum.clone()
    low[:, int(3_900 * waves.shape[1] / RATE) :] = 0
    whole[:, int(3_900 * waves.shape[1] / RATE) : int(4_100 * waves.shape[1] / RATE)] = 0
    with torch.inference_mode():
        level = [torch.fft.irfft(x).square().mean(dim=1, keepdim=True).sqrt() for x in (low, whole)]
        seen = [fine_spectra(torch.fft.irfft(x))[:, 0] for x in (low, whole)]
    assert (level[1] > 1.3 * level[0]).all()
    inside = [x[:, :120, 5:-5] for x in seen]  # a cut-off rings at the edges of the window
    difference = inside[0] - inside[1]
    assert (difference - difference.mean()).abs().mean() < 0.02


def test_what_lies_far_below_the_loudest_is_not_seen() -> None:
    t = torch.arange(RATE) / RATE
    tone = (0.3 * torch.sin(2 * np.pi * 440 * t))[None]
    hiss = 1e-5 * torch.randn(1, RATE, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        clean, noisy = fine_spectra(tone)[:, 0], fine_spectra(tone + hiss)[:, 0]
    assert (clean - noisy).abs().max() < 0.05


@torch.inference_mode()
def test_phases_of_a_pulse_and_of_a_tone() -> None:
    pulse = torch.zeros(1, RATE)
    pulse[:, 160 * 50 :: 160 * 100] = 0.5  # amid frame 50
    delay = fine_spectra(pulse)[0, 1:3, :, 50]
    strength = delay.norm(dim=0)
    assert strength.min() > 0.5
    torch.testing.assert_close(delay[0], strength, atol=1e-3, rtol=0)  # in time: an angle of 0
    late = fine_spectra(pulse.roll(32))[0, 1:3, :, 50]  # by 2 ms: 0.4 radians from bin to bin
    angle = torch.atan2(late[1], late[0]).abs()
    torch.testing.assert_close(angle, torch.full_like(angle, 2 * np.pi * 32 / 512), atol=0.02, rtol=0)

    tone = 0.3 * torch.sin(2 * np.pi * 1_000 * torch.arange(RATE) / RATE)[None]  # amid bin 32
    advance = fine_spectra(tone)[0, 3:, 32, 10:90]
    assert advance[0].min() > 0.9
    assert advance[1].abs().max() < 0.05
    higher = fine_spectra(0.3 * torch.sin(2 * np.pi * 1_010 * torch.arange(RATE) / RATE)[None])[0, 3:, 32, 20]
    assert torch.atan2(higher[1], higher[0]).item() == pytest.approx(2 * np.pi * 10 * 160 / RATE, abs=0.02)


@torch.inference_mode()
def test_only_a_texture_with_phases_looks_at_them(texture: Texture, waves: Tensor) -> None:
    seen = fine_spectra(waves)
    turned = torch.cat([seen[:, :1], -seen[:, 1:]], dim=1)
    torch.testing.assert_close(texture(turned), texture(seen))
    torch.manual_seed(0)
    other = Texture(phases=True).eval()
    assert (other(turned) - other(seen)).abs().min() > 1e-4


def test_fake_mamba_adds_what_they_say(waves: Tensor) -> None:
    torch.manual_seed(0)
    model = FakeMamba(FAKE_MAMBA).eval()
    with torch.inference_mode():
        features = model.front_end(waves[:, :WINDOW])
        seen = fine_spectra(waves[:, :WINDOW])
        said = torch.stack([texture(seen) for texture in model.front_end.textures]).mean(dim=0)
        assert features.texture is not None
        torch.testing.assert_close(features.texture, said)
        alone = model.head(features.final)
        answer = model(waves[:, :WINDOW])
    torch.testing.assert_close(answer.cm_scores, alone.cm_scores + 0.5 * said)
    torch.testing.assert_close(answer.logits.sum(dim=1), alone.logits.sum(dim=1))
    torch.testing.assert_close(answer.attention, alone.attention)


def test_others_do_without(waves: Tensor) -> None:
    assert XlsrFrontEnd(PLAIN)(waves).texture is None
    torch.manual_seed(0)
    model = Sls(SlsConfig(TWO, WINDOW, WINDOW, fc_hidden=8)).eval()
    with torch.inference_mode():
        features = model.front_end(waves[:, :WINDOW])
        torch.testing.assert_close(
            model.judge(features).cm_scores, model.judge(features._replace(texture=None)).cm_scores
        )


def test_they_change_neither_what_else_begins_nor_what_is_kept() -> None:
    models = []
    for front_end in (PLAIN, TWO):
        torch.manual_seed(5)
        models.append(build_model(replace(FAKE_MAMBA, front_end=front_end)))
    for name, weight in models[0].state_dict().items():
        torch.testing.assert_close(models[1].state_dict()[name], weight)
    assert front_end_digest(models[0].front_end) == front_end_digest(models[1].front_end)
    assert repr(PLAIN) == repr(TWO)  # kept features are made from the same


def test_they_learn_each_by_itself_and_draw_nothing_from_others(tmp_path: Path, one_process: None) -> None:
    views = BuzzAndNoise()
    kept = keep_views(tmp_path, views, 48, "test")
    torch.testing.assert_close(torch.tensor(kept.layers[5, 0, 0]).float(), views[5][0], atol=1e-3, rtol=0)
    assert kept.targets[:6].tolist() == [[0, 0], [1, 0], [0, 0], [1, 0], [0, 1], [1, 1]]
    textures = [Texture(), Texture(), Texture(phases=True)]
    torch.manual_seed(3)
    expected = torch.randn(4)
    torch.manual_seed(3)
    start_textures(textures, kept, TextureStart(passes=12, batch_size=16), seed=1)
    torch.testing.assert_close(torch.randn(4), expected)
    held_out = fine_spectra(torch.stack([views[k][0] for k in range(100, 140)]))
    with torch.inference_mode():
        for texture in textures:
            said = texture(held_out)
            assert said[1::2].min() > said[::2].max()
        assert (textures[0](held_out) != textures[1](held_out)).all()


def test_the_same_seed_gives_the_same_network(tmp_path: Path, one_process: None) -> None:
    kept = keep_views(tmp_path, BuzzAndNoise(), 16, "test")
    first, second = Texture(), Texture()
    for texture in (first, second):
        start_textures([texture], kept, TextureStart(passes=1, batch_size=8), seed=1)
    for name, value in first.state_dict().items():
        torch.testing.assert_close(second.state_dict()[name], value)
