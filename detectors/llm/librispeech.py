"""LibriSpeech (Panayotov et al., 2015): FLAC files and, beside them, SPEAKER-CHAPTER.trans.txt."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from detectors.errors import DetectorError


class Utterance(NamedTuple):
    """A FLAC file and what is said in it, in lower case."""

    path: Path
    words: str


def utterances(folder: Path) -> Iterator[Utterance]:
    """Every utterance below a folder, in the order of the names; its file may be missing.

    The corpus writes in capitals, which cost a language model several tokens a word. Raises DetectorError
    when there is no .trans.txt, or naming the line that is not "ID WORDS".
    """
    transcripts = sorted(folder.rglob("*.trans.txt"))
    if not transcripts:
        raise DetectorError(
            f"There is no .trans.txt in {folder}. Name a folder of LibriSpeech, such as "
            "LibriSpeech/train-clean-100."
        )
    for transcript in transcripts:
        lines = transcript.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines, 1):
            name, _, words = line.strip().partition(" ")
            if name and words.strip():
                yield Utterance(transcript.with_name(f"{name}.flac"), words.strip().lower())
            elif name:
                raise DetectorError(f"{transcript}, line {number} is not an id and the words: {line!r}.")
