"""The shape of the label database, one numbered step at a time, for SQLite and PostgreSQL.

A step that has been released is never edited: a later change is a new step.
"""

from collections.abc import Callable

from sqlalchemy import Connection, text

from detectors.labels.records import StoreError
from detectors.labels.store.clock import now
from detectors.labels.store.guards import forbid_changes, forbid_replacing


def m001_initial(db: Connection) -> None:
    """Clips and labels. Triggers keep both tables append-only, whoever opens the file."""
    _run(
        db,
        """
        CREATE TABLE audio (
            sha256 TEXT PRIMARY KEY,
            bytes INTEGER NOT NULL,
            suffix TEXT NOT NULL,        -- file ending as uploaded: a hint for exports
            added TEXT NOT NULL          -- UTC
        )
        """,
        """
        CREATE TABLE label (
            id TEXT PRIMARY KEY,
            audio_sha256 TEXT NOT NULL REFERENCES audio (sha256),
            annotator TEXT NOT NULL,
            label TEXT NOT NULL CHECK (label IN ('bonafide', 'spoof', 'unsure')),
            confidence INTEGER NOT NULL CHECK (confidence BETWEEN 1 AND 5),
            regions TEXT NOT NULL,       -- JSON [{start, end, label}], seconds
            attack TEXT NOT NULL,
            note TEXT NOT NULL,
            consent INTEGER NOT NULL CHECK (consent IN (0, 1)),
            licence TEXT NOT NULL,
            versions TEXT NOT NULL,      -- JSON {detector: version}
            scores TEXT NOT NULL,        -- JSON {detector: {score, llr, p_spoof}} as shown
            blind INTEGER NOT NULL CHECK (blind IN (0, 1)),
            created TEXT NOT NULL,       -- UTC
            supersedes TEXT UNIQUE REFERENCES label (id)
        )
        """,
        "CREATE INDEX label_by_audio ON label (audio_sha256, created)",
    )
    for table in ("audio", "label"):
        forbid_changes(db, table)


def m002_facts(db: Connection) -> None:
    """Where clips come from, what detectors said, skips, withdrawals, adjudication, the audit trail."""
    if db.dialect.name == "postgresql":
        _run(db, "ALTER TABLE audio ALTER COLUMN bytes TYPE BIGINT")
    _run(
        db,
        "ALTER TABLE label ADD COLUMN kind TEXT NOT NULL DEFAULT 'label' "
        "CHECK (kind IN ('label', 'withdrawn'))",
        "ALTER TABLE label ADD COLUMN adjudication INTEGER NOT NULL DEFAULT 0 CHECK (adjudication IN (0, 1))",
        """
        CREATE TABLE provenance (
            id TEXT PRIMARY KEY,
            audio_sha256 TEXT NOT NULL REFERENCES audio (sha256),
            name TEXT NOT NULL,
            source TEXT NOT NULL,
            speaker TEXT NOT NULL,
            licence TEXT NOT NULL,
            added_by TEXT NOT NULL,
            created TEXT NOT NULL        -- UTC
        )
        """,
        """
        CREATE TABLE judgement (
            id TEXT PRIMARY KEY,
            audio_sha256 TEXT NOT NULL REFERENCES audio (sha256),
            versions TEXT NOT NULL,      -- JSON {detector: version}
            scores TEXT NOT NULL,        -- JSON {detector: {score, llr, p_spoof}}
            windows TEXT NOT NULL,       -- JSON {detector: [{start, end, p_spoof}]}, seconds
            seconds DOUBLE PRECISION NOT NULL,
            created TEXT NOT NULL        -- UTC
        )
        """,
        """
        CREATE TABLE skip (
            id TEXT PRIMARY KEY,
            audio_sha256 TEXT NOT NULL REFERENCES audio (sha256),
            annotator TEXT NOT NULL,
            skipped INTEGER NOT NULL CHECK (skipped IN (0, 1)),
            created TEXT NOT NULL        -- UTC
        )
        """,
        """
        CREATE TABLE audit (
            id TEXT PRIMARY KEY,
            created TEXT NOT NULL,       -- UTC
            who TEXT NOT NULL,           -- emptied when the clip is deleted
            action TEXT NOT NULL,
            audio_sha256 TEXT NOT NULL,
            label_id TEXT,
            detail TEXT NOT NULL
        )
        """,
        "CREATE INDEX label_by_annotator ON label (annotator, created)",
        "CREATE INDEX provenance_by_audio ON provenance (audio_sha256, created)",
        "CREATE INDEX judgement_by_audio ON judgement (audio_sha256, created)",
        "CREATE INDEX skip_by_audio ON skip (audio_sha256, created)",
        "CREATE INDEX audit_by_time ON audit (created)",
        "CREATE INDEX audit_by_audio ON audit (audio_sha256, created)",
    )


