"""Deletion on request: the rows go, a tombstone stays, and the same bytes are refused."""

import uuid

from sqlalchemy import Connection, RowMapping, delete, exists, select, update

from detectors.labels.records import LabelError, Tombstone, person_of
from detectors.labels.store import derive
from detectors.labels.store.clock import now
from detectors.labels.store.database import Transaction
from detectors.labels.store.tables import CLIP_FACTS, audio, audit, label, readmission, tombstone


def bury(transaction: Transaction, sha256: str, by: str, reason: str) -> Tombstone:
    """Put up the tombstone, then delete what it stands for: the triggers insist on that order.

    Raises LabelError for a clip that is not there.
    """
    db = transaction.connection
    kept = db.execute(select(audio).where(audio.c.sha256 == sha256)).mappings().first()
    if kept is None:
        check_not_buried(db, sha256)
        raise LabelError(f"There is no clip {sha256} to delete.")
    people = db.execute(select(label.c.annotator).where(label.c.audio_sha256 == sha256)).scalars().all()
    row = {
        "id": uuid.uuid4().hex,
        "sha256": sha256,
        "bytes": kept["bytes"],
        "labels": len(people),
        "annotators": len({person_of(name) for name in people}),
        "requested_by": by,
        "reason": reason,
        "created": now(),
    }
    transaction.append(tombstone, row)
    db.execute(update(audit).where(audit.c.audio_sha256 == sha256).values(who="", detail=""))
    for table in CLIP_FACTS:
        db.execute(delete(table).where(table.c.audio_sha256 == sha256))
    db.execute(delete(audio).where(audio.c.sha256 == sha256))
    derive.refresh(db, sha256)
    return _tombstone({**row, "readmitted": None})


def readmit(transaction: Transaction, sha256: str, by: str, reason: str) -> None:
    """Let the bytes in again. LabelError when nothing keeps them out."""
    standing = _standing(transaction.connection, sha256)
    if standing is None:
        raise LabelError(f"Clip {sha256} was not deleted, so there is nothing to allow.")
    row = {"tombstone": standing["id"], "requested_by": by, "reason": reason, "created": now()}
    transaction.append(readmission, row)


def check_not_buried(db: Connection, sha256: str) -> None:
    """LabelError for bytes that were deleted on request and not allowed again."""
    standing = _standing(db, sha256)
    if standing is not None:
        raise LabelError(
            f"This clip was deleted on request on {standing['created'][:10]} and is not taken in again. "
            "Whoever runs this store can allow it (readmit)."
        )


def tombstones(db: Connection) -> list[Tombstone]:
    """All of them, newest first."""
    query = (
        select(tombstone, readmission.c.created.label("readmitted"))
        .outerjoin(readmission, readmission.c.tombstone == tombstone.c.id)
        .order_by(tombstone.c.created.desc())
    )
    return [_tombstone(dict(row)) for row in db.execute(query).mappings()]


def _standing(db: Connection, sha256: str) -> RowMapping | None:
    allowed = exists().where(readmission.c.tombstone == tombstone.c.id)
    query = select(tombstone).where(tombstone.c.sha256 == sha256, ~allowed)
    return db.execute(query).mappings().first()


def _tombstone(row: dict) -> Tombstone:
    fields = {**row, "by": row["requested_by"]}
    return Tombstone(**{name: fields[name] for name in Tombstone.__dataclass_fields__})
