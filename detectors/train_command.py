"""`train`: fit detectors, or a language model that hears.

    python -m detectors train sls fake_mamba --config assets/recipes/mini.yaml
    python -m detectors train allm4add --config assets/recipes/allm4add-mini.yaml
    python -m detectors train audio_llm --data_path data.json --audio_dir clips --output_dir runs/audio_llm
    accelerate launch -m detectors train fake_mamba --config assets/recipes/fake_mamba-la.yaml
    accelerate launch --use_deepspeed --deepspeed_config_file assets/recipes/zero2.json \\
        -m detectors train allm4add --config assets/recipes/allm4add-full.yaml

A run that was killed goes on from its last checkpoint when the same command is given again.
"""

import argparse
import logging
from pathlib import Path
from typing import Any

from detectors.errors import DetectorError

#: Trained over one front-end, several at once if wished (train.py).
DETECTORS = ("fake_mamba", "sls")
#: Trained with a language model, one at a time (llm/train.py).
LANGUAGE_MODELS = ("allm4add", "audio_llm")
#: Options of `audio_llm` that stand in for, or override, keys of its recipe.
OVERRIDES = (
    "data_path", "audio_dir", "llama_path", "whisper_path", "output_dir", "batch_size", "num_epochs",
    "learning_rate", "fp16", "bf16", "use_wandb",
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "models",
        nargs="+",
        choices=sorted((*DETECTORS, *LANGUAGE_MODELS)),
        help="one; sls and fake_mamba may share a front-end",
    )
    parser.add_argument("--config", type=Path, help="YAML recipe, see assets/recipes/")
    own = parser.add_argument_group("audio_llm only, over the recipe or without one")
    own.add_argument("--data_path", help="JSON list of texts, audio_paths and responses")
    own.add_argument("--audio_dir", help="folder that the audio_paths are relative to")
    own.add_argument("--llama_path", help="language model: a name, a folder or a hub name")
    own.add_argument("--whisper_path", help="Whisper: a folder or a hub name")
    own.add_argument("--output_dir", help="where the checkpoint goes")
    own.add_argument("--batch_size", type=int)
    own.add_argument("--num_epochs", type=float)
    own.add_argument("--learning_rate", type=float)
    own.add_argument("--fp16", action="store_true", default=None)
    own.add_argument("--bf16", action="store_true", default=None)
    own.add_argument("--use_wandb", action="store_true", default=None)


def run(args: argparse.Namespace) -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    given = {name: getattr(args, name) for name in OVERRIDES if getattr(args, name) is not None}
    if len(args.models) > 1 and not set(args.models) <= set(DETECTORS):
        raise DetectorError(f"Train one at a time: {', '.join(LANGUAGE_MODELS)} share nothing with others.")
    if given and args.models != ["audio_llm"]:
        raise DetectorError(f"--{next(iter(given))} is an option of audio_llm. Put it into the recipe.")
    if not args.config and "data_path" not in given:
        raise DetectorError("A recipe is needed: --config FILE.yaml, such as one in assets/recipes/.")
    if set(args.models) <= set(DETECTORS):
        _train_detectors(args.config, args.models)
    else:
        _train_language_model(args.models[0], args.config, given)
    return 0


# Each imports what it alone needs: torch and transformers take seconds.


def _train_detectors(config: Path, names: list[str]) -> None:
    from detectors.recipe import read_recipe
    from detectors.train import train

    train(read_recipe(config, names))


def _train_language_model(name: str, config: Path | None, given: dict[str, Any]) -> None:
    from detectors.llm.recipe import read_llm_recipe
    from detectors.llm.train import train_llm

    train_llm(read_llm_recipe(name, config, given))
