"""One clip, three ways: the API by name, the MCP tool and the command line say the same, field for field."""

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gradio_client import Client, handle_file

from demo.services import Services
from demo.settings import Settings
from detectors.__main__ import main
from detectors.registry import detector_status
from tests.demo.fake_detectors import write_clip
from tests.demo.running import RunningApp, serve
from tests.demo.test_mcp import judged

#: What belongs to one call alone. "path" and "error" are of the command line's files.
OWN = ("analysis_id", "created", "path", "error")


@pytest.fixture
def real_app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningApp]:
    """With the detectors that are shipped, and MCP."""
    if any(detector_status(name, "mini") for name in ("sls", "fake_mamba")):
        pytest.skip("the shipped weights are not here")
    monkeypatch.setenv("GRADIO_MCP_SERVER", "True")
    yield from serve(Services(Settings(device="cpu", data=tmp_path / "data")), tmp_path, monkeypatch)


def shared(report: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in report.items() if key not in OWN}


def close(value: Any) -> Any:
    """Numbers within rounding: full and half-empty batches sum in another order."""
    if isinstance(value, dict):
        return {key: close(each) for key, each in value.items()}
    if isinstance(value, list):
        return [close(each) for each in value]
    return pytest.approx(value, abs=1e-4) if isinstance(value, float) else value


def test_all_three_answer_alike(real_app: RunningApp, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.wav", seconds=6.0)
    by_name = Client(real_app.url, verbose=False).predict(handle_file(clip), api_name="/analyze")
    _, by_mcp = asyncio.run(judged(f"{real_app.url}gradio_api/mcp/", clip))
    out = tmp_path / "out.jsonl"
    assert main(["score", str(clip), "--format", "analysis", "--device", "cpu", "--out", str(out)]) == 0
    (line,) = out.read_text().splitlines()
    by_command = json.loads(line)
    assert (by_command["path"], by_command["error"]) == (str(clip), None)

    assert {"verdict", "llr", "p_spoof", "detectors", "sha256", "versions"} <= by_name.keys()
    assert len(by_name["detectors"]["sls"]["windows"]) > 1
    assert list(by_name["detectors"]) == ["sls", "fake_mamba"]
    assert by_name["unavailable"].keys() == {"allm4add"}
    assert shared(by_mcp) == shared(by_name)
    assert list(shared(by_command)) == list(shared(by_name))  # in the same order, too
    assert shared(by_command) == close(shared(by_name))


def test_the_command_goes_on_where_it_stopped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_clip(tmp_path / "clip.wav", seconds=2.0)
    out = tmp_path / "out.jsonl"
    (tmp_path / "letter.wav").write_text("Dear Sir or Madam")
    asked = ["score", str(tmp_path), "--format", "analysis", "--detector", "sls", "--device", "cpu", "--out"]
    assert main([*asked, str(out)]) == 1
    first = {Path(line["path"]).name: line for line in map(json.loads, out.read_text().splitlines())}
    assert "is not a sound file" in first["letter.wav"]["error"]
    assert (first["letter.wav"]["verdict"], first["letter.wav"]["detectors"]) == (None, {})
    assert first["clip.wav"]["llr"] == first["clip.wav"]["detectors"]["sls"]["llr"]

    with out.open("a") as file:
        file.write('{"path": "cut sh')  # as a kill may leave it
    os.replace(write_clip(tmp_path / "other.wav", seconds=1.0), tmp_path / "letter.wav")
    assert main([*asked, str(out)]) == 0
    again = {Path(line["path"]).name: line for line in map(json.loads, out.read_text().splitlines())}
    assert again["clip.wav"] == first["clip.wav"]  # not judged again
    assert again["letter.wav"]["error"] is None
    assert again["letter.wav"]["seconds"] == pytest.approx(1.0)

    (tmp_path / "rows.jsonl").write_text('{"path": "a.wav", "detector": "sls"}\n')
    assert main([*asked, str(tmp_path / "rows.jsonl")]) == 2
    assert "is not a result in this format" in capsys.readouterr().err
