"""A PostgreSQL database in SQL_ASCII, as `initdb` makes it under the locale "C" of a bare server."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from detectors.labels.store import LabelStore
from tests.labels.making import connect, draft


@pytest.fixture
def ascii_database(postgresql_server: str) -> Iterator[str]:
    """The URL of a database without an encoding, dropped when the test is over."""
    name = f"t_{uuid.uuid4().hex}"
    server = make_url(postgresql_server)
    engine = connect(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as db:
        db.execute(text(f"CREATE DATABASE {name} ENCODING SQL_ASCII LOCALE 'C' TEMPLATE template0"))
    yield server.set(database=name).render_as_string(hide_password=False)
    with engine.connect() as db:
        db.execute(text(f"DROP DATABASE {name}"))
    engine.dispose()


def test_without_an_encoding_every_letter_is_kept(ascii_database: str, tmp_path: Path, clip: Path) -> None:
    note = "metallic s, äöü, 声"
    store = LabelStore(tmp_path / "data", ascii_database)
    saved = store.add(draft(annotator="Ångström", note=note), clip)
    store.close()
    again = LabelStore(tmp_path / "data", ascii_database)
    assert again.get(saved.id) == saved
    assert again.get(saved.id).note == note
    again.close()
