"""The app with fake detectors, running."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.demo.fake_detectors import fake_services
from tests.demo.running import RunningApp, serve


@pytest.fixture
def running_app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningApp]:
    yield from serve(fake_services(tmp_path / "data"), tmp_path, monkeypatch)
