"""`prepare`: speech with transcripts, as the JSON list that `train audio_llm` reads.

    python -m detectors prepare librispeech LibriSpeech/train-clean-100 --out train.json
    python -m detectors prepare hub mozilla-foundation/common_voice_17_0 --config en --text-column sentence \\
        --max-wer 0.1 --whisper openai/whisper-base --out common_voice.json

Each row asks for a transcript, in one of several ways of asking. Rows of a hub data set are read one by one
and their audio is kept beside OUT. With --max-wer only those are kept where a recogniser (a column of the
data set, or Whisper) hears much the same words. Clips of more than 30 s are left out: the encoder hears no
more.
"""

import argparse
import math
import random
import sys
from collections.abc import Iterable
from pathlib import Path

import soundfile
from tqdm import tqdm

from detectors.errors import DetectorError
from detectors.llm.formats import LIST_END, audio_llm_row, list_element, whole_file
from detectors.llm.librispeech import utterances

#: What asks for the words of a clip. The marker stands before, after or within the text.
TRANSCRIBE_PROMPTS = (
    "Transcribe this recording: <audio>",
    "<audio>What is said in this recording?",
    "<audio>Write down what you hear.",
    "Listen to the clip and write what the speaker says. <audio>",
    "What does the speaker in <audio> say, word for word?",
    "<audio>Give the transcript.",
    "Write what is said here: <audio>",
    "Here is a clip: <audio> Please transcribe it.",
)
#: Longest clip that is kept, in seconds.
MOST_SECONDS = 30
#: Failed inputs that are named one by one.
_NAMED = 5


def write_rows(out: Path, clips: Iterable[tuple[str, str]], seed: int) -> int:
    """Write (audio path, words) as rows that ask for the words; returns how many.

    The prompt depends on the seed and the path alone. Raises DetectorError, writing nothing, without a row.
    """
    count = 0
    with whole_file(out) as file:
        for path, words in clips:
            prompt = random.Random(f"{seed} {path}").choice(TRANSCRIBE_PROMPTS)
            file.write(list_element(audio_llm_row(prompt, [path], words), first=not count))
            count += 1
        if not count:
            raise DetectorError("Not one clip was kept, so nothing was written.")
        file.write(LIST_END)
    return count


def add_arguments(parser: argparse.ArgumentParser) -> None:
    sources = parser.add_subparsers(dest="source", required=True, metavar="SOURCE")
    libri = sources.add_parser("librispeech", help="a folder of .trans.txt and .flac files")
    libri.add_argument("folder", type=Path)
    hub = sources.add_parser("hub", help="a speech data set of the Hugging Face hub, or a local one")
    hub.add_argument("dataset")
    hub.add_argument("--config", help="of a data set that has several")
    hub.add_argument("--split", default="train", help="(default: %(default)s)")
    hub.add_argument("--revision", help="commit, branch or tag")
    hub.add_argument("--audio-column", default="audio", help="(default: %(default)s)")
    hub.add_argument("--text-column", default="text", help="the transcript (default: %(default)s)")
    hub.add_argument("--max-wer", type=_share, metavar="X", help="0.1 keeps rows up to 10 %% wrong words")
    hub.add_argument("--hypothesis-column", help="what a recogniser heard")
    hub.add_argument("--whisper", metavar="NAME", help="or run this one (default: openai/whisper-base)")
    hub.add_argument("--language", help="for Whisper, such as en; without it, Whisper tells")
    hub.add_argument("--device", default="auto", help="for Whisper: auto, cpu or cuda")
    hub.add_argument("--audio-dir", type=Path, help="where audio is kept (default: OUT without its ending)")
    hub.add_argument("--skip", type=_count, default=0, metavar="N", help="leave out the first N rows")
    for source in (libri, hub):
        source.add_argument("--out", type=Path, required=True, metavar="FILE.json")
        source.add_argument("--limit", type=_count, help="read at most so many clips")
        source.add_argument("--seed", type=int, default=1234, help="of the prompts (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    return _librispeech(args) if args.source == "librispeech" else _hub(args)


def _librispeech(args: argparse.Namespace) -> int:
    failed: list[str] = []
    too_long = 0

    def clips() -> Iterable[tuple[str, str]]:
        nonlocal too_long
        found = tqdm(utterances(args.folder), desc="reading", unit="clip", disable=None)
        for number, (path, words) in enumerate(found):
            if args.limit is not None and number >= args.limit:
                return
            seconds = _seconds(path)
            if seconds is None:
                failed.append(f"{path} is missing or damaged")
            elif seconds > MOST_SECONDS:
                too_long += 1
            else:
                yield path.relative_to(args.folder).as_posix(), words

    count = write_rows(args.out, clips(), args.seed)
    _tell(args.out, count, args.folder)
    if too_long:
        print(f"left out because they are longer than {MOST_SECONDS} s: {too_long}")
    return _fail(failed)


def _hub(args: argparse.Namespace) -> int:
    # Only here: these need torch, which the other source does not.
    from detectors.llm.hub_asr import HubSplit, Tally, kept_clips, whisper
    from detectors.registry import resolve_device

    if args.hypothesis_column and args.whisper:
        raise DetectorError("Name either --hypothesis-column or --whisper, not both.")
    if args.max_wer is None and (args.hypothesis_column or args.whisper):
        raise DetectorError(
            "Without --max-wer every row is kept and no recogniser is needed. Give --max-wer."
        )
    source = HubSplit(
        args.dataset,
        args.config,
        args.split,
        args.revision,
        args.audio_column,
        args.text_column,
        args.hypothesis_column,
        args.skip,
        args.limit,
    )
    needs_whisper = args.max_wer is not None and not args.hypothesis_column
    hear = None
    if needs_whisper:
        name = args.whisper or "openai/whisper-base"
        hear = whisper(name, resolve_device(args.device), args.language)
    folder, tally = args.audio_dir or args.out.with_suffix(""), Tally()
    max_wer = math.inf if args.max_wer is None else args.max_wer
    kept = kept_clips(source, folder, tally, MOST_SECONDS, max_wer, hear)
    try:
        count = write_rows(args.out, tqdm(kept, desc="keeping", unit="clip", disable=None), args.seed)
    except DetectorError as error:
        if not tally.rows and not tally.stopped:
            raise
        raise DetectorError(" ".join([str(error), *tally.lines(), tally.stopped])) from error
    _tell(args.out, count, folder)
    print("\n".join(tally.lines()))
    return _fail(tally.unreadable + ([tally.stopped] if tally.stopped else []))


def _seconds(path: Path) -> float | None:
    """Length of a FLAC file by its header; None when it is missing or damaged."""
    try:
        return float(soundfile.info(path).duration)
    except (soundfile.SoundFileError, OSError):
        return None


def _tell(out: Path, count: int, audio_dir: Path) -> None:
    print(f"{count} clips in {out}")
    print(f"Train with: python -m detectors train audio_llm --data_path {out} --audio_dir {audio_dir}")


def _fail(failed: list[str]) -> int:
    """Name what failed on stderr; the exit code."""
    for reason in failed[:_NAMED]:
        print(reason, file=sys.stderr)
    if len(failed) > _NAMED:
        print(f"... and {len(failed) - _NAMED} more", file=sys.stderr)
    return 1 if failed else 0


def _share(text: str) -> float:
    """A word error rate as a share, for argparse."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1; 0.1 stands for 10 %")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is below 0")
    return value
