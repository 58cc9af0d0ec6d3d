"""How well a checkpoint answers: loss, right answers, word error rate."""

import builtins
import json
from pathlib import Path
from typing import Any

import pytest
import soundfile
import torch

from detectors.__main__ import main
from detectors.errors import DetectorError
from detectors.llm import checkpoint, evaluate
from detectors.llm.checkpoint import save_audio_llm
from detectors.llm.evaluate import asks_for_transcript, held_out_loss, normalised, word_error_rate
from detectors.llm.model import AudioLlm
from detectors.llm.prompts import Example, Turn
from tests.llm.tiny import tiny_audio_llm, tiny_llm, tiny_tokenizer, waves


@pytest.fixture(scope="module")
def model() -> AudioLlm:
    return tiny_audio_llm()


def asked(question: str, answer: str, model: AudioLlm, seed: int = 0) -> Example:
    turns = [Turn("user", f"<audio>{question}"), Turn("assistant", answer)]
    with torch.inference_mode():
        return Example(turns, [model.hear(waves(1, 8_000, seed))[0]])


def test_the_held_out_loss_counts_each_token_alike(model: AudioLlm) -> None:
    examples = [asked("Real?", answer, model, k) for k, answer in enumerate(("Fake.", "Real. It is.", "No."))]
    with torch.inference_mode():
        losses = torch.cat([model.token_losses(model.prompt([example])) for example in examples])
    assert held_out_loss(model, examples, size=2) == pytest.approx(losses.mean().item(), rel=1e-4)


def test_answers_and_transcripts_are_measured_apart(model: AudioLlm, monkeypatch: pytest.MonkeyPatch) -> None:
    says = {"Real?": "fake", "Fake?": "Real.", "Transcribe the audio.": "the black cat sat"}

    def answer(_: Any, turns: list[Turn], features: list[torch.Tensor], most: int) -> str:
        assert [turn.role for turn in turns] == ["user"]
        assert len(features) == 1
        return says[turns[-1].content.removeprefix("<audio>")]

    monkeypatch.setattr(evaluate, "answer", answer)
    expected = {"Real?": "Fake.", "Fake?": "Fake.", "Transcribe the audio.": "The cat sat down."}
    report = evaluate.evaluate(model, [asked(q, a, model) for q, a in expected.items()])
    assert (report.examples, report.answered, report.transcribed) == (3, 2, 1)
    assert report.accuracy == 0.5
    assert report.wer == pytest.approx(2 / 4)  # one word too many, one missing
    assert report.loss > 0
    only = evaluate.evaluate(model, [asked("Real?", "Fake.", model)])
    assert only.wer is None
    assert only.accuracy == 1


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("<audio>Transcribe this.", True),
        ("Give the transcript: <audio>", True),
        ("<audio>What is said?", True),
        ("<audio>Write what you hear, word for word.", True),
        ("<audio>Is this audio real or fake?", False),
        ("Describe the audio: <audio>", False),
    ],
)
def test_prompts_that_ask_for_words_are_known(question: str, expected: bool) -> None:
    assert asks_for_transcript([Turn("user", question)]) == expected


def test_capitals_and_punctuation_do_not_count() -> None:
    assert normalised("  It's FAKE — a copy.\n") == "it's fake a copy"
    assert normalised("It’s") == "it's"
    assert normalised("...") == ""


def test_word_error_rate_by_hand() -> None:
    pairs = [("a b c d", "a x c"), ("e f", "e f"), ("", "noise")]
    assert word_error_rate(pairs) == pytest.approx(2 / 6)
    with pytest.raises(DetectorError, match="are empty"):
        word_error_rate([("", "noise")])


def test_without_jiwer_the_way_to_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def refuse(name: str, *rest: Any) -> Any:
        if name == "jiwer":
            raise ImportError
        return original(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(DetectorError, match="pip install jiwer"):
        word_error_rate([("a", "a")])


def test_nothing_to_evaluate_is_refused(model: AudioLlm) -> None:
    with pytest.raises(DetectorError, match="nothing to evaluate"):
        evaluate.evaluate(model, [])


@pytest.fixture
def data(tmp_path: Path, model: AudioLlm, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The command's arguments: a checkpoint, and data in AudioLLM's form."""

    def load_base(name: str, dtype: torch.dtype, progress: Any) -> tuple[Any, Any]:
        tokenizer = tiny_tokenizer()
        return tiny_llm(len(tokenizer)), tokenizer

    monkeypatch.setattr(checkpoint, "load_base", load_base)
    save_audio_llm(model, tmp_path / "model", {}, torch.float32)
    soundfile.write(tmp_path / "a.wav", waves(1, 8_000)[0].numpy(), 16_000)
    rows = [
        {"text": "<audio>Real?", "audio_paths": "a.wav", "response": "Fake."},
        {"text": "Transcribe: <audio>", "audio_paths": "a.wav", "response": "One two."},
    ]
    (tmp_path / "data.json").write_text(json.dumps(rows))
    return [str(tmp_path / "model"), "--data", str(tmp_path / "data.json"), "--max-new-tokens", "4"]


def test_the_command_prints_a_report(data: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate-llm", *data, "--device", "cpu", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["examples"] == 2
    assert report["loss"] > 0
    assert report["accuracy"] == 0
    assert report["wer"] > 0
    assert main(["evaluate-llm", *data, "--device", "cpu", "--limit", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "1 examples"
    assert lines[2].startswith("accuracy  0.0 % of 1 answers")
    assert len(lines) == 3
