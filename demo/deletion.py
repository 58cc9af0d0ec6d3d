"""Deletion on request: which clip is meant, and what is to go, before it goes. No Gradio in here."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from demo import messages
from detectors.audio import sha256_of
from detectors.labels.records import LabelError, QueueItem, Tombstone, check_sha256, clean, person_of
from detectors.labels.store import LabelStore


@dataclass(frozen=True)
class Found:
    """A clip that may be deleted. labels: how many were ever given, by how many people."""

    item: QueueItem
    labels: int
    people: int


class Deletion:
    """Finds clips and deletes them for good. forget: told the hash, drops what is in memory of the clip.

    Methods raise LabelError, with a message for the page, when something cannot be done.
    """

    def __init__(self, store: LabelStore, forget: Callable[[str], None]) -> None:
        self._store, self._forget = store, forget

    def find(self, sha256: str = "", file: str | Path | None = None) -> Found:
        """The stored clip with these bytes: by its hash, or by the sound file itself."""
        sha256 = self.meant(sha256, file)
        if not sha256:
            raise LabelError(messages.DELETE_WHICH)
        check_sha256(sha256)
        item = self._store.clip(sha256)
        if item is None:
            raise LabelError(self._why_missing(sha256))
        labels = self._store.labels(sha256)
        return Found(item, len(labels), len({person_of(label.annotator) for label in labels}))

    @staticmethod
    def meant(sha256: str = "", file: str | Path | None = None) -> str:
        """The hash of the sound file where there is one, otherwise the one that was typed; it may be none."""
        return sha256_of(file) if file else clean(sha256).lower()

    def delete(self, sha256: str, by: str, reason: str) -> Tombstone:
        """Delete the clip and all that was said of it. Nobody can bring it back."""
        left = self._store.delete_clip(sha256, clean(by), clean(reason))
        self._forget(sha256)
        return left

    def _why_missing(self, sha256: str) -> str:
        for tombstone in self._store.tombstones():
            if tombstone.sha256 == sha256 and not tombstone.readmitted:
                return messages.DELETED_BEFORE.format(day=tombstone.created[:10])
        return messages.DELETE_UNKNOWN.format(sha256=sha256)
