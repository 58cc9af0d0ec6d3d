"""What every request passes before Gradio sees it: limits, closed addresses, security headers."""

import json
import re
from collections.abc import Iterator
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from demo import messages
from demo.limits import Budget, LimitError
from demo.settings import Settings, is_loopback
from demo.visitor import address_of

API = "/gradio_api/"
#: Parts of Gradio that this page does not use: a proxy to other sites, live reloading, deep links, streams.
CLOSED = tuple(
    API + name
    for name in (
        "proxy=", "file=http", "file/", "dev/", "deep_link", "stream/", "component_server",
        "process_recording", "vibe-", "undo-vibe-edit", "profiling/", "custom_component/",
    )
)  # fmt: skip
#: What a file of ours is called in the answers of the page, and so in what programs send back.
OWN_FILE = re.compile(r"https?://[^/]+(?:/[^?#]*)?/gradio_api/file=(?P<path>[^?#]+)", re.IGNORECASE)

#: Gradio starts from inline scripts, and builds functions from texts: both must be allowed. What is left
#: keeps anything on the page from loading code or sending data elsewhere.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' data: blob:; "
    "font-src 'self' data:; "
    "connect-src 'self' data: blob:; worker-src 'self' blob:; object-src 'none'; base-uri 'self'; "
    "form-action 'self' https://huggingface.co; frame-src 'none'; frame-ancestors {frames}"
)
#: For uploads and other cached files: whatever they hold, it is shown as dead matter.
FILE_POLICY = "default-src 'none'; sandbox; frame-ancestors 'none'"
#: Who may show the page in a frame: Hugging Face shows Spaces so.
FRAMES = {False: "'self'", True: "'self' https://huggingface.co https://*.huggingface.co https://*.hf.space"}


#: Of a call whose arguments will not do. Gradio's client for programs tells its user the reason then.
INVALID = 422


class _RefusedError(Exception):
    """The request is answered here: with a status and a sentence."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Gate:
    """ASGI middleware around Gradio's app. budget: shared with what else counts visitors' requests."""

    def __init__(self, app: ASGIApp, settings: Settings, budget: Budget) -> None:
        self.app, self.settings, self.budget = app, settings, budget
        self.limits = settings.limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or hand on, one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        answer = _Answer(scope, send, self)
        try:
            received = await self._admit(scope, receive)
        except _RefusedError as refused:
            await JSONResponse(_content(refused), refused.status)(scope, receive, answer.send)
        else:
            await self.app(scope, received, answer.send)

    async def _admit(self, scope: Scope, receive: Receive) -> Receive:
        """What Gradio is to receive. _RefusedError for a request that it is not to see."""
        headers = Headers(scope=scope)
        host = _name_of(headers.get("host", ""))
        if not self.settings.public and not is_loopback(host):
            # A name that leads here from elsewhere: a proxy, or a page that tricks the visitor's browser.
            raise _RefusedError(403, messages.OTHER_HOST.format(host=host))
        if scope["path"].startswith(CLOSED):
            raise _RefusedError(404, messages.NOT_SERVED)
        if scope["method"] != "POST":
            return receive
        visitor = address_of(headers, (scope.get("client") or ("",))[0], self.settings)
        self._spend("requests", visitor, 1)
        if headers.get("content-type", "").lower().startswith("multipart/"):
            self._admit_upload(headers, visitor)
            return receive
        return await self._admit_call(scope["path"], headers, receive)

    def _admit_upload(self, headers: Headers, visitor: str) -> None:
        """Gradio itself stops a file at its limit; this is about all of a visitor's files together."""
        length = _length(headers)
        if length is None:
            if self.limits.uploaded_bytes:
                raise _RefusedError(411, messages.NO_LENGTH)
            return
        most = max(self.limits.file_bytes, self.limits.import_bytes) + self.limits.body_bytes
        if length > most:
            raise _RefusedError(413, messages.file_too_big(length, most))
        self._spend("uploaded_bytes", visitor, length)

    async def _admit_call(self, path: str, headers: Headers, receive: Receive) -> Receive:
        # Programs that speak MCP send a clip within the text, where four characters stand for three bytes.
        most = self.limits.body_bytes
        most += self.limits.file_bytes * 4 // 3 if path.startswith(API + "mcp") else 0
        if (_length(headers) or 0) > most:
            raise _RefusedError(413, messages.BODY_TOO_BIG.format(limit=messages.size(most)))
        return _replay(_without_addresses(await _read(receive, most)), receive)

    def _spend(self, kind: str, visitor: str, amount: int) -> None:
        try:
            self.budget.spend(kind, visitor, amount)
        except LimitError as error:
            raise _RefusedError(429, str(error)) from error


