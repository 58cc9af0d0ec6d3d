"""The gate in front of Gradio: what is let through, what is refused with which words, and the headers."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from demo.gate import Gate
from demo.limits import Budget, Limits
from demo.settings import Settings

JOIN = "/gradio_api/queue/join"
PUBLIC = Settings(public=True, limits=Limits.public())
Answer = Callable[[Request], Awaitable[Response]]


async def echo(request: Request) -> Response:
    """What Gradio would have seen."""
    body = await request.body()
    return JSONResponse({"seen": json.loads(body) if body.startswith(b"{") else body.decode()})


def ask(
    path: str = "/",
    settings: Settings = PUBLIC,
    method: str = "POST",
    answer: Answer = echo,
    budget: Budget | None = None,
    **options: Any,
) -> httpx.Response:
    """One request through a gate; as a browser on http://127.0.0.1 would send it."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await (await answer(Request(scope, receive)))(scope, receive, send)

    async def call() -> httpx.Response:
        gate = Gate(app, settings, budget or Budget(settings.limits))
        transport = httpx.ASGITransport(gate, client=("9.9.9.9", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:7860") as client:
            return await client.request(method, path, **options)

    return asyncio.run(call())


def file(path: str) -> dict[str, Any]:
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


# ---- headers


@pytest.mark.parametrize("public", [True, False])
def test_every_answer_has_the_headers(public: bool) -> None:
    for path in ("/", "/gradio_api/proxy=x"):
        headers = ask(path, replace(PUBLIC, public=public), "GET").headers
        policy = headers["content-security-policy"]
        assert "object-src 'none'" in policy
        assert "connect-src 'self'" in policy
        assert ("https://huggingface.co" in policy.split("frame-ancestors")[1]) is public
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"


def test_cached_files_are_dead_matter_and_in_nobodys_cache() -> None:
    headers = ask("/gradio_api/file=/cache/x/clip.html", method="GET").headers
    assert headers["content-security-policy"].startswith("default-src 'none'; sandbox")
    assert headers["cache-control"] == "private, no-store"


# ---- what is not served


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/proxy=http://127.0.0.1/", "/gradio_api/file=http://127.0.0.1:22/", "/gradio_api/file/http://a",
        "/gradio_api/deep_link?session_hash=x", "/gradio_api/dev/reload",
        "/gradio_api/vibe-code/", "/gradio_api/stream/x/y/1/playlist.m3u8",
    ],
)  # fmt: skip
def test_parts_of_gradio_that_are_not_used_are_closed(path: str) -> None:
    assert ask(path, method="GET").status_code == 404


@pytest.mark.parametrize("host", ["evil.example", "evil.example:7860", "127.0.0.1.evil.example", "10.0.0.5"])
def test_a_page_for_one_machine_is_not_reached_under_other_names(host: str) -> None:
    refused = ask("/", Settings(), "GET", headers={"host": host})
    assert refused.status_code == 403
    assert "SPOOFLENS_PUBLIC=1" in refused.json()["detail"]
    assert ask("/", PUBLIC, "GET", headers={"host": host}).status_code == 200
    for own in ("localhost:7860", "127.0.0.1", "[::1]:7860"):
        assert ask("/", Settings(), "GET", headers={"host": own}).status_code == 200


# ---- files by address


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:22/", "http://169.254.169.254/latest/meta-data", "https://evil.example/clip.wav",
        "HTTP://localhost/x", " http://localhost/x", "http:\\\\localhost\\x", "http://a/gradio_api/file=/x?y",
    ],
)  # fmt: skip
@pytest.mark.parametrize("nested", [False, True])
def test_no_file_is_named_by_an_address(address: str, nested: bool) -> None:
    data = [{"deep": [file(address)]}] if nested else [file(address)]
    refused = ask(JOIN, json={"data": data})
    assert refused.status_code == 422
    assert "Download the file, then upload it" in refused.json()["error"]


def test_an_address_in_disguise_is_an_address() -> None:
    body = rb'{"data": [{"path": "\u0068\u0074tp://127.0.0.1/x"}]}'
    assert ask(JOIN, content=body).status_code == 422


