"""LabelStore: the only module that speaks SQL.

Folder layout: labels.sqlite3, and audio/<first two digits>/<sha256> with each labelled clip's
original bytes. Rows are only ever added; a correction is a new row that names the one it supersedes.
"""

import hashlib
import json
import os
import shutil
import sqlite3
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from demo.storage.migrations import migrate
from demo.storage.records import Label, LabelDraft, LabelError, regions_from

#: How long a writer waits for another one, in seconds.
BUSY_SECONDS = 30

_COLUMNS = (
    "id, audio_sha256, annotator, label, confidence, regions, attack, note, consent, licence, "
    "versions, scores, blind, created, supersedes"
)


class LabelStore:
    """Labels and their clips in one folder. Safe for several threads and processes.

    Each call opens its own connection, so that none is shared between threads.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        (self.folder / "audio").mkdir(parents=True, exist_ok=True)
        with self._connect() as db:
            db.execute("PRAGMA journal_mode = WAL")  # readers do not wait for a writer
            migrate(db)

    def audio_path(self, sha256: str) -> Path:
        """Where the clip with this hash is kept, whether or not it is there yet."""
        return self.folder / "audio" / sha256[:2] / sha256

    def add(self, draft: LabelDraft, clip: str | Path) -> Label:
        """Store the clip's bytes (once), then the label, and return the label as stored.

        Raises LabelError when consent is missing, when the clip's bytes are gone or are not those
        that `draft.audio_sha256` names, or when `draft.supersedes` is not a label of this clip
        that is still current.
        """
        if draft.consent is not True:  # the text "false" is no consent
            raise LabelError("Nothing was saved: storing a clip and its label needs your consent.")
        label = Label(**_fields(draft), id=uuid.uuid4().hex, created=_now())
        size = self._keep_audio(Path(clip), draft.audio_sha256)
        with self._connect() as db, _transaction(db):
            _check_supersedes(db, draft)
            db.execute(
                "INSERT OR IGNORE INTO audio VALUES (?, ?, ?, ?)",
                (draft.audio_sha256, size, Path(clip).suffix.lower(), label.created),
            )
            db.execute(f"INSERT INTO label ({_COLUMNS}) VALUES ({', '.join('?' * 15)})", _row(label))
        return label

    def get(self, label_id: str) -> Label | None:
        """One label by its id."""
        with self._connect() as db:
            row = db.execute(f"SELECT {_COLUMNS} FROM label WHERE id = ?", (label_id,)).fetchone()
        return _label(row) if row else None

    def labels(self, audio_sha256: str | None = None, current_only: bool = False) -> list[Label]:
        """All labels, or those of one clip, oldest first; `current_only` leaves out superseded ones."""
        where, values = ["1"], []
        if audio_sha256 is not None:
            where.append("audio_sha256 = ?")
            values.append(audio_sha256)
        if current_only:
            where.append("id NOT IN (SELECT supersedes FROM label WHERE supersedes IS NOT NULL)")
        query = f"SELECT {_COLUMNS} FROM label WHERE {' AND '.join(where)} ORDER BY created, rowid"
        with self._connect() as db:
            return [_label(row) for row in db.execute(query, values)]

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        db = sqlite3.connect(self.folder / "labels.sqlite3", timeout=BUSY_SECONDS, isolation_level=None)
        try:
            db.row_factory = sqlite3.Row
            db.execute("PRAGMA foreign_keys = ON")
            yield db
        finally:
            db.close()

    def _keep_audio(self, clip: Path, sha256: str) -> int:
        """Copy the clip under its hash and return its size in bytes.

        The copy is hashed and then renamed into place, so that neither a crash nor a second
        writer can leave half a file, or another file, under a hash.
        """
        target = self.audio_path(sha256)
        if target.exists():
            return target.stat().st_size
        target.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".incoming-") as folder:
            copy = Path(folder) / "clip"
            try:
                shutil.copyfile(clip, copy)
            except FileNotFoundError:
                raise LabelError(
                    "The uploaded clip is no longer here. Analyse it again, then save the label."
                ) from None
            with copy.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
                os.fsync(file.fileno())
            if found != sha256:
                raise LabelError(
                    "The clip changed since it was analysed. Analyse it again, then save the label."
                )
            os.replace(copy, target)
        return target.stat().st_size


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    # IMMEDIATE takes the write lock first: what _check_supersedes reads is still true at the INSERT.
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def _check_supersedes(db: sqlite3.Connection, draft: LabelDraft) -> None:
    if draft.supersedes is None:
        return
    row = db.execute("SELECT audio_sha256 FROM label WHERE id = ?", (draft.supersedes,)).fetchone()
    if row is None:
        raise LabelError(f"There is no label {draft.supersedes} to correct.")
    if row["audio_sha256"] != draft.audio_sha256:
        raise LabelError(f"Label {draft.supersedes} is about another clip; it cannot be corrected here.")
    newer = db.execute("SELECT id FROM label WHERE supersedes = ?", (draft.supersedes,)).fetchone()
    if newer:
        raise LabelError(
            f"Label {draft.supersedes} was already corrected by {newer['id']}. Correct that one."
        )


def _fields(draft: LabelDraft) -> dict[str, Any]:
    return {name: getattr(draft, name) for name in LabelDraft.__dataclass_fields__}


def _row(label: Label) -> tuple[object, ...]:
    return (
        label.id,
        label.audio_sha256,
        label.annotator,
        label.label,
        label.confidence,
        json.dumps([asdict(region) for region in label.regions]),
        label.attack,
        label.note,
        int(label.consent),
        label.licence,
        json.dumps(dict(label.versions), sort_keys=True),
        json.dumps({name: dict(shown) for name, shown in label.scores.items()}, sort_keys=True),
        int(label.blind),
        label.created,
        label.supersedes,
    )


def _label(row: sqlite3.Row) -> Label:
    fields = dict(row)
    fields["regions"] = regions_from(json.loads(fields["regions"]))
    for name in ("versions", "scores"):
        fields[name] = json.loads(fields[name])
    for name in ("consent", "blind"):
        fields[name] = bool(fields[name])
    return Label(**fields)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
