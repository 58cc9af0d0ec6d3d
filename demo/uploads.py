"""What people drop, file by file: sound files as they are, zips unpacked within limits."""

import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from demo import messages
from detectors.audio import AUDIO_SUFFIXES

_BLOCK = 1 << 20  # bytes

#: What reading a damaged, encrypted or exotic zip raises. OSError is not among them: a full disk is no
#: fault of the zip.
_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)


@dataclass(frozen=True)
class Limits:
    """Of one import. files: sound files, in zips or not. unpacked: bytes that come out of zips."""

    files: int = 5_000
    unpacked: int = 4 << 30


@dataclass(frozen=True)
class Arrival:
    """One file of an import. name: as the person knows it. path: None when it is not taken, because of
    `refusal`. The path of a file out of a zip is good only until the next arrival is asked for.
    """

    name: str
    path: Path | None = None
    refusal: str = ""


class _LimitReachedError(Exception):
    """More came out of the zips than one import may unpack."""


def arrivals(paths: Sequence[Path], folder: Path, limits: Limits | None = None) -> Iterator[Arrival]:
    """Every sound file in `paths` and in the zips among them; `folder` holds what is being unpacked.

    Hidden files and folders are passed over. Whatever else is not taken arrives with its reason.
    At a limit, one last arrival says so.
    """
    limits = limits or Limits()
    reader = _ZipReader(folder, limits.unpacked)
    taken = 0
    for path in paths:
        for arrival in reader.unpack(path) if path.suffix.lower() == ".zip" else _plain(path):
            if arrival.path is not None and taken == limits.files:
                yield Arrival(arrival.name, refusal=messages.TOO_MANY_FILES.format(limit=limits.files))
                return
            taken += arrival.path is not None
            yield arrival


def _plain(path: Path) -> Iterator[Arrival]:
    if not path.name.startswith("."):
        yield _not_sound(path.name) or Arrival(path.name, path)


def _not_sound(name: str) -> Arrival | None:
    suffix = PurePosixPath(name).suffix.lower()
    return None if suffix in AUDIO_SUFFIXES else Arrival(name, refusal=messages.NOT_A_SOUND_FILE)


class _ZipReader:
    """Unpacks zips one member at a time, `room` bytes in all. Counts what really comes out: the
    sizes that a zip states about itself may be wrong on purpose.
    """

    def __init__(self, folder: Path, room: int) -> None:
        self._folder, self._room, self._limit = folder, room, room

    def unpack(self, path: Path) -> Iterator[Arrival]:
        """Every file of the zip that is not hidden."""
        try:
            archive = zipfile.ZipFile(path)
        except (*_ZIP_ERRORS, OSError):  # a table of contents that points nowhere ends in an OSError
            yield Arrival(path.name, refusal=messages.BAD_ZIP)
            return
        with archive:
            try:
                for member in archive.infolist():
                    if not member.is_dir() and not _hidden(member.filename):
                        yield from self._member(archive, member)
            except _LimitReachedError:
                limit = messages.size(self._limit)
                yield Arrival(path.name, refusal=messages.TOO_MUCH_UNPACKED.format(limit=limit))

    def _member(self, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[Arrival]:
        name = PurePosixPath(member.filename).name
        if refused := _not_sound(name):
            yield refused
            return
        # Never the member's own path: it may lead out of the folder, or be no name for a file here.
        path = self._folder / f"unpacked{PurePosixPath(name).suffix.lower()}"
        try:
            with archive.open(member) as packed, path.open("wb") as file:
                self._copy(packed, file)
        except _ZIP_ERRORS:
            yield Arrival(name, refusal=messages.BAD_MEMBER)
            return
        yield Arrival(name, path)

    def _copy(self, packed: IO[bytes], file: IO[bytes]) -> None:
        while block := packed.read(_BLOCK):
            self._room -= len(block)
            if self._room < 0:
                raise _LimitReachedError
            file.write(block)


def _hidden(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts)
