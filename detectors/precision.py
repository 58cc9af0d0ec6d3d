"""bf16 for a front-end's matrix products, on devices that compute faster with it.

Half the bits of fp32, with its range. Only weights and inputs of linear layers and convolutions are rounded;
the residual stream, the norms and the heads stay in fp32, so rounding does not build up from layer to layer.
`python -m detectors benchmark` measures how far scores move.
"""

from typing import Literal, get_args

import torch

from detectors.errors import DetectorError
from detectors.models import Countermeasure, FakeMamba, Sls

Precision = Literal["fp32", "bf16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)


def has_bf16(device: str) -> bool:
    """Whether "cpu" or "cuda" multiplies bf16 by instructions of its own; emulated, it would be slower."""
    if device == "cuda":
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    known = torch.cpu.get_capabilities()  # "bf16" is the name on ARM
    return any(known.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def set_precision(model: Countermeasure, precision: str, device: str) -> None:
    """Make a loaded model compute its front-end so, in place and for good; for inference only.

    Raises DetectorError for an unknown precision, and for bf16 where the device or the model cannot.
    """
    if precision not in PRECISIONS:
        raise DetectorError(f"There is no precision {precision!r}. Known: {', '.join(PRECISIONS)}.")
    if precision == "fp32":
        return
    if not isinstance(model, Sls | FakeMamba):
        raise DetectorError("Only the detectors sls and fake_mamba can run in bf16. Use fp32.")
    if not has_bf16(device):
        raise DetectorError(f"This {device} has no bf16 arithmetic of its own: it would be slower. Use fp32.")
    model.front_end.use_bf16()
