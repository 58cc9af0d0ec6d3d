"""The shape of the label database, one numbered step at a time.

A step that has been released is never edited: a later change is a new step.
"""

import sqlite3
from collections.abc import Callable


def m001_initial(db: sqlite3.Connection) -> None:
    """Clips and labels. Triggers keep both tables append-only, whoever opens the file."""
    db.execute(
        """
        CREATE TABLE audio (
            sha256 TEXT PRIMARY KEY,
            bytes INTEGER NOT NULL,
            suffix TEXT NOT NULL,        -- file ending as uploaded: a hint for exports
            added TEXT NOT NULL          -- UTC
        )
        """
    )
    db.execute(
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
        """
    )
    db.execute("CREATE INDEX label_by_audio ON label (audio_sha256, created)")
    for table in ("audio", "label"):
        for action in ("UPDATE", "DELETE"):
            db.execute(
                f"CREATE TRIGGER {table}_no_{action.lower()} BEFORE {action} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )


MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (m001_initial,)


def migrate(db: sqlite3.Connection) -> None:
    """Apply the steps that this database has not seen, each recorded in the same transaction.

    `db` must be in autocommit mode (isolation_level=None), so that BEGIN here is the only one.
    """
    db.execute("BEGIN IMMEDIATE")  # two processes that start together must not both create the tables
    try:
        db.execute("CREATE TABLE IF NOT EXISTS migration (name TEXT PRIMARY KEY, applied TEXT NOT NULL)")
        seen = {name for (name,) in db.execute("SELECT name FROM migration")}
        for step in MIGRATIONS:
            if step.__name__ not in seen:
                step(db)
                db.execute(
                    "INSERT INTO migration VALUES (?, strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))",
                    (step.__name__,),
                )
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise
