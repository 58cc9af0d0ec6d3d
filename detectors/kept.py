"""What is dear to compute and never changes, kept on disk: features of a frozen encoder."""

import json
import logging
from collections.abc import Callable, Iterable
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from detectors.whole_files import written_whole

log = logging.getLogger(__name__)


def made_once(folder: Path, made_from: str, write: Callable[[], None]) -> None:
    """Have `write` fill `folder`, unless it already did so from the same things, told by `made_from`."""
    mark = sha256(made_from.encode()).hexdigest()
    index = folder / "index.json"
    if not index.exists() or json.loads(index.read_text()) != mark:
        folder.mkdir(parents=True, exist_ok=True)
        index.unlink(missing_ok=True)
        write()
        # Renamed last: its presence means that the rest is complete.
        with written_whole(index) as part:
            part.write_text(json.dumps(mark))


class Shrunk(NamedTuple):
    """Features [n, d] that stand for `frames` frames, and what its maker noted of the clip."""

    rows: Tensor
    frames: int
    tag: int


class KeptClips:
    """Features of clips of any lengths, float16, one after another in a file mapped into memory."""

    def __init__(self, folder: Path) -> None:
        index = np.load(folder / "index.npz")
        self._bounds, self.frames, self.tags = index["bounds"], index["frames"], index["tags"]
        rows = np.memmap(folder / "rows.float16", np.float16, "r")
        self._rows = rows.reshape(int(self._bounds[-1]), -1)

    def __len__(self) -> int:
        return len(self.tags)

    def __getitem__(self, i: int) -> Shrunk:
        rows = np.array(self._rows[self._bounds[i] : self._bounds[i + 1]])
        return Shrunk(torch.from_numpy(rows).float(), int(self.frames[i]), int(self.tags[i]))

    @staticmethod
    def write(folder: Path, clips: Iterable[Shrunk], total: int) -> None:
        """Fill `folder` with them. total: for the log."""
        bounds, frames, tags = [0], [], []
        with (folder / "rows.float16").open("wb") as out:
            for clip in clips:
                clip.rows.half().cpu().numpy().tofile(out)
                bounds.append(bounds[-1] + len(clip.rows))
                frames.append(clip.frames)
                tags.append(clip.tag)
                if len(tags) % 800 == 0:
                    log.info("kept the features of %d of %d clips", len(tags), total)
        np.savez(folder / "index.npz", bounds=bounds, frames=frames, tags=tags)
