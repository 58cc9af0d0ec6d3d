"""The short encoder against transformers' own, which insists on 30 s."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import WhisperConfig, WhisperFeatureExtractor
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from detectors.frontends.signal_features import SignalFeatures
from detectors.frontends.texture import fine_spectra
from detectors.llm.encoder import MAX_FRAMES, SURE, ShortWhisper, from_ctranslate2
from tests.llm.tiny import TINY, waves

AS_WHISPER = replace(TINY, visible_range=8.0, relative_level=False)
CLOSE = {"rtol": 1e-4, "atol": 1e-4}


def whisper(frames: int = MAX_FRAMES) -> WhisperEncoder:
    """transformers' encoder of a clip of `frames`, the same weights for all lengths."""
    torch.manual_seed(0)
    config = WhisperConfig(
        num_mel_bins=80, d_model=16, encoder_layers=2, encoder_attention_heads=2, encoder_ffn_dim=24,
        max_source_positions=MAX_FRAMES,
    )  # fmt: skip
    encoder = WhisperEncoder(config).eval()
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.normal_(std=0.2)
    if frames == MAX_FRAMES:
        return encoder
    config.max_source_positions = frames
    short = WhisperEncoder(config).eval()
    weights = dict(encoder.state_dict())
    weights["embed_positions.weight"] = weights["embed_positions.weight"][:frames]
    short.load_state_dict(weights)
    return short


def short_whisper(**sizes: object) -> ShortWhisper:
    found = ShortWhisper(replace(AS_WHISPER, **sizes)).eval()
    found.load_whisper(whisper().state_dict(), 2)
    return found


def mel(wave: Tensor, padding: str | bool) -> Tensor:
    extractor = WhisperFeatureExtractor(feature_size=80)
    heard = extractor(wave.numpy(), sampling_rate=16_000, padding=padding, return_tensors="pt")
    return heard["input_features"]


@torch.inference_mode()
def test_30_seconds_are_encoded_as_by_transformers() -> None:
    wave = waves(1, 480_000)
    expected = whisper()(mel(wave[0], "max_length")).last_hidden_state
    found = short_whisper()(wave)
    assert found.shape == (1, 1_500, 16)
    torch.testing.assert_close(found, expected, **CLOSE)


@torch.inference_mode()
@pytest.mark.parametrize("samples", [24_000, 48_000])
def test_a_short_clip_is_encoded_as_with_the_first_positions(samples: int) -> None:
    wave = waves(1, samples)
    frames = samples // 320
    expected = whisper(frames)(mel(wave[0], False)).last_hidden_state
    torch.testing.assert_close(short_whisper()(wave), expected, **CLOSE)


@torch.inference_mode()
def test_a_batch_is_encoded_as_its_clips_alone() -> None:
    encoder, wave = short_whisper(), waves(3, 16_000)
    alone = torch.cat([encoder(one[None]) for one in wave])
    torch.testing.assert_close(encoder(wave), alone, **CLOSE)


@torch.inference_mode()
def test_of_a_longer_clip_the_first_30_seconds_are_heard() -> None:
    assert short_whisper()(torch.randn(1, 16_000 * 31)).shape == (1, 1_500, 16)


@torch.inference_mode()
@pytest.mark.parametrize(("samples", "frames"), [(48_000, 150), (8_000, 25), (16_160, 51)])
def test_there_are_50_frames_in_a_second(samples: int, frames: int) -> None:
    assert short_whisper()(torch.randn(1, samples)).shape == (1, frames, 16)


@torch.inference_mode()
def test_gain_is_seen_only_where_levels_are_absolute() -> None:
    wave = waves(1, 16_000)
    for relative, alike in ((True, True), (False, False)):
        encoder = short_whisper(relative_level=relative)
        assert torch.allclose(encoder(wave), encoder(0.05 * wave), atol=1e-3) == alike


@torch.inference_mode()
def test_the_visible_range_hides_what_lies_below() -> None:
    quiet = waves(1, 16_000)
    quiet[:, 8_000:] *= 1e-4  # 8 powers of ten in energy
    faint = quiet.clone()
    faint[:, 10_000:] *= 0.5
    for visible, alike in ((6.0, True), (12.0, False)):
        encoder = short_whisper(visible_range=visible)
        # The stretch around the middle of the quiet half, of which neither has the loud one in a window.
        same = torch.equal(encoder.log_mel(quiet)[..., 70:95], encoder.log_mel(faint)[..., 70:95])
        assert same == alike


