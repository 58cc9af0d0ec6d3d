"""Copies of what the store commits, for places without a disk of their own (Hugging Face Spaces).

The clips and a journal of all facts go to a private data set repository every few minutes and when
the app stops. The next start brings them back. What was saved since the last push is lost when the
machine is switched off without warning: a mirror is no disk.
"""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

from huggingface_hub import CommitScheduler, HfApi
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError

from detectors.labels.journal import Fact, Journal, deletions
from detectors.labels.records import StoreError, Tombstone

logger = logging.getLogger(__name__)

#: Minutes between two pushes: the hub asks for no fewer.
EVERY = 5

_SENT = ["journal/*.jsonl", "audio/*"]
_NOT_SENT = ["*/.incoming-*"]  # still being copied


class Mirror(Protocol):
    """Hears of committed facts. None of its methods may fail a save that is already committed."""

    def facts(self) -> Iterable[Fact]:
        """What earlier processes wrote, for a store that starts empty."""

    def write(self, facts: Sequence[Fact]) -> None:
        """Take note of facts, in the order in which they were added."""

    def forget(self, tombstone: Tombstone) -> None:
        """Drop what was mirrored of a deleted clip."""

    def close(self) -> None:
        """Send what is not sent yet."""


class NoMirror:
    """For a store whose disk lasts: callers need not ask whether there is a mirror."""

    def facts(self) -> Iterable[Fact]:
        return ()

    def write(self, facts: Sequence[Fact]) -> None:
        pass

    def forget(self, tombstone: Tombstone) -> None:
        pass

    def close(self) -> None:
        pass


class HubMirror:
    """A private data set repository that follows the store in `folder`.

    Brings back into `folder` what the repository has. Raises StoreError when the repository cannot
    be reached or is public: labels name people, and clips are their voices.
    """

    def __init__(self, folder: Path, repo: str, api: HfApi | None = None, every: float = EVERY) -> None:
        hub = api or HfApi()
        sent = _fetch(hub, repo, folder)
        self._folder = folder
        self._journal = Journal(folder)
        self._scheduler = _Scheduler(
            repo_id=repo,
            repo_type="dataset",
            folder_path=folder,
            every=every,
            private=True,
            allow_patterns=_SENT,
            ignore_patterns=_NOT_SENT,
            hf_api=hub,
            sent=sent,
        )
        self._finish_deletions()

    def facts(self) -> Iterable[Fact]:
        """What earlier processes wrote to the repository."""
        with self._scheduler.lock:
            return list(self._journal.facts())

    def write(self, facts: Sequence[Fact]) -> None:
        """Append to this process's journal; the next push sends it."""
        if not facts:
            return
        try:
            with self._scheduler.lock:
                self._journal.append(facts)
        except OSError:
            # The label is in the database: failing its save now would make people save it twice.
            logger.exception("the journal for the data set repository cannot be written")

    def forget(self, tombstone: Tombstone) -> None:
        """Take the clip out of the journals and, at once but in the background, out of the repository.

        Where the hub does not answer, each later push tries again.
        """
        with self._scheduler.lock:
            self._journal.scrub({tombstone.sha256: tombstone.created})
        self._scheduler.to_delete.add(tombstone.sha256)
        self._scheduler.trigger()

    def close(self) -> None:
        """Push what is left, then stop pushing."""
        try:
            self._scheduler.trigger().result()
        except Exception:
            # The hub's client raises errors of many kinds; the app is stopping and can do no more.
            logger.exception("the last labels were not sent to the data set repository")
        self._scheduler.stop()

    def _finish_deletions(self) -> None:
        """An earlier process may have been switched off before the repository heard of its deletions."""
        facts = self.facts()
        allowed = {row["tombstone"] for table, row in facts if table == "readmission"}
        standing = [row for table, row in facts if table == "tombstone" and row["id"] not in allowed]
        with self._scheduler.lock:
            self._journal.scrub(deletions(facts))
        self._scheduler.to_delete |= {
            row["sha256"] for row in standing if (self._folder / _audio(row["sha256"])).exists()
        }


class _Scheduler(CommitScheduler):
    """Also deletes. sent: files that the repository has as they are. to_delete: hashes of clips that
    still have to go from it.
    """

    def __init__(self, *, sent: Iterable[Path], **options: Any) -> None:
        self._sent = {path.resolve(): path.stat().st_mtime for path in sent}
        self.to_delete: set[str] = set()
        super().__init__(**options)

    def push_to_hub(self) -> Any:
        self.last_uploaded = {**self._sent, **self.last_uploaded}
        pushed = super().push_to_hub()
        for sha256 in sorted(self.to_delete):
            if not (self.folder_path / _audio(sha256)).exists():  # it may have been let in again
                self._delete(_audio(sha256))
                self.to_delete.discard(sha256)
        return pushed

    def _delete(self, path: str) -> None:
        try:
            self.api.delete_file(
                path, self.repo_id, repo_type=self.repo_type, commit_message="Delete a clip on request"
            )
        except EntryNotFoundError:
            logger.info("%s was never sent", path)
        # Earlier commits hold the clip and its labels; only a squashed history is without them.
        self.api.super_squash_history(self.repo_id, repo_type=self.repo_type)


def _audio(sha256: str) -> str:
    return f"audio/{sha256[:2]}/{sha256}"


def _fetch(api: HfApi, repo: str, folder: Path) -> list[Path]:
    """Bring what the repository has and the folder has not; give the files that are the same in both."""
    try:
        api.create_repo(repo, repo_type="dataset", private=True, exist_ok=True)
        if not api.repo_info(repo, repo_type="dataset").private:
            raise StoreError(
                f"The data set repository {repo} is public. Labels name people and clips are their voices: "
                "make it private, or name another one."
            )
        # A journal that is here may have lines that were not sent yet: it must not be overwritten.
        here = [path.relative_to(folder).as_posix() for path in folder.glob("journal/*.jsonl")]
        api.snapshot_download(
            repo, repo_type="dataset", local_dir=folder, allow_patterns=_SENT, ignore_patterns=here
        )
        both = set(api.list_repo_files(repo, repo_type="dataset")) - set(here)
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise StoreError(
            f"The data set repository {repo} for labels cannot be used: {error}. Check its name and that "
            "HF_TOKEN may write to it."
        ) from error
    return [folder / name for name in sorted(both) if (folder / name).is_file()]
