"""`evaluate-llm`: how well a checkpoint answers what it was not trained on.

    python -m detectors evaluate-llm assets/audio_llm-mini --data held_out.json --audio-dir clips

DATA is a JSON list as AudioLLM's ({"text", "audio_paths", "response"}) or JSONL as ALLM4ADD's
({"messages": [...]}). Printed are the loss of the expected answers, the share of answers that are right to
the word, and for prompts that ask for a transcript the word error rate (WER).
"""

import argparse
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from tqdm import tqdm

from detectors.errors import DetectorError
from detectors.llm.checkpoint import load_audio_llm
from detectors.llm.clips import read_clip
from detectors.llm.data import read_conversations
from detectors.llm.generate import answer
from detectors.llm.model import AudioLlm
from detectors.llm.prompts import Example, Turn, clips_wanted
from detectors.registry import resolve_device

#: What a prompt has that asks for the words of a clip.
_TRANSCRIPT = re.compile(r"transcri|word for word|write (down )?what|what (is|was) (being )?said", re.I)


@dataclass(frozen=True)
class Report:
    """loss: nats a token of the expected answers. accuracy: share of answers right to the word, but for
    capitals and punctuation, of the prompts that ask for no transcript. wer: of those that do. None: no such
    prompt."""

    examples: int
    loss: float
    accuracy: float | None
    answered: int
    wer: float | None
    transcribed: int


@torch.no_grad()
def held_out_loss(model: AudioLlm, examples: Sequence[Example], size: int = 8) -> float:
    """Mean cross-entropy over all learnt tokens of the examples, in nats."""
    losses = [
        model.token_losses(model.prompt(examples[start : start + size])).cpu()
        for start in range(0, len(examples), size)
    ]
    return float(torch.cat(losses).mean())


def evaluate(model: AudioLlm, examples: Sequence[Example], max_new_tokens: int = 120) -> Report:
    """Compare the model's last answer in each example with the expected one. Turns after it are left out.

    Raises DetectorError when there is nothing to evaluate.
    """
    if not examples:
        raise DetectorError("There is nothing to evaluate: the data has no example.")
    said: dict[bool, list[tuple[str, str]]] = {False: [], True: []}
    for example in tqdm(examples, desc="answering", unit="example"):
        last = max(i for i, turn in enumerate(example.turns) if turn.role == "assistant")
        asked, expected = example.turns[:last], example.turns[last]
        found = answer(model, asked, example.features[: clips_wanted(asked)], max_new_tokens)
        said[asks_for_transcript(asked)].append((normalised(expected.content), normalised(found)))
    right = [expected == found for expected, found in said[False]]
    return Report(
        examples=len(examples),
        loss=held_out_loss(model, examples),
        accuracy=sum(right) / len(right) if right else None,
        answered=len(right),
        wer=word_error_rate(said[True]) if said[True] else None,
        transcribed=len(said[True]),
    )


def asks_for_transcript(turns: Sequence[Turn]) -> bool:
    """True when the last question wants to know what is said."""
    return bool(_TRANSCRIPT.search(turns[-1].content))


def normalised(text: str) -> str:
    """Lower case words without punctuation, one space apart."""
    return " ".join(re.sub(r"[^\w' ]", " ", text.casefold().replace("’", "'")).split())


def word_error_rate(pairs: Sequence[tuple[str, str]]) -> float:
    """Wrong, missing and added words over the words of the (expected, found) pairs.

    Raises DetectorError when the package that aligns them is not installed.
    """
    try:
        import jiwer
    except ImportError as error:
        raise DetectorError("Word error rates need the package jiwer: pip install jiwer") from error
    spoken = [(expected, found) for expected, found in pairs if expected]
    if not spoken:
        raise DetectorError("The expected transcripts are empty, so they have no word error rate.")
    return float(jiwer.wer([expected for expected, _ in spoken], [found for _, found in spoken]))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", type=Path, help="folder that training wrote")
    parser.add_argument("--data", type=Path, required=True, help=".json as AudioLLM's, .jsonl as ALLM4ADD's")
    parser.add_argument("--audio-dir", type=Path, help="what its paths are relative to; default: its folder")
    parser.add_argument("--limit", type=int, help="use only the first so many examples")
    parser.add_argument("--max-new-tokens", type=int, default=120)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--json", action="store_true")


def run(args: argparse.Namespace) -> int:
    device = resolve_device(args.device)
    conversations = read_conversations(args.data, args.audio_dir)[: args.limit]
    model = load_audio_llm(args.checkpoint, merge=True).to(device)
    with torch.inference_mode():
        examples = [
            Example(c.turns, [model.hear(read_clip(str(path))[None].to(device))[0] for path in c.paths])
            for c in conversations
        ]
    report = evaluate(model, examples, args.max_new_tokens)
    print(json.dumps(asdict(report)) if args.json else _printed(report))
    return 0


def _printed(report: Report) -> str:
    lines = [
        f"{report.examples} examples",
        f"loss      {report.loss:.3f} nats a token of the expected answers",
    ]
    if report.accuracy is not None:
        lines.append(f"accuracy  {100 * report.accuracy:.1f} % of {report.answered} answers")
    if report.wer is not None:
        lines.append(f"WER       {100 * report.wer:.1f} % in {report.transcribed} transcripts")
    return "\n".join(lines)
