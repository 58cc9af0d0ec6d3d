"""`python -m detectors verify`: what agrees, what differs, and what cannot be checked."""

import json
from pathlib import Path

import pytest

from detectors.__main__ import main
from detectors.clip_report import now
from detectors.evidence.report import report_of
from tests.evidence.cases import case_of, clip_file, put_in_place, read, tiny_weights


@pytest.fixture
def clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    put_in_place(tiny_weights(tmp_path / "sls-tiny"), monkeypatch)
    return clip_file(tmp_path / "clip.wav")


@pytest.fixture
def report(clip: Path, tmp_path: Path) -> Path:
    path = tmp_path / "report.json"
    path.write_text(json.dumps(report_of(case_of(clip), now())))
    return path


def verify(*arguments: object) -> int:
    return main(["verify", *map(str, arguments)])


def test_a_report_agrees_with_its_clip_wherever_it_lies(report, clip, tmp_path, capsys) -> None:
    moved = clip.rename(tmp_path / "renamed.bin")
    assert verify(report, moved) == 0
    printed = capsys.readouterr().out
    assert "agrees   sls: weights" in printed
    assert "within 0.001" in printed
    assert "DIFFERS" not in printed


def test_another_clip_differs(report, clip, capsys) -> None:
    clip.write_bytes(clip.read_bytes() + b"\0")
    assert verify(report, clip) == 1
    assert "not the file of the report" in capsys.readouterr().out


def change_score(report: dict) -> None:
    report["detectors"]["sls"]["llr"] += 0.01


def change_window(report: dict) -> None:
    report["detectors"]["sls"]["windows"][1]["llr"] -= 0.01


def drop_window(report: dict) -> None:
    report["detectors"]["sls"]["windows"].pop()


def change_together(report: dict) -> None:
    report["result"]["llr"] = float("nan")


def change_verdict(report: dict) -> None:
    report["result"]["verdict"] = "spoof" if report["result"]["verdict"] != "spoof" else "bonafide"


@pytest.mark.parametrize("forge", [change_score, change_window, drop_window, change_together, change_verdict])
def test_a_forged_report_differs(report, clip, capsys, forge) -> None:
    forged = read(report)
    forge(forged)
    report.write_text(json.dumps(forged))
    assert verify(report, clip) == 1
    assert "DIFFERS" in capsys.readouterr().out


def test_a_wider_tolerance_may_be_asked_for(report, clip) -> None:
    forged = read(report)
    change_score(forged)
    report.write_text(json.dumps(forged))
    assert verify(report, clip, "--tolerance", "0.1") == 0


def test_other_weights_differ(report, clip, tmp_path, monkeypatch, capsys) -> None:
    put_in_place(tiny_weights(tmp_path / "other", seed=1), monkeypatch)
    assert verify(report, clip) == 1
    assert "DIFFERS  sls: weights" in capsys.readouterr().out


def test_another_calibration_differs(report, clip, tmp_path, monkeypatch, capsys) -> None:
    put_in_place(tiny_weights(tmp_path / "other", scale=2.1), monkeypatch)
    assert verify(report, clip) == 1
    assert "agrees   sls: weights" in capsys.readouterr().out


def test_missing_detectors_make_it_unusable(report, clip, tmp_path, monkeypatch, capsys) -> None:
    put_in_place(tmp_path / "nowhere", monkeypatch)
    assert verify(report, clip) == 2
    assert "not available" in capsys.readouterr().err


def text(value: str):
    return lambda report: value


def edited(**changes: object):
    return lambda report: json.dumps({**report, **changes})


@pytest.mark.parametrize(
    "damage",
    [
        text(""),
        text("[]"),
        text("[" * 100_000),
        text('{"format": "spooflens-evidence"}'),
        edited(format_version=99),
        edited(format="other"),
        edited(detectors={}),
        edited(detectors={"../../x": {}}),
        edited(detectors=["sls"]),
        edited(settings={"preset": "../x", "device": "cpu"}),
        edited(result=None),
        edited(clip={}),
    ],
)
def test_a_damaged_report_is_unusable(report, clip, capsys, damage) -> None:
    report.write_text(damage(read(report)))
    assert verify(report, clip) == 2
    assert capsys.readouterr().err.startswith("verify: ")


def test_missing_files_are_unusable(report, clip, tmp_path) -> None:
    assert verify(tmp_path / "gone.json", clip) == 2
    assert verify(report, tmp_path / "gone.wav") == 2
    assert verify(tmp_path, clip) == 2
