"""Saving and loading our own checkpoints: a folder with model.safetensors and config.json.

Where "frozen_in" in config.json names a folder beside it, the weights that model.safetensors lacks are in
the safetensors files of that one, once for several detectors. ALLM4ADD's folder has an adapter too (see
llm/checkpoint.py).
"""

import json
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from detectors.audio import sha256_of
from detectors.cards import NAMES
from detectors.config import config_from_dict, config_to_dict
from detectors.errors import DetectorError
from detectors.frontends.xlsr import XlsrFrontEnd
from detectors.models import Countermeasure, FakeMamba, Sls, build_model
from detectors.ops.cpu_scan import kernels
from detectors.progress import Progress
from detectors.whole_files import written_whole

WEIGHTS, CONFIG = "model.safetensors", "config.json"


def save_model(
    model: Sls | FakeMamba,
    detector: str,
    folder: Path,
    extra: dict[str, Any],
    dtype: torch.dtype = torch.float16,
    frozen_in: str = "",
) -> None:
    """Write weights (fp16 by default) and config; `extra` is kept beside the sizes in config.json.

    frozen_in: name of a folder beside `folder`; what its safetensors files have just so is not written again.
    Raises DetectorError when it has none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        name: (value.to(dtype) if value.is_floating_point() else value).contiguous()
        for name, value in model.state_dict().items()
    }
    config = {"detector": detector, "model": config_to_dict(model.config), **extra}
    if frozen_in:
        config["frozen_in"] = frozen_in
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n")
    tensors = _without_shared(folder, tensors)
    # The weights come last and at once: where they are, the folder is whole.
    with written_whole(folder / WEIGHTS) as part:
        save_file(tensors, part)


def read_config(folder: Path) -> dict[str, Any]:
    """config.json of a checkpoint folder. Raises DetectorError when it is not one."""
    path = folder / CONFIG
    if not path.is_file() or not (folder / WEIGHTS).is_file():
        raise DetectorError(f"{folder} is no checkpoint folder: it needs {WEIGHTS} and {CONFIG}.")
    try:
        config: dict[str, Any] = dict(json.loads(path.read_text()))
    except (ValueError, TypeError) as error:
        raise DetectorError(f"{path} is damaged: {error}. Fetch or save the checkpoint again.") from error
    if config.get("detector") not in NAMES:
        raise DetectorError(
            f"{path} is of detector {config.get('detector')!r}; known: {', '.join(sorted(NAMES))}."
        )
    return config


def weights_digest(folder: Path) -> str:
    """sha256 of a checkpoint's weights; of several files, that of the list of their names and sha256. Where
    some are shared, "model" in config.json says how much they count, and is on the list too.

    Raises DetectorError when the weights that it shares are missing.
    """
    shared = shared_weights(folder)
    files = sorted(folder.glob("*.safetensors")) + shared
    if len(files) == 1:
        return sha256_of(files[0])
    listed = [f"{sha256_of(file)}  {file.name}\n" for file in files]
    if shared:
        sizes = json.dumps(json.loads((folder / CONFIG).read_text()).get("model"), sort_keys=True)
        listed.append(f"{sha256(sizes.encode()).hexdigest()}  {CONFIG}\n")
    return sha256("".join(listed).encode()).hexdigest()


def load_countermeasure(
    folder: Path, detector: str, device: str, progress: Progress | None = None
) -> Countermeasure:
    """The model of a checkpoint folder of any detector, on a device and in eval mode.

    progress: hears of a language model that has to be fetched first.
    Raises DetectorError when the folder holds another detector, or when its weights or the language
    model beneath them cannot be had.
    """
    if detector == "allm4add":
        # Imported here: no other detector needs a language model's packages.
        from detectors.backends.allm4add import load_allm4add

        return load_allm4add(folder, device, progress)
    model = load_model(folder, detector).to(device)
    if isinstance(model, FakeMamba) and device == "cpu":
        kernels()  # compiled or read from a cache now, so that the first clip does not wait for it
    return model


def load_model(folder: Path, detector: str) -> Sls | FakeMamba:
    """Build the model that config.json describes and load its weights, in fp32 and eval mode.

    Raises DetectorError when the folder holds another detector or its weights do not fit.
    """
    config = config_of(folder, detector)
    try:
        sizes = config_from_dict(detector, config["model"])
    except (KeyError, TypeError) as error:
        raise DetectorError(
            f"{folder / CONFIG} has other fields than this version reads ({error}). "
            "Save the checkpoint again with this version."
        ) from error
    model = build_model(sizes)
    load_exactly(model, _read_weights(folder, model.state_dict()), folder)
    return model.eval()


def config_of(folder: Path, detector: str) -> dict[str, Any]:
    """config.json of a checkpoint folder. Raises DetectorError when it is not one of this detector."""
    config = read_config(folder)
    if config["detector"] != detector:
        raise DetectorError(f"{folder} holds the detector {config['detector']}, not {detector}.")
    return config


def _read_weights(folder: Path, wanted: Iterable[str]) -> dict[str, Tensor]:
    """A checkpoint's own weights, all of them, and of those that it shares the wanted ones that it lacks: a
    detector may have fewer blocks of the speaker network, or none, than are shared."""
    return _read_shared(folder, wanted) | _read(folder / WEIGHTS)


def _without_shared(folder: Path, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Those of the tensors that the folder which a checkpoint's config.json names does not have just so."""
    shared = _read_shared(folder, tensors)
    return {
        name: value
        for name, value in tensors.items()
        if name not in shared or not torch.equal(shared[name].to(value.dtype), value)
    }