class _Answer:
    """Sends on what Gradio answers, with our headers, and our words where it refuses."""

    def __init__(self, scope: Scope, send: Send, gate: Gate) -> None:
        self._path, self._headers = scope["path"], Headers(scope=scope)
        self._send, self._gate = send, gate
        self._replaced = False

    async def send(self, message: Message) -> None:
        """Pass on one message of the answer."""
        if message["type"] == "http.response.start":
            refusal = self._words(message["status"])
            self._replaced = refusal is not None
            if refusal is not None:
                await self._refuse(*refusal)
                return
            self._add(MutableHeaders(scope=message))
        if not self._replaced:
            await self._send(message)

    def _words(self, status: int) -> tuple[int, bytes] | None:
        """Another status and text where Gradio's words name no limit or no way out."""
        limits = self._gate.limits
        if status == 413 and self._path.startswith(API + "upload"):
            return status, messages.FILE_REFUSED.format(limit=messages.size(limits.file_bytes)).encode()
        # To 503 the page says "busy" in its own words. Programs know 503; only browsers send this header.
        if status == 503 and self._path == API + "queue/join" and "sec-fetch-mode" in self._headers:
            return 429, json.dumps({"detail": messages.QUEUE_FULL.format(limit=limits.queue)}).encode()
        return None

    async def _refuse(self, status: int, body: bytes) -> None:
        kind = b"application/json" if body.startswith(b"{") else b"text/plain; charset=utf-8"
        start: Message = {
            "type": "http.response.start",
            "status": status,
            "headers": [(b"content-type", kind), (b"content-length", str(len(body)).encode())],
        }
        self._add(MutableHeaders(scope=start))
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body})

    def _add(self, headers: MutableHeaders) -> None:
        is_file = self._path.startswith(API + "file=")
        frames = FRAMES[self._gate.settings.public]
        headers["Content-Security-Policy"] = FILE_POLICY if is_file else POLICY.format(frames=frames)
        headers["X-Content-Type-Options"] = "nosniff"
        headers["Referrer-Policy"] = "same-origin"  # the address of a clip is its key
        headers["Permissions-Policy"] = "microphone=(self), camera=(), geolocation=(), payment=(), usb=()"
        headers["Cross-Origin-Resource-Policy"] = "same-origin"
        if is_file:
            headers["Cache-Control"] = "private, no-store"


def _content(refused: _RefusedError) -> dict[str, Any]:
    """The sentence where the page looks for it, and where Gradio's client for programs does."""
    said: Any = str(refused)
    if refused.status == INVALID:
        said = [{"__type__": "validate", "is_valid": False, "parameter_name": "file", "message": said}]
    return {"detail": said, "error": str(refused)}


def _name_of(host: str) -> str:
    """The Host header without its port."""
    return re.sub(r":\d+$", "", host)


def _length(headers: Headers) -> int | None:
    text = headers.get("content-length", "")
    return int(text) if text.isdecimal() else None


async def _read(receive: Receive, most: int) -> bytes:
    """The whole body. Counts what really comes, whatever length was stated."""
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > most:
            raise _RefusedError(413, messages.BODY_TOO_BIG.format(limit=messages.size(most)))
        if message["type"] == "http.disconnect" or not message.get("more_body"):
            return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Gives a body that was read already, then whatever else comes."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _without_addresses(body: bytes) -> bytes:
    """The body of a call, in which no file is named by an address: Gradio would fetch it from wherever it
    leads. Addresses of our own files become their paths, which Gradio checks. _RefusedError for others.
    """
    if b"http" not in body.lower() and b"\\u" not in body:
        return body
    try:
        data = json.loads(body)
        named = [each for each in _dicts(data) if _is_address(each.get("path"))]
    except (ValueError, RecursionError):
        raise _RefusedError(400, messages.BAD_BODY) from None
    for file in named:
        own = OWN_FILE.fullmatch(file["path"])
        if own is None:
            raise _RefusedError(INVALID, messages.NO_ADDRESSES)
        file["path"] = own["path"]
    return json.dumps(data).encode() if named else body


def _is_address(path: Any) -> bool:
    return isinstance(path, str) and path.strip().lower().startswith(("http:", "https:"))


def _dicts(data: Any) -> Iterator[dict[str, Any]]:
    """Every object within a JSON value."""
    waiting = [data]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            yield each
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each
