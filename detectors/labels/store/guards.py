"""Triggers that keep tables append-only in the database itself, whichever program opens it."""

from sqlalchemy import Connection

#: True in a trigger when the clip of the row at hand was deleted on request and not let in again.
_BURIED = (
    "EXISTS (SELECT 1 FROM tombstone t WHERE t.sha256 = OLD.{key} "
    "AND NOT EXISTS (SELECT 1 FROM readmission r WHERE r.tombstone = t.id))"
)

#: True in a trigger on `audit` when an update only forgets who it was.
_FORGETS = (
    "NEW.who = '' AND NEW.detail = '' AND NEW.id = OLD.id AND NEW.created = OLD.created "
    "AND NEW.action = OLD.action AND NEW.audio_sha256 = OLD.audio_sha256 "
    "AND COALESCE(NEW.label_id, '') = COALESCE(OLD.label_id, '') AND " + _BURIED.format(key="audio_sha256")
)


def forbid_changes(
    db: Connection, table: str, *, unless_buried: str | None = None, forgettable: bool = False
) -> None:
    """Refuse UPDATE and DELETE on a table, replacing an earlier guard of this kind.

    unless_buried: the column with the clip's hash; rows of a clip that has a tombstone may be
    deleted. forgettable: rows of such a clip may have their `who` and `detail` emptied.
    """
    exceptions = {
        "UPDATE": _FORGETS if forgettable else "",
        "DELETE": _BURIED.format(key=unless_buried) if unless_buried else "",
    }
    guard = _guard_postgresql if db.dialect.name == "postgresql" else _guard_sqlite
    guard(db, table, exceptions)


def forbid_replacing(db: Connection, table: str, key: str) -> None:
    """Refuse SQLite's INSERT OR REPLACE, which deletes the old row without firing DELETE triggers.

    PostgreSQL has nothing like it: its ON CONFLICT DO UPDATE fires the trigger on UPDATE.
    """
    if db.dialect.name == "sqlite":
        db.exec_driver_sql(
            f"CREATE TRIGGER {table}_no_replace_{key} BEFORE INSERT ON {table} "
            f"WHEN EXISTS (SELECT 1 FROM {table} WHERE {key} = NEW.{key}) "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        )


def _guard_sqlite(db: Connection, table: str, exceptions: dict[str, str]) -> None:
    for action, allowed in exceptions.items():
        name = f"{table}_no_{action.lower()}"
        when = f"WHEN NOT ({allowed}) " if allowed else ""
        db.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name}")
        db.exec_driver_sql(
            f"CREATE TRIGGER {name} BEFORE {action} ON {table} {when}"
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        )


def _guard_postgresql(db: Connection, table: str, exceptions: dict[str, str]) -> None:
    # One IF inside the other: PL/pgSQL does not promise to leave OLD alone once TG_OP is not DELETE.
    cases = " ".join(
        f"IF TG_OP = '{action}' THEN IF {allowed} THEN RETURN {row}; END IF; END IF;"
        for (action, allowed), row in zip(exceptions.items(), ("NEW", "OLD"), strict=True)
        if allowed
    )
    db.exec_driver_sql(
        f"CREATE OR REPLACE FUNCTION {table}_guard() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {cases} "
        f"RAISE EXCEPTION '{table} is append-only' USING ERRCODE = 'integrity_constraint_violation'; END $$"
    )
    for name, event, each in (
        ("append_only", "UPDATE OR DELETE", "ROW"),
        ("no_truncate", "TRUNCATE", "STATEMENT"),
    ):
        db.exec_driver_sql(
            f"CREATE OR REPLACE TRIGGER {table}_{name} BEFORE {event} ON {table} "
            f"FOR EACH {each} EXECUTE FUNCTION {table}_guard()"
        )
