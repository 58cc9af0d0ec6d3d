"""Taking in facts that another process committed, such as those a mirror brings back."""

import logging
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Table, insert, select

from detectors.labels.journal import Fact, deletions, time_of, without
from detectors.labels.store import derive
from detectors.labels.store.tables import (
    audio,
    audit,
    judgement,
    label,
    provenance,
    readmission,
    skip,
    tombstone,
)

logger = logging.getLogger(__name__)

#: Tables of facts, each after those it refers to.
_TABLES = (tombstone, readmission, audio, provenance, judgement, label, skip, audit)

#: Columns that refer to another row.
_REFERENCES = {"audio_sha256": audio.c.sha256, "supersedes": label.c.id, "tombstone": tombstone.c.id}


def take_in(db: Connection, facts: Iterable[Fact]) -> None:
    """Insert the facts that are not here yet. What was said of a clip before its deletion stays out."""
    by_table: dict[str, list[Fact]] = defaultdict(list)
    for fact in facts:
        by_table[fact[0]].append(fact)
    if not by_table:
        return
    deleted = deletions(by_table["tombstone"])
    known: dict[Any, set[Any]] = {}
    fresh = 0
    for table in _TABLES:
        ordered = sorted(by_table[table.name], key=time_of)
        rows = [kept[1] for fact in ordered if (kept := without(fact, deleted)) is not None]
        fresh += _insert(db, table, rows, known)
    if fresh:
        derive.rebuild(db)


def _insert(db: Connection, table: Table, rows: list[dict[str, Any]], known: dict[Any, set[Any]]) -> int:
    """Insert rows whose key is new, parents before children. Returns their number."""
    key = next(iter(table.primary_key.columns))
    seen = known[key] = set(db.execute(select(key)).scalars())
    fresh = []
    for row in rows:
        if row[key.name] in seen:
            continue
        if not _has_parents(table, row, known):
            logger.warning("%s %s speaks of a row that is missing; left out", table.name, row[key.name])
            continue
        seen.add(row[key.name])
        fresh.append(row)
    if fresh:
        db.execute(insert(table), fresh)
    return len(fresh)


def _has_parents(table: Table, row: dict[str, Any], known: dict[Any, set[Any]]) -> bool:
    if table is audit:  # it outlasts the clips that it speaks of
        return True
    return all(
        row.get(name) is None or row[name] in known[parent]
        for name, parent in _REFERENCES.items()
        if name in table.c
    )
