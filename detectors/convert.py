"""`convert`: a released .pth of SLS or Fake-Mamba -> our folder of safetensors and config.json.

Released files hold fairseq's names for wav2vec 2.0 and, when they were saved from DataParallel,
a leading "module.". All sizes, Fake-Mamba's depth included, are read off the state dict: released
weights were seen with another depth than the paper's.
"""

import argparse
import re
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from detectors.checkpoints import load_exactly, save_model
from detectors.config import DetectorConfig, FakeMambaConfig, FrontEndConfig, SlsConfig
from detectors.errors import DetectorError
from detectors.models import FakeMamba, Sls, build_model

#: fairseq wav2vec 2.0 name -> transformers name, tried in this order.
_FAIRSEQ = [
    (r"feature_extractor\.conv_layers\.(\d+)\.0\.", r"feature_extractor.conv_layers.\1.conv."),
    (r"feature_extractor\.conv_layers\.(\d+)\.2\.1\.", r"feature_extractor.conv_layers.\1.layer_norm."),
    (r"layer_norm\.", "feature_projection.layer_norm."),
    (r"post_extract_proj\.", "feature_projection.projection."),
    (r"mask_emb$", "masked_spec_embed"),
    (r"encoder\.pos_conv\.0\.bias", "encoder.pos_conv_embed.conv.bias"),
    (r"encoder\.pos_conv\.0\.weight_g", "encoder.pos_conv_embed.conv.parametrizations.weight.original0"),
    (r"encoder\.pos_conv\.0\.weight_v", "encoder.pos_conv_embed.conv.parametrizations.weight.original1"),
    (r"encoder\.pos_conv\.0\.parametrizations\.", "encoder.pos_conv_embed.conv.parametrizations."),
    (r"encoder\.layers\.(\d+)\.self_attn_layer_norm\.", r"encoder.layers.\1.layer_norm."),
    (r"encoder\.layers\.(\d+)\.self_attn\.", r"encoder.layers.\1.attention."),
    (r"encoder\.layers\.(\d+)\.fc1\.", r"encoder.layers.\1.feed_forward.intermediate_dense."),
    (r"encoder\.layers\.(\d+)\.fc2\.", r"encoder.layers.\1.feed_forward.output_dense."),
    (r"encoder\.layers\.(\d+)\.final_layer_norm\.", r"encoder.layers.\1.final_layer_norm."),
    (r"encoder\.layer_norm\.", "encoder.layer_norm."),
]
_PRETRAINING_LEFTOVERS = re.compile(
    r"(quantizer|project_q|final_proj|target_glu|input_quantizer|project_inp)\."
)
_SSL_PREFIX = "ssl_model.model."
#: XLS-R 300M's attention heads are 64 wide; a state dict does not tell.
_HEAD_WIDTH = 64


def load_released(path: Path, detector: str) -> Sls | FakeMamba:
    """A released checkpoint as a model in eval mode.

    Raises DetectorError when the file is missing, is not a plain state dict (pickled code is never
    run) or has names or shapes that the detector does not have.
    """
    tensors = _head_names(_strip(_read(path)))
    try:
        config = infer_config(tensors, detector)
    except KeyError as error:
        raise DetectorError(f"{path} has no tensor {error}; it is no {detector} checkpoint.") from error
    except (ValueError, IndexError) as error:  # a tensor with fewer or more axes than expected
        raise DetectorError(f"{path} does not fit the {detector} model: {error}") from error
    model = build_model(config)
    with torch.no_grad():
        # Old fairseq checkpoints may lack the masking vector, which inference never uses.
        tensors.setdefault("front_end.model.masked_spec_embed", torch.zeros(config.front_end.hidden))
    load_exactly(model, tensors, path)
    return model.eval()


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise DetectorError(f"There is no checkpoint at {path}.")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # A file of another kind can end torch's reader with nearly any exception. Its own message
        # stays in the traceback: it tells how to run the code in the file.
        raise DetectorError(
            f"{path} is not a plain PyTorch state dict, so it is not opened. Code in a pickle is never "
            "run. If the download was cut short, fetch it again."
        ) from error
    for wrapper in ("state_dict", "model_state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()
    ):
        raise DetectorError(f"{path} is not a state dict: names with tensors were expected.")
    return state


