"""Labelled clips out of the store, in the forms that training and evaluation tools read."""

import os
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import soundfile

from detectors.audio import SAMPLE_RATE, load_audio
from detectors.errors import DetectorError
from detectors.labels.consensus import MIN_AGREE
from detectors.labels.forms import FORMS, Form
from detectors.labels.selection import Chosen, Labelled, Rules, Selection
from detectors.labels.splits import PARTS, GroupBy

#: Endings that datasets 5 lists for "audiofolder", of those that people upload.
COMMON_SUFFIXES = frozenset(
    ".aiff .au .caf .flac .mp3 .mp4 .mov .m4v .mkv .ogg .opus .wav .webm .wma .w64 .3gp".split()
)


class Store(Labelled, Protocol):
    """The part of LabelStore that an export needs."""

    def audio_path(self, sha256: str) -> Path: ...


@dataclass(frozen=True)
class ExportSummary:
    """What was written. parts: clips by part and label. quarantined: clips left out, by reason.

    missing: clips left out because their audio is gone or cannot be read.
    """

    form: str
    folder: Path
    parts: dict[str, dict[str, int]]
    quarantined: dict[str, int]
    missing: int

    @property
    def clips(self) -> int:
        return sum(sum(counts.values()) for counts in self.parts.values())

    def lines(self) -> list[str]:
        """The summary in words, a line each."""
        told = [
            f"{part}: {counts.get('bonafide', 0)} bona fide, {counts.get('spoof', 0)} spoof"
            for part, counts in self.parts.items()
        ]
        if not self.parts["dev"] and self.clips:
            told.append(
                "Nothing is held back: the clips of a class share one source or speaker. "
                "Grouping by clip would split them all the same."
            )
        left_out = sum(self.quarantined.values())
        if left_out:
            reasons = "; ".join(f"{reason}: {count}" for reason, count in self.quarantined.items())
            told.append(f"quarantined: {left_out} ({reasons})")
        if self.missing:
            told.append(f"left out because their audio is gone or cannot be read: {self.missing}")
        return told


def write_export(
    store: Store,
    folder: str | Path,
    form: str,
    *,
    min_agree: int = MIN_AGREE,
    include_quarantined: bool = False,
    group_by: GroupBy = "both",
    held_back: float = 0.2,
    seed: int = 1234,
    link: bool = False,
) -> ExportSummary:
    """Write the settled clips with their audio into `folder`, which must be new or empty.

    form: of forms.FORMS. The others are as in Rules; link makes hard links to the store's audio
    where the disk allows it, instead of copies: then a change to one is a change to both.
    Raises DetectorError for an unknown form, a folder that holds something, or nothing to write.
    """
    if form not in FORMS:
        raise DetectorError(f"There is no export form {form!r}. Known: {', '.join(FORMS)}.")
    target = Path(folder)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise DetectorError(
            f"{target} is there already. Name a new folder for the export, or empty this one."
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    rules = Rules(min_agree, include_quarantined, group_by, held_back, seed)
    # Written aside and renamed: where the folder is, the export is whole.
    aside = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}-"))
    try:
        with Selection(store, rules) as selection:
            parts, missing = _write(store, selection, FORMS[form](aside), link)
            quarantined = dict(selection.counts.quarantined)
        summary = ExportSummary(form, target, parts, quarantined, missing)
        if not summary.clips:
            raise DetectorError(_nothing(summary))
        aside.chmod(0o755)  # mkdtemp's folders are for their owner alone
        os.replace(aside, target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return summary


def _write(
    store: Store, selection: Selection, form: Form, link: bool
) -> tuple[dict[str, dict[str, int]], int]:
    """Counts by part and label of what was written, and how many clips have no usable audio."""
    counts: dict[str, Counter[str]] = {part: Counter() for part in PARTS}
    missing = 0
    try:
        for chosen in selection:
            audio = _bring_audio(store.audio_path(chosen.sha256), form, chosen, link)
            if audio is None:
                missing += 1
            else:
                form.add(chosen, audio)
                counts[chosen.part][chosen.label] += 1
    finally:
        form.close()
    return {part: dict(count) for part, count in counts.items()}, missing


def _bring_audio(original: Path, form: Form, chosen: Chosen, link: bool) -> str | None:
    """Put a clip's audio where the form wants it; its path in the export, None when that failed."""
    name = form.audio(chosen)
    target = form.folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    if not original.is_file():
        return None
    if form.common_audio_only and chosen.suffix.lower() not in COMMON_SUFFIXES:
        try:
            wave = load_audio(original)
        except DetectorError:
            return None
        soundfile.write(target.with_name(f"{chosen.utt_id}.flac"), wave, SAMPLE_RATE, subtype="PCM_16")
        return str(Path(name).with_name(f"{chosen.utt_id}.flac"))
    if not (link and _linked(original, target)):
        shutil.copyfile(original, target)
    return name


def _linked(original: Path, target: Path) -> bool:
    try:
        os.link(original, target)
    except OSError:  # another disk, or a file system without links
        return False
    return True


def _nothing(summary: ExportSummary) -> str:
    left_out = sum(summary.quarantined.values())
    if not left_out and not summary.missing:
        return "The store has no labelled clip yet. Label some, then export."
    return (
        f"No clip can be exported: {'; '.join(summary.lines()[2:])}. "
        "Have another person label them, or include the quarantined ones."
    )
