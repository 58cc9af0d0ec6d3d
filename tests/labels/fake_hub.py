"""A stand-in for the hub's client: one data set repository in memory, no network."""

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError
from huggingface_hub.utils import filter_repo_objects


class FakeHub:
    """files: what the repository holds, by path. sent: paths in the order of their commits.

    squashed: how often its history was. failing: every call is refused while True.
    """

    def __init__(self, private: bool = True) -> None:
        self.private = private
        self.files: dict[str, bytes] = {}
        self.sent: list[str] = []
        self.squashed = 0
        self.failing = False
        self._pool = ThreadPoolExecutor(1)

    def create_repo(self, repo_id: str, **options: Any) -> SimpleNamespace:
        self._refuse_while_failing()
        assert options["repo_type"] == "dataset"
        assert options["private"]
        return SimpleNamespace(repo_id=repo_id)

    def repo_info(self, repo_id: str, *, repo_type: str) -> SimpleNamespace:
        return SimpleNamespace(private=self.private)

    def list_repo_files(self, repo_id: str, *, repo_type: str) -> list[str]:
        return list(self.files)

    def snapshot_download(
        self,
        repo_id: str,
        *,
        local_dir: Path,
        allow_patterns: list[str],
        ignore_patterns: list[str],
        **_: Any,
    ) -> None:
        for name in filter_repo_objects(
            self.files, allow_patterns=allow_patterns, ignore_patterns=ignore_patterns
        ):
            content = self.files[name]
            path = Path(local_dir) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def create_commit(self, *, operations: list[Any], **_: Any) -> None:
        self._refuse_while_failing()
        for operation in operations:
            operation.path_or_fileobj.seek(0)
            self.files[operation.path_in_repo] = operation.path_or_fileobj.read()
            self.sent.append(operation.path_in_repo)

    def delete_file(self, path_in_repo: str, repo_id: str, **_: Any) -> None:
        self._refuse_while_failing()
        if path_in_repo not in self.files:
            raise EntryNotFoundError("A file with this name doesn't exist", response=response(404))
        del self.files[path_in_repo]

    def super_squash_history(self, repo_id: str, **_: Any) -> None:
        self.squashed += 1

    def run_as_future(self, job: Any) -> Future:
        return self._pool.submit(job)

    def wait(self) -> None:
        """Until everything that was started before is done."""
        self._pool.submit(lambda: None).result()

    def _refuse_while_failing(self) -> None:
        if self.failing:
            raise HfHubHTTPError("503 Service Unavailable", response=response(503))


def response(status: int) -> httpx.Response:
    return httpx.Response(status, request=httpx.Request("POST", "https://huggingface.co/api"))
