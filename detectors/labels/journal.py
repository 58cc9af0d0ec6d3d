"""Committed facts as lines of JSON, in files that are only appended to: what a mirror sends away.

Each process writes a file of its own, named by a uuid, so that no two ever write to the same one.
"""

import json
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

#: A committed fact: the table's name and the row.
Fact = tuple[str, dict[str, Any]]

#: What stays of a deleted clip. Of the audit trail, only what names nobody.
_LASTING = ("tombstone", "readmission")


class Journal:
    """journal/<uuid>.jsonl under `folder`. Not safe for threads: the mirror holds a lock."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "journal"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._own = self._folder / f"{uuid.uuid4().hex}.jsonl"

    def append(self, facts: Sequence[Fact]) -> None:
        """Add facts to this process's file."""
        with self._own.open("a", encoding="utf-8") as file:
            file.writelines(_line(fact) for fact in facts)

    def facts(self) -> Iterator[Fact]:
        """The facts of all files. A last line that a kill cut short is passed over."""
        for path in sorted(self._folder.glob("*.jsonl")):
            yield from _facts(path)

    def scrub(self, deleted: Mapping[str, str]) -> None:
        """Take out what was said of deleted clips, see `without`."""
        for path in sorted(self._folder.glob("*.jsonl")):
            old = list(_facts(path))
            new = [kept for fact in old if (kept := without(fact, deleted)) is not None]
            if new != old:
                _rewrite(path, new)


def deletions(facts: Iterable[Fact]) -> dict[str, str]:
    """When each deleted clip was deleted for the last time (UTC), by hash."""
    left = sorted((row["created"], row["sha256"]) for table, row in facts if table == "tombstone")
    return {sha256: created for created, sha256 in left}


def without(fact: Fact, deleted: Mapping[str, str]) -> Fact | None:
    """The fact as it stands now that clips were deleted at the given times; None when it goes."""
    table, row = fact
    about = str(row.get("audio_sha256", row.get("sha256", "")))
    if table in _LASTING or time_of(fact) >= deleted.get(about, ""):
        return fact
    return (table, {**row, "who": "", "detail": ""}) if table == "audit" else None


def time_of(fact: Fact) -> str:
    """UTC time at which it was added."""
    _, row = fact
    return row["added"] if "added" in row else row["created"]


def _facts(path: Path) -> Iterator[Fact]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            if line.endswith("\n"):
                table, row = json.loads(line)
                yield table, row


def _line(fact: Fact) -> str:
    return json.dumps(fact) + "\n"


def _rewrite(path: Path, facts: Sequence[Fact]) -> None:
    # No .jsonl in the name until it is whole: what does not end so is neither sent nor read.
    whole = path.with_suffix(".rewritten")
    with whole.open("w", encoding="utf-8") as file:
        file.writelines(_line(fact) for fact in facts)
    os.replace(whole, path)
