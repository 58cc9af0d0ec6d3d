"""The named endpoints, called as a script would call them."""

import hashlib
from pathlib import Path

import httpx
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from tests.demo.fake_detectors import write_clip
from tests.demo.running import RunningApp


def test_analyze_then_label(running_app: RunningApp, tmp_path: Path) -> None:
    client = Client(running_app.url, verbose=False)
    clip = write_clip(tmp_path / "clip.wav", seconds=4.0)

    report = client.predict(handle_file(clip), api_name="/analyze")
    assert report["sha256"] == hashlib.sha256(clip.read_bytes()).hexdigest()  # original bytes arrived
    assert list(report["detectors"]) == ["sls", "fake_mamba"]
    assert list(report["unavailable"]) == ["allm4add"]
    assert report["verdict"] in ("bonafide", "spoof", "inconclusive")

    with pytest.raises(AppError, match="needs your consent"):
        client.predict(report["analysis_id"], "spoof", 4, "script", False, api_name="/label")
    saved = client.predict(
        analysis_id=report["analysis_id"],
        label="spoof",
        confidence=4,
        annotator="script",
        consent=True,
        regions=[{"start": 0.5, "end": 1.5, "label": "spoof"}],
        api_name="/label",
    )
    stored = running_app.services.store.get(saved["id"])
    assert stored is not None
    assert stored.audio_sha256 == saved["audio_sha256"] == report["sha256"]
    assert (stored.regions[0].start, stored.regions[0].end) == (0.5, 1.5)
    assert stored.scores["sls"]["llr"] == report["detectors"]["sls"]["llr"]


def test_errors_reach_the_caller_in_plain_words(running_app: RunningApp, tmp_path: Path) -> None:
    client = Client(running_app.url, verbose=False)
    short = write_clip(tmp_path / "short.wav", seconds=0.2)
    with pytest.raises(AppError, match=r"at least 0.5 s"):
        client.predict(handle_file(short), api_name="/analyze")
    with pytest.raises(AppError, match="no longer in memory"):
        client.predict("0" * 32, "spoof", 4, "script", True, api_name="/label")


def test_both_endpoints_describe_their_parameters(running_app: RunningApp) -> None:
    endpoints = Client(running_app.url, verbose=False).view_api(return_format="dict", print_info=False)[
        "named_endpoints"
    ]
    assert set(endpoints) == {"/analyze", "/ask", "/label", "/export"}
    assert [p["parameter_name"] for p in endpoints["/analyze"]["parameters"]] == ["clip"]
    assert [p["parameter_name"] for p in endpoints["/label"]["parameters"]][:5] == [
        "analysis_id", "label", "confidence", "annotator", "consent",
    ]  # fmt: skip
    assert "machine-made" in endpoints["/analyze"]["description"]


def test_a_file_of_the_server_cannot_be_named_as_a_clip(running_app: RunningApp, tmp_path: Path) -> None:
    """A caller may only name files that were uploaded, never a path on the server."""
    secret = write_clip(tmp_path / "secret.wav", seconds=2.0)
    data = [{"path": str(secret), "meta": {"_type": "gradio.FileData"}}]
    call = f"{running_app.url}gradio_api/call/analyze"
    event = httpx.post(call, json={"data": data}).json()["event_id"]
    answer = httpx.get(f"{call}/{event}", timeout=20).text
    assert answer.startswith("event: error")
    assert "sha256" not in answer


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("consent", "false", "needs your consent"),
        ("confidence", "4", "whole number from 1 to 5"),
        ("annotator", None, "must be text"),
        ("regions", [[0, 1]], "Each region needs"),
    ],
)
def test_fields_of_the_wrong_type_are_refused(
    running_app: RunningApp, tmp_path: Path, field: str, value: object, message: str
) -> None:
    analysis = running_app.services.analyze(write_clip(tmp_path / "clip.wav", seconds=2.0))
    fields = {"label": "spoof", "confidence": 4, "annotator": "script", "consent": True, field: value}
    client = Client(running_app.url, verbose=False)
    with pytest.raises(AppError, match=message):
        client.predict(analysis_id=analysis.id, **fields, api_name="/label")
    assert running_app.services.store.labels() == []