def m003_deletion(db: Connection) -> None:
    """Tombstones. From here on a clip's rows can go, but only once a tombstone stands for them."""
    _run(
        db,
        """
        CREATE TABLE tombstone (
            id TEXT PRIMARY KEY,
            sha256 TEXT NOT NULL,
            bytes BIGINT NOT NULL,
            labels INTEGER NOT NULL,     -- rows that went, corrections included
            annotators INTEGER NOT NULL,
            requested_by TEXT NOT NULL,
            reason TEXT NOT NULL,
            created TEXT NOT NULL        -- UTC
        )
        """,
        """
        CREATE TABLE readmission (
            tombstone TEXT PRIMARY KEY REFERENCES tombstone (id),
            requested_by TEXT NOT NULL,
            reason TEXT NOT NULL,
            created TEXT NOT NULL        -- UTC
        )
        """,
        "CREATE INDEX tombstone_by_sha256 ON tombstone (sha256)",
    )
    for table in ("tombstone", "readmission"):
        forbid_changes(db, table)
    forbid_changes(db, "audio", unless_buried="sha256")
    for table in ("label", "provenance", "judgement", "skip"):
        forbid_changes(db, table, unless_buried="audio_sha256")
    forbid_changes(db, "audit", forgettable=True)
    for table, key in (("audio", "sha256"), ("readmission", "tombstone")):
        forbid_replacing(db, table, key)
    for table in ("label", "provenance", "judgement", "skip", "tombstone", "audit"):
        forbid_replacing(db, table, "id")
    forbid_replacing(db, "label", "supersedes")


def m004_queue(db: Connection) -> None:
    """What the queue and the view of disagreements read. Worked out from the facts, see derive.py."""
    _run(
        db,
        """
        CREATE TABLE clip (
            sha256 TEXT PRIMARY KEY,
            name TEXT NOT NULL,
            suffix TEXT NOT NULL,
            bytes BIGINT NOT NULL,
            added TEXT NOT NULL,
            source TEXT NOT NULL,
            speaker TEXT NOT NULL,
            licence TEXT NOT NULL,
            judgement_id TEXT,
            uncertainty DOUBLE PRECISION NOT NULL,
            disagreement DOUBLE PRECISION NOT NULL,
            labels INTEGER NOT NULL,
            disputed INTEGER NOT NULL
        )
        """,
        """
        CREATE TABLE turn (
            person TEXT NOT NULL,
            sha256 TEXT NOT NULL,
            labels INTEGER NOT NULL,
            skipped INTEGER NOT NULL,
            PRIMARY KEY (person, sha256)
        )
        """,
        "CREATE INDEX clip_by_uncertainty ON clip (uncertainty DESC, sha256)",
        "CREATE INDEX clip_by_disagreement ON clip (disagreement DESC, sha256)",
        "CREATE INDEX clip_by_age ON clip (added DESC, sha256)",
        "CREATE INDEX clip_disputed ON clip (added DESC, sha256) WHERE disputed = 1",
        "CREATE INDEX turn_by_clip ON turn (sha256)",
    )


MIGRATIONS: tuple[Callable[[Connection], None], ...] = (m001_initial, m002_facts, m003_deletion, m004_queue)


def migrate(db: Connection) -> bool:
    """Apply the steps that this database has not seen and record them; True when there were any.

    Runs inside the caller's transaction, which must keep other migrations out. Raises StoreError
    for a database with steps that this version does not know.
    """
    _run(db, "CREATE TABLE IF NOT EXISTS migration (name TEXT PRIMARY KEY, applied TEXT NOT NULL)")
    seen = set(db.execute(text("SELECT name FROM migration")).scalars())
    unknown = seen - {step.__name__ for step in MIGRATIONS}
    if unknown:
        raise StoreError(
            f"The label store was written by a newer SpoofLens (step {max(unknown)}). "
            "Update SpoofLens, or choose another data folder."
        )
    due = [step for step in MIGRATIONS if step.__name__ not in seen]
    for step in due:
        step(db)
        db.execute(
            text("INSERT INTO migration (name, applied) VALUES (:name, :now)"),
            {"name": step.__name__, "now": now()},
        )
    return bool(due)


def _run(db: Connection, *statements: str) -> None:
    for statement in statements:
        db.exec_driver_sql(statement)
