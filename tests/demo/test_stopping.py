"""The app is stopped as a Space is: by SIGTERM, after which nothing may be left unsent."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import app
from demo.permission import Permission
from demo.settings import Settings


@pytest.fixture(autouse=True)
def _own_handler() -> Iterator[None]:
    """The app's handler must not stay behind in the process that runs the tests."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


class StoppedByItself:
    """A page that is told to stop while it is served."""

    def launch(self, **_: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)
        pytest.fail("SIGTERM did not stop the app")


class ClosedServices:
    settings = Settings()
    permission = Permission(settings)
    closed = 0

    def tidy(self) -> None:
        pass

    def close(self) -> None:
        self.closed += 1


def test_sigterm_sends_what_is_left_and_ends_with_0(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    services = ClosedServices()
    monkeypatch.setattr(app, "Services", lambda settings: services)
    monkeypatch.setattr(app, "build_demo", lambda _: StoppedByItself())
    with pytest.raises(SystemExit) as stopped:
        app.main(["--data", str(tmp_path), "--device", "cpu"])
    assert stopped.value.code == 0
    assert services.closed == 1