def test_the_final_norm_goes_with_the_last_layer_only() -> None:
    weights = whisper().state_dict()
    fewer = ShortWhisper(replace(AS_WHISPER, encoder_layers=1)).eval()
    fewer.load_whisper(weights, 2)
    assert not fewer.normed
    heard: list[Tensor] = []
    fewer.encoder.layers[0].register_forward_hook(lambda _, given, out: heard.append(out))
    with torch.inference_mode():
        found = fewer(waves(1, 8_000))
    torch.testing.assert_close(found, heard[0])
    assert short_whisper().normed
    assert "normed" in fewer.state_dict()


def in_ctranslate2(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """An encoder's weights under the names of a CTranslate2 file."""
    found = {f"encoder/conv{i}/{k}": weights[f"conv{i}.{k}"] for i in (1, 2) for k in ("weight", "bias")}

    def norm(target: str, source: str) -> None:
        found[f"{target}/gamma"], found[f"{target}/beta"] = (
            weights[f"{source}.weight"],
            weights[f"{source}.bias"],
        )

    for i in range(2):
        layer, name = f"encoder/layer_{i}", f"layers.{i}"
        norm(f"{layer}/self_attention/layer_norm", f"{name}.self_attn_layer_norm")
        norm(f"{layer}/ffn/layer_norm", f"{name}.final_layer_norm")
        no_bias = {f"{name}.self_attn.k_proj.bias": torch.zeros(16)}
        for kind in ("weight", "bias"):
            fused = [(weights | no_bias)[f"{name}.self_attn.{p}_proj.{kind}"] for p in "qkv"]
            found[f"{layer}/self_attention/linear_0/{kind}"] = torch.cat(fused)
            found[f"{layer}/self_attention/linear_1/{kind}"] = weights[f"{name}.self_attn.out_proj.{kind}"]
            for k in (0, 1):
                found[f"{layer}/ffn/linear_{k}/{kind}"] = weights[f"{name}.fc{k + 1}.{kind}"]
    norm("encoder/layer_norm", "layer_norm")
    return found


def test_weights_of_a_ctranslate2_file_are_those_of_transformers() -> None:
    weights = whisper().state_dict()
    found, layers = from_ctranslate2({name: value.half() for name, value in in_ctranslate2(weights).items()})
    assert layers == 2
    assert found.keys() == weights.keys()
    for name, value in weights.items():
        if name != "embed_positions.weight":
            torch.testing.assert_close(found[name], value, atol=1e-3, rtol=1e-3)
    positions = found["embed_positions.weight"]
    assert positions.shape == (1_500, 16)
    np.testing.assert_allclose(positions[3, 0], np.sin(3.0), atol=1e-5)
    np.testing.assert_allclose(positions[3, 8], np.cos(3.0), atol=1e-5)


@torch.inference_mode()
def test_several_layers_stand_side_by_side() -> None:
    wave = waves(1, 24_000)
    both = short_whisper(heard_layers=(1, 2))(wave)
    first = whisper(75)(mel(wave[0], False), output_hidden_states=True).hidden_states[1]
    assert both.shape == (1, 75, 32)
    torch.testing.assert_close(both[..., :16], first, **CLOSE)
    torch.testing.assert_close(both[..., 16:], short_whisper()(wave), **CLOSE)
    assert replace(TINY, heard_layers=(1, 2)).feature_size == 32


@torch.inference_mode()
def test_the_signals_own_features_stand_beside_the_layers() -> None:
    wave = waves(2, 24_100)
    heard = short_whisper(heard_signal=True)(wave)
    torch.testing.assert_close(heard[..., :16], short_whisper()(wave), **CLOSE)
    torch.testing.assert_close(heard[..., 16:], SignalFeatures()(wave), **CLOSE)
    assert replace(TINY, heard_signal=True).feature_size == heard.shape[-1]


@torch.inference_mode()
def test_what_textures_say_of_the_whole_clip_stands_in_each_frame() -> None:
    wave = waves(2, 24_100)
    torch.manual_seed(0)
    encoder = ShortWhisper(replace(TINY, heard_signal=True, heard_textures=2)).eval()
    heard = encoder(wave)
    said = [texture(fine_spectra(wave)) for texture in encoder.textures]
    for k in range(2):
        expected = (said[k] / SURE).tanh()[:, None].expand(-1, heard.shape[1])
        torch.testing.assert_close(heard[..., k - 2], expected, **CLOSE)
    assert all(texture.phases for texture in encoder.textures)
    assert replace(TINY, heard_signal=True, heard_textures=2).feature_size == heard.shape[-1]
    encoder.train()
    torch.testing.assert_close(encoder(wave)[..., -2:], heard[..., -2:])


@pytest.mark.parametrize("layers", [(0,), (1, 3)])
def test_a_layer_that_the_encoder_lacks_is_refused(layers: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="between 1 and 2"):
        replace(TINY, heard_layers=layers)
