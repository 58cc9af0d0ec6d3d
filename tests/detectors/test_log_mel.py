"""The spectral stem hides level and noise floor, and is Whisper's spectrum otherwise."""

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import WhisperFeatureExtractor
from transformers.models.whisper.modeling_whisper import sinusoids as whisper_sinusoids

from detectors.config import FrontEndConfig
from detectors.frontends.log_mel import LINEAR_BINS, MEL_BANDS, LogMelExtractor, sinusoids
from detectors.frontends.xlsr import XlsrFrontEnd

#: 60 dB on the scale of the features, where 1 is 4 units of log10 power, and where the floor lies.
VISIBLE, LOUDEST = 6 / 4, (1.5 + 4) / 4
FLOOR = LOUDEST - VISIBLE


@pytest.fixture(scope="module")
def extractor() -> LogMelExtractor:
    torch.manual_seed(0)
    return LogMelExtractor(16).eval()


@pytest.fixture
def wave() -> Tensor:
    """[1, 16000]: a second of noise and a rising tone."""
    t = torch.arange(16_000) / 16_000
    noise = torch.randn(16_000, generator=torch.Generator().manual_seed(1))
    return (0.3 * torch.sin(2 * torch.pi * (300 + 1_000 * t) * t) + 0.02 * noise)[None]


@pytest.mark.parametrize("gain", [10**-2.5, 0.1, 3.0])
def test_the_gain_of_a_recording_cannot_be_seen(
    extractor: LogMelExtractor, wave: Tensor, gain: float
) -> None:
    with torch.inference_mode():
        torch.testing.assert_close(
            extractor.log_spectra(gain * wave), extractor.log_spectra(wave), atol=1e-3, rtol=0
        )
        torch.testing.assert_close(extractor(gain * wave), extractor(wave), atol=1e-3, rtol=0)


def tone_then_floor(floor_db: float) -> Tensor:
    """[1, 16000]: half a second of tone, then noise whose power in a bin is `floor_db` of the tone's."""
    wave = torch.zeros(16_000)
    wave[:8_000] = 0.5 * torch.sin(2 * torch.pi * 1_000 * torch.arange(8_000) / 16_000)
    window = torch.hann_window(400)
    tone_power = (0.5 / 2 * window.sum()) ** 2
    sigma = (tone_power * 10 ** (floor_db / 10) / window.square().sum()).sqrt()
    noise = sigma * torch.randn(16_000, generator=torch.Generator().manual_seed(2))
    noise[:8_000] = 0
    return (wave + noise)[None]


def test_a_noise_floor_more_than_60_db_down_cannot_be_seen(extractor: LogMelExtractor) -> None:
    # A bin of noise strays some 10 dB above its mean power: -80 dB stays below -60 dB everywhere.
    clean = extractor.log_spectra(tone_then_floor(-float("inf")))
    faint = extractor.log_spectra(tone_then_floor(-80))
    # Frame 50 has the tone's end, whose own splatter reaches down to the floor.
    for frames in (slice(0, 48), slice(53, None)):
        torch.testing.assert_close(faint[:, :, frames], clean[:, :, frames], atol=1e-4, rtol=0)
    assert clean[:, :, 55:].max() == pytest.approx(FLOOR)
    heard = extractor.log_spectra(tone_then_floor(-40))[:, :, 55:]
    assert heard.median() > FLOOR + 15 / 40
    assert heard.max() < LOUDEST - 25 / 40


def test_values_span_60_db_below_the_loudest_point_of_each_spectrum(
    extractor: LogMelExtractor, wave: Tensor
) -> None:
    wave[:, 8_000:] = 0
    spectra = extractor.log_spectra(wave)
    for part in (spectra[:, :MEL_BANDS], spectra[:, MEL_BANDS:]):
        assert part.max() == pytest.approx(LOUDEST)
        assert part.min() == pytest.approx(FLOOR)


def test_silence_gives_finite_features(extractor: LogMelExtractor) -> None:
    assert torch.isfinite(extractor(torch.zeros(2, 8_000))).all()


@pytest.mark.parametrize("samples", [8_000, 31_999, 32_000, 32_160, 66_800])
def test_frames_are_those_that_the_config_promises(samples: int, extractor: LogMelExtractor) -> None:
    config = FrontEndConfig(extractor="log_mel")
    wave = torch.randn(1, samples)
    assert extractor(wave).shape == (1, 16, config.frames(samples))
    assert extractor.log_spectra(wave).shape == (1, MEL_BANDS + LINEAR_BINS, samples // 160)


def test_two_seconds_are_100_frames_of_the_front_end() -> None:
    config = FrontEndConfig(
        layers=1, hidden=16, heads=2, ffn=16, extractor="log_mel", extractor_channels=16,
        position_kernel=8, position_groups=4,
    )  # fmt: skip
    features = XlsrFrontEnd(config).eval()(torch.randn(1, 32_000))
    assert config.frames(32_000) == 100
    assert features.final.shape == features.layers[0].shape == (1, 100, 16)


def test_a_batch_equals_its_clips_one_by_one(extractor: LogMelExtractor, wave: Tensor) -> None:
    clips = [wave, 0.01 * wave.flip(1), torch.zeros_like(wave)]
    batch = extractor(torch.cat(clips))
    for row, clip in zip(batch, clips, strict=True):
        torch.testing.assert_close(row, extractor(clip)[0], atol=1e-5, rtol=0)


def test_the_mel_part_is_whispers_spectrum_with_another_level_and_floor(
    extractor: LogMelExtractor, wave: Tensor
) -> None:
    extract = WhisperFeatureExtractor()
    features = extract(wave[0].numpy(), sampling_rate=16_000, padding=False, return_tensors="np")
    theirs = features["input_features"][0]
    # Whisper keeps 80 dB and the recording's level; ours starts at a fixed peak and keeps 60 dB.
    expected = np.maximum(theirs - theirs.max(), -VISIBLE) + LOUDEST
    np.testing.assert_allclose(extractor.log_spectra(wave)[0, :MEL_BANDS], expected, atol=1e-4)


def test_the_linear_part_keeps_each_frequency_bin_apart(extractor: LogMelExtractor) -> None:
    t = torch.arange(16_000) / 16_000
    for k in (40, 120, 190):  # bins of 40 Hz
        linear = extractor.log_spectra(torch.sin(2 * torch.pi * 40 * k * t)[None])[0, MEL_BANDS:, 50]
        assert linear.argmax() == k
        assert linear[k - 10] == pytest.approx(FLOOR)


def test_positions_are_whispers() -> None:
    torch.testing.assert_close(sinusoids(1_500, 512, torch.device("cpu")), whisper_sinusoids(1_500, 512))


def test_the_spectrum_is_taken_in_full_precision_under_autocast(
    extractor: LogMelExtractor, wave: Tensor
) -> None:
    expected = extractor.log_spectra(wave)
    with torch.autocast("cpu", torch.bfloat16):
        found = extractor.log_spectra(wave)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected)
