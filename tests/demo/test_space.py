"""The app as a Space starts it: by the environment, with lent GPUs, sign-in and the labels' copy."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from demo import messages
from detectors.audio import sha256_of
from tests.demo.fake_detectors import write_clip
from tests.demo.signing_in import KEYS, cookie
from tests.demo.test_crash import free_port

ROOT = Path(__file__).parents[2]
#: Seconds to wait for the app: machines that run tests may be slow.
PATIENCE = 300


class Space:
    """A running Space. stop() ends it as the hub does and gives what its data set repository holds then."""

    def __init__(self, folder: Path) -> None:
        self.kept = folder / "repository.json"
        port = free_port()
        self.url = f"http://127.0.0.1:{port}/"
        environ = {
            **os.environ,
            "SPOOFLENS_DATA": str(folder / "data"),
            "GRADIO_TEMP_DIR": str(folder / "cache"),
        }
        command = [sys.executable, "-m", "tests.demo.space_app", str(port), str(self.kept)]
        self.process = subprocess.Popen(command, cwd=ROOT, env=environ)
        end = time.monotonic() + PATIENCE
        while True:
            assert self.process.poll() is None, "the app ended by itself"
            assert time.monotonic() < end, "the app does not answer"
            try:
                httpx.get(self.url, timeout=30).raise_for_status()
                return
            except httpx.HTTPError:
                time.sleep(0.5)

    def client(self, user: str = "") -> Client:
        """A program; with a user's name, one that carries their session."""
        headers = {}
        if user:
            secret = KEYS["OAUTH_CLIENT_SECRET"]
            headers["cookie"] = f"session={cookie(user, secret, time.time() + 1000)}"
        return Client(self.url, verbose=False, headers=headers, httpx_kwargs={"timeout": PATIENCE})

    def stop(self) -> dict[str, str]:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(PATIENCE) == 0
        kept: dict[str, str] = json.loads(self.kept.read_text())
        return kept


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Space]:
    space = Space(tmp_path_factory.mktemp("space"))
    yield space
    space.process.kill()


def test_a_visit_on_a_space(space: Space, tmp_path: Path) -> None:
    client = space.client()

    def analysed(name: str, level: float) -> dict[str, Any]:
        clip = write_clip(tmp_path / name, level=level)
        report: dict[str, Any] = client.predict(handle_file(clip), api_name="/analyze")
        assert report["sha256"] == sha256_of(clip)
        return report

    first = analysed("a.wav", 0.3)
    assert (first["device"], first["notes"]) == ("cuda", [])
    assert set(first["detectors"]) == {"sls", "fake_mamba"}
    second = analysed("b.wav", 0.2)  # the quota was enough for one clip
    assert (second["device"], second["notes"]) == ("cpu", [messages.GPU_QUOTA])
    assert set(second["detectors"]) == {"sls", "fake_mamba"}

    label = first["analysis_id"], "spoof", 4, "somebody else", True
    with pytest.raises(AppError, match=re.escape(messages.SIGN_IN_TO_LABEL)):
        client.predict(*label, api_name="/label")
    saved = space.client("anna").predict(*label, api_name="/label")
    assert saved["annotator"] == "anna"  # not what was typed

    components = httpx.get(f"{space.url}config", timeout=PATIENCE).json()["components"]
    assert "sign-in" in {each["props"].get("elem_id") for each in components}
    tabs = {
        each["props"]["label"]: each["props"]["visible"] for each in components if each["type"] == "tabitem"
    }
    assert tabs[messages.EXPORT_TAB] is False  # for administrators
    assert tabs[messages.DETECT_TAB] is True

    kept = space.stop()
    assert f"audio/{first['sha256'][:2]}/{first['sha256']}" in kept
    journals = [text for name, text in kept.items() if name.startswith("journal/")]
    assert len(journals) == 1
    assert '"anna"' in journals[0]
    assert second["sha256"] not in "".join(journals)  # nobody agreed that it is kept


def test_the_header_says_what_the_hub_needs_to_know() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    header = yaml.safe_load(text.split("---\n")[1])
    pinned = re.search(r"^gradio\[.*\]==(.+)$", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert pinned
    assert (header["sdk"], header["sdk_version"]) == ("gradio", pinned[1])
    assert header["python_version"] == "3.11"
    assert (ROOT / header["app_file"]).is_file()
    assert header["hf_oauth"] is True
    assert header["suggested_hardware"] == "zero-a10g"
    assert len(header["short_description"]) <= 60
    assert not (ROOT / "packages.txt").exists()  # FFmpeg and libsndfile come within wheels
