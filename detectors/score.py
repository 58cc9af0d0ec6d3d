"""Score files, folders and protocols: one row for each file and detector.

Run again with the same --out to go on after a stop: what is there is skipped, what failed
is tried again. Exit codes: 0 done, 1 some files failed (each is named), 2 unusable arguments.
"""

import argparse
import logging
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from tqdm import tqdm

from detectors.audio import AUDIO_SUFFIXES, SAMPLE_RATE, load_audio, sha256_of
from detectors.detection import Detection
from detectors.errors import DetectorError
from detectors.progress import in_terminal
from detectors.protocols import read_paths
from detectors.score_files import FORMATS, Row, ScoreFile

#: Endings of files that list recordings rather than being one.
PROTOCOL_SUFFIXES = frozenset({".csv", ".tsv", ".txt", ".trl"})

logger = logging.getLogger(__name__)


class Clip(NamedTuple):
    """A file to score and the id that it goes by in score files."""

    utt_id: str
    path: Path


class Scorer(Protocol):
    """The part of a detector that scoring needs."""

    @property
    def name(self) -> str: ...

    @property
    def preset(self) -> str: ...

    @property
    def version(self) -> str: ...

    def analyze(self, wave: np.ndarray) -> Detection: ...


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `python -m detectors score`."""
    parser.add_argument(
        "paths", nargs="+", metavar="PATH", help="sound file, folder, or protocol/CSV of paths"
    )
    parser.add_argument("--detector", default="all", help="sls, fake_mamba, allm4add or all (default)")
    parser.add_argument(
        "--preset", choices=("mini", "full"), default="mini", help="model size (default: mini)"
    )
    parser.add_argument(
        "--checkpoint", type=Path, metavar="WEIGHTS", help="folder or released .pth instead of the preset's"
    )
    parser.add_argument(
        "--format",
        choices=tuple(FORMATS),
        default="jsonl",
        help="jsonl (default): all that is known; csv: the same without windows; scores: UTT SCORE lines",
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="result file, resumed if it exists (default: stdout)"
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="default: auto")
    parser.add_argument("--limit", type=_positive, metavar="N", help="score the first N files only")


def run(args: argparse.Namespace) -> int:
    """Score what the arguments name; 0, or 1 when some files failed. DetectorError: unusable arguments."""
    _check_combination(args)
    clips = collect_clips(args.paths)
    if args.format == "scores":
        check_ids(clips)
    results = ScoreFile(args.out, FORMATS[args.format])
    by_name = {results.format.name(_blank(clip)): clip for clip in clips}
    clips = list(by_name.values())[: args.limit]
    detectors = load_detectors(args.detector, args.preset, args.checkpoint, args.device)
    for detector in detectors:
        results.check_same_model(detector.name, detector.preset, detector.version)
    asked = (None, *(detector.name for detector in detectors))
    results.open(retry={(results.format.name(_blank(clip)), name) for clip in clips for name in asked})
    try:
        failed = score_all(clips, detectors, results)
    finally:
        results.close()
    print(f"{len(clips) - failed} of {len(clips)} files scored, {failed} failed.", file=sys.stderr)
    return 1 if failed else 0


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {number}")
    return number


def _check_combination(args: argparse.Namespace) -> None:
    if args.detector == "all" and args.format == "scores":
        raise DetectorError("--format scores holds one detector's scores. Name it with --detector.")
    if args.detector == "all" and args.checkpoint:
        raise DetectorError("--checkpoint belongs to one detector. Name it with --detector.")


# ---- what to score


def collect_clips(paths: Sequence[str | Path]) -> list[Clip]:
    """The clips that files, folders and protocols name, each once, in order.

    A folder is searched at every depth for AUDIO_SUFFIXES, leaving out hidden files. A file
    is always taken, whatever its ending, save that PROTOCOL_SUFFIXES are read as lists of
    paths. DetectorError when a path does not exist or gives nothing.
    """
    clips: list[Clip] = []
    for path in map(Path, paths):
        if path.is_dir():
            clips += _clips_in_folder(path)
        elif not path.is_file():
            raise DetectorError(f"{path} does not exist or is not a file. Check the name.")
        elif path.suffix.lower() in PROTOCOL_SUFFIXES:
            clips += _clips_in_protocol(path)
        else:
            clips.append(Clip(path.stem, path))
    return list(dict.fromkeys(clips))


def _clips_in_folder(folder: Path) -> list[Clip]:
    found = [
        Clip(path.stem, path)
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in AUDIO_SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    ]
    if not found:
        endings = ", ".join(sorted(suffix.lstrip(".") for suffix in AUDIO_SUFFIXES))
        raise DetectorError(f"No audio found in {folder}. Files that count end in: {endings}.")
    return found


def _clips_in_protocol(protocol: Path) -> list[Clip]:
    clips = []
    for utt_id, path in read_paths(protocol):
        if not path:
            raise DetectorError(
                f"{protocol} names utterances, such as {utt_id}, but not their files. Score the folder of "
                "the recordings instead (a file's id is its name), or list them in a CSV with a path column."
            )
        clips.append(Clip(utt_id, Path(path)))
    return clips


def check_ids(clips: Sequence[Clip]) -> None:
    """DetectorError when "UTT SCORE" lines could not tell the clips apart."""
    seen: dict[str, Path] = {}
    for utt_id, path in clips:
        if len(utt_id.splitlines()) > 1:
            raise DetectorError(f"{path}: its name holds a line break. Rename it, or use --format jsonl.")
        if seen.setdefault(utt_id, path) != path:
            raise DetectorError(
                f'{seen[utt_id]} and {path} have the same id "{utt_id}" in a score file. '
                "Rename one, list them in a CSV with ids, or use --format jsonl."
            )


# ---- scoring


def load_detectors(name: str, preset: str, checkpoint: Path | None, device: str) -> list[Scorer]:
    """The named detector, or for "all" those that can be loaded; why others cannot goes to stderr."""
    # Imported here: torch takes seconds to load, and most refusals need none of it.
    from detectors import available_detectors, load_detector

    if name != "all":
        known = available_detectors()
        if name not in known:
            raise DetectorError(f'There is no detector "{name}". Known: {", ".join(known)}, all.')
        return [
            load_detector(name, preset=preset, checkpoint=checkpoint, device=device, progress=in_terminal())
        ]
    loaded: list[Scorer] = []
    for known_name in available_detectors():
        try:
            loaded.append(load_detector(known_name, preset=preset, device=device, progress=in_terminal()))
        except DetectorError as error:
            print(f"Without {known_name}: {error}", file=sys.stderr)
    if not loaded:
        raise DetectorError(f"No detector of the {preset} preset can be loaded; the reasons are above.")
    return loaded


def score_all(clips: Sequence[Clip], detectors: Sequence[Scorer], results: ScoreFile) -> int:
    """Score the clips that `results` lacks and add their rows; the number of clips that failed."""
    failed = 0
    # Not a terminal: the bar is a plain line now and then, fit for a log.
    pause = 0.1 if sys.stderr.isatty() else 30
    with tqdm(clips, unit="file", desc="scoring", file=sys.stderr, mininterval=pause) as bar:
        for clip in bar:
            missing = [detector for detector in detectors if not results.has(_blank(clip), detector.name)]
            rows = score_clip(clip, missing) if missing else []
            for row in rows:
                results.write(row)
                if row.error:
                    who = f" ({row.detector})" if row.detector else ""
                    tqdm.write(f"{clip.path}{who}: {row.error}", file=sys.stderr)
            failed += any(row.error for row in rows)
    return failed


def score_clip(clip: Clip, detectors: Sequence[Scorer]) -> list[Row]:
    """Decode a clip once and give it to each detector; failures become rows with `error`."""
    blank = _blank(clip)
    try:
        blank = replace(blank, sha256=sha256_of(clip.path))
        wave = load_audio(clip.path)
    except Exception as error:
        return [replace(blank, error=_told(error, clip))]
    blank = replace(blank, seconds=wave.size / SAMPLE_RATE)
    rows = [_judged(blank, clip, wave, detector) for detector in detectors]
    if rows[0].error and len({row.error for row in rows}) == 1:
        # No detector can take it, all for one reason: that is one bad file, so one row.
        return [replace(blank, error=rows[0].error)]
    return rows


def _judged(blank: Row, clip: Clip, wave: np.ndarray, detector: Scorer) -> Row:
    row = replace(blank, detector=detector.name, preset=detector.preset, version=detector.version)
    try:
        found = detector.analyze(wave)
        if not (math.isfinite(found.score) and math.isfinite(found.llr)):
            raise DetectorError(f"{detector.name} gave a score that is not a number. Try --device cpu.")
    except Exception as error:
        return replace(row, error=_told(error, clip))
    return replace(
        row,
        score=float(found.score),
        llr=float(found.llr),
        p_spoof=float(found.p_spoof),
        verdict=found.verdict,
        windows=[{key: float(value) for key, value in asdict(window).items()} for window in found.windows],
    )


def _told(error: Exception, clip: Clip) -> str:
    """The message for the row. A bug is logged with its traceback, but a long run goes on."""
    if isinstance(error, DetectorError):
        return str(error)
    logger.error("%s: unexpected error", clip.path, exc_info=error)
    return f"unexpected {type(error).__name__}: {error}"


def _blank(clip: Clip) -> Row:
    return Row(path=str(clip.path), utt_id=clip.utt_id)
