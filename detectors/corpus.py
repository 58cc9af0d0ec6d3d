"""Labelled clips, decoded once into one file that training reads at random.

A manifest is a CSV with at least path, utt_id, label and split columns (paths relative to it).
Decoding and transcoding 6,000 clips in every epoch would cost more than the model, so the cache
holds each clip as it is and, for `train`, once more after a random codec.
"""

import csv
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from detectors.audio import load_audio
from detectors.codecs import CODECS, round_trip
from detectors.errors import DetectorError


@dataclass(frozen=True)
class Clip:
    """One labelled utterance. `group` names the generator or channel that a per-source EER is taken over."""

    utt_id: str
    path: str
    is_bonafide: bool
    group: str


def read_manifest(path: Path, split: str) -> list[Clip]:
    """The clips of one split. Raises DetectorError when a needed column or the split is missing."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    needed = {"path", "utt_id", "label", "split"}
    if rows and not needed <= rows[0].keys():
        raise DetectorError(f"{path} lacks the columns {sorted(needed - rows[0].keys())}.")
    clips = [
        Clip(row["utt_id"], str(path.parent / row["path"]), row["label"] == "bonafide", row.get("source", ""))
        for row in rows
        if row["split"] == split
    ]
    if not clips:
        raise DetectorError(f"{path} has no clip in split {split!r}.")
    return clips


class ClipCache:
    """int16 samples of many clips back to back, memory-mapped, with a JSON index beside them."""

    def __init__(self, folder: Path) -> None:
        index = json.loads((folder / "index.json").read_text())
        self.clips = [Clip(**row) for row in index["clips"]]
        self._bounds: list[list[tuple[int, int]]] = index["bounds"]
        self._samples = np.memmap(folder / "samples.int16", dtype=np.int16, mode="r")

    def __len__(self) -> int:
        return len(self.clips)

    def variants(self, i: int) -> int:
        """How many renderings of clip i are stored; 0 is always the clip itself."""
        return len(self._bounds[i])

    def wave(self, i: int, variant: int = 0) -> np.ndarray:
        """float32 [s] of clip i."""
        start, stop = self._bounds[i][variant]
        return self._samples[start:stop].astype(np.float32) / 32768


def build_cache(folder: Path, clips: list[Clip], coded_variants: int, seed: int) -> ClipCache:
    """Decode every clip into `folder` (kept if it is complete already)."""
    if not (folder / "index.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        bounds = []
        with (folder / "samples.int16").open("wb") as out:
            for clip in clips:
                bounds.append([_append(out, wave) for wave in _renderings(clip, coded_variants, seed)])
        # Written last: its presence means that the samples are complete.
        (folder / "index.json").write_text(
            json.dumps({"clips": [asdict(c) for c in clips], "bounds": bounds})
        )
    return ClipCache(folder)


def _renderings(clip: Clip, coded_variants: int, seed: int) -> Iterator[np.ndarray]:
    wave = load_audio(clip.path)
    yield wave
    rng = np.random.default_rng([seed, *clip.utt_id.encode()])
    for _ in range(coded_variants):
        name = str(rng.choice(list(CODECS)))
        bit_rates = CODECS[name].bit_rates
        yield round_trip(wave, name, int(rng.choice(bit_rates)) if bit_rates else 0)


def _append(out: BinaryIO, wave: np.ndarray) -> tuple[int, int]:
    start = out.tell() // 2
    (np.clip(wave, -1, 1) * 32767).astype(np.int16).tofile(out)
    return start, start + len(wave)
