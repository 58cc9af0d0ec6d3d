"""Labelled clips, decoded once into one file that training reads at random.

A manifest is a CSV with at least path, utt_id, label and split columns (paths relative to it). Public corpora
are read by protocols of their own (see protocols/). Decoding and transcoding 6,000 clips in every epoch would
cost more than the model, so the cache holds each clip as it is and, for `train`, once more after a random
codec.
"""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from tqdm import tqdm

from detectors.audio import AUDIO_SUFFIXES, load_audio
from detectors.codecs import CODECS, random_round_trip
from detectors.errors import DetectorError
from detectors.protocols import Trials, read_trials
from detectors.whole_files import written_whole


@dataclass(frozen=True)
class Clip:
    """One labelled utterance. `group` names the generator or channel that a per-source EER is taken over."""

    utt_id: str
    path: str
    is_bonafide: bool
    group: str


def bonafide_mask(clips: Sequence[Clip]) -> np.ndarray:
    """bool [clips]: which are bona fide."""
    return np.array([clip.is_bonafide for clip in clips], dtype=bool)


def read_manifest(path: Path, split: str) -> list[Clip]:
    """The clips of one split. Raises DetectorError when a needed column or the split is missing."""
    trials = read_trials(path)
    if not any(trials.phases):
        raise DetectorError(f"{path} has no split column, so it does not say what to train on.")
    return clips_of(trials.select(split))


def clips_of(trials: Trials) -> list[Clip]:
    """The trials as clips, in their order."""
    rows = zip(trials.utt_ids, trials.paths, trials.is_bonafide, trials.groups, strict=True)
    return [Clip(utt_id, path, bool(is_bonafide), group) for utt_id, path, is_bonafide, group in rows]


@dataclass(frozen=True)
class Corpus:
    """Clips by a protocol of their own: ASVspoof 2019 or 2021, In-the-Wild, or a CSV (see protocols/keys.py).

    audio: the folder of the sound files, for a protocol that names none or that lies elsewhere. phase: the
    part to take, as progress of ASVspoof 2021 or train of a CSV; empty: all.
    """

    protocol: str
    audio: str = ""
    phase: str = ""


def read_corpus(corpus: Corpus) -> list[Clip]:
    """Its clips, each with a path. Where the protocol gives names only, the file of that name is looked for
    anywhere in the audio folder.

    Raises DetectorError for a protocol that cannot be read, and for sound files that are missing or, by their
    names, could be either of two.
    """
    trials = read_trials(corpus.protocol, corpus.phase or None, corpus.audio or None)
    clips = clips_of(trials)
    nameless = [clip.utt_id for clip in clips if not clip.path]
    if not nameless:
        return clips
    if not corpus.audio:
        raise DetectorError(f"{corpus.protocol} names no sound files: give the folder of them as audio.")
    found = _sound_files(Path(corpus.audio), set(nameless))
    missing = [utt_id for utt_id in nameless if utt_id not in found]
    if missing:
        raise DetectorError(
            f"{corpus.audio} lacks {len(missing)} of the {len(nameless)} clips that {corpus.protocol} names, "
            f"such as {', '.join(missing[:3])}."
        )
    return [clip if clip.path else replace(clip, path=found[clip.utt_id]) for clip in clips]


def _sound_files(folder: Path, wanted: set[str]) -> dict[str, str]:
    """Name without its ending -> path, of all sound files beneath `folder` that are wanted."""
    found: dict[str, str] = {}
    for inside, _, names in os.walk(folder):
        for name in names:
            stem, ending = os.path.splitext(name)
            if stem in wanted and ending.lower() in AUDIO_SUFFIXES:
                path = os.path.join(inside, name)
                if stem in found:
                    raise DetectorError(f"{found[stem]} and {path} could both be {stem}: name one folder.")
                found[stem] = path
    return found


