"""A store on each database: SQLite always, PostgreSQL where a server is named."""

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from detectors.labels.store import LabelStore
from tests.labels.making import BYTES, connect

#: A server on which these tests may make and drop schemas. CI starts one.
SERVER = "SPOOFLENS_TEST_DATABASE_URL"


@pytest.fixture
def postgresql_server() -> str:
    """The URL of the PostgreSQL server; without one the test is skipped."""
    server = os.environ.get(SERVER)
    if not server:
        pytest.skip(f"no PostgreSQL server: {SERVER} is not set")
    return server


@pytest.fixture
def postgresql_url(postgresql_server: str) -> Iterator[str]:
    """A schema of its own on the PostgreSQL server, dropped when the test is over."""
    schema = f"t_{uuid.uuid4().hex}"
    server = make_url(postgresql_server)
    engine = connect(server)
    with engine.begin() as db:
        db.execute(text(f"CREATE SCHEMA {schema}"))
    url = server.update_query_dict({"options": f"-csearch_path={schema}"})
    yield url.render_as_string(hide_password=False)
    with engine.begin() as db:
        db.execute(text(f"DROP SCHEMA {schema} CASCADE"))
    engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str | None:
    """What a LabelStore takes: None for the SQLite file in its folder."""
    return request.getfixturevalue("postgresql_url") if request.param == "postgresql" else None


@pytest.fixture
def open_store(tmp_path: Path, url: str | None) -> Iterator[Callable[..., LabelStore]]:
    """Opens the same store as often as asked, as processes would."""
    opened = []

    def opener(**options: object) -> LabelStore:
        opened.append(LabelStore(tmp_path / "data", url, **options))
        return opened[-1]

    yield opener
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Callable[..., LabelStore]) -> LabelStore:
    return open_store()


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.OGG"
    path.write_bytes(BYTES)
    return path
