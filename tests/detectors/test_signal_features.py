"""What the detectors hear beside Whisper's layers."""

import pytest
import torch

from detectors.config import SIGNAL_WIDTH, FakeMambaConfig, FrontEndConfig, SlsConfig
from detectors.frontends.signal_features import CEPSTRA, SignalFeatures
from detectors.frontends.xlsr import XlsrFrontEnd
from detectors.models import build_model

RATE = 16_000


@pytest.fixture
def speech() -> torch.Tensor:
    """[2, 2 s] of something like speech: a buzz with a moving filter, and pauses."""
    time = torch.arange(2 * RATE) / RATE
    buzz = sum(torch.sin(2 * torch.pi * 120 * k * time) / k for k in range(1, 25))
    syllables = (torch.sin(2 * torch.pi * 3 * time) > -0.4).float()
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(2, 2 * RATE, generator=generator)
    return 0.1 * buzz * syllables + 0.003 * noise


@pytest.mark.parametrize("samples", [640, 4_000, 4_800, 48_000, 48_159])
def test_a_frame_every_20_ms(samples: int) -> None:
    found = SignalFeatures()(torch.randn(3, samples))
    assert found.shape == (3, FrontEndConfig(extractor="log_mel").frames(samples), SIGNAL_WIDTH)
    assert found.isfinite().all()


def test_the_gain_of_a_recording_does_not_show(speech: torch.Tensor) -> None:
    hear = SignalFeatures()
    torch.testing.assert_close(hear(speech), hear(0.1 * speech), rtol=0, atol=0.03)


def test_silence_gives_numbers() -> None:
    assert SignalFeatures()(torch.zeros(1, RATE)).isfinite().all()


def test_what_lies_above_4_khz_does_not_show(speech: torch.Tensor) -> None:
    hear = SignalFeatures()
    time = torch.arange(speech.shape[1]) / RATE
    whistle = 0.002 * torch.sin(2 * torch.pi * 6_000 * time)
    torch.testing.assert_close(hear(speech), hear(speech + whistle), rtol=0, atol=0.1)
    below = 0.002 * torch.sin(2 * torch.pi * 3_000 * time)
    assert (hear(speech) - hear(speech + below)).abs().max() > 1


def test_frames_of_speech_alone_count_for_the_mean_of_the_cepstra(speech: torch.Tensor) -> None:
    hear = SignalFeatures()
    spectra = hear.log_spectra(speech)
    level = spectra.mean(dim=-1)
    spoken = level > level.quantile(0.3, dim=1, keepdim=True)
    expected = torch.stack([each[chosen].mean(0) for each, chosen in zip(spectra, spoken, strict=True)])
    found = hear(speech).mean(dim=1)[:, :CEPSTRA]
    torch.testing.assert_close(found, expected @ hear.cosines, rtol=1e-3, atol=1e-3)


def test_a_steady_tone_changes_less_than_noise() -> None:
    time = torch.arange(RATE) / RATE
    tone = torch.sin(2 * torch.pi * 440 * time)
    noise = torch.randn(RATE, generator=torch.Generator().manual_seed(1))
    steady, restless = SignalFeatures()(torch.stack([tone, noise])).mean(dim=1)
    change = slice(2 * CEPSTRA, 4 * CEPSTRA)
    assert steady[change].mean() < 0.2 * restless[change].mean()


def test_weights_in_half_precision_change_nothing_much(speech: torch.Tensor) -> None:
    found = SignalFeatures().to(torch.bfloat16)(speech)
    assert found.dtype == torch.float32
    assert (found - SignalFeatures()(speech)).abs().mean() < 0.05


@pytest.mark.parametrize("detector", ["sls", "fake_mamba"])
def test_it_stands_beside_every_layer(detector: str, speech: torch.Tensor) -> None:
    sizes = {"extractor": "log_mel", "extractor_channels": 16, "position_kernel": 8, "position_groups": 2}
    front_end = FrontEndConfig(2, 16, 2, 24, signal=True, **sizes)  # type: ignore[arg-type]
    kinds = {
        "sls": SlsConfig(front_end, RATE, RATE, fc_hidden=8),
        "fake_mamba": FakeMambaConfig(front_end, RATE, RATE, dim=16, layers=1, d_state=4),
    }
    torch.manual_seed(0)
    model = build_model(kinds[detector]).eval()
    window = speech[:, :RATE]
    with torch.inference_mode():
        features = model.front_end(window)
        beside = SignalFeatures()(window)
        for layer in (*features.layers, features.final):
            assert layer.shape == (2, 50, front_end.width)
            torch.testing.assert_close(layer[..., 16:], beside)
        torch.testing.assert_close(model.front_end.finish(features.layers[-1]), features.final)
        scores = model.judge(features).cm_scores
        other = features.final.clone()
        other[..., 16:] += 1
        changed = model.judge(
            features._replace(final=other, layers=[x + (x * 0 + 1) for x in features.layers])
        )
    assert (scores != changed.cm_scores).all()


def test_without_it_nothing_is_added() -> None:
    front_end = XlsrFrontEnd(
        FrontEndConfig(1, 16, 2, 24, "log_mel", extractor_channels=16, position_kernel=8, position_groups=2)
    )
    assert front_end.signal is None
    assert front_end(torch.randn(1, 4_800)).final.shape == (1, 15, 16)
