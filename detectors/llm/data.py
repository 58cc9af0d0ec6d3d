"""Conversations with clips, read from and written to the forms that audio language models share.

Whatever is wrong in a file is told with the file and the line.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from detectors.errors import DetectorError
from detectors.llm.formats import (
    LIST_END,
    audio_llm_row,
    begins_with_list,
    list_element,
    message,
    messages_line,
    paths_in,
    read_json_lines,
    read_json_list,
    whole_file,
)
from detectors.llm.prompts import AUDIO, Role, Turn

_ROLES: tuple[str, ...] = get_args(Role)


@dataclass(frozen=True)
class Conversation:
    """Turns and, for each <audio> marker in them, the path of one clip, in order."""

    turns: list[Turn]
    paths: list[Path]


def read_conversations(path: Path, audio_dir: Path | None = None) -> list[Conversation]:
    """The conversations of a file in either form; its first sign tells which. See the two below."""
    read = read_audio_llm if begins_with_list(path) else read_messages
    return read(path, audio_dir)


def read_audio_llm(path: Path, audio_dir: Path | None = None) -> list[Conversation]:
    """The rows of an AudioLLM JSON file as a question and an answer each.

    audio_dir: what audio paths are relative to; without it, the file's folder. Raises DetectorError naming
    file and line for broken JSON, a missing field, missing audio, or another number of paths than markers.
    """
    base = audio_dir or path.parent
    return [_of_row(_object(row, where), base, where) for where, row in read_json_list(path)]


def read_messages(path: Path, audio_dir: Path | None = None) -> list[Conversation]:
    """The lines of a messages JSONL file.

    audio_dir: what audio paths are relative to; without it, the file's folder. An assistant's message with
    "learn": false is given, not learnt. Raises DetectorError naming file and line for broken JSON, an
    unknown role, missing audio, another number of paths than markers, or nothing to learn.
    """
    base = audio_dir or path.parent
    return [_of_line(_object(row, where), base, where) for where, row in read_json_lines(path)]


def write_audio_llm(path: Path, conversations: Iterable[Conversation], audio_dir: Path | None = None) -> int:
    """Write conversations of one question and one answer as AudioLLM's list; returns how many.

    audio_dir: what paths are made relative to where they lie in it; without it, the file's folder.
    Raises DetectorError for a conversation with other turns.
    """
    count = 0
    with whole_file(path) as file:
        for conversation in conversations:
            if [turn.role for turn in conversation.turns] != ["user", "assistant"]:
                raise DetectorError(
                    f"Conversation {count + 1} is more than a question and an answer, which AudioLLM's form "
                    "cannot hold. Write it as messages."
                )
            question, answer = conversation.turns
            audio = _relative(conversation.paths, audio_dir or path.parent)
            row = audio_llm_row(question.content, audio, answer.content)
            file.write(list_element(row, first=not count))
            count += 1
        file.write(LIST_END if count else "[]\n")
    return count


def write_messages(path: Path, conversations: Iterable[Conversation], audio_dir: Path | None = None) -> int:
    """Write conversations as messages, one a line; returns how many. audio_dir: as in write_audio_llm.

    A marker that stands before all words is left out, as ALLM4ADD has it.
    """
    count = 0
    with whole_file(path) as file:
        for conversation in conversations:
            audio = _relative(conversation.paths, audio_dir or path.parent)
            file.write(messages_line(list(_messages(conversation.turns, audio))))
            count += 1
    return count


def _messages(turns: Sequence[Turn], audio: Sequence[str]) -> Iterator[dict[str, Any]]:
    used = 0
    for turn in turns:
        wanted = turn.content.count(AUDIO)
        words = turn.content.removeprefix(AUDIO * wanted)
        content = words if words and AUDIO not in words else turn.content
        found = message(turn.role, content, audio[used : used + wanted])
        used += wanted
        yield found if turn.learn else {**found, "learn": False}


def _of_row(fields: dict[str, Any], audio_dir: Path, where: str) -> Conversation:
    text, response = (_words(fields, name, where) for name in ("text", "response"))
    paths = _audio(fields, "audio_paths", audio_dir, where)
    _check_markers(text, paths, where)
    return Conversation([Turn("user", text), Turn("assistant", _answer(response, where))], paths)


def _of_line(fields: dict[str, Any], audio_dir: Path, where: str) -> Conversation:
    messages = fields.get("messages")
    if not isinstance(messages, list):
        raise DetectorError(f'{where} has no "messages" list. Write {{"messages": [...]}} on each line.')
    turns: list[Turn] = []
    paths: list[Path] = []
    for message_fields in messages:
        turn, heard = _turn(_object(message_fields, where), audio_dir, where)
        turns.append(turn)
        paths += heard
    if not any(turn.role == "assistant" and turn.learn for turn in turns):
        raise DetectorError(f"{where} has no answer of the assistant, so there is nothing to learn from.")
    return Conversation(turns, paths)


def _turn(fields: dict[str, Any], audio_dir: Path, where: str) -> tuple[Turn, list[Path]]:
    """One message and the clips in it."""
    role = fields.get("role")
    if role not in _ROLES:
        raise DetectorError(f"{where} has a message of the role {role!r}. Known: {', '.join(_ROLES)}.")
    content = _words(fields, "content", where)
    audio = _audio(fields, "audio", audio_dir, where)
    learn = fields.get("learn", True)
    if not isinstance(learn, bool):
        raise DetectorError(f'{where}: "learn" must be true or false, not {learn!r}.')
    if role == "assistant":
        if audio:
            raise DetectorError(f"{where} gives audio to the assistant. Only a prompt can have audio.")
        return Turn("assistant", _answer(content, where), learn), []
    if AUDIO not in content:
        content = AUDIO * len(audio) + content
    _check_markers(content, audio, where)
    return Turn(role, content, learn), audio


def _object(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DetectorError(f"{where} should be a JSON object, but is {str(value)[:40]!r}.")
    return value


def _words(fields: dict[str, Any], name: str, where: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise DetectorError(f'{where} needs a text in "{name}". It has: {", ".join(fields) or "nothing"}.')
    return value


def _answer(text: str, where: str) -> str:
    if not text.strip():
        raise DetectorError(f"{where} has an empty answer. Leave the row out or fill it in.")
    if AUDIO in text:
        raise DetectorError(f"{where} has {AUDIO} in the answer. Only a prompt can have audio.")
    return text


def _audio(fields: dict[str, Any], name: str, audio_dir: Path, where: str) -> list[Path]:
    """The files of a field, which must exist; absolute paths stay as they are."""
    named = paths_in(fields.get(name))
    if named is None:
        raise DetectorError(f'{where}: "{name}" must be a path or a list of paths, not {fields[name]!r}.')
    paths = [audio_dir / path for path in named]
    for path in paths:
        if not path.is_file():
            raise DetectorError(
                f"{where}: there is no audio file {path}. Check the folder that audio paths are relative to."
            )
    return paths


def _check_markers(text: str, audio: Sequence[Path], where: str) -> None:
    if text.count(AUDIO) != len(audio):
        raise DetectorError(
            f"{where} has {text.count(AUDIO)} {AUDIO} marker(s) for {len(audio)} audio file(s). "
            "Write one marker for each file, where it is to be heard."
        )


def _relative(audio: Sequence[Path], base: Path) -> list[str]:
    return [
        path.relative_to(base).as_posix() if path.is_relative_to(base) else str(path.absolute())
        for path in audio
    ]
