"""The language model behind the chat, with tiny random weights: what it hears, says and refuses."""

from dataclasses import replace
from pathlib import Path
from threading import Event

import numpy as np
import pytest
import torch

from detectors.audio import SAMPLE_RATE
from detectors.chat.conversation import turns_of
from detectors.chat.facts import FactSheet, Part, measure, sheet_of
from detectors.chat.talker import (
    HEARS,
    MAX_QUESTION,
    Speaker,
    check_question,
    excerpt,
    load_speaker,
    talker_status,
)
from detectors.errors import DetectorError
from detectors.llm.checkpoint import save_audio_llm
from tests.llm.tiny import tiny_audio_llm


def noise(seconds: float) -> np.ndarray:
    return np.random.default_rng(3).normal(0, 0.1, int(seconds * SAMPLE_RATE)).astype(np.float32)


def sheet(strongest: Part | None = None) -> FactSheet:
    return replace(sheet_of({}, None, measure(noise(1.0))), strongest=strongest, weakest=strongest)


@pytest.fixture(scope="module")
def speaker() -> Speaker:
    return Speaker(tiny_audio_llm())


@pytest.mark.parametrize(
    ("start", "heard_from"), [(0.0, 0.0), (4.0, 4.0), (8.5, 7.0), (90.0, 7.0), (None, 0.0)]
)
def test_the_most_machine_like_part_is_heard(start: float | None, heard_from: float) -> None:
    wave = noise(10.0)
    part = None if start is None else Part(start, start + 3.0, 0.9)
    first = int(heard_from * SAMPLE_RATE)
    assert np.array_equal(excerpt(wave, sheet(part)), wave[first : first + int(HEARS * SAMPLE_RATE)])


def test_a_short_clip_is_heard_whole() -> None:
    wave = noise(1.2)
    assert np.array_equal(excerpt(wave, sheet(Part(0.5, 1.2, 0.9))), wave)


def test_the_same_question_is_answered_the_same_but_not_at_the_second_try(speaker: Speaker) -> None:
    about = speaker.about(noise(2.0), sheet())
    turns = turns_of(sheet(), [("Why?", "So.")], "Sure?")
    first, again, second = ("".join(about.answer(turns, Event(), attempt)) for attempt in (0, 0, 1))
    assert first == again
    assert first != second


def test_the_answer_depends_on_the_clip(speaker: Speaker) -> None:
    turns = turns_of(sheet(), [], "Is it real?")
    answers = {
        "".join(speaker.about(gain * noise(seconds), sheet()).answer(turns, Event(), 0))
        for gain, seconds in ((1, 3.0), (1, 1.0), (np.sign(noise(1.0)), 1.0))
    }
    assert len(answers) > 1


def test_a_stop_ends_the_answer(speaker: Speaker) -> None:
    stop = Event()
    pieces = speaker.about(noise(1.0), sheet()).answer(turns_of(sheet(), [], "Why?"), stop, 0)
    next(pieces)
    stop.set()
    assert len(list(pieces)) <= 1  # the character that was under way


def test_a_checkpoint_that_is_missing_is_told(tmp_path: Path) -> None:
    reason = talker_status(tmp_path / "audio_llm-mini")
    assert reason is not None
    assert reason.endswith("/audio_llm-mini, are missing or damaged")
    with pytest.raises(DetectorError, match="no AudioLLM checkpoint"):
        load_speaker(tmp_path / "audio_llm-mini", "cpu")


def test_a_language_model_that_is_missing_is_told(tmp_path: Path) -> None:
    save_audio_llm(tiny_audio_llm(), tmp_path / "chat", {}, torch.float32)
    config = (tmp_path / "chat" / "config.json").read_text()
    (tmp_path / "chat" / "config.json").write_text(config.replace('"tiny"', f'"{tmp_path / "gone"}"'))
    reason = talker_status(tmp_path / "chat")
    assert reason is not None
    assert "gone" in reason
    with pytest.raises(DetectorError, match="gone"):
        load_speaker(tmp_path / "chat", "cpu")


def test_a_saved_one_speaks_as_before(tmp_path: Path, speaker: Speaker) -> None:
    base = tmp_path / "base"
    made = tiny_audio_llm()
    turns, before = turns_of(sheet(), [], "Why?"), Speaker(made)
    said = "".join(before.about(noise(1.0), sheet()).answer(turns, Event(), 0))
    save_audio_llm(made, tmp_path / "chat", {}, torch.float32)
    made.merge()  # takes the adapter apart: what is left is the base with its additions
    plain = tiny_audio_llm()
    plain.tokenizer.save_pretrained(base)
    plain.llm.unload().save_pretrained(base)
    config = (tmp_path / "chat" / "config.json").read_text()
    (tmp_path / "chat" / "config.json").write_text(config.replace('"tiny"', f'"{base}"'))
    assert talker_status(tmp_path / "chat") is None
    loaded = load_speaker(tmp_path / "chat", "cpu", merge=True)
    assert "".join(loaded.about(noise(1.0), sheet()).answer(turns, Event(), 0)) == said


@pytest.mark.parametrize("question", ["", "  \n", None, 7])
def test_no_question_is_refused(question: object) -> None:
    with pytest.raises(DetectorError, match="no question yet"):
        check_question(question)  # type: ignore[arg-type]


def test_a_question_is_one_line_of_bounded_length_without_marks() -> None:
    assert check_question(" Why\n so? ") == "Why so?"
    assert check_question("x" * MAX_QUESTION) == "x" * MAX_QUESTION
    with pytest.raises(DetectorError, match="500 characters at most, and this one has 501"):
        check_question("x" * (MAX_QUESTION + 1))
    assert check_question("<audio> </audio> <|im_end|> <b> 1 < 2") == "‹audio> ‹/audio> ‹|im_end|> <b> 1 < 2"
