"""The folder for uploads: private, emptied on time, and gone with the app."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from demo.analysis import RecentAnalyses
from demo.cache import PREFIX, VARIABLE, Cache
from tests.demo.test_services import analysis_of


def aged(path: Path, seconds: float) -> Path:
    os.utime(path, (path.stat().st_atime - seconds,) * 2)
    return path


def test_the_folder_is_private_and_goes_with_the_app(tmp_path: Path) -> None:
    environ = {VARIABLE: str(tmp_path)}
    with Cache(environ) as cache:
        assert environ[VARIABLE] == str(cache.folder)
        assert cache.folder.parent == tmp_path
        assert os.name == "nt" or cache.folder.stat().st_mode & 0o077 == 0
        (cache.folder / "clip.wav").touch()
    assert not cache.folder.exists()
    assert environ == {VARIABLE: str(tmp_path)}


def test_without_a_name_it_is_among_the_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    environ: dict[str, str] = {}
    with Cache(environ) as cache:
        assert cache.folder.parent == tmp_path
    assert environ == {}


def test_old_files_go_and_new_ones_and_the_examples_stay(tmp_path: Path) -> None:
    with Cache({VARIABLE: str(tmp_path)}, age=100) as cache:
        for name in ("example", "old", "new"):
            (cache.folder / name).mkdir()
            (cache.folder / name / "clip.wav").touch()
        cache._kept = {cache.folder / "example", cache.folder / "example" / "clip.wav"}
        for name in ("example", "old"):
            aged(cache.folder / name / "clip.wav", 101)
        (cache.folder / "link").symlink_to(tmp_path)
        cache.sweep()
        assert sorted(path.name for path in cache.folder.rglob("*.wav")) == ["clip.wav", "clip.wav"]
        assert not (cache.folder / "old" / "clip.wav").exists()
        aged(cache.folder / "old", 101)
        cache.sweep()
        assert not (cache.folder / "old").exists()
    assert tmp_path.exists()


def test_what_a_killed_app_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left, running = tmp_path / f"{PREFIX}{ended.pid}-abc", tmp_path / f"{PREFIX}{os.getpid()}-abc"
    others = [tmp_path / "gradio", tmp_path / f"{PREFIX}x"]
    for folder in (left, running, *others):
        folder.mkdir()
        (folder / "clip.wav").touch()
    with Cache({VARIABLE: str(tmp_path)}):
        assert not left.exists()
        assert all((folder / "clip.wav").exists() for folder in (running, *others))


def test_a_clip_in_memory_is_forgotten_when_nobody_asks_for_it() -> None:
    now = 0.0
    recent = RecentAnalyses(age=100, clock=lambda: now)
    recent.add(analysis_of("a", 1))
    recent.add(analysis_of("b", 1))
    now = 60
    assert recent.get("a") is not None
    now = 120
    recent.tidy()
    assert list(recent._items) == ["a"]
    now = 200
    assert recent.get("a") is None
