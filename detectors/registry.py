"""Names to detectors: which exist, whether they can be used here, and loading them.

`data` is a data folder: where a fine-tuned version is in use there (see versions.py), it takes the
place of the preset's weights.
"""

from dataclasses import replace
from pathlib import Path

import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

from detectors.audio import sha256_of
from detectors.calibration import Calibration
from detectors.cards import CARDS, NAMES, PRESETS, DetectorCard
from detectors.checkpoints import (
    WEIGHTS,
    load_countermeasure,
    read_config,
    save_model,
    shared_weights,
    weights_digest,
)
from detectors.config import CONFIGS
from detectors.convert import load_released
from detectors.detector import Detector
from detectors.errors import DetectorError
from detectors.familiar import Familiar
from detectors.familiar import load as load_familiar
from detectors.frontends.heard_once import remember_together
from detectors.long_clips import LongClips
from detectors.models import Countermeasure
from detectors.precision import Precision, set_precision
from detectors.progress import Progress
from detectors.versions import Version, Versions


def available_detectors() -> list[str]:
    """Every detector by name, whether or not its weights are at hand."""
    return list(NAMES)


def card_of(name: str, preset: str) -> DetectorCard:
    """The card of a detector. Raises DetectorError for an unknown name or preset."""
    if name not in available_detectors():
        raise DetectorError(f"There is no detector {name!r}. Known: {', '.join(available_detectors())}.")
    if preset not in PRESETS:
        raise DetectorError(f"There is no preset {preset!r}. Known: {', '.join(PRESETS)}.")
    return CARDS[name, preset]


def detector_status(name: str, preset: str = "mini", data: str | Path | None = None) -> str | None:
    """None when the detector can be loaded here, or the reason why not, fit to show a user.

    Looks at files only: a hub or package index that cannot be reached is found out by `load_detector`.
    """
    card = card_of(name, preset)
    try:
        version = _version_in_use(card, data)
        folder = version.folder if version else card.folder
        if (folder / WEIGHTS).is_file():
            read_config(folder)
            shared_weights(folder)
    except DetectorError as error:
        return str(error).rstrip(".")
    if version or (card.folder / WEIGHTS).is_file():
        if not card.base:
            return None
        # Imported here: the detectors that stand alone need nothing of it.
        from detectors.llm.base import base_status

        return base_status(card.base)
    if card.repo_id:
        return None
    return card.unavailable or f"its weights, {card.weights}, are missing"


def load_detector(
    name: str,
    preset: str = "mini",
    checkpoint: str | Path | None = None,
    device: str = "auto",
    data: str | Path | None = None,
    progress: Progress | None = None,
    precision: Precision = "fp32",
) -> Detector:
    """Load a detector. checkpoint: a folder of ours or a released .pth, instead of any other weights.
    progress: hears of a language model that is fetched first, which happens once. precision: "bf16" is
    faster where the device has it and moves scores a little (see precision.py).

    Raises DetectorError when the name, preset or device is unknown, the weights are not at hand, or the
    precision cannot be had here.
    """
    card = card_of(name, preset)
    device = resolve_device(device)
    detector = _loaded(card, checkpoint, device, data, progress)
    set_precision(detector.model, precision, device)
    return detector


def _loaded(
    card: DetectorCard,
    checkpoint: str | Path | None,
    device: str,
    data: str | Path | None,
    progress: Progress | None,
) -> Detector:
    if checkpoint is not None and Path(checkpoint).is_file():
        return _of_released(card, Path(checkpoint), device)
    if checkpoint is None:
        card, folder = weights_in_use(card.name, card.preset, data)
    else:
        folder = Path(checkpoint)
    config = read_config(folder)
    digest = weights_digest(folder)
    if checkpoint is None:
        _verify(card, digest)
    model = load_countermeasure(folder, card.name, device, progress)
    if config.get("frozen_in"):  # nobody else hears with weights that are its own
        remember_together(model)
    fits = Calibration.of_config(config), _version(digest), device, LongClips.of_config(config)
    return Detector(card, model, *fits, _familiar(card, folder, model))


def _familiar(card: DetectorCard, folder: Path, model: Countermeasure) -> Familiar | None:
    """What clips it learnt from are like; a fine-tuned version often has the shipped one's front-end."""
    return load_familiar(folder, model) or load_familiar(card_of(card.name, card.preset).folder, model)


def weights_in_use(name: str, preset: str, data: str | Path | None = None) -> tuple[DetectorCard, Path]:
    """The card and the checkpoint folder that `load_detector` reads; fetched first where need be.

    Raises DetectorError when the weights are not at hand.
    """
    card = card_of(name, preset)
    version = _version_in_use(card, data)
    return (_card_of_version(card, version), version.folder) if version else (card, _fetched(card))


def resolve_device(device: str) -> str:
    """ "auto" to the best device here. Raises DetectorError for one that is not here or not known."""
    if device not in ("auto", "cpu", "cuda"):
        raise DetectorError(f"There is no device {device!r}. Known: auto, cpu, cuda.")
    if device == "cuda" and not torch.cuda.is_available():
        raise DetectorError("No CUDA GPU can be used here. Choose the device auto or cpu.")
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return device


def _of_released(card: DetectorCard, file: Path, device: str) -> Detector:
    if card.name not in CONFIGS:
        raise DetectorError(
            f"{file} is a file, and {card.title} is loaded from a checkpoint folder. Name the folder."
        )
    return Detector(
        card, load_released(file, card.name), Calibration.fresh(card.name), _version(sha256_of(file)), device
    )


def _fetched(card: DetectorCard) -> Path:
    """The folder of a card's weights; for the hub's, downloaded and converted on first use."""
    reason = detector_status(card.name, card.preset)
    if reason:
        raise DetectorError(f"{card.title} ({card.preset}) is not available: {reason}.")
    if (card.folder / WEIGHTS).is_file():
        return card.folder
    try:
        released = hf_hub_download(card.repo_id, card.filename, revision=card.revision)
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise DetectorError(
            f"{card.title} ({card.preset}) is not available: {card.weights} could not be fetched from "
            "the hub. Connect to the internet and try again, or use the preset mini."
        ) from error
    digest = sha256_of(released)
    if card.sha256 and digest != card.sha256:
        raise DetectorError(
            f"{card.weights} is not the released file (its sha256 differs). Delete {released} and try again."
        )
    origin = {"converted_from": card.weights, "sha256": digest}
    save_model(load_released(Path(released), card.name), card.name, card.folder, origin, torch.float32)
    return card.folder


def _verify(card: DetectorCard, digest: str) -> None:
    if card.version and _version(digest) != card.version:
        raise DetectorError(
            f"The weights in {card.folder} are not those that were saved (their sha256 differs). "
            "Put another version in use, or the shipped weights."
        )
    if not card.version and card.preset == "mini" and card.sha256 and digest != card.sha256:
        raise DetectorError(
            f"The weights in {card.folder} are not the released ones (their sha256 differs). "
            "Fetch the project again, or name the folder as a checkpoint if you trained it yourself."
        )


def _version_in_use(card: DetectorCard, data: str | Path | None) -> Version | None:
    return None if data is None else Versions(data).current(card.name, card.preset)


def _card_of_version(card: DetectorCard, version: Version) -> DetectorCard:
    trained_on = f"{card.trained_on}; then fine-tuned on {version.facts.get('clips', 'some')} labelled clips"
    return replace(card, folder=version.folder, trained_on=trained_on, version=version.name)


def _version(digest: str) -> str:
    return digest[:12]
