"""`python -m detectors ask`: the answer on stdout, who spoke on stderr, the exit codes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detectors.__main__ import main
from detectors.detection import Detection, Window, p_spoof_of
from detectors.errors import DetectorError
from tests.demo.fake_detectors import write_clip
from tests.demo.fake_talkers import FakeTalker

TRUE = "The detectors agree."


class Loud:
    """Calls every clip of a second or more machine-made."""

    version = "loud-1"

    def analyze(self, wave: np.ndarray) -> Detection:
        seconds = len(wave) / 16_000
        if seconds < 1:
            raise DetectorError("This clip is too short.")
        window = Window(0.0, seconds, -3.0, -3.0, p_spoof_of(-3.0))
        return Detection("sls", -3.0, -3.0, window.p_spoof, [window], seconds, "cpu")


@pytest.fixture(autouse=True)
def _detectors(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str, preset: str, **how: Any) -> Loud:
        if name == "allm4add":
            raise DetectorError("its weights are missing.")
        return Loud()

    monkeypatch.setattr("detectors.registry.load_detector", load)
    monkeypatch.setattr("detectors.ask.talker_status", lambda: "its weights are missing")


@pytest.fixture
def clip(tmp_path: Path) -> str:
    return str(write_clip(tmp_path / "clip.wav", seconds=2.0))


Asking = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Asking:
    def ask(*arguments: str) -> tuple[int, str, str]:
        code = main(["ask", *arguments, "--device", "cpu"])
        told = capsys.readouterr()
        return code, told.out, told.err

    return ask


def test_the_facts_answer_where_there_is_no_model(ask: Asking, clip: str) -> None:
    code, answer, told = ask(clip, "What is the verdict?")
    assert code == 0
    assert "0.95" in answer
    assert answer.count("\n") == 1
    assert "Without allm4add: its weights are missing." in told
    assert "Without the language model: its weights are missing.\n" in told
    assert "by a template" in told


def test_the_model_speaks_where_there_is_one(ask: Asking, clip: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detectors.ask.talker_status", lambda: None)
    monkeypatch.setattr("detectors.ask.load_speaker", lambda **how: FakeTalker([TRUE]))
    code, answer, told = ask(clip, "Do the detectors agree?")
    assert (code, answer) == (0, TRUE + "\n")
    assert "its numbers were checked" in told
    code, answer, told = ask(clip, "Do the detectors agree?", "--no-model")
    assert "by a template" in told


def test_a_model_that_cannot_be_loaded_does_not_stop_the_answer(
    ask: Asking, clip: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**how: Any) -> None:
        how["progress"](0.1, "fetching the language model (93 MB, once)")
        how["progress"](0.2, "fetching the language model (93 MB, once)")
        raise DetectorError("The index cannot be reached.")

    monkeypatch.setattr("detectors.ask.talker_status", lambda: None)
    monkeypatch.setattr("detectors.ask.load_speaker", fail)
    code, _, told = ask(clip, "What is the verdict?")
    assert code == 0
    assert told.count("fetching the language model (93 MB, once)...\n") == 1
    assert "Without the language model: The index cannot be reached.\n" in told


def test_a_clip_that_cannot_be_judged(ask: Asking, tmp_path: Path) -> None:
    short = write_clip(tmp_path / "short.wav", seconds=0.6)
    code, answer, told = ask(str(short), "Why?")
    assert (code, answer) == (1, "")
    assert f"{short}: This clip is too short." in told


@pytest.mark.parametrize(
    ("path", "question", "reason"),
    [("gone.wav", "Why?", "does not exist"), (None, "x" * 501, "500 characters"), (None, " ", "no question")],
)
def test_unusable_arguments(ask: Asking, clip: str, path: str | None, question: str, reason: str) -> None:
    code, answer, told = ask(path or clip, question)
    assert (code, answer) == (2, "")
    assert reason in told
