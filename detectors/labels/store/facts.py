"""Adding facts: each with its line in the audit trail, and with what is worked out from it."""

import uuid
from typing import Any

from sqlalchemy import Connection, select

from detectors.labels.records import Label, LabelError, QueueItem
from detectors.labels.store import derive, queue
from detectors.labels.store.clock import now
from detectors.labels.store.database import Transaction
from detectors.labels.store.rows import label_from, label_row
from detectors.labels.store.tables import audio, audit, label, provenance


def admit(transaction: Transaction, kept: dict[str, Any], who: str) -> bool:
    """The clip's row, unless it is there; True when it was not."""
    db, sha256 = transaction.connection, kept["sha256"]
    if db.execute(select(audio.c.sha256).where(audio.c.sha256 == sha256)).first():
        return False
    transaction.append(audio, kept | {"added": now()})
    derive.refresh(db, sha256)
    note(transaction, who, "added clip", sha256)
    return True


def tell(transaction: Transaction, sha256: str, told: dict[str, str], is_new: bool) -> QueueItem:
    """Keep what is told of a clip where it says more than is known: people drop the same folder twice."""
    known = queue.the(transaction.connection, sha256)
    news = any(told[name] not in ("", getattr(known, name)) for name in ("source", "speaker", "licence"))
    if not (is_new or news):
        return known
    row = {"id": uuid.uuid4().hex, "audio_sha256": sha256, "created": now()}
    transaction.append(provenance, row | told)
    derive.refresh(transaction.connection, sha256)
    if not is_new:
        note(transaction, told["added_by"], "described clip", sha256)
    return queue.the(transaction.connection, sha256)


def say(transaction: Transaction, saved: Label, action: str) -> None:
    """A label's row: a new one, a correction or a withdrawal."""
    transaction.append(label, label_row(saved))
    derive.refresh(transaction.connection, saved.audio_sha256)
    note(transaction, saved.annotator, action, saved.audio_sha256, saved.id)


def note(
    transaction: Transaction,
    who: str,
    action: str,
    sha256: str,
    label_id: str | None = None,
    detail: str = "",
) -> None:
    """One line of the audit trail."""
    row = {"id": uuid.uuid4().hex, "created": now(), "who": who, "action": action}
    transaction.append(audit, row | {"audio_sha256": sha256, "label_id": label_id, "detail": detail})


def find(db: Connection, label_id: str) -> Label | None:
    """One label by its id, current or not."""
    row = db.execute(select(label).where(label.c.id == label_id)).mappings().first()
    return label_from(row) if row else None


def current(db: Connection, label_id: str, sha256: str) -> None:
    """LabelError unless this is a label of this clip that nothing has superseded."""
    before = find(db, label_id)
    if before is None:
        raise LabelError(f"There is no label {label_id} to correct.")
    if before.audio_sha256 != sha256:
        raise LabelError(f"Label {label_id} is about another clip; it cannot be corrected here.")
    newer = db.execute(select(label.c.id, label.c.kind).where(label.c.supersedes == label_id)).first()
    if newer and newer.kind == "withdrawn":
        raise LabelError(f"Label {label_id} was withdrawn. Give the clip a new label.")
    if newer:
        raise LabelError(f"Label {label_id} was already corrected by {newer.id}. Correct that one.")
