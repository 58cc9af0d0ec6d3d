"""Conversations in and out of the two JSON forms; everything wrong is told with its file and line."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from detectors.errors import DetectorError
from detectors.labels.exports import write_export
from detectors.labels.forms import ANSWERS, QUESTION
from detectors.labels.store import LabelStore
from detectors.llm.data import (
    Conversation,
    read_audio_llm,
    read_conversations,
    read_messages,
    write_audio_llm,
    write_messages,
)
from detectors.llm.prompts import AUDIO, Turn
from tests.labels.labelled_stores import add_clip, label

Write = Callable[[str], Path]


@pytest.fixture
def clips(tmp_path: Path) -> list[Path]:
    """a.wav and b.wav, half a second each."""
    found = [tmp_path / "a.wav", tmp_path / "b.wav"]
    for path in found:
        soundfile.write(path, np.zeros(8000, np.float32), 16_000)
    return found


@pytest.fixture
def write(tmp_path: Path, clips: list[Path]) -> Write:
    def writer(text: str) -> Path:
        path = tmp_path / "data.json"
        path.write_text(text, encoding="utf-8")
        return path

    return writer


def rows(*found: object) -> str:
    return json.dumps(found, indent=1)


def line(*messages: object) -> str:
    return json.dumps({"messages": messages}) + "\n"


# AudioLLM's list


def test_a_row_is_a_question_and_an_answer(write: Write, clips: list[Path]) -> None:
    path = write(
        rows(
            {"text": "Describe the audio: <audio>", "audio_paths": "a.wav", "response": "A voice."},
            {"text": "<audio> or <audio>?", "audio_paths": ["b.wav", "a.wav"], "response": "The first."},
        )
    )
    assert read_audio_llm(path) == [
        Conversation(
            [Turn("user", "Describe the audio: <audio>"), Turn("assistant", "A voice.")], [clips[0]]
        ),
        Conversation([Turn("user", "<audio> or <audio>?"), Turn("assistant", "The first.")], clips[::-1]),
    ]


def test_audio_lies_in_the_audio_dir(write: Write, clips: list[Path], tmp_path: Path) -> None:
    path = write(rows({"text": AUDIO, "audio_paths": "c.wav", "response": "Hm."}))
    (tmp_path / "sound").mkdir()
    moved = clips[0].rename(tmp_path / "sound" / "c.wav")
    assert read_conversations(path, tmp_path / "sound")[0].paths == [moved]
    with pytest.raises(DetectorError, match=r"data.json, line 2: there is no audio file .*c.wav"):
        read_conversations(path)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"text": "Hello", "audio_paths": "a.wav", "response": "x"}, r"0 <audio> marker\(s\) for 1 audio"),
        ({"text": "<audio><audio>", "audio_paths": "a.wav", "response": "x"}, r"2 <audio> .* 1 audio"),
        ({"text": "<audio>", "response": "x"}, r"1 <audio> marker\(s\) for 0 audio"),
        ({"text": "<audio>", "audio_paths": 7, "response": "x"}, "must be a path or a list of paths, not 7"),
        ({"text": "<audio>", "audio_paths": "a.wav"}, 'needs a text in "response"'),
        ({"text": "<audio>", "audio_paths": "a.wav", "response": " "}, "empty answer"),
        ({"text": "<audio>", "audio_paths": "a.wav", "response": AUDIO}, "<audio> in the answer"),
        ("<audio>", "should be a JSON object"),
    ],
)
def test_a_wrong_row_is_told_with_its_line(write: Write, row: object, reason: str) -> None:
    right = {"text": "<audio>", "audio_paths": "a.wav", "response": "x"}
    path = write(f"[\n{json.dumps(right)},\n\n{json.dumps(row)}\n]")
    with pytest.raises(DetectorError, match=f"data.json, line 4.*{reason}"):
        read_audio_llm(path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('[\n{"text": "a"\n', "line 3 is not valid JSON"),
        ('[\n{"text": }]', "line 2 is not valid JSON"),
        ("{}", r"line 1 is not valid JSON \('\[' expected"),
        ("[] []", "line 1 is not valid JSON .the list ends"),
    ],
)
def test_broken_lists_are_told(write: Write, text: str, reason: str) -> None:
    with pytest.raises(DetectorError, match=f"data.json, {reason}"):
        read_audio_llm(write(text))


def test_an_empty_list_has_no_conversation(write: Write) -> None:
    assert read_conversations(write(" [ ] \n")) == []
    with pytest.raises(DetectorError, match="is empty"):
        read_conversations(write("\n"))


# Messages


def test_without_a_marker_the_audio_comes_first(write: Write, clips: list[Path]) -> None:
    path = write(
        line(
            {"role": "system", "content": "Be short."},
            {"role": "user", "audio": "a.wav", "content": "Is this audio real or fake?"},
            {"role": "assistant", "content": "Fake."},
            {"role": "user", "audio": ["b.wav"], "content": "And this one, <audio>?"},
            {"role": "assistant", "content": "Real.", "learn": False},
        )
        + "\n"
    )
    turns = [
        Turn("system", "Be short."),
        Turn("user", "<audio>Is this audio real or fake?"),
        Turn("assistant", "Fake."),
        Turn("user", "And this one, <audio>?"),
        Turn("assistant", "Real.", learn=False),
    ]
    assert read_conversations(path) == [Conversation(turns, clips)]


ASKED = {"role": "user", "audio": "a.wav", "content": "Real?"}
ANSWERED = {"role": "assistant", "content": "Real."}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (line({"role": "human", "content": "x"}), "role 'human'. Known: system, user, assistant"),
        (line({"role": "user"}, ANSWERED), 'needs a text in "content"'),
        (line({**ASKED, "audio": "no.wav"}, ANSWERED), "no audio file .*no.wav"),
        (line({**ASKED, "audio": [""]}, ANSWERED), "must be a path"),
        (line({**ASKED, "content": "<audio> <audio>"}, ANSWERED), r"2 <audio> marker\(s\) for 1"),
        (line(ASKED, {**ANSWERED, "audio": "a.wav"}), "gives audio to the assistant"),
        (line(ASKED, {**ANSWERED, "learn": 1}), "must be true or false"),
        (line(ASKED), "no answer of the assistant"),
        (line(ASKED, {**ANSWERED, "learn": False}), "no answer of the assistant"),
        ('{"message": []}\n', 'has no "messages" list'),
        ('{"messages": [}\n', "is not valid JSON"),
    ],
)
def test_a_wrong_line_is_told_with_its_number(write: Write, text: str, reason: str) -> None:
    path = write(line(ASKED, ANSWERED) + text)
    with pytest.raises(DetectorError, match=f"data.json, line 2.*{reason}"):
        read_messages(path)


def test_files_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match=r"none.json cannot be read: No such file"):
        read_messages(tmp_path / "none.json")
    (tmp_path / "latin.json").write_bytes(b'["\xe9"]')
    with pytest.raises(DetectorError, match="is not UTF-8"):
        read_conversations(tmp_path / "latin.json")


# Writing


def test_what_is_written_reads_back(tmp_path: Path, clips: list[Path]) -> None:
    conversations = [
        Conversation(
            [
                Turn("system", "Grüße"),
                Turn("user", "<audio><audio>Same voice?"),
                Turn("assistant", "No.", learn=False),
                Turn("user", "<audio>"),
                Turn("assistant", "It is the first."),
            ],
            [*clips, clips[0]],
        ),
        Conversation([Turn("user", "Then <audio></audio>?"), Turn("assistant", "Real.")], clips[1:]),
    ]
    path = tmp_path / "out" / "talk.jsonl"
    assert write_messages(path, conversations, tmp_path) == 2
    assert read_conversations(path, tmp_path) == conversations
    first = json.loads(path.read_text(encoding="utf-8").splitlines()[0])["messages"]
    assert first[1] == {"role": "user", "audio": ["a.wav", "b.wav"], "content": "Same voice?"}
    assert write_audio_llm(tmp_path / "rows.json", conversations[1:]) == 1
    assert read_conversations(tmp_path / "rows.json") == conversations[1:]


def test_paths_elsewhere_stay_whole(tmp_path: Path, clips: list[Path]) -> None:
    conversation = Conversation([Turn("user", "<audio>Real?"), Turn("assistant", "Real.")], clips[:1])
    write_messages(tmp_path / "out" / "talk.jsonl", [conversation])
    assert read_messages(tmp_path / "out" / "talk.jsonl") == [conversation]


def test_the_list_cannot_hold_several_answers(tmp_path: Path) -> None:
    long = Conversation([Turn("user", "a"), Turn("assistant", "b")] * 2, [])
    with pytest.raises(DetectorError, match="more than a question and an answer"):
        write_audio_llm(tmp_path / "rows.json", [long])
    assert list(tmp_path.iterdir()) == []


# What people labelled


@pytest.mark.parametrize(("form", "ending"), [("messages", "jsonl"), ("audio_llm", "json")])
def test_an_export_of_labels_reads_back(tmp_path: Path, form: str, ending: str) -> None:
    store = LabelStore(tmp_path / "data")
    said = {}
    for number, answer in enumerate(["bonafide", "spoof", "spoof", "bonafide"]):
        item = add_clip(store, tmp_path / "clips", f"{number}.wav", source=f"page {number}")
        label(store, item, answer)
        said[item.sha256] = ANSWERS[answer]
    out = tmp_path / "out"
    write_export(store, out, form)
    originals = {store.audio_path(sha256).read_bytes(): answer for sha256, answer in said.items()}
    store.close()
    audio_dir = out / "audio" if form == "audio_llm" else None
    read = [
        conversation
        for part in ("train", "dev")
        if (out / f"{part}.{ending}").exists()
        for conversation in read_conversations(out / f"{part}.{ending}", audio_dir)
    ]
    assert {c.paths[0].read_bytes(): c.turns[1].content for c in read} == originals
    assert {c.turns[0].content.replace(AUDIO, "").strip() for c in read} == {QUESTION}
