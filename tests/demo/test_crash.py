"""kill -9 of the app itself while 200 visitors save labels over HTTP: what was answered is kept."""

import json
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
from gradio_client import Client, handle_file

from detectors.labels.store import LabelStore
from tests.labels.making import check_nothing_lost

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "assets" / "examples").glob("*.ogg"))
VISITORS = 200
ROUNDS = (20, 60, 120, 200)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def start(data: Path, port: int) -> subprocess.Popen[bytes]:
    """app.py on this data folder, once it answers."""
    command = [sys.executable, "app.py", "--port", str(port), "--data", str(data), "--device", "cpu"]
    app = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert app.poll() is None, "the app ended by itself"
        try:
            httpx.get(f"http://127.0.0.1:{port}/", timeout=5).raise_for_status()
            return app
        except httpx.HTTPError:
            time.sleep(0.3)
    app.kill()
    pytest.fail("the app did not answer within two minutes")


def save_until_gone(url: str, analyses: list[str], visitor: str, answered: list[tuple[str, str]]) -> None:
    """Save labels one after another, and note each that the app has answered with its record."""
    turn = 0
    with httpx.Client(base_url=url, timeout=60) as client:
        while True:
            arguments = [analyses[turn % len(analyses)], "spoof", 3, visitor, True, f"turn {turn}"]
            arguments += ["", "", None, False, None]  # plain HTTP knows no defaults
            turn += 1
            try:
                event = client.post("/gradio_api/call/label", json={"data": arguments})
                if event.status_code != 200:
                    time.sleep(0.05)  # the queue is full: the app refuses, and says so
                    continue
                answer = client.get(f"/gradio_api/call/label/{event.json()['event_id']}").text
            except (httpx.HTTPError, ValueError, KeyError):
                return  # killed
            if answer.startswith("event: complete"):
                # A reader of a dying server may get half a line; only a whole record counts as answered.
                record = json.loads(answer.split("data: ", 1)[1])[0]
                answered.append((record["id"], record["audio_sha256"]))


def killed_while_saving(data: Path, visitor: str, saves: int) -> list[tuple[str, str]]:
    """Start the app, let 200 visitors save, kill it after so many answers; all that were answered."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    app = start(data, port)
    answered: list[tuple[str, str]] = []
    try:
        client = Client(url, verbose=False)
        analyses = [
            client.predict(handle_file(clip), api_name="/analyze")["analysis_id"] for clip in EXAMPLES[:3]
        ]
        visitors = [
            threading.Thread(target=save_until_gone, args=(url, analyses, f"{visitor}-{i}", answered))
            for i in range(VISITORS)
        ]
        for thread in visitors:
            thread.start()
        deadline = time.monotonic() + 120
        while len(answered) < saves and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        app.kill()  # SIGKILL: no handler, no cleaning up
        app.wait()
    for thread in visitors:
        thread.join(timeout=90)
    assert len(answered) >= saves, f"only {len(answered)} labels were answered within two minutes"
    return answered


@pytest.mark.slow
def test_kill_9_of_the_app_loses_no_answered_label(tmp_path: Path) -> None:
    data = tmp_path / "data"
    answered: list[tuple[str, str]] = []
    for turn, saves in enumerate(ROUNDS):
        answered += killed_while_saving(data, f"round {turn}", saves)
        store = LabelStore(data)  # as the next start of the app does
        check_nothing_lost(store, answered)
        store.close()
    print(f"{len(answered)} answered labels in {len(ROUNDS)} rounds, all kept")
