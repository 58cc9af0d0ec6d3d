"""Serving the app on a free local port, for tests that reach it over HTTP."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import gradio as gr
import pytest

from demo.services import Services
from demo.ui import build_demo, launch_options


class RunningApp(NamedTuple):
    url: str
    services: Services
    demo: gr.Blocks


def serve(services: Services, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningApp]:
    """Launch as app.py does, with Gradio's cache inside `folder`; closed when the test is over."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(folder / "cache"))
    demo = build_demo(services)
    options = launch_options(services)
    _, url, _ = demo.launch(server_name="127.0.0.1", prevent_thread_lock=True, quiet=True, **options)
    try:
        yield RunningApp(url, services, demo)
    finally:
        demo.close()