def test_our_own_files_become_their_paths_whatever_the_host() -> None:
    for host in ("http://127.0.0.1:7860", "https://me-spooflens.hf.space", "http://169.254.169.254"):
        seen = ask(JOIN, json={"data": [file(f"{host}/gradio_api/file=/cache/ab/clip.wav")]}).json()["seen"]
        assert seen["data"][0]["path"] == "/cache/ab/clip.wav"


def test_text_about_addresses_is_only_text() -> None:
    said = {"data": ["what is http://example.com?", file("/cache/ab/clip.wav")]}
    assert ask(JOIN, json=said).json()["seen"] == said


# ---- sizes and rates


def test_a_body_beyond_the_limit_is_refused_however_it_is_sent() -> None:
    big = b'{"data": "' + bytes(PUBLIC.limits.body_bytes).replace(b"\0", b"x") + b'"}'

    async def pieces() -> Any:
        for start in range(0, len(big), 1 << 16):
            yield big[start : start + (1 << 16)]

    for content in (big, pieces()):  # with its length, and without
        refused = ask(JOIN, content=content)
        assert refused.status_code == 413
        assert "more than 1 MB, the most that is taken" in refused.json()["detail"]


def test_a_body_that_is_nested_beyond_reason_is_refused() -> None:
    body = b'{"path":"http' + b'","a":[' * 1 + b"[" * 200_000
    assert ask(JOIN, content=body).status_code == 400


def test_uploads_are_counted_by_their_bytes_and_must_say_them() -> None:
    settings = replace(PUBLIC, limits=replace(PUBLIC.limits, uploaded_bytes=1000))
    budget = Budget(settings.limits)
    multipart = {"content-type": "multipart/form-data; boundary=x"}

    async def pieces() -> Any:
        yield b"x"

    assert ask("/gradio_api/upload", settings, content=pieces(), headers=multipart).status_code == 411
    assert ask(
        "/gradio_api/upload", settings, budget=budget, content=b"x" * 900, headers=multipart
    ).is_success
    refused = ask("/gradio_api/upload", settings, budget=budget, content=b"x" * 900, headers=multipart)
    assert refused.status_code == 429
    assert "more than 1000 bytes of uploads in 10 minutes" in refused.json()["error"]
    huge = {**multipart, "content-length": str(1 << 40)}
    assert ask("/gradio_api/upload", Settings(), content=b"", headers=huge).status_code == 413


def test_requests_of_one_visitor_are_limited() -> None:
    settings = replace(PUBLIC, limits=replace(PUBLIC.limits, requests=3), behind_proxy=True)
    budget = Budget(settings.limits)

    def status(address: str, method: str = "POST") -> int:
        headers = {"x-forwarded-for": f"1.2.3.{status.calls}, {address}"}  # type: ignore[attr-defined]
        status.calls += 1  # type: ignore[attr-defined]
        return ask("/x", settings, method, budget=budget, headers=headers).status_code

    status.calls = 0  # type: ignore[attr-defined]
    assert [status("8.8.8.8") for _ in range(4)] == [200, 200, 200, 429]  # another forged hop each time
    assert status("8.8.4.4") == 200
    assert status("8.8.8.8", "GET") == 200


async def full(request: Request) -> Response:
    return JSONResponse({"detail": "Queue is full."}, 503)


async def too_big(request: Request) -> Response:
    return PlainTextResponse("File size exceeded maximum allowed size of 1 bytes.", 413)


def test_a_full_queue_is_told_with_its_length_and_what_to_do() -> None:
    told = ask(JOIN, answer=full, json={}, headers={"sec-fetch-mode": "cors"})
    assert told.json()["detail"].startswith("The queue is full: 32 jobs are waiting. Try again in a minute")
    assert told.headers["x-content-type-options"] == "nosniff"
    assert ask(JOIN, answer=full, json={}).status_code == 503  # programs know what that means


def test_a_file_that_is_too_big_is_told_with_the_limit_and_what_to_do() -> None:
    headers = {"content-type": "multipart/form-data", "content-length": "0"}
    told = ask("/gradio_api/upload", answer=too_big, content=b"", headers=headers)
    assert told.status_code == 413
    assert "more than 64 MB, the most that can be uploaded here. Cut it" in told.text
