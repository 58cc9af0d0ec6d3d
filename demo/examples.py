"""The example clips and what is known about them."""

import csv
import logging
from dataclasses import dataclass
from pathlib import Path

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Example:
    """A clip that visitors may try. label: "bonafide" or "spoof". source: where it comes from."""

    path: Path
    label: str
    title: str
    licence: str
    source: str


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