class ClipCache:
    """int16 samples of many clips back to back, memory-mapped, with a JSON index beside them."""

    def __init__(self, folder: Path) -> None:
        index = json.loads((folder / "index.json").read_text())
        self.clips = [Clip(**row) for row in index["clips"]]
        #: Changes with the clips, their codecs and the seed of these.
        self.made_from: str = index["made_from"]
        self._bounds: list[list[tuple[int, int]]] = index["bounds"]
        samples = folder / "samples.int16"
        # An empty file cannot be mapped: no clip could be read, or all were empty.
        mapped = samples.stat().st_size > 0
        self._samples = np.memmap(samples, np.int16, "r") if mapped else np.zeros(0, np.int16)

    def __len__(self) -> int:
        return len(self.clips)

    def variants(self, i: int) -> int:
        """How many renderings of clip i are stored; 0 is always the clip itself."""
        return len(self._bounds[i])

    def wave(self, i: int, variant: int = 0) -> np.ndarray:
        """float32 [s] of clip i."""
        start, stop = self._bounds[i][variant]
        return self._samples[start:stop].astype(np.float32) / 32768

    def random_rendering(self, i: int, coded: float, rng: np.random.Generator) -> np.ndarray:
        """float32 [s] of clip i: with chance `coded` one of its coded renderings, where it has any."""
        has_coded = self.variants(i) > 1 and rng.random() < coded
        return self.wave(i, int(rng.integers(1, self.variants(i))) if has_coded else 0)

    def digest(self, i: int) -> bytes:
        """SHA-256 of clip i's samples: the same sound under two names has one digest."""
        start, stop = self._bounds[i][0]
        return sha256(self._samples[start:stop].tobytes()).digest()


def build_cache(
    folder: Path,
    clips: list[Clip],
    coded_variants: int,
    seed: int,
    unreadable: Callable[[Clip, DetectorError], None] | None = None,
    codecs: Sequence[str] = tuple(CODECS),
) -> ClipCache:
    """Decode every clip into `folder`, unless just these clips are there already.

    coded_variants: how many renderings after a random one of the `codecs` are kept beside each clip.
    unreadable: told of each clip that cannot be decoded, which is then left out. Without it, the first
    such clip raises its DetectorError.
    """
    drawn: tuple[Any, ...] = (coded_variants, seed) if coded_variants else ()
    if drawn and tuple(codecs) != tuple(CODECS):
        drawn += tuple(codecs)
    made_from = sha256(repr((clips, drawn)).encode()).hexdigest()
    if _made_from(folder) != made_from:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "index.json").unlink(missing_ok=True)
        bounds, kept = [], []
        with (folder / "samples.int16").open("wb") as out:
            for clip in tqdm(clips, desc="decoding", unit="clip"):
                try:
                    renderings = list(_renderings(clip, coded_variants, seed, codecs))
                except DetectorError as error:
                    if unreadable is None:
                        raise
                    unreadable(clip, error)
                    continue
                bounds.append([_append(out, wave) for wave in renderings])
                kept.append(asdict(clip))
        # Renamed last: its presence means that the samples are complete.
        index = {"made_from": made_from, "clips": kept, "bounds": bounds}
        with written_whole(folder / "index.json") as part:
            part.write_text(json.dumps(index))
    return ClipCache(folder)


def _made_from(folder: Path) -> str | None:
    index = folder / "index.json"
    return json.loads(index.read_text()).get("made_from") if index.exists() else None


def _renderings(clip: Clip, coded_variants: int, seed: int, codecs: Sequence[str]) -> Iterator[np.ndarray]:
    wave = load_audio(clip.path)
    yield wave
    rng = np.random.default_rng([seed, *clip.utt_id.encode()])
    for _ in range(coded_variants):
        yield random_round_trip(wave, codecs, rng)


def _append(out: BinaryIO, wave: np.ndarray) -> tuple[int, int]:
    start = out.tell() // 2
    np.clip(np.round(wave * 32768), -32768, 32767).astype(np.int16).tofile(out)
    return start, start + len(wave)
