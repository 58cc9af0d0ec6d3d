"""kill -9 while 200 threads save: what was acknowledged is there, and nothing half is."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from detectors.labels.store import LabelStore
from tests.labels.making import check_nothing_lost

ROOT = Path(__file__).parents[2]
CHILD = Path(__file__).with_name("crash_child.py")

Opener = Callable[..., LabelStore]


def killed_after(acknowledged: int, folder: Path, seed: str, url: str | None) -> list[tuple[str, str]]:
    """Run the saving process, kill it after so many saves, and return what it acknowledged in all."""
    command = [sys.executable, str(CHILD), str(folder), seed, *([url] if url else [])]
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}
    )
    assert child.stdout is not None
    try:
        lines = [child.stdout.readline() for _ in range(acknowledged)]
    finally:
        child.kill()  # SIGKILL: no handler, no cleaning up
    lines += child.stdout.readlines()
    child.stdout.close()
    assert child.wait() == -9, "the process ended by itself"
    return [
        (label_id, sha256) for label_id, sha256 in (line.split() for line in lines if line.endswith("\n"))
    ]


def kill_again_and_again(folder: Path, url: str | None, open_store: Opener, rounds: list[int]) -> None:
    """The next process starts on what the killed one left: a bare start is a round of its own."""
    acknowledged: list[tuple[str, str]] = []
    for turn, saves in enumerate(rounds):
        acknowledged += killed_after(saves, folder, f"r{turn}", url)
        store = open_store()
        check_nothing_lost(store, acknowledged)
        store.close()


def test_kill_9_during_200_concurrent_saves(tmp_path: Path, url: str | None, open_store: Opener) -> None:
    kill_again_and_again(tmp_path, url, open_store, [1, 60])


@pytest.mark.slow
def test_kill_9_repeated(tmp_path: Path, url: str | None, open_store: Opener) -> None:
    kill_again_and_again(tmp_path, url, open_store, [1, 2, 5, 20, 50, 90, 130, 200, 300, 400])
