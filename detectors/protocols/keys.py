"""Keys: which utterances there are, which of them are bona fide, and where their audio lies.

Formats, told apart by their content:

    ASVspoof 2019    SPEAKER UTT - ATTACK bonafide|spoof
    ASVspoof 2021    SPEAKER UTT CODEC TRANSMISSION ATTACK bonafide|spoof TRIM PHASE ...
    In-the-Wild      - 0.wav - - - bona-fide|spoof
    CSV              a header line; label and utt_id or path, and optionally attack, source or
                     generator, phase or split. Paths are relative to the CSV's folder.
"""

import os
from dataclasses import dataclass
from itertools import compress
from pathlib import Path

import numpy as np

from detectors.audio import AUDIO_SUFFIXES
from detectors.errors import DetectorError
from detectors.protocols.tables import (
    GROUP_COLUMNS,
    ID_COLUMNS,
    LABEL_COLUMNS,
    PATH_COLUMNS,
    PHASE_COLUMNS,
    Table,
    csv_column,
    csv_table,
    find_shallowest,
    has_column,
    in_phase,
    is_csv,
    phase_name,
    read_text,
    text_table,
    the_only,
)

_LABELS = {"bonafide": True, "bona-fide": True, "spoof": False}

_KEY_FORMATS = (
    'ASVspoof 2019 ("SPEAKER UTT - ATTACK bonafide"), ASVspoof 2021 (8 or more columns, label in the 6th, '
    'phase in the 8th), In-the-Wild ("- 0.wav - - - bona-fide"), or a CSV whose header names '
    "label and utt_id or path"
)


@dataclass(frozen=True)
class Trials:
    """The trials of one key file, column by column; all columns have the same length.

    is_bonafide: bool [n]. groups: attack or source of the trial, '' when not stated.
    paths: audio file, '' when the key does not name one. phases: '' when the format has none.
    """

    format: str
    utt_ids: list[str]
    is_bonafide: np.ndarray
    groups: list[str]
    paths: list[str]
    phases: list[str]

    def __len__(self) -> int:
        return len(self.utt_ids)

    def select(self, phase: str) -> "Trials":
        """Only the trials of one phase (progress, eval, hidden, or a CSV's own, such as dev)."""
        keep = in_phase(self.phases, phase, f"The keys ({self.format})")
        return Trials(
            format=self.format,
            utt_ids=list(compress(self.utt_ids, keep)),
            is_bonafide=self.is_bonafide[keep],
            groups=list(compress(self.groups, keep)),
            paths=list(compress(self.paths, keep)),
            phases=list(compress(self.phases, keep)),
        )


@dataclass(frozen=True)
class _Layout:
    """Where a whitespace-separated key format keeps its columns, counted from 0."""

    name: str
    label: int
    group: int
    phase: int | None = None
    utterance: int = 1


_ASVSPOOF_2019 = _Layout("ASVspoof 2019", label=4, group=3)
_IN_THE_WILD = _Layout("In-the-Wild", label=5, group=4)
_ASVSPOOF_2021 = _Layout("ASVspoof 2021", label=5, group=4, phase=7)


def read_trials(path: str | Path, phase: str | None = None, audio: str | Path | None = None) -> Trials:
    """Read a key file, or find it in the folder of an ASVspoof 2021 key package.

    phase keeps the trials of one phase only. audio: the folder that paths in it are relative to, where that
    is not the key file's own. Raises DetectorError for an unknown format, a label
    other than bonafide, bona-fide or spoof, and an utterance that is listed twice.
    """
    file = _key_file(Path(path))
    text = read_text(file)
    folder = file.parent if audio is None else Path(audio)
    trials = _csv_trials(file, text, folder) if is_csv(text) else _text_trials(file, text, folder)
    return trials if phase is None else trials.select(phase)


def read_paths(path: str | Path) -> list[tuple[str, str]]:
    """(utterance id, audio path) of every line of a CSV, a key file or a bare list; no label needed.

    The path is '' where the file names an utterance only, as ASVspoof protocols do. Ids that are
    taken from file names may repeat, since files in different folders can share a name.
    """
    file = Path(path)
    text = read_text(file)
    if is_csv(text):
        header, table = csv_table(file, text)
        if not has_column(header, PATH_COLUMNS):
            raise DetectorError(f"{file} has no path column; its columns are {', '.join(header)}.")
        utt_ids, paths = _ids_and_paths(header, table, file.parent)
        if has_column(header, ID_COLUMNS):
            table.refuse_duplicates(utt_ids)
        return list(zip(utt_ids, paths, strict=True))
    table = text_table(file, text)
    if len(table.rows[0]) == 1:
        table.check_widths()
        names = table.column(0)
        return [
            (Path(name).stem, _resolve(file.parent, name)) if _names_file(name) else (name, "")
            for name in names
        ]
    trials = _text_trials(file, text, file.parent)
    return list(zip(trials.utt_ids, trials.paths, strict=True))