def _strip(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix("module."): tensor for name, tensor in state.items()}


def _head_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Released names -> ours: ssl_model.model.* to front_end.model.*, the rest to head.*."""
    renamed = {}
    for name, tensor in state.items():
        if not name.startswith(_SSL_PREFIX):
            renamed[f"head.{name}"] = tensor
        elif not _PRETRAINING_LEFTOVERS.match(name.removeprefix(_SSL_PREFIX)):
            renamed[f"front_end.model.{rename_fairseq(name.removeprefix(_SSL_PREFIX))}"] = tensor
    return renamed


def rename_fairseq(name: str) -> str:
    """One fairseq wav2vec 2.0 name as transformers writes it. Raises DetectorError if unknown."""
    for pattern, replacement in _FAIRSEQ:
        renamed, count = re.subn("^" + pattern, replacement, name)
        if count:
            return renamed
    raise DetectorError(f"The checkpoint has a tensor {name!r}, which wav2vec 2.0 does not have.")


def infer_config(tensors: dict[str, Tensor], detector: str) -> DetectorConfig:
    """Sizes from shapes. Raises KeyError when a tensor that tells one is missing."""
    front_end = _infer_front_end(tensors)
    if detector == "sls":
        fc1 = tensors["head.fc1.weight"]
        config = SlsConfig(front_end, fc_hidden=fc1.shape[0])
        if fc1.shape[1] != config.flat:
            raise DetectorError(
                f"fc1 takes {fc1.shape[1]} values, "
                f"but windows of {config.window_samples} samples give {config.flat}."
            )
        return config
    inner, d_state = tensors["head.encoder.layers.0.mamba.A_log"].shape
    dim = tensors["head.LL.weight"].shape[0]
    return FakeMambaConfig(
        front_end,
        dim=dim,
        layers=_count(tensors, "head.encoder.layers."),
        ffn_mult=tensors["head.encoder.layers.0.feed_forward.0.weight"].shape[0] // dim,
        d_state=d_state,
        d_conv=tensors["head.encoder.layers.0.mamba.conv1d.weight"].shape[2],
        expand=inner // dim,
    )


def _infer_front_end(tensors: dict[str, Tensor]) -> FrontEndConfig:
    model = "front_end.model."
    hidden, channels = tensors[model + "feature_projection.projection.weight"].shape
    positions = tensors[model + "encoder.pos_conv_embed.conv.parametrizations.weight.original1"]
    return FrontEndConfig(
        layers=_count(tensors, model + "encoder.layers."),
        hidden=hidden,
        heads=max(1, hidden // _HEAD_WIDTH),
        ffn=tensors[model + "encoder.layers.0.feed_forward.intermediate_dense.weight"].shape[0],
        extractor_channels=channels,
        position_kernel=positions.shape[2],
        position_groups=hidden // positions.shape[1],
    )


def _count(tensors: dict[str, Tensor], prefix: str) -> int:
    return len({name[len(prefix) :].split(".")[0] for name in tensors if name.startswith(prefix)})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, metavar="IN.pth", help="released checkpoint")
    parser.add_argument(
        "folder", type=Path, metavar="OUT_FOLDER", help="where model.safetensors and config.json go"
    )
    parser.add_argument("--detector", required=True, choices=["sls", "fake_mamba"])
    parser.add_argument("--fp16", action="store_true", help="store half precision (default: fp32, exact)")


def run(args: argparse.Namespace) -> int:
    if args.folder.exists() and not args.folder.is_dir():
        raise DetectorError(f"{args.folder} is a file; name a folder.")
    if (args.folder / "model.safetensors").exists():
        raise DetectorError(f"{args.folder} already holds a checkpoint; name another folder.")
    model = load_released(args.source, args.detector)
    dtype = torch.float16 if args.fp16 else torch.float32
    save_model(model, args.detector, args.folder, {"converted_from": args.source.name}, dtype)
    layers = model.config.front_end.layers
    depth = f", {model.config.layers} Mamba blocks" if isinstance(model.config, FakeMambaConfig) else ""
    print(f"{args.folder}: {args.detector}, {layers} front-end layers{depth}")
    print(
        f"Use it: python -m detectors score CLIP --detector {args.detector} --checkpoint {args.folder}",
        file=sys.stderr,
    )
    return 0
