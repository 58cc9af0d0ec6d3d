"""How a language model that hears is trained: on which devices, and each part at its own rate."""

from dataclasses import asdict
from typing import Any

import torch
from accelerate import Accelerator

from detectors.devices import make_accelerator
from detectors.llm.model import AudioLlm
from detectors.llm.recipe import LlmRecipe


def accelerator_of(recipe: LlmRecipe) -> Accelerator:
    """What runs the recipe on the devices that there are.

    Raises DetectorError when it wants a package that is not installed, or fp16 without a GPU.
    """
    trackers = [("tensorboard", recipe.tensorboard), ("wandb", recipe.use_wandb)]
    accelerator = make_accelerator(
        recipe.mixed_precision,
        recipe.output_dir,
        [name for name, is_wanted in trackers if is_wanted],
        asdict(recipe),
        gradient_accumulation_steps=recipe.accumulate,
    )
    plugin = accelerator.state.deepspeed_plugin
    if plugin is not None:  # accelerate reads it off a data loader otherwise, and there is none
        plugin.deepspeed_config["train_micro_batch_size_per_gpu"] = recipe.batch_size
    return accelerator


def parameter_groups(model: AudioLlm, recipe: LlmRecipe) -> list[dict[str, Any]]:
    """What learns, by its rate; vectors are not decayed."""
    encoder = {id(p) for p in model.encoder.parameters()}
    projector = {id(p) for p in model.projector.parameters()}
    groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    for parameter in model.parameters():
        if parameter.requires_grad:
            rate = recipe.adapter_lr
            if id(parameter) in encoder:  # of Qwen2-Audio, a part of the language model too
                rate = recipe.encoder_lr
            elif id(parameter) in projector:
                rate = recipe.projector_lr
            decay = recipe.weight_decay if parameter.dim() > 1 else 0.0
            groups.setdefault((rate, decay), []).append(parameter)
    return [{"params": params, "lr": rate, "weight_decay": decay} for (rate, decay), params in groups.items()]
