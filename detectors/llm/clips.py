"""The clips that a language model learns to hear: their kept features, or their waves where the encoder
learns too."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from detectors.audio import SAMPLE_RATE, load_audio
from detectors.corpus import ClipCache
from detectors.kept import KeptClips, Shrunk, made_once
from detectors.llm.encoder import FRAMES_PER_SECOND, MAX_FRAMES
from detectors.llm.model import AudioLlm
from detectors.llm.projector import pooled, spread
from detectors.views import Views
from detectors.windows import Span, cut, spans

#: Whisper hears 30 s at most.
MOST_SAMPLES = MAX_FRAMES // FRAMES_PER_SECOND * SAMPLE_RATE

#: Waves [s], each with a number that says what it is: a label, or the clip that it is part of.
Tagged = Iterable[tuple[Tensor, int]]


class Clips(Protocol):
    """What stands for the markers in a prompt. tags: the number of each clip."""

    tags: np.ndarray

    def __len__(self) -> int: ...

    def clip(self, i: int) -> Tensor:
        """Features [t, d] of clip i, or its wave [s]."""


class Features:
    """Kept features of clips: all that the projector needs to know of them."""

    def __init__(self, kept: KeptClips, pool: int) -> None:
        self.kept, self.pool = kept, pool
        self.tags = kept.tags

    def __len__(self) -> int:
        return len(self.kept)

    def clip(self, i: int) -> Tensor:
        """Features [t, d], each frame the mean over its group."""
        rows, frames, _ = self.kept[i]
        return spread(rows, self.pool, frames)


class Waves:
    """Waves of clips, for an encoder that learns. wave: number of a clip -> [s]."""

    def __init__(self, wave: Callable[[int], Tensor], tags: Sequence[int]) -> None:
        self.clip, self.tags = wave, np.array(tags)

    def __len__(self) -> int:
        return len(self.tags)


def keep_clips(folder: Path, model: AudioLlm, clips: Tagged, total: int, made_from: str) -> Features:
    """The features of clips from the model's encoder, computed unless `folder` has them already.

    made_from: tells the clips; the encoder is told by its weights.
    """
    pool = model.config.pool
    mark = f"{made_from} {total} {encoder_digest(model)}"
    made_once(folder, mark, lambda: KeptClips.write(folder, _shrunk(model, clips), total))
    return Features(KeptClips(folder), pool)


def _shrunk(model: AudioLlm, clips: Tagged) -> Iterator[Shrunk]:
    device = next(model.encoder.parameters()).device
    model.encoder.eval()
    with torch.inference_mode():
        for wave, tag in clips:
            heard = model.encoder(wave[None].to(device))
            yield Shrunk(pooled(heard, model.config.pool)[0], heard.shape[1], int(tag))


def encoder_digest(model: AudioLlm) -> str:
    """SHA-256 of what decides the kept features: the encoder, its sizes and how many frames are averaged.

    In fp16, so that an encoder which was saved and loaded again counts as the same.
    """
    # Textures tell themselves by their weights; the signal's features have none.
    parts = ("encoder_", "heard_layers", "heard_signal", "mel_", "visible_", "relative_", "pool")
    sizes = {name: value for name, value in asdict(model.config).items() if name.startswith(parts)}
    found = sha256(repr(sizes).encode())
    for name, value in sorted(model.encoder.state_dict().items()):
        found.update(name.encode())
        found.update(value.detach().half().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


def view_clips(folder: Path, model: AudioLlm, views: Views, count: int) -> Clips:
    """The first `count` views, tagged with their labels."""
    if model.encoder_learns():
        return Waves(lambda i: views[i][0], [views.label(i) for i in range(count)])
    loader: Any = DataLoader(views, None, sampler=range(count), num_workers=1)
    how = views.how
    made_from = str((views.cache.made_from, how.seed, how.balance, how.copy_synthesis, how.augment))
    return keep_clips(folder, model, loader, count, f"{made_from} {views.length}")


def file_clips(folder: Path, model: AudioLlm, paths: Sequence[str]) -> Clips:
    """Audio files by their place in `paths`; of a longer one, the first 30 s."""
    if model.encoder_learns():
        return Waves(lambda i: read_clip(paths[i]), [0] * len(paths))
    made_from = str([(path, Path(path).stat().st_size, Path(path).stat().st_mtime_ns) for path in paths])
    return keep_clips(folder, model, ((read_clip(path), 0) for path in paths), len(paths), made_from)


def dev_windows(folder: Path, model: AudioLlm, dev: ClipCache, window: int, hop: int, most: int) -> Clips:
    """Windows of all clips, tagged with the clip's number; of a clip at most `most`, evenly spread."""
    places = [
        (i, span) for i in range(len(dev)) for span in _some(spans(len(dev.wave(i)), window, hop), most)
    ]

    def wave(k: int) -> Tensor:
        i, span = places[k]
        return torch.from_numpy(cut(dev.wave(i), span, window))

    tags = [i for i, _ in places]
    if model.encoder_learns():
        return Waves(wave, tags)
    clips = ((wave(k), i) for k, i in enumerate(tags))
    return keep_clips(folder, model, clips, len(tags), f"{dev.made_from} {window} {hop} {most}")


def _some(found: list[Span], most: int) -> list[Span]:
    if not most or len(found) <= most:
        return found
    return [found[i] for i in np.linspace(0, len(found) - 1, most).round().astype(int)]


def read_clip(path: str) -> Tensor:
    """The wave [s] of a file, its first 30 s. Raises DetectorError when it cannot be read."""
    return torch.from_numpy(load_audio(path)[:MOST_SAMPLES])
