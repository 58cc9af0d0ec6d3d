"""The two JSON forms in which audio language models take their data, row by row; no torch.

    messages   {"messages": [{"role": "user", "audio": PATH, "content": ...}, {"role": "assistant", ...}]},
               each a line of a JSONL file, as ALLM4ADD reads
    AudioLLM   a list of {"text": "... <audio>", "audio_paths": PATH or [PATH, ...], "response": ...}

A message's audio may be a list too; where its content has no <audio>, the audio comes before the words.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from detectors.errors import DetectorError
from detectors.whole_files import written_whole


def audio_llm_row(text: str, audio: Sequence[str], response: str) -> dict[str, Any]:
    """One row of AudioLLM's list. audio: a path for each <audio> in the text."""
    return {"text": text, "audio_paths": _one_or_list(audio), "response": response}


def message(role: str, content: str, audio: Sequence[str] = ()) -> dict[str, Any]:
    """One message, with its audio where it has some."""
    heard = {"audio": _one_or_list(audio)} if audio else {}
    return {"role": role, **heard, "content": content}


def messages_line(messages: Sequence[dict[str, Any]]) -> str:
    """One line of a messages file."""
    return json.dumps({"messages": list(messages)}, ensure_ascii=False) + "\n"


#: What ends a list whose elements were written by `list_element`.
LIST_END = "\n]\n"


def list_element(row: dict[str, Any], first: bool) -> str:
    """An element of a JSON list that is written one by one, on a line of its own."""
    return ("[\n" if first else ",\n") + json.dumps(row, ensure_ascii=False)


def paths_in(value: object) -> list[str] | None:
    """The paths of an "audio" or "audio_paths" field: one, several or none; None for anything else."""
    listed = value if isinstance(value, list) else [] if value is None else [value]
    paths = [path for path in listed if isinstance(path, str) and path]
    return paths if len(paths) == len(listed) else None


def read_json_lines(path: Path) -> Iterator[tuple[str, Any]]:
    """Each value of a JSONL file with "FILE, line N". Raises DetectorError for what cannot be read."""
    with _opened(path) as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                try:
                    yield f"{path}, line {number}", json.loads(line)
                except ValueError as error:
                    raise DetectorError(
                        f"{path}, line {number} is not valid JSON ({error}). Each line must be one object."
                    ) from error


def read_json_list(path: Path) -> Iterator[tuple[str, Any]]:
    """Each element of a JSON list with "FILE, line N", N being where it begins; decoded one by one.

    Raises DetectorError for what cannot be read.
    """
    with _opened(path) as file:
        text = file.read()
    decoder = json.JSONDecoder()
    line, counted = 1, 0
    try:
        place = _expect(text, 0, "[")
        while not text.startswith("]", place):
            line, counted = line + text.count("\n", counted, place), place
            row, place = decoder.raw_decode(text, place)
            yield f"{path}, line {line}", row
            place = _skip(text, place)
            if not text.startswith("]", place):
                place = _expect(text, place, ",")
        if _skip(text, place + 1) != len(text):
            raise json.JSONDecodeError("the list ends, but the file does not", text, place + 1)
    except json.JSONDecodeError as error:
        raise DetectorError(
            f"{path}, line {error.lineno} is not valid JSON ({error.msg}). The file must be one list of rows."
        ) from error


def begins_with_list(path: Path) -> bool:
    """Whether a file holds a JSON list rather than lines. Raises DetectorError when it cannot be read."""
    with _opened(path) as file:
        for line in file:
            if line.strip():
                return line.lstrip().startswith("[")
    raise DetectorError(f"{path} is empty. Write the data again.")


@contextmanager
def whole_file(path: Path) -> Iterator[IO[str]]:
    """A text file that gets its name only when all of it is written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        yield file


@contextmanager
def _opened(path: Path) -> Iterator[IO[str]]:
    try:
        with path.open(encoding="utf-8-sig") as file:
            yield file
    except UnicodeDecodeError as error:
        raise DetectorError(f"{path} is not UTF-8 text ({error.reason}). Save it as UTF-8.") from error
    except OSError as error:
        raise DetectorError(f"{path} cannot be read: {error.strerror}. Check the name.") from error


def _one_or_list(audio: Sequence[str]) -> str | list[str]:
    return audio[0] if len(audio) == 1 else list(audio)


def _expect(text: str, place: int, sign: str) -> int:
    """The place of the next value after `sign`, which must come next."""
    place = _skip(text, place)
    if not text.startswith(sign, place):
        raise json.JSONDecodeError(f"{sign!r} expected", text, place)
    return _skip(text, place + 1)


def _skip(text: str, place: int) -> int:
    while place < len(text) and text[place] in " \t\r\n":
        place += 1
    return place
