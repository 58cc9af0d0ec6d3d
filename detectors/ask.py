"""One question about one clip: every detector that can run listens, then the chat answers from the facts.

The answer goes to stdout; who wrote it, and what could not run, to stderr. Exit codes: 0 answered, 1 the
clip cannot be judged, 2 unusable arguments.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from detectors.audio import load_audio
from detectors.chat.conversation import Talker, reply
from detectors.chat.facts import FactSheet, measure, sheet_of
from detectors.chat.talker import check_question, load_speaker, talker_status
from detectors.detection import Detection
from detectors.errors import DetectorError
from detectors.fusion import fused, uncounted

WRITTEN_BY = {
    "model": "Written by the language model; its numbers were checked against the analysis.",
    "template": "Put together from the measured facts by a template.",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `python -m detectors ask`."""
    parser.add_argument("path", type=Path, metavar="PATH", help="sound file")
    parser.add_argument("question", help='in quotes, such as "Where should I listen?"')
    parser.add_argument("--preset", choices=("mini", "full"), default="mini", help="size of the detectors")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="default: auto")
    parser.add_argument(
        "--data", type=Path, metavar="FOLDER", help="data folder whose fine-tuned versions are to be used"
    )
    parser.add_argument(
        "--no-model", action="store_true", help="answer from the facts alone, without the language model"
    )


def run(args: argparse.Namespace) -> int:
    """Print the answer; 0, or 1 when the clip cannot be judged. DetectorError: unusable arguments."""
    question = check_question(args.question)
    if not args.path.is_file():
        raise DetectorError(f"{args.path} does not exist or is not a file. Check the name.")
    # Imported here: torch takes seconds to load, and most refusals need none of it.
    from detectors.registry import resolve_device

    device = resolve_device(args.device)
    try:
        wave = load_audio(args.path)
        sheet = judge(wave, args.preset, device, args.data)
    except DetectorError as error:
        print(f"{args.path}: {error}", file=sys.stderr)
        return 1
    *_, answer = reply(None if args.no_model else _talker(wave, sheet, device), sheet, [], question)
    print(answer.text)
    print(WRITTEN_BY[answer.speaker], file=sys.stderr)
    return 0


def judge(wave: np.ndarray, preset: str, device: str, data: Path | None) -> FactSheet:
    """The facts about a clip, from every detector that can run; why others cannot goes to stderr.

    Raises DetectorError when the clip is refused by all that ran.
    """
    from detectors.registry import available_detectors, load_detector

    found: dict[str, Detection] = {}
    versions: dict[str, str] = {}
    missing: dict[str, str] = {}
    refusals: list[DetectorError] = []
    for name in available_detectors():
        try:
            detector = load_detector(name, preset, device=device, data=data, progress=Telling())
        except DetectorError as error:
            missing[name] = str(error)
            print(f"Without {name}: {error}", file=sys.stderr)
            continue
        try:
            found[name] = detector.analyze(wave)
            versions[name] = detector.version
        except DetectorError as error:
            missing[name] = str(error)
            refusals.append(error)
    if refusals and not found:
        raise refusals[0]
    llr = fused({name: detection.llr for name, detection in found.items()}, versions) if found else None
    return sheet_of(found, llr, measure(wave), missing, left_out=uncounted(versions))


def _talker(wave: np.ndarray, sheet: FactSheet, device: str) -> Talker | None:
    try:
        reason = talker_status()
        if reason is None:
            return load_speaker(device=device, progress=Telling(), merge=True).about(wave, sheet)
    except DetectorError as error:
        reason = str(error)
    print(f"Without the language model: {reason.rstrip('.')}.", file=sys.stderr)
    return None


class Telling:
    """Says on stderr what is being fetched: how far on a terminal, in a log once for each thing."""

    def __init__(self) -> None:
        self._told = ""

    def __call__(self, share: float, doing: str) -> None:
        if sys.stderr.isatty():
            # To the start of the line, and clear what was on it.
            print(
                f"\r\x1b[K{doing}: {share:.0%}", end="\n" if share >= 1 else "", file=sys.stderr, flush=True
            )
        elif doing != self._told:
            print(f"{doing}...", file=sys.stderr)
        self._told = doing
