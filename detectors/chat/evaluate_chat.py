"""How well the chat's language model keeps to the facts.

    python -m detectors evaluate-chat --checkpoint assets/audio_llm-mini --count 300 --seed 7

Questions in phrasings that are not trained on, about random fact sheets. Each answer is checked before any
mending: every number, time, detector, ranking and verdict in it. The clip that the model hears is one of the
examples, of the side that the sheet's verdict names.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np

from detectors.audio import load_audio
from detectors.cards import ASSETS
from detectors.chat.conversation import Talker
from detectors.chat.grounding import GroundedReport, Judged, grounded_report
from detectors.chat.questions import TestItem, test_questions
from detectors.chat.talker import CHECKPOINT, load_speaker
from detectors.errors import DetectorError

_EXAMPLES = ASSETS / "examples"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--checkpoint", type=Path, default=CHECKPOINT, help="folder of the trained model (%(default)s)"
    )
    parser.add_argument("--count", type=int, default=320, help="questions (%(default)s)")
    parser.add_argument("--seed", type=int, default=7, help="draws the questions (%(default)s)")
    parser.add_argument("--examples", type=int, default=20, help="answers to show in full (%(default)s)")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (%(default)s)")
    parser.add_argument(
        "--untuned", action="store_true", help="without the adapter: the base model's figures"
    )
    parser.add_argument("--out", type=Path, help="write everything to this file as JSON")


def run(args: argparse.Namespace) -> int:
    """Print the report; DetectorError for unusable arguments."""
    if args.count < 1:
        raise DetectorError(f"--count must be 1 or more, not {args.count}.")
    speaker = load_speaker(args.checkpoint, args.device, merge=not args.untuned)
    without_adapter = speaker.model.llm.disable_adapter() if args.untuned else nullcontext()
    with without_adapter:
        report = grounded_report(
            _hearing(speaker.about), test_questions(args.count, args.seed), _progress(args.count)
        )
    if args.out:
        args.out.write_text(json.dumps(report.summary(), indent=1, ensure_ascii=False), encoding="utf-8")
    print("\n".join(report_lines(report, args.examples)))
    return 0


def _hearing(about: Callable[..., Talker]) -> Callable[[TestItem], Talker]:
    """A talker for each question, hearing an example clip of the sheet's side."""
    clips = {side: _clips(side) for side in ("human", "machine")}

    def talker_for(item: TestItem) -> Talker:
        fitting = clips["machine" if item.sheet.verdict == "spoof" else "human"]
        return about(fitting[len(item.question) % len(fitting)], item.sheet)

    return talker_for


def _clips(side: str) -> Sequence[np.ndarray]:
    paths = sorted(path for path in _EXAMPLES.glob(f"{side}-*") if path.is_file())
    if not paths:
        raise DetectorError(f"There is no example clip {side}-* in {_EXAMPLES}. Restore that folder.")
    return [load_audio(path) for path in paths]


def _progress(count: int) -> Callable[[int], None]:
    def tell(done: int) -> None:
        print(f"\r{done}/{count}", end="\n" if done == count else "", file=sys.stderr, flush=True)

    return tell


def report_lines(report: GroundedReport, examples: int) -> list[str]:
    """The report as Markdown: shares, a row for each kind of question, and `examples` answers in full."""
    found = [
        f"{len(report.judged)} questions in phrasings that were not trained on",
        f"free of any contradiction, before any mending: {report.clean:.1%}",
        f"give the facts that were asked for: {report.fitting:.1%}",
        f"mended by a second try: {report.mended:.1%}",
        f"replaced by a template: {report.replaced:.1%}",
        "",
        "| kind | questions | clean | fitting |",
        "|---|---|---|---|",
    ]
    found += [
        f"| {intent} | {count} | {clean} | {fitting} |"
        for intent, (count, clean, fitting) in report.by_intent().items()
    ]
    for one in spread_out(report.judged, examples):
        found += ["", f"**{one.question}**  ", f"{one.first}  "]
        found += [f"- {wrong}" for wrong in one.contradictions]
        if one.shown != one.first.strip():
            found.append(f"Shown instead ({one.speaker}): {one.shown}")
    return found


def spread_out(judged: Sequence[Judged], count: int) -> list[Judged]:
    """`count` of them, evenly from first to last: no choosing of the best."""
    if count <= 0:
        return []
    return [
        judged[i] for i in np.unique(np.linspace(0, len(judged) - 1, min(count, len(judged))).astype(int))
    ]
