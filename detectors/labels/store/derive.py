"""The tables `clip` and `turn`, worked out from the facts. What is here can be thrown away and made again."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, delete, exists, insert, select

from detectors.labels.consensus import disputed
from detectors.labels.records import Label, person_of
from detectors.labels.store.rows import judgement_from, label_from
from detectors.labels.store.tables import audio, clip, judgement, label, provenance, skip, turn

#: What later rows of `provenance` may fill in or correct. The name stays as it came first.
_KNOWN = ("source", "speaker", "licence")

#: Of a clip that no detector has heard: below every judged one.
_UNJUDGED = {"judgement_id": None, "uncertainty": -1.0, "disagreement": -1.0}

Rows = dict[str, list[Any]]


def is_current() -> ColumnElement[bool]:
    """True for labels that no other row supersedes and that take nothing back."""
    newer = label.alias("newer")
    return (label.c.kind == "label") & ~exists().where(newer.c.supersedes == label.c.id)


def current_labels(db: Connection, first: str, last: str | None = None) -> dict[str, list[Label]]:
    """Labels that stand of the clips whose hashes lie between two, oldest first, by hash."""
    query = select(label).where(label.c.audio_sha256.between(first, last or first), is_current())
    by_clip: dict[str, list[Label]] = defaultdict(list)
    for row in db.execute(query.order_by(label.c.created, label.c.id)).mappings():
        by_clip[row["audio_sha256"]].append(label_from(row))
    return by_clip


def refresh(db: Connection, first: str, last: str | None = None) -> None:
    """Work out the rows of one clip, or of all whose hashes lie between two."""
    last = last or first
    for table in (clip, turn):
        db.execute(delete(table).where(table.c.sha256.between(first, last)))
    told, judged, skips = (_by_clip(db, table, first, last) for table in (provenance, judgement, skip))
    labels = current_labels(db, first, last)
    clips, turns = [], []
    for kept in db.execute(select(audio).where(audio.c.sha256.between(first, last))):
        sha256 = kept.sha256
        clips.append(
            _described(kept, told[sha256])
            | _judged(judged[sha256])
            | {"labels": len(labels[sha256]), "disputed": int(disputed(labels[sha256]))}
        )
        turns += _turns(sha256, labels[sha256], skips[sha256])
    for table, rows in ((clip, clips), (turn, turns)):
        if rows:
            db.execute(insert(table), rows)


def rebuild(db: Connection) -> None:
    """Work out everything again: after a migration, or when facts came in bulk."""
    for shard in range(256):  # piece by piece, so that memory stays bounded
        refresh(db, f"{shard:02x}", f"{shard:02x}g")  # "g" comes after every hexadecimal digit


def _by_clip(db: Connection, table: Any, first: str, last: str) -> Rows:
    query: Select = select(table).where(table.c.audio_sha256.between(first, last)).order_by(table.c.created)
    by_clip: Rows = defaultdict(list)
    for row in db.execute(query):
        by_clip[row.audio_sha256].append(row)
    return by_clip


def _described(kept: Row, told: Iterable[Row]) -> dict[str, Any]:
    known: dict[str, Any] = {**kept._mapping, **dict.fromkeys(("name", *_KNOWN), "")}
    for row in told:
        known["name"] = known["name"] or row.name
        known |= {name: row._mapping[name] for name in _KNOWN if row._mapping[name]}
    known["name"] = known["name"] or f"{kept.sha256[:12]}{kept.suffix}"
    return known


def _judged(judgements: list[Row]) -> dict[str, Any]:
    if not judgements:
        return _UNJUDGED
    newest = judgement_from(judgements[-1]._mapping)
    return {
        "judgement_id": judgements[-1].id,
        "uncertainty": newest.uncertainty,
        "disagreement": newest.disagreement,
    }


def _turns(sha256: str, labels: list[Label], skips: list[Row]) -> list[dict[str, Any]]:
    given = Counter(person_of(each.annotator) for each in labels)
    aside = {person_of(row.annotator): row.skipped for row in skips}
    return [
        {"person": person, "sha256": sha256, "labels": given[person], "skipped": aside.get(person, 0)}
        for person in sorted({*given, *aside})
    ]
