"""Opening the database and its transactions: SQLite in WAL mode, or PostgreSQL by URL."""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, create_engine, event, exc, insert, text
from sqlalchemy.engine import URL, make_url

from detectors.labels.records import StoreError
from detectors.labels.store.tables import metadata

logger = logging.getLogger(__name__)

#: SQLite's file in the store's folder.
DATABASE_FILE = "labels.sqlite3"

#: How long one waits for another's write, or for a free connection, in seconds.
BUSY_SECONDS = 30

#: Connections per process. Readers share them; writers to SQLite stand in a queue of their own.
CONNECTIONS = 16

#: Any number, the same for all processes: PostgreSQL's lock that one migration holds.
_MIGRATION_LOCK = 5_041_977


class Transaction:
    """One write: a connection, and the facts that were added, for the mirror to repeat elsewhere."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.added: list[tuple[str, dict[str, Any]]] = []

    def append(self, table: Table, row: Mapping[str, Any]) -> None:
        """Insert one row into a table of facts."""
        self.connection.execute(insert(table), row)
        self.added.append((table.name, dict(row)))


class Database:
    """Connections to one database; `folder` is where SQLite's file lies when there is no URL.

    Raises StoreError when the URL cannot be used or nothing answers there.
    """

    def __init__(self, folder: Path, url: str | None) -> None:
        self._engine = _engine(_url(folder, url))
        self._is_sqlite = self._engine.dialect.name == "sqlite"
        # SQLite's readers see one state anyway; in PostgreSQL it has to be asked for.
        self._reader = (
            self._engine
            if self._is_sqlite
            else self._engine.execution_options(isolation_level="REPEATABLE READ")
        )
        self._writer = self._engine.execution_options(begin="BEGIN IMMEDIATE")
        self._queue = threading.Lock() if self._is_sqlite else nullcontext()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection whose queries all see the same state."""
        with _explained(), self._reader.begin() as connection:
            yield connection

    @contextmanager
    def writing(self, sha256: str | None = None) -> Iterator[Transaction]:
        """A transaction that keeps out other writers: all of them in SQLite, in PostgreSQL those
        of the same clip. What it reads of that clip is thus still true when it commits.
        """
        with _explained(), self._queue, self._writer.begin() as connection:
            if not self._is_sqlite and sha256 is not None:
                self._lock(connection, int(sha256[:15], 16))
            yield Transaction(connection)

    def prepare(self, steps: Callable[[Connection], None]) -> None:
        """Run what makes or changes tables, while nobody else does."""
        with self.writing() as transaction:
            if not self._is_sqlite:
                self._lock(transaction.connection, _MIGRATION_LOCK)
            steps(transaction.connection)

    def shred(self) -> None:
        """Clear deleted rows out of the database's own leftovers.

        SQLite overwrites them at once (secure_delete) but keeps older pages in its log until a
        checkpoint; PostgreSQL keeps the old row versions until VACUUM. Both come by themselves
        later where it cannot be done now.
        """
        try:
            if self._is_sqlite:  # on a plain connection: a checkpoint cannot run in a transaction
                with closing(self._engine.raw_connection()) as plain:
                    plain.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            else:
                with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                    connection.exec_driver_sql(f"VACUUM {', '.join(metadata.tables)}")
        except (exc.DBAPIError, exc.TimeoutError, sqlite3.Error):
            logger.warning("deleted rows stay in the database's log until its next clean-up", exc_info=True)

    def close(self) -> None:
        """Give all connections back. The database may be used again afterwards."""
        self._engine.dispose()

    @staticmethod
    def _lock(connection: Connection, key: int) -> None:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})


def _url(folder: Path, url: str | None) -> URL:
    if not url:
        return URL.create("sqlite", database=str(folder / DATABASE_FILE))
    try:
        made = make_url(url)
    except exc.ArgumentError:
        raise StoreError(
            "The database URL cannot be read. It should look like postgresql://user:password@host/name."
        ) from None
    # Heroku's and older tools' spelling; and we speak to PostgreSQL by psycopg 3.
    return made.set(drivername="postgresql+psycopg") if made.drivername in _POSTGRESQL else made


_POSTGRESQL = ("postgres", "postgresql")


def _engine(url: URL) -> Engine:
    if url.get_backend_name() not in ("sqlite", "postgresql"):
        raise StoreError(
            f"The database URL names {url.get_backend_name()}; labels can be kept in SQLite or PostgreSQL."
        )
    options: dict[str, Any] = {"pool_size": CONNECTIONS, "pool_timeout": BUSY_SECONDS}
    try:
        if url.get_backend_name() == "postgresql":
            # A cluster made under the locale "C" has no encoding; the driver would give bytes for text.
            return create_engine(url, pool_pre_ping=True, connect_args={"client_encoding": "utf8"}, **options)
        engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS}, **options)
    except (exc.NoSuchModuleError, ModuleNotFoundError) as error:
        raise StoreError(f"The driver for the database URL is not installed: {error}.") from error
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _set_up_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # sqlite3 would begin transactions at moments of its own choice
    _write_ahead(connection)
    for pragma in (
        "synchronous = FULL",  # what was acknowledged outlasts a power cut
        "foreign_keys = ON",
        "secure_delete = ON",  # what is deleted is overwritten
    ):
        connection.execute(f"PRAGMA {pragma}")


def _write_ahead(connection: Any) -> None:
    """Readers then do not wait for a writer.

    While another process makes the same switch, SQLite says "locked" at once instead of waiting.
    """
    patience = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > patience:
                raise
            time.sleep(0.02)


def _begin_sqlite(connection: Connection) -> None:
    # IMMEDIATE takes the write lock first: what the transaction reads is still true when it writes.
    connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except (exc.IntegrityError, exc.ProgrammingError, exc.DataError):
        raise  # a mistake in this package: it keeps its traceback
    except (exc.DatabaseError, exc.TimeoutError) as error:
        reason = error.orig if isinstance(error, exc.DBAPIError) else error
        raise StoreError(
            f"The label store does not answer: {str(reason).strip()}. Nothing was saved. Try again; if this "
            "goes on, look at the disk, or at the database server."
        ) from error
