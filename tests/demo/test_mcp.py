"""The page's functions as MCP tools: the same report as through the API."""

import ast
import asyncio
import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gradio_client import Client, handle_file
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client

from tests.demo.fake_detectors import fake_services, write_clip
from tests.demo.running import RunningApp, serve

#: What belongs to one analysis alone.
OWN = ("analysis_id", "created")


@pytest.fixture
def with_mcp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningApp]:
    monkeypatch.setenv("GRADIO_MCP_SERVER", "True")
    yield from serve(fake_services(tmp_path / "data"), tmp_path, monkeypatch)


def test_a_clip_is_judged_as_through_the_api(with_mcp: RunningApp, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.wav", seconds=3.0)
    names, told = asyncio.run(judged(f"{with_mcp.url}gradio_api/mcp/", clip))
    assert {"analyze", "label", "ask", "export"} <= {name.rpartition("_")[2] for name in names}
    expected = Client(with_mcp.url, verbose=False).predict(handle_file(clip), api_name="/analyze")
    assert without_own(told) == without_own(expected)


async def judged(url: str, clip: Path) -> tuple[set[str], dict[str, Any]]:
    """The tools' names, and what the one for judging says of a clip that is sent along."""
    sound = "data:audio/wav;base64," + base64.b64encode(clip.read_bytes()).decode()
    async with streamable_http_client(url) as (read, write, _), ClientSession(read, write) as session:
        await session.initialize()
        names = {tool.name for tool in (await session.list_tools()).tools}
        (analyze,) = (name for name in names if name.endswith("analyze"))
        answer = await session.call_tool(analyze, {"clip": sound})
    text = answer.content[0].text  # type: ignore[union-attr]
    assert not answer.isError, text
    return names, ast.literal_eval(text)  # Gradio writes an answer as Python does, not as JSON


def without_own(report: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in report.items() if key not in OWN}
