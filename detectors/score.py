"""Score files, folders and protocols: one row for each file and detector.

Run again with the same --out to go on after a stop: what is there is skipped, what failed
is tried again. Exit codes: 0 done, 1 some files failed (each is named), 2 unusable arguments.

On several GPUs: accelerate launch -m detectors score ...; each takes its share of the files.
On several machines: --ray, with --format parquet.
"""

import argparse
import sys
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Protocol

from tqdm import tqdm

from detectors.audio import AUDIO_SUFFIXES
from detectors.decoders import usable_cores
from detectors.errors import DetectorError
from detectors.progress import in_terminal
from detectors.protocols import read_paths
from detectors.score_analyses import AnalysisLines
from detectors.score_files import FORMATS, Row, ScoreFile
from detectors.score_parquet import ScoreFolder
from detectors.score_processes import Processes, parts_of
from detectors.scoring import Clip, Scorer, Split, Task, blank_row, score_clips, tasks_of
from detectors.steady_memory import keep_memory_steady

#: Endings of files that list recordings rather than being one.
PROTOCOL_SUFFIXES = frozenset({".csv", ".tsv", ".txt", ".trl"})
PARQUET, ANALYSIS = "parquet", "analysis"
#: Below so many files, starting processes that decode them costs more time than it saves.
FEW = 64
#: More decoders than this feed a GPU no faster.
MOST_DECODERS = 16


