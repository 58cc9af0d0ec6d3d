"""The command `evaluate-chat`, with a speaker that reads the facts aloud."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from detectors.__main__ import main
from detectors.chat import evaluate_chat
from detectors.chat.facts import FactSheet
from detectors.chat.templates import template_answer
from detectors.llm.prompts import Turn


class Speaker:
    """Answers with the template; `heard` are the clips [s] that it was given."""

    def __init__(self) -> None:
        self.heard: list[np.ndarray] = []

    def about(self, wave: np.ndarray, sheet: FactSheet) -> "Reader":
        self.heard.append(wave)
        return Reader(sheet)


class Reader:
    def __init__(self, sheet: FactSheet) -> None:
        self.sheet = sheet

    def answer(self, turns: Sequence[Turn], stop: Event, attempt: int) -> Iterator[str]:
        yield template_answer(turns[-1].content.removeprefix("<audio>"), self.sheet)


@pytest.fixture
def speaker(monkeypatch: pytest.MonkeyPatch) -> Speaker:
    found = Speaker()
    monkeypatch.setattr(evaluate_chat, "load_speaker", lambda *args, **kwargs: found)
    return found


def test_it_prints_shares_and_keeps_every_answer(
    speaker: Speaker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report.json"
    assert main(["evaluate-chat", "--count", "41", "--examples", "2", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "free of any contradiction, before any mending: 100.0%" in printed
    assert printed.count("\n**") == 2
    report = json.loads(out.read_text(encoding="utf-8"))
    assert (report["count"], report["clean"], report["replaced"]) == (41, 1.0, 0.0)
    assert len(report["answers"]) == len(speaker.heard) == 41


def test_it_refuses_to_ask_nothing(speaker: Speaker, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate-chat", "--count", "0"]) == 2
    assert "--count must be 1 or more" in capsys.readouterr().err
