"""Versions of detectors that were fine-tuned here, and which of them is in use.

    DATA/models/DETECTOR/VERSION/       model.safetensors, config.json, README.md (its card)
    DATA/models/DETECTOR/current.json   {"mini": "VERSION"}; a preset that is absent or null uses the
                                        weights that are shipped

A version is named by the first 12 digits of its weights' sha256. None is ever changed or deleted
here, so that one can always go back to it.
"""

import json
import logging
import os
import re
import tempfile
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from detectors.audio import sha256_of
from detectors.checkpoints import WEIGHTS, read_config
from detectors.errors import DetectorError

log = logging.getLogger(__name__)

CURRENT = "current.json"
#: Held while current.json is read, changed and replaced; the system frees it when its holder dies.
LOCK = ".current.lock"
#: How long a choice waits for another one that is just being made, in seconds.
PATIENCE = 10.0
CARD = "README.md"
_NAME = re.compile(r"[0-9a-f]{12}")


@dataclass(frozen=True)
class Version:
    """One fine-tuned version. `facts`: what config.json says under "finetuned" (data, seed, EERs)."""

    detector: str
    preset: str
    name: str
    folder: Path
    facts: dict[str, Any]

    @property
    def created(self) -> str:
        """When it was made: UTC, ISO 8601."""
        return str(self.facts.get("created", ""))

    @property
    def card(self) -> str:
        """Its model card, Markdown."""
        return (self.folder / CARD).read_text(encoding="utf-8")


class Versions:
    """The fine-tuned versions in one data folder. The folder need not exist yet."""

    def __init__(self, data: str | Path) -> None:
        self.data = Path(data)
        self.folder = self.data / "models"

    def all(self, detector: str, preset: str) -> list[Version]:
        """Every whole version of a detector at a preset, the newest first."""
        found = []
        for folder in (self.folder / detector).glob("*/"):
            if _NAME.fullmatch(folder.name):
                try:
                    found.append(_read(detector, folder))
                except DetectorError as error:  # one damaged folder must not hide the others
                    log.warning("%s", error)
        wanted = [version for version in found if version.preset == preset]
        return sorted(wanted, key=lambda version: (version.created, version.name), reverse=True)

    def current(self, detector: str, preset: str) -> Version | None:
        """The version in use; None when the shipped weights are.

        Raises DetectorError when current.json is damaged or names a version that is not there.
        """
        name = self._choices(detector).get(preset)
        return None if name is None else self.get(detector, preset, str(name))

    def get(self, detector: str, preset: str, name: str) -> Version:
        """One version by its name. Raises DetectorError when there is no such version."""
        folder = self.folder / detector / name
        if _NAME.fullmatch(name) and (folder / WEIGHTS).is_file():
            version = _read(detector, folder)
            if version.preset == preset:
                return version
        raise DetectorError(
            f"There is no version {name!r} of {detector} ({preset}) in {self.folder / detector}. "
            "Choose another one, or the shipped weights."
        )

    def use(self, detector: str, preset: str, name: str | None) -> None:
        """Put a version in use; None: the shipped weights. The one before stays where it is.

        Raises DetectorError when there is no such version, or when the file stays locked.
        """
        if name is not None:
            self.get(detector, preset, name)
        folder = self.folder / detector
        folder.mkdir(parents=True, exist_ok=True)
        try:
            # From the reading to the writing, or two at once would undo each other's choice.
            with FileLock(folder / LOCK, timeout=PATIENCE):
                self._write_choices(folder, {**self._choices(detector), preset: name})
        except Timeout as error:
            raise DetectorError(
                f"{folder / CURRENT} has been locked by another process for {PATIENCE:g} s. Try again."
            ) from error

    def keep(self, detector: str, write: Callable[[Path], None]) -> Version:
        """Add a version: `write` fills a folder with weights, config.json ("preset", "finetuned") and card.

        The folder gets its name when it is whole. It is not in use yet: see `use`.
        """
        parent = self.folder / detector
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=parent, prefix=".incoming-") as incoming:
            made = Path(incoming) / "version"
            write(made)
            target = parent / sha256_of(made / WEIGHTS)[:12]
            if not target.exists():  # the same weights again are the same version
                os.replace(made, target)
        return _read(detector, target)

    def _write_choices(self, folder: Path, choices: dict[str, Any]) -> None:
        """Written aside and renamed: a reader finds the old choices or the new ones, never half a file."""
        aside = folder / f".{CURRENT}-{uuid.uuid4().hex}"
        try:
            aside.write_text(json.dumps(choices) + "\n")
            os.replace(aside, folder / CURRENT)
        finally:
            aside.unlink(missing_ok=True)  # a full disk leaves no half file behind

    def _choices(self, detector: str) -> dict[str, Any]:
        path = self.folder / detector / CURRENT
        try:
            return dict(json.loads(path.read_text()))
        except FileNotFoundError:
            return {}
        except (ValueError, TypeError) as error:
            raise DetectorError(
                f"{path} is damaged: {error}. Delete it to use the shipped weights, then choose again."
            ) from error


def _read(detector: str, folder: Path) -> Version:
    config = read_config(folder)
    preset = str(config.get("preset", "mini"))
    return Version(detector, preset, folder.name, folder, config.get("finetuned", {}))
