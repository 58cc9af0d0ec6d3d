"""The clips' bytes: nothing half, nothing orphaned, nothing taken from a writer at work."""

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from detectors.labels import audio_files
from detectors.labels.audio_files import AudioFiles
from detectors.labels.records import LabelError
from tests.labels.making import BYTES, SHA256


def nothing(_: str) -> set[str]:
    return set()


@pytest.fixture
def files(tmp_path: Path) -> AudioFiles:
    return AudioFiles(tmp_path)


def test_a_clip_is_there_with_its_size_and_nothing_else(files: AudioFiles, clip: Path) -> None:
    with files.keeping(clip, SHA256) as size:
        assert size == len(BYTES)
    assert files.path(SHA256).read_bytes() == BYTES
    assert list(files.path(SHA256).parent.iterdir()) == [files.path(SHA256)]


def test_wrong_bytes_leave_nothing(files: AudioFiles, clip: Path) -> None:
    other = hashlib.sha256(b"other").hexdigest()
    with pytest.raises(LabelError, match="changed"), files.keeping(clip, other):
        pass
    assert list(files.path(other).parent.iterdir()) == []


def test_a_file_has_its_name_only_when_it_is_on_disk(
    files: AudioFiles, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        assert not files.path(SHA256).exists(), "named before it was forced to disk"
        raise OSError("the disk is full")

    monkeypatch.setattr(audio_files.os, "fsync", fail)
    with pytest.raises(OSError, match="disk is full"), files.keeping(clip, SHA256):
        pass
    assert list(files.path(SHA256).parent.iterdir()) == []


def test_the_sweep_takes_what_killed_writers_left_and_no_more(files: AudioFiles, clip: Path) -> None:
    with files.keeping(clip, SHA256):
        pass
    shard = files.path(SHA256).parent
    half = shard / ".incoming-0123"
    half.write_bytes(b"ha")
    old_half = shard / ".incoming-abcd" / "clip"  # as the first version copied
    old_half.parent.mkdir()
    old_half.write_bytes(b"ha")
    orphan = shard / (SHA256[:2] + "0" * 62)
    orphan.write_bytes(b"no row speaks of it")
    removed = files.sweep(lambda digits: {SHA256} if digits == SHA256[:2] else set())
    assert sorted(removed) == sorted([half, old_half.parent, orphan])
    assert list(shard.iterdir()) == [files.path(SHA256)]


def test_the_sweep_leaves_a_writer_at_work_alone(
    files: AudioFiles, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audio_files, "SWEEP_WAIT", 0.05)
    with files.keeping(clip, SHA256):
        assert AudioFiles(tmp_path).sweep(nothing) == []
        assert files.path(SHA256).exists(), "its row is not committed yet, but will be"
    assert AudioFiles(tmp_path).sweep(nothing) == [files.path(SHA256)]


def test_the_sweep_sees_the_row_of_a_writer_that_it_waited_for(
    files: AudioFiles, clip: Path, tmp_path: Path
) -> None:
    rows: set[str] = set()
    at_work = threading.Event()

    def write() -> None:
        with files.keeping(clip, SHA256):
            at_work.set()
            rows.add(SHA256)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(write)
        assert at_work.wait(10)
        assert AudioFiles(tmp_path).sweep(lambda _: rows) == []
    assert files.path(SHA256).exists()


def test_a_clip_is_not_removed_under_a_writer(files: AudioFiles, clip: Path) -> None:
    removed = threading.Event()

    def remove() -> None:
        with files.removing(SHA256):
            removed.set()

    with ThreadPoolExecutor(1) as pool:
        with files.keeping(clip, SHA256):
            pool.submit(remove)
            assert not removed.wait(0.1)
            assert files.path(SHA256).exists()
        assert removed.wait(10)
    assert not files.path(SHA256).exists()


def test_a_failed_removal_keeps_the_file(files: AudioFiles, clip: Path) -> None:
    with files.keeping(clip, SHA256):
        pass
    with pytest.raises(RuntimeError), files.removing(SHA256):
        raise RuntimeError("the database said no")
    assert files.path(SHA256).exists()
