"""The example clips and what is known about them."""

import csv
import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from demo.analysis import Analysis
from detectors.audio import sha256_of
from detectors.clip_report import now

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Example:
    """A clip that visitors may try. label: "bonafide" or "spoof". source: where it comes from."""

    path: Path
    label: str
    title: str
    licence: str
    source: str


class JudgedExamples:
    """What was found in the example clips: each is judged once, by whoever tries it first, and not again.

    Most visitors try an example, and judging is what a page for everybody has least of.
    """

    def __init__(self) -> None:
        self._hashes: frozenset[str] = frozenset()
        self._longest = 0
        self._found: dict[tuple[object, ...], Analysis] = {}

    def know(self, examples: Sequence[Example]) -> None:
        """From now on, these are the example clips."""
        self._hashes = frozenset(sha256_of(example.path) for example in examples)
        self._longest = max((example.path.stat().st_size for example in examples), default=0)

    def again(self, path: str | Path, detectors: tuple[object, ...]) -> Analysis | None:
        """A new analysis of an example clip, by its bytes, from one that was kept; None if there is none.

        detectors: what tells the detectors that would judge it now from others.
        """
        path = Path(path)
        if not path.is_file() or path.stat().st_size > self._longest:
            return None
        kept = self._found.get((sha256_of(path), *detectors))
        return kept and replace(kept, id=uuid.uuid4().hex, created=now(), path=str(path))

    def keep(self, analysis: Analysis, detectors: tuple[object, ...]) -> None:
        """Remember it if it is of an example clip."""
        if analysis.sha256 in self._hashes:
            self._found[analysis.sha256, *detectors] = analysis


def read_examples(folder: Path) -> list[Example]:
    """The clips that `folder`/examples.csv lists (columns file, label, title, licence, source).

    None when there is no such file. A row whose clip is missing is left out with a warning.
    """
    index = folder / "examples.csv"
    if not index.is_file():
        return []
    found = []
    with index.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            path = folder / row["file"]
            if path.is_file():
                found.append(Example(path, row["label"], row["title"], row["licence"], row["source"]))
            else:
                logger.warning("%s lists %s, which is not there", index, row["file"])
    return found
