"""The five forms of an export: which files each writes, and a row of each.

    messages   train.jsonl, dev.jsonl   a line {"messages": [...]} as ALLM4ADD reads
    audio_llm  train.json, dev.json     a list of {"text", "audio_paths", "response"} as AudioLLM reads
    protocol   train.txt, dev.txt       ASVspoof 2019 lines; keys/CM/trial_metadata.txt in the form of 2021
    csv        manifest.csv             one table with a split column, as our `train` and `evaluate` read
    dataset    train/, dev/             audio beside a metadata.csv, as datasets' "audiofolder" reads

Every form writes row by row, so that the number of clips is not limited by memory.
"""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, ClassVar

from detectors.labels.selection import Chosen, plain
from detectors.labels.splits import PARTS
from detectors.llm.formats import LIST_END, audio_llm_row, list_element, message, messages_line

QUESTION = "Is this audio real or fake?"
ANSWERS = {"bonafide": "Real.", "spoof": "Fake."}
MANIFEST = "manifest.csv"


class Form:
    """An export being written: `add` each clip, then `close`. Files are opened when first needed."""

    name: ClassVar[str]
    #: Whether the audio must be in a container that the reader of this form knows.
    common_audio_only: ClassVar[bool] = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._open: dict[str, IO[str]] = {}

    def audio(self, chosen: Chosen) -> str:
        """Where the clip's audio lies, relative to the export's folder."""
        return f"audio/{chosen.file_name}"

    def add(self, chosen: Chosen, audio: str) -> None:
        raise NotImplementedError

    def close(self) -> None:
        for file in self._open.values():
            file.close()

    def _file(self, name: str, begin: Callable[[IO[str]], object] | None = None) -> IO[str]:
        if name not in self._open:
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            self._open[name] = path.open("w", encoding="utf-8", newline="")
            if begin:
                begin(self._open[name])
        return self._open[name]


class Messages(Form):
    """One JSON object a line. Audio paths are relative to the export's folder."""

    name = "messages"

    def add(self, chosen: Chosen, audio: str) -> None:
        line = messages_line(
            [message("user", QUESTION, [audio]), message("assistant", ANSWERS[chosen.label])]
        )
        self._file(f"{chosen.part}.jsonl").write(line)


class AudioLlm(Form):
    """One JSON list a part, written element by element; audio paths are relative to audio/."""

    name = "audio_llm"

    def add(self, chosen: Chosen, audio: str) -> None:
        row = audio_llm_row(f"{QUESTION} <audio>", [audio.removeprefix("audio/")], _response(chosen))
        name = f"{chosen.part}.json"
        element = list_element(row, first=name not in self._open)
        self._file(name).write(element)

    def close(self) -> None:
        for file in self._open.values():
            file.write(LIST_END)
        super().close()


def _response(chosen: Chosen) -> str:
    """The answer with what people marked: only what they said, nothing made up."""
    said = [ANSWERS[chosen.label]]
    if chosen.label == "spoof" and chosen.tool:
        said.append(f"It was made with {chosen.tool.rstrip('.')}.")
    kinds = {"bonafide": "a human voice", "spoof": "machine-made"}
    for start, end, label in sorted(set(chosen.regions)):
        if label in kinds:
            said.append(f"From {start:.1f} to {end:.1f} s it is {kinds[label]}.")
    return " ".join(said)


class Protocol(Form):
    """ASVspoof lines: "SPEAKER UTT - ATTACK KEY" (2019), and the eight columns of 2021's keys."""

    name = "protocol"

    def add(self, chosen: Chosen, audio: str) -> None:
        speaker = plain(chosen.speaker) if chosen.speaker else "-"
        attack = plain(chosen.tool or chosen.source or "unknown") if chosen.label == "spoof" else "-"
        line = f"{speaker} {chosen.utt_id} - {attack} {chosen.label}\n"
        self._file(f"{chosen.part}.txt").write(line)
        key_attack = "bonafide" if attack == "-" else attack
        columns = (speaker, chosen.utt_id, "-", "-", key_attack, chosen.label, "notrim", chosen.part)
        self._file("keys/CM/trial_metadata.txt").write(" ".join(columns) + "\n")


#: Columns of the tables; our readers take path or file_name, utt_id, label, split and source.
_COLUMNS = (
    "utt_id",
    "label",
    "split",
    "source",
    "speaker",
    "tool",
    "licence",
    "people",
    "regions",
    "note",
    "sha256",
)


def _cells(chosen: Chosen) -> list[Any]:
    regions = [{"start": start, "end": end, "label": label} for start, end, label in chosen.regions]
    special = {"split": chosen.part, "regions": json.dumps(regions)}
    return [special[name] if name in special else getattr(chosen, name) for name in _COLUMNS]


def _rows(file: IO[str]) -> Any:  # csv's writers have no public type
    return csv.writer(file, lineterminator="\n")


class Table(Form):
    """One CSV for both parts. `tool` is no reader's group column: errors are counted per source."""

    name = "csv"

    def add(self, chosen: Chosen, audio: str) -> None:
        file = self._file(MANIFEST, lambda file: _rows(file).writerow(["path", *_COLUMNS]))
        _rows(file).writerow([audio, *_cells(chosen)])


class HubDataset(Form):
    """A folder for datasets.load_dataset("audiofolder", data_dir=...): splits train and validation."""

    name = "dataset"
    common_audio_only = True

    def audio(self, chosen: Chosen) -> str:
        return f"{chosen.part}/{chosen.file_name}"

    def add(self, chosen: Chosen, audio: str) -> None:
        name = f"{chosen.part}/metadata.csv"
        file = self._file(name, lambda file: _rows(file).writerow(["file_name", *_COLUMNS]))
        _rows(file).writerow([audio.removeprefix(f"{chosen.part}/"), *_cells(chosen)])

    def close(self) -> None:
        super().close()
        card = _DATASET_CARD.format(parts=", ".join(p for p in PARTS if f"{p}/metadata.csv" in self._open))
        (self.folder / "README.md").write_text(card, encoding="utf-8")


_DATASET_CARD = """\
---
task_categories: [audio-classification]
tags: [audio-deepfake-detection, anti-spoofing]
---

# Labelled speech: bona fide or spoof

Open it with `datasets.load_dataset("audiofolder", data_dir="this folder")`. Folders: {parts} (dev becomes
the split "validation"). Columns: label (bonafide, spoof), people (how many agreed), source, speaker, tool,
licence, regions (JSON; seconds), note, sha256 of the original bytes. Each clip keeps its own licence; where
the column is blank, none was stated. A clip in a container that the library does not list was turned into
FLAC, 16 kHz mono.
"""

FORMS: dict[str, type[Form]] = {form.name: form for form in (Messages, AudioLlm, Protocol, Table, HubDataset)}
