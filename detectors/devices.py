"""The devices that a training run goes on, in one or several processes, and where its figures go."""

from importlib.util import find_spec
from typing import Any

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs

from detectors.errors import DetectorError

#: What `mixed_precision` of a recipe may be.
PRECISIONS = ("no", "fp16", "bf16")


def make_accelerator(
    mixed_precision: str, folder: str, trackers: list[str], told: dict[str, Any], **options: Any
) -> Accelerator:
    """Accelerate's view of the devices, under `accelerate launch` or alone.

    trackers: of "tensorboard" and "wandb", those that hear of losses and error rates; the first writes into
    `folder`, and both note `told`, what the run was told. options: as Accelerator takes them.
    Raises DetectorError when a tracker is not installed, or for fp16 without a GPU.
    """
    for name in trackers:
        if not find_spec(name):
            raise DetectorError(f"The recipe wants {name}, which is not installed: pip install {name}")
    if mixed_precision == "fp16" and not torch.cuda.is_available():
        raise DetectorError("fp16 needs a CUDA GPU. Use bf16, or leave it out.")
    accelerator = Accelerator(
        mixed_precision=mixed_precision,
        log_with=trackers or None,
        project_dir=folder,
        # Some parts take no part in every step: of a detector alone, the front-end's final norm; of a batch
        # without any clip, the encoder. torch must be told.
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
        **options,
    )
    if trackers:
        accelerator.init_trackers("spooflens", {name: str(value) for name, value in told.items()})
    return accelerator