def _read_shared(folder: Path, wanted: Iterable[str]) -> dict[str, Tensor]:
    """The wanted ones of the weights that a checkpoint shares with others; none when it has all of its own.

    Raises DetectorError when they are missing or damaged.
    """
    names = set(wanted)
    return {
        name: value for file in shared_weights(folder) for name, value in _read(file).items() if name in names
    }


def shared_weights(folder: Path) -> list[Path]:
    """The files of weights that a checkpoint shares with others; none when it has all of its own.

    Raises DetectorError when they are missing.
    """
    path = folder / CONFIG
    name = str(json.loads(path.read_text()).get("frozen_in", "")) if path.is_file() else ""
    if not name:
        return []
    shared = folder_beside(folder, "frozen_in", name)
    files = sorted(shared.glob("*.safetensors"))
    if not files:
        raise DetectorError(
            f"{folder.name} needs the weights in {shared} too, which are missing. Copy that folder beside it."
        )
    return files


def folder_beside(folder: Path, key: str, name: str) -> Path:
    """The folder beside a checkpoint's that `key` in its config.json names. DetectorError for a path."""
    # A plain name: a checkpoint from elsewhere must not make us read files of its choosing.
    if name != Path(name).name:
        raise DetectorError(f"{folder / CONFIG}: {key} names the folder beside it, not {name!r}.")
    return folder.parent / name


def _read(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except SafetensorError as error:
        raise DetectorError(f"{path} is damaged: {error}. Fetch or save the checkpoint again.") from error


def load_exactly(model: torch.nn.Module, tensors: dict[str, Tensor], source: Path) -> None:
    """load_state_dict, with leftover or missing names and wrong shapes in a DetectorError."""
    try:
        result = model.load_state_dict(tensors, strict=False)
    except RuntimeError as error:  # torch's word for a tensor of another shape
        raise DetectorError(f"{source} does not fit the model: {error}") from error
    if result.missing_keys or result.unexpected_keys:
        raise DetectorError(
            f"{source} does not fit the model. Missing: {_some(result.missing_keys)}. "
            f"Not known: {_some(result.unexpected_keys)}."
        )


def load_front_end(front_end: XlsrFrontEnd, folder: Path) -> None:
    """Load only the front-end of one of our checkpoints, to start another detector from it."""
    prefix = "front_end."
    tensors = _read_weights(folder, (prefix + name for name in front_end.state_dict()))
    load_exactly(front_end, {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}, folder)


def _some(names: list[str], limit: int = 5) -> str:
    if not names:
        return "none"
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")
