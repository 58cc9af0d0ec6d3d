"""The clips' original bytes, each kept once under its SHA-256. Knows nothing of the database.

A file gets its name only when it is complete and on disk, and it stays only when a row speaks of it.
A writer therefore holds its shard's lock, shared, from the first byte until its row is committed;
whoever removes files takes that lock alone. The operating system frees the locks of a killed process.
"""

import fcntl
import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from detectors.labels.records import LabelError

#: How long the sweep at the start waits for one shard's writers, in seconds. A shard that stays
#: busy is left for the next start.
SWEEP_WAIT = 1.0

_INCOMING = ".incoming-"
_BLOCK = 1 << 20  # bytes


class AudioFiles:
    """audio/<first two digits>/<sha256> under `folder`, and one lock file for each such shard.

    Safe for several threads and processes on one machine.
    """

    def __init__(self, folder: Path) -> None:
        self._audio = folder / "audio"
        self._locks = folder / "locks"
        for made in (self._audio, self._locks):
            made.mkdir(parents=True, exist_ok=True)

    def path(self, sha256: str) -> Path:
        """Where the clip with this hash is kept, whether or not it is there yet."""
        return self._audio / sha256[:2] / sha256

    @contextmanager
    def keeping(self, clip: Path, sha256: str) -> Iterator[int]:
        """Bring the clip in unless it is there, give its size in bytes, and let nobody remove it meanwhile.

        Raises LabelError when the clip is gone or its bytes are not those that `sha256` names.
        """
        with self._locked(sha256[:2], fcntl.LOCK_SH):
            target = self.path(sha256)
            if not target.exists():
                _bring(clip, sha256, target)
            yield target.stat().st_size

    @contextmanager
    def removing(self, sha256: str) -> Iterator[None]:
        """Remove the clip's file once the block inside has succeeded; nobody brings it in meanwhile."""
        with self._locked(sha256[:2], fcntl.LOCK_EX):
            yield
            self.path(sha256).unlink(missing_ok=True)

    def sweep(self, known: Callable[[str], set[str]]) -> list[Path]:
        """Remove what a killed writer left: half copies, and files that no row speaks of.

        `known` names the hashes in the database that start with two given digits. Shards in which
        somebody is writing are left alone. Returns what was removed.
        """
        shards = [entry.name for entry in self._audio.iterdir() if entry.is_dir() and len(entry.name) == 2]
        return [path for shard in sorted(shards) for path in self._sweep_shard(shard, known)]

    def drop_unless_known(self, sha256: str, known: Callable[[str], set[str]]) -> None:
        """Remove one clip's file when no row speaks of it: its writer was refused after bringing it."""
        if not self.path(sha256).exists():
            return
        with self._locked(sha256[:2], fcntl.LOCK_EX):
            if sha256 not in known(sha256[:2]):
                self.path(sha256).unlink(missing_ok=True)

    def _sweep_shard(self, shard: str, known: Callable[[str], set[str]]) -> list[Path]:
        try:
            with self._locked(shard, fcntl.LOCK_EX, SWEEP_WAIT):
                kept = known(shard)
                stray = [path for path in (self._audio / shard).iterdir() if path.name not in kept]
                for path in stray:
                    _remove(path)
                return stray
        except BlockingIOError:
            return []

    @contextmanager
    def _locked(self, shard: str, how: int, patience: float | None = None) -> Iterator[None]:
        # Opened anew each time: flock belongs to an open file, so threads exclude each other too.
        lock = os.open(self._locks / shard, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            if patience is None:
                fcntl.flock(lock, how)
            else:
                _flock_within(lock, how, patience)
            yield
        finally:
            os.close(lock)


def _bring(clip: Path, sha256: str, target: Path) -> None:
    """Copy, hash what was written, force it to disk, and only then give it its name."""
    target.parent.mkdir(exist_ok=True)
    incoming = target.parent / f"{_INCOMING}{uuid.uuid4().hex}"
    try:
        with incoming.open("xb") as copy:
            if _copy(clip, copy) != sha256:
                raise LabelError(
                    "The clip changed since it was analysed. Analyse it again, then save the label."
                )
            copy.flush()
            os.fsync(copy.fileno())
        os.replace(incoming, target)
    finally:
        incoming.unlink(missing_ok=True)
    for folder in (target.parent, target.parent.parent):  # the names must outlast a power cut too
        _sync_folder(folder)


def _copy(clip: Path, copy: BinaryIO) -> str:
    digest = hashlib.sha256()
    try:
        with clip.open("rb") as original:
            while block := original.read(_BLOCK):
                digest.update(block)
                copy.write(block)
    except FileNotFoundError:
        raise LabelError(
            "The uploaded clip is no longer here. Analyse it again, then save the label."
        ) from None
    return digest.hexdigest()


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove(path: Path) -> None:
    # The first version of the store copied into a folder named like this.
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def _flock_within(lock: int, how: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            return fcntl.flock(lock, how | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
