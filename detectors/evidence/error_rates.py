"""How often detectors were wrong where it was measured: read from the tables in their model cards.

`assess` prints those tables; the last two columns are at the fixed threshold LLR = 0. A card counts only if
it names the SHA-256 of all weight files that lie beside it.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detectors.audio import sha256_of

_HEADER = "| | EER % pooled | EER % macro | Cllr | real called fake % | fake called real % |"
_FIELDS = ("eer_pooled", "eer_macro", "cllr", "real_called_fake", "fake_called_real")
_COUNTS = re.compile(r"(\d[\d,]*) bona fide and (\d[\d,]*) spoof clips")
#: How a card speaks of so many detectors together.
_TOGETHER = {2: "both detectors together", 3: "all three detectors together"}
#: The two of which cards say "both".
_PAIR = {"sls", "fake_mamba"}


@dataclass(frozen=True)
class _Table:
    """about: the lines before it, back to the table or the heading above, lower case."""

    about: str
    bonafide: int
    spoof: int
    conditions: dict[str, dict[str, float]]

    def facts(self) -> dict[str, Any]:
        return {
            "threshold_llr": 0.0,
            "bonafide": self.bonafide,
            "spoof": self.spoof,
            "conditions": self.conditions,
        }


def rates_of_one(folder: Path) -> dict[str, Any] | None:
    """Error rates of the weights in a checkpoint folder, in %: threshold_llr, bonafide and spoof (clips that
    it was measured on), conditions. None where nobody measured them."""
    alone = (t for t in _tables(folder) if not any(words in t.about for words in _TOGETHER.values()))
    return next((table.facts() for table in alone), None)


def rates_together(folders: Mapping[str, Path]) -> dict[str, Any] | None:
    """The same of several detectors fused. folders: by name, of all that were fused."""
    if len(folders) == 1:
        return rates_of_one(*folders.values())
    words = _TOGETHER.get(len(folders))
    if words is None or (len(folders) == 2 and set(folders) != _PAIR):
        return None
    # All of them must be the weights that their cards speak of, though one card holds the table.
    if not all(_card(folder) for folder in folders.values()):
        return None
    found = [[t for t in _tables(folder) if words in t.about] for folder in folders.values()]
    return next((tables[0].facts() for tables in found if tables), None)


def _card(folder: Path) -> str:
    """The model card, "" when there is none for the weights beside it."""
    try:
        text = (folder / "README.md").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
    files = list(folder.glob("*.safetensors"))
    return text if files and all(sha256_of(file) in text for file in files) else ""


def _tables(folder: Path) -> Iterator[_Table]:
    about: list[str] = []
    lines = iter(_card(folder).splitlines())
    for line in lines:
        if line.strip() == _HEADER:
            conditions = dict(_rows(lines))
            counts = _COUNTS.search(" ".join(about))
            if counts and conditions:
                bonafide, spoof = (int(count.replace(",", "")) for count in counts.groups())
                yield _Table(" ".join(about).lower(), bonafide, spoof, conditions)
            about = []
        elif line.startswith(("#", "|")):
            about = [line]
        else:
            about.append(line)


def _rows(lines: Iterator[str]) -> Iterator[tuple[str, dict[str, float]]]:
    """The rows of a table; stops after the line that ends it."""
    for line in lines:
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.startswith("|") or len(cells) != 1 + len(_FIELDS):
            return
        try:
            yield cells[0], dict(zip(_FIELDS, map(float, cells[1:]), strict=True))
        except ValueError:  # the line of dashes under the header
            continue