class Results(Protocol):
    """Where rows go and earlier ones are found: a ScoreFile or a ScoreFolder."""

    def name(self, row: Row) -> str: ...

    def has(self, row: Row, detector: str) -> bool: ...

    def check_same_model(self, detector: str, preset: str, version: str) -> None: ...

    def open(self, retry: Collection[tuple[str, str | None]]) -> None: ...

    def write(self, row: Row) -> None: ...

    def close(self) -> None: ...


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `python -m detectors score`."""
    parser.add_argument(
        "paths", nargs="+", metavar="PATH", help="sound file, folder, or protocol/CSV of paths"
    )
    parser.add_argument(
        "--detector",
        default="all",
        help="sls, fake_mamba or allm4add, several with commas between, or all (default); several share what "
        "they hear alike",
    )
    parser.add_argument(
        "--preset", choices=("mini", "full"), default="mini", help="model size (default: mini)"
    )
    parser.add_argument(
        "--checkpoint", type=Path, metavar="WEIGHTS", help="folder or released .pth instead of the preset's"
    )
    parser.add_argument(
        "--format",
        choices=(*FORMATS, ANALYSIS, PARQUET),
        default="jsonl",
        help="jsonl (default): all that is known, a line for each file and detector; analysis: a line for "
        "each file, all detectors together, as /analyze answers; csv: jsonl without windows; scores: UTT "
        "SCORE lines; parquet: as jsonl, in a folder of files, for many clips (needs pyarrow)",
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="result file, resumed if it exists (default: stdout)"
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="default: auto")
    parser.add_argument("--limit", type=_positive, metavar="N", help="score the first N files only")
    parser.add_argument(
        "--decoders",
        type=_natural,
        metavar="N",
        help="processes that decode while the model runs; 0: none (default: one a core, none for few files)",
    )
    parser.add_argument(
        "--ray",
        nargs="?",
        const="local",
        metavar="ADDRESS",
        help="score as a Ray Data job: on this machine, or on the cluster at --ray=ADDRESS (needs ray)",
    )


def run(args: argparse.Namespace) -> int:
    """Score what the arguments name; 0, or 1 when some files failed. DetectorError: unusable arguments."""
    _check_combination(args)
    keep_memory_steady()
    clips = collect_clips([Path(path).absolute() for path in args.paths] if args.ray else args.paths)
    if args.format == "scores":
        check_ids(clips)
    processes = Processes()
    if processes.count > 1 and args.format == ANALYSIS:
        raise DetectorError("Several processes cannot share one file of analyses. Use --format jsonl.")
    if processes.count > 1 and args.out is None:
        raise DetectorError("Several processes cannot share the screen. Name a result file with --out.")
    if not processes.first:
        processes.wait()  # until the first one has put the earlier results in order
    results = results_at(args.out, args.format)
    clips = list({results.name(blank_row(clip)): clip for clip in clips}.values())[: args.limit]
    detectors = load_detectors(args.detector, args.preset, args.checkpoint, args.device)
    if isinstance(results, AnalysisLines):
        results.know(args.preset, detectors[0].device, why_missing(args.preset, args.detector, detectors))
    for detector in detectors:
        results.check_same_model(detector.name, detector.preset, detector.version)
    failed = _score(args, clips, detectors, results, processes)
    if processes.first:
        print(f"{len(clips) - failed} of {len(clips)} files scored, {failed} failed.", file=sys.stderr)
    # One process that ends with an error would make the launcher stop the others.
    return 1 if failed and processes.first else 0


def results_at(out: Path | None, form: str) -> Results:
    """The results at a place, in a format. Raises DetectorError when what is there is something else."""
    if form == ANALYSIS:
        return AnalysisLines(out)
    return ScoreFolder(out) if form == PARQUET else ScoreFile(out, FORMATS[form])


def _score(
    args: argparse.Namespace,
    clips: Sequence[Clip],
    detectors: Sequence[Scorer],
    results: Results,
    processes: Processes,
) -> int:
    """Score what `results` lacks, in whatever way was asked for; the number of clips that failed."""
    if not processes.first:
        tasks = tasks_of(processes.share(clips), detectors, results.has)
        if args.format != PARQUET:
            results = results_at(processes.part_of(args.out), args.format)
        results.open(retry=())
        return _score_share(args, tasks, results, processes)
    asked = (None, *(detector.name for detector in detectors))
    results.open(retry={(results.name(blank_row(clip)), name) for clip in clips for name in asked})
    take_up_parts(args.out, args.format, results, failed=False)
    processes.wait()
    tasks = tasks_of(processes.share(clips), detectors, results.has)
    if args.ray:
        from detectors.score_ray import score_with_ray

        return score_with_ray(tasks, args)
    return _score_share(args, tasks, results, processes)


def _score_share(
    args: argparse.Namespace, tasks: Sequence[Task], results: Results, processes: Processes
) -> int:
    """Score this process's tasks; the number of clips that failed in all processes."""
    decoders = args.decoders
    if decoders is None:
        cores = max(1, min(MOST_DECODERS, usable_cores() // processes.count))
        decoders = cores if len(tasks) >= FEW else 0
    try:
        failed = score_all(tasks, results, decoders, quiet=not processes.first)
        if not processes.first:
            results.close()  # its part is whole before the first process may know
        failed = processes.sum(failed)
        if processes.first:
            take_up_parts(args.out, args.format, results, failed=True)
    finally:
        results.close()
    return failed


def take_up_parts(out: Path | None, form: str, results: Results, failed: bool) -> None:
    """Move the rows of other processes' parts into the result file. failed: those with an error too."""
    for part in parts_of(out) if out and form in FORMATS else ():
        rows = ScoreFile(part, FORMATS[form]).rows
        for row in rows:
            if (failed or row.error is None) and not results.has(row, row.detector or ""):
                results.write(row)
        part.unlink()


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {number}")
    return number


def _natural(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"must be at least 0, not {number}")
    return number


def _check_combination(args: argparse.Namespace) -> None:
    one = args.detector != "all" and len(_named(args.detector)) == 1
    if args.format == "scores" and not one:
        raise DetectorError("--format scores holds one detector's scores. Name it with --detector.")
    if args.checkpoint and not one:
        raise DetectorError("--checkpoint belongs to one detector. Name it with --detector.")
    if args.ray and args.format != PARQUET:
        raise DetectorError("--ray writes Parquet. Add --format parquet and a folder with --out.")


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


def load_detectors(names: str, preset: str, checkpoint: Path | None, device: str) -> list[Scorer]:
    """The named detectors, or for "all" those that can be loaded; why others cannot goes to stderr.

    Raises DetectorError when one that is named is unknown or cannot be loaded.
    """
    # Imported here: torch takes seconds to load, and most refusals need none of it.
    from detectors import available_detectors, load_detector

    if names != "all":
        known = available_detectors()
        for name in _named(names):
            if name == "all":
                raise DetectorError("--detector all already means every detector: leave out the other names.")
            if name not in known:
                raise DetectorError(f'There is no detector "{name}". Known: {", ".join(known)}, all.')
        return [
            load_detector(name, preset=preset, checkpoint=checkpoint, device=device, progress=in_terminal())
            for name in _named(names)
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


def _named(names: str) -> list[str]:
    """The detectors that --detector lists, each once."""
    return list(dict.fromkeys(name.strip() for name in names.split(",")))


def why_missing(preset: str, asked: str, loaded: Sequence[Scorer]) -> dict[str, str]:
    """Why detectors do not judge, in the app's words, by name. asked: --detector."""
    from detectors import available_detectors
    from detectors.registry import detector_status

    names = set(available_detectors()) - {detector.name for detector in loaded}
    if asked != "all":
        return dict.fromkeys(names, "it was not asked")
    return {name: detector_status(name, preset) or "it could not be loaded" for name in sorted(names)}


def score_all(tasks: Sequence[Task], results: Results, decoders: int = 0, quiet: bool = False) -> int:
    """Do the tasks and add their rows, with a bar on stderr unless `quiet`; the number of clips that failed.

    decoders: as in `score_clips`. At the end stderr is told where the time went.
    """
    failed, split = 0, Split()
    # Not a terminal: the bar is a plain line now and then, fit for a log.
    pause = 0.1 if sys.stderr.isatty() else 30
    began = shown = time.perf_counter()
    with tqdm(
        total=len(tasks), unit="file", desc="scoring", file=sys.stderr, mininterval=pause, disable=quiet
    ) as bar:

        def under_way(clip: Clip, seconds: float, claimed: float | None) -> None:
            nonlocal shown
            if time.perf_counter() - shown < pause:
                return
            shown = time.perf_counter()
            of = f" of {claimed / 60:.1f}" if claimed else ""
            bar.set_postfix_str(f"{clip.path.name}: {seconds / 60:.1f}{of} min")

        for clip, rows in score_clips(tasks, decoders, split, under_way):
            writing = time.perf_counter()
            for row in rows:
                results.write(row)
                if row.error:
                    who = f" ({row.detector})" if row.detector else ""
                    tqdm.write(f"{clip.path}{who}: {row.error}", file=sys.stderr)
            split.write += time.perf_counter() - writing
            failed += any(row.error for row in rows)
            bar.set_postfix_str("", refresh=False)
            bar.update()
    if tasks and not quiet:
        print(split.told(time.perf_counter() - began, decoders), file=sys.stderr)
    return failed
