"""Which weights judged: their hash, their origin, and how they were set."""

from pathlib import Path
from typing import Any, NamedTuple

from detectors.calibration import Calibration
from detectors.cards import CARDS
from detectors.checkpoints import read_config, weights_digest
from detectors.errors import DetectorError
from detectors.long_clips import FIELD as LONG_CLIPS


class Weights(NamedTuple):
    """facts: plain JSON values. folder: the checkpoint, None when it cannot be told any more."""

    facts: dict[str, Any]
    folder: Path | None


def weights_of(name: str, preset: str, version: str, data: Path | None) -> Weights:
    """The weights with which a detector judged. version: the first digits of their SHA-256, as kept with the
    analysis; other weights in the same place are not described as these."""
    card = CARDS[name, preset]
    facts: dict[str, Any] = {
        "title": card.title,
        "paper": card.paper,
        "version": version,
        "weights_sha256": None,
        "language_model": card.base or None,
    }
    folder = _folder(name, preset, data)
    if folder is None:
        return Weights(facts, None)
    digest = weights_digest(folder)
    if not digest.startswith(version):
        return Weights(facts, None)
    config = read_config(folder)
    fitted = Calibration.of_config(config)
    sizes = config.get("model", config)
    facts |= {
        "weights_sha256": digest,
        "calibration": fitted.as_config(),
        "long_clips": config.get(LONG_CLIPS),
        "window_samples": sizes.get("window_samples"),
        "hop_samples": sizes.get("hop_samples"),
    }
    return Weights(facts, folder)


def _folder(name: str, preset: str, data: Path | None) -> Path | None:
    # Imported here: torch takes seconds to load, and the app has it already.
    from detectors.registry import weights_in_use

    try:
        return weights_in_use(name, preset, data)[1]
    except DetectorError:
        return None
