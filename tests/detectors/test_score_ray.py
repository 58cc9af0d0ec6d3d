"""The score command as a Ray Data job, on a local cluster with two workers."""

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from detectors.__main__ import main
from detectors.checkpoints import save_model
from detectors.config import FakeMambaConfig, FrontEndConfig
from detectors.models import build_model
from detectors.score_files import FORMATS, Row
from detectors.score_ray import resources

FRONT_END = FrontEndConfig(2, 16, 2, 24, "log_mel", 16, 8, 2)
TINY = FakeMambaConfig(FRONT_END, 16_000, 8_000, dim=16, layers=1, d_state=4)


def run_score(*arguments: str | Path | int) -> int:
    fixed = ("--detector", "fake_mamba", "--device", "cpu")
    return main(["score", *map(str, (*arguments, *fixed))])


@pytest.mark.parametrize(
    ("cluster", "device", "expected"),
    [
        ({"CPU": 2.0}, "auto", (2, {"num_cpus": 1})),
        ({"CPU": 64.0, "GPU": 8.0}, "auto", (8, {"num_gpus": 1, "num_cpus": 8})),
        ({"CPU": 2.0, "GPU": 4.0}, "cuda", (4, {"num_gpus": 1, "num_cpus": 1})),
        ({"CPU": 64.0, "GPU": 8.0}, "cpu", (64, {"num_cpus": 1})),
    ],
)
def test_a_worker_for_each_gpu_or_core(cluster: dict, device: str, expected: tuple) -> None:
    assert resources(cluster, device) == expected


def test_ray_writes_parquet_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_score(tmp_path, "--out", tmp_path / "out.jsonl", "--ray") == 2
    assert "Add --format parquet" in capsys.readouterr().err


def test_without_ray_the_command_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pyarrow")
    monkeypatch.setitem(sys.modules, "ray", None)
    soundfile.write(tmp_path / "a.wav", np.full(16_000, 0.1), 16_000)
    assert run_score(tmp_path, "--out", tmp_path / "out", "--format", "parquet", "--ray") == 2
    assert "--ray needs Ray: pip install -r requirements-corpora.txt" in capsys.readouterr().err


@pytest.mark.slow
def test_two_workers_score_what_one_process_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ray = pytest.importorskip("ray")
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setattr("detectors.score_ray.CLIPS", 4)
    torch.manual_seed(0)
    save_model(build_model(TINY), "fake_mamba", tmp_path / "tiny", {})
    clips = tmp_path / "clips"
    clips.mkdir()
    for i in range(10):
        soundfile.write(clips / f"{i}.flac", np.random.default_rng(i).uniform(-0.5, 0.5, 20_000), 16_000)
    (clips / "letter.wav").write_text("Dear Sir or Madam, this is not a recording.\n" * 20)
    fixed = (clips, "--checkpoint", tmp_path / "tiny")
    assert run_score(*fixed, "--out", tmp_path / "out.jsonl") == 1
    expected = {row.path: row for row in FORMATS["jsonl"].parse((tmp_path / "out.jsonl").read_text())}

    out = tmp_path / "out"
    address = ray.init(num_cpus=2, include_dashboard=False).address_info["address"]
    ray_arguments = (*fixed, "--out", out, "--format", "parquet", f"--ray={address}")
    monkeypatch.setattr(ray, "init", lambda *_, **__: None)  # it is already connected
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    try:
        assert run_score(*ray_arguments, "--limit", 5) == 0
        parts = {path: path.stat().st_mtime_ns for path in out.iterdir()}
        assert run_score(*ray_arguments) == 1
        assert {path: path.stat().st_mtime_ns for path in parts} == parts  # nothing is scored again
    finally:
        monkeypatch.undo()
        ray.shutdown()
    assert "10 of 11 files scored, 1 failed." in capsys.readouterr().err
    rows = [Row(**row) for row in parquet.read_table(out).to_pylist()]
    assert Counter(row.path for row in rows) == dict.fromkeys(expected, 1)
    for row in rows:
        assert row.error == expected[row.path].error
        if row.error is None:
            assert row.score == pytest.approx(expected[row.path].score, abs=1e-5)