def _key_file(path: Path) -> Path:
    """The key file itself: `path`, or the one that a folder of keys holds."""
    if not path.is_dir():
        return path
    found = find_shallowest(path, "CM/trial_metadata.txt") or sorted(path.glob("trial_metadata.txt"))
    found = found or sorted(path.glob("meta.csv"))
    if not found:
        raise DetectorError(
            f"The folder {path} holds no CM/trial_metadata.txt (ASVspoof 2021) or meta.csv (In-the-Wild): "
            "give the key file itself."
        )
    return the_only(found, path)


def _text_trials(file: Path, text: str, folder: Path) -> Trials:
    table = text_table(file, text)
    layout = _layout_of(table)
    table.check_widths()
    names = table.column(layout.utterance)
    utt_ids = [_without_ending(name) for name in names]
    table.refuse_duplicates(utt_ids)
    phases = [""] * len(utt_ids) if layout.phase is None else table.column(layout.phase)
    return Trials(
        format=layout.name,
        utt_ids=utt_ids,
        is_bonafide=_labels(table, table.column(layout.label)),
        groups=_group_names(table.column(layout.group)),
        paths=[_resolve(folder, name) if _names_file(name) else "" for name in names],
        phases=[phase_name(phase) for phase in phases],
    )


def _layout_of(table: Table) -> _Layout:
    first = table.rows[0]
    layouts = {5: _ASVSPOOF_2019, 6: _IN_THE_WILD}
    layout = layouts.get(len(first), _ASVSPOOF_2021 if len(first) >= 8 else None)
    if layout is None or first[layout.label].lower() not in _LABELS:
        raise table.error(0, f"no known key format. Expected {_KEY_FORMATS}.")
    return layout


def _csv_trials(file: Path, text: str, folder: Path) -> Trials:
    header, table = csv_table(file, text)
    labels = csv_column(header, table, LABEL_COLUMNS)
    if labels is None or not has_column(header, ID_COLUMNS + PATH_COLUMNS):
        raise DetectorError(f"{file} needs the columns label and utt_id or path; it has {', '.join(header)}.")
    utt_ids, paths = _ids_and_paths(header, table, folder)
    table.refuse_duplicates(utt_ids)
    blank = [""] * len(utt_ids)
    return Trials(
        format="CSV",
        utt_ids=utt_ids,
        is_bonafide=_labels(table, labels),
        groups=_group_names(csv_column(header, table, GROUP_COLUMNS) or blank),
        paths=paths,
        phases=[phase_name(phase) for phase in csv_column(header, table, PHASE_COLUMNS) or blank],
    )


def _ids_and_paths(header: list[str], table: Table, folder: Path) -> tuple[list[str], list[str]]:
    names = csv_column(header, table, PATH_COLUMNS)
    utt_ids = csv_column(header, table, ID_COLUMNS)
    paths = [_resolve(folder, name) for name in names] if names else [""] * len(table.rows)
    if utt_ids is None:
        utt_ids = [Path(name).stem for name in names or []]
    if "" in utt_ids:
        raise table.error(utt_ids.index(""), "the utterance has no name.")
    return utt_ids, paths


def _labels(table: Table, texts: list[str]) -> np.ndarray:
    """bool [n], True for bona fide."""
    labels = [_LABELS.get(text.lower()) for text in texts]
    if None in labels:
        row = labels.index(None)
        raise table.error(row, f"the label is {texts[row]!r}; expected bonafide, bona-fide or spoof.")
    return np.array(labels, dtype=bool)


def _group_names(texts: list[str]) -> list[str]:
    """Attack names; "-" and the "bonafide" that some keys repeat there mean none."""
    return ["" if text == "-" or text.lower() in _LABELS else text for text in texts]


def _without_ending(name: str) -> str:
    """ "0.wav" -> "0", as the score command names utterances; "v1.5" stays."""
    if "." not in name:  # most names, and much quicker than splitext
        return name
    stem, ending = os.path.splitext(name)
    return stem if ending.lower() in AUDIO_SUFFIXES else name


def _names_file(name: str) -> bool:
    return "/" in name or _without_ending(name) != name


def _resolve(folder: Path, name: str) -> str:
    """A path that a list names, relative to `folder` unless absolute; '' stays ''."""
    return os.path.join(folder, name) if name else ""
