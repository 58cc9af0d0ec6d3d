"""The score command on corpora: decoders beside the model, Parquet, several processes."""

import builtins
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from detectors import decoders, score, score_processes
from detectors.__main__ import main
from detectors.checkpoints import save_model
from detectors.config import FakeMambaConfig, FrontEndConfig
from detectors.models import build_model
from detectors.score_files import FORMATS, Row, ScoreFile

ROOT = Path(__file__).parents[2]
FRONT_END = FrontEndConfig(2, 16, 2, 24, "log_mel", 16, 8, 2)
TINY = FakeMambaConfig(FRONT_END, 16_000, 8_000, dim=16, layers=1, d_state=4)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("tiny")
    save_model(build_model(TINY), "fake_mamba", folder, {})
    return folder


@pytest.fixture(scope="module")
def folder_of_12(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten clips of 0.6 to 4 s, a text called wav and a clip of 0.2 s."""
    folder = tmp_path_factory.mktemp("clips")
    noise = np.random.default_rng(0)
    for i in range(10):
        samples = noise.uniform(-0.5, 0.5, round((0.6 + 0.38 * i) * 16_000))
        soundfile.write(folder / f"clip{i}.flac", samples, 16_000)
    (folder / "letter.wav").write_text("Dear Sir or Madam, this is not a recording.\n" * 20)
    soundfile.write(folder / "short.wav", np.full(3_200, 0.1), 16_000)
    return folder


def run_score(tiny: Path, *arguments: str | Path | int) -> int:
    fixed = ("--detector", "fake_mamba", "--checkpoint", tiny, "--device", "cpu")
    return main(["score", *map(str, (*arguments, *fixed))])


def rows_of(path: Path) -> dict[str, Row]:
    return {Path(row.path).name: row for row in FORMATS["jsonl"].parse(path.read_text())}


# ---- decoders beside the model


def test_decoders_change_nothing_but_the_order(
    folder_of_12: Path, tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alone, pool = tmp_path / "alone.jsonl", tmp_path / "pool.jsonl"
    assert run_score(tiny, folder_of_12, "--decoders", 0, "--out", alone) == 1
    assert "decode " in capsys.readouterr().err
    assert run_score(tiny, folder_of_12, "--decoders", 2, "--out", pool) == 1
    said = capsys.readouterr().err
    assert "waiting for decoders" in said
    assert "(2 decoded for" in said
    assert "10 of 12 files scored, 2 failed." in said
    expected, found = rows_of(alone), rows_of(pool)
    assert found.keys() == expected.keys()
    for name, row in found.items():
        assert (row.error, row.sha256, row.seconds) == (
            expected[name].error, expected[name].sha256, expected[name].seconds
        )  # fmt: skip
        if row.error is None:
            assert row.score == pytest.approx(expected[name].score, abs=1e-5)
            assert len(row.windows or []) == len(expected[name].windows or [])


def test_clips_share_batches(
    folder_of_12: Path, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from detectors.hearing import Batches

    sizes, original = [], Batches._ask
    monkeypatch.setattr(
        Batches, "_ask", lambda self, windows: sizes.append(len(windows)) or original(self, windows)
    )
    assert run_score(tiny, folder_of_12, "--out", tmp_path / "out.jsonl") == 1
    windows = sum(len(row.windows or []) for row in rows_of(tmp_path / "out.jsonl").values())
    assert sizes[:-1] == [8] * (windows // 8)
    assert sum(sizes) == windows


def test_a_long_clip_fails_late_without_a_score(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is wrong after minutes is told like what is wrong at once, and nothing of it is kept."""
    monkeypatch.setattr(decoders, "PIECE_SECONDS", 5)
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, 30 * 16_000).astype(np.float32)
    soundfile.write(tmp_path / "good.wav", samples, 16_000, subtype="FLOAT")
    samples[-100] = np.nan
    soundfile.write(tmp_path / "bad.wav", samples, 16_000, subtype="FLOAT")
    out = tmp_path / "out.jsonl"
    assert run_score(tiny, tmp_path / "bad.wav", tmp_path / "good.wav", "--out", out) == 1
    found = rows_of(out)
    assert "not numbers" in (found["bad.wav"].error or "")
    assert (found["bad.wav"].score, found["bad.wav"].detector) == (None, None)
    assert found["bad.wav"].sha256
    assert len(found["good.wav"].windows or []) == 59


# ---- Parquet


def read_parquet(folder: Path) -> list[dict]:
    parquet = pytest.importorskip("pyarrow.parquet")
    return parquet.read_table(folder).to_pylist()


def test_parquet_holds_what_jsonl_holds(folder_of_12: Path, tiny: Path, tmp_path: Path) -> None:
    assert run_score(tiny, folder_of_12, "--out", tmp_path / "out.jsonl") == 1
    assert run_score(tiny, folder_of_12, "--out", tmp_path / "out", "--format", "parquet") == 1
    expected = rows_of(tmp_path / "out.jsonl")
    found = {Path(row["path"]).name: Row(**row) for row in read_parquet(tmp_path / "out")}
    assert found == expected


def test_parquet_resumes_and_tries_failed_files_again(
    folder_of_12: Path, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pyarrow")
    monkeypatch.setattr("detectors.score_parquet.PART_ROWS", 4)
    out = tmp_path / "out"
    arguments = (folder_of_12, "--out", out, "--format", "parquet")
    assert run_score(tiny, *arguments, "--limit", 6) == 0
    assert len(list(out.iterdir())) == 2
    damaged = out / "scores-half.parquet"
    damaged.write_bytes(next(out.glob("*.parquet")).read_bytes()[:-20])
    decoded, original = [], decoders.stream_audio
    monkeypatch.setattr(decoders, "stream_audio", lambda path: decoded.append(path.name) or original(path))
    assert run_score(tiny, *arguments) == 1
    assert not damaged.exists()
    assert sorted(decoded) == [
        "clip6.flac",
        "clip7.flac",
        "clip8.flac",
        "clip9.flac",
        "letter.wav",
        "short.wav",
    ]
    decoded.clear()
    assert run_score(tiny, *arguments) == 1
    assert sorted(decoded) == ["letter.wav", "short.wav"]
    assert Counter(Path(row["path"]).name for row in read_parquet(out)) == dict.fromkeys(
        sorted(path.name for path in folder_of_12.iterdir()), 1
    )


def test_parquet_of_other_weights_or_of_others_is_refused(
    folder_of_12: Path, tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    out = tmp_path / "out"
    arguments = (folder_of_12, "--limit", 1, "--out", out, "--format", "parquet")
    assert run_score(tiny, *arguments) == 0
    other = tmp_path / "other"
    save_model(build_model(TINY), "fake_mamba", other, {})
    assert run_score(other, *arguments) == 2
    assert "holds scores of fake_mamba mini" in capsys.readouterr().err
    pyarrow.parquet.write_table(pyarrow.table({"mine": [1]}), out / "mine.parquet")
    assert run_score(tiny, *arguments) == 2
    assert "mine.parquet is not a result of this command" in capsys.readouterr().err
    assert (out / "mine.parquet").exists()


@pytest.mark.parametrize("name", ["bad \udcff byte", "naïve"])
def test_parquet_takes_any_file_name(tiny: Path, tmp_path: Path, name: str) -> None:
    pytest.importorskip("pyarrow")
    clip = tmp_path / f"{name}.wav"
    soundfile.write(tmp_path / "plain.wav", np.random.default_rng(0).uniform(-0.5, 0.5, 16_000), 16_000)
    os.rename(tmp_path / "plain.wav", clip)
    for _ in range(2):
        assert run_score(tiny, tmp_path, "--out", tmp_path / "out", "--format", "parquet") == 0
    (row,) = read_parquet(tmp_path / "out")
    assert row["utt_id"] == name.replace("\udcff", r"\udcff")


def test_parquet_needs_a_folder_and_pyarrow(
    folder_of_12: Path,
    tiny: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("pyarrow")
    (tmp_path / "file").touch()
    for out, reason in (
        (("--out", tmp_path / "file"), "is a file; --format parquet needs a folder"),
        (("--out", tmp_path / "no" / "out"), "does not exist. Make it first"),
        ((), "Name it with --out"),
    ):
        assert run_score(tiny, folder_of_12, *out, "--format", "parquet") == 2
        assert reason in capsys.readouterr().err
    original = builtins.__import__

    def without_pyarrow(name: str, *rest: object) -> object:
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return original(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_pyarrow)
    assert run_score(tiny, folder_of_12, "--out", tmp_path / "out", "--format", "parquet") == 2
    assert "needs pyarrow: pip install -r requirements-corpora.txt" in capsys.readouterr().err


# ---- several processes


class Others(score_processes.Processes):
    """One of three processes, without the others: nobody is waited for."""

    def __init__(self, rank: int) -> None:
        self.rank, self.count = rank, 3

    def sum(self, number: int) -> int:
        return number


@pytest.mark.parametrize("form", ["jsonl", "csv", "scores", "parquet"])
def test_shares_and_parts_make_one_result(
    folder_of_12: Path, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    if form == "parquet":
        pytest.importorskip("pyarrow")
    out = tmp_path / "out"
    for rank in (2, 1, 0):
        monkeypatch.setattr(score, "Processes", lambda rank=rank: Others(rank))
        code = run_score(tiny, folder_of_12, "--out", out, "--format", form)
        # Clips 10 and 11 are bad: the shares of 1 and of 2. In a run of one after the other, the first
        # process takes the parts up as those of a killed run.
        assert code == 0
        if form != "parquet":
            assert (tmp_path / f"out.part-{rank}").exists() == (rank > 0)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    if form == "parquet":
        found = [Path(row["path"]).stem for row in read_parquet(out) if row["error"] is None]
    else:
        rows = ScoreFile(out, FORMATS[form]).rows
        found = [row.utt_id for row in rows if row.error is None]
    assert sorted(found) == [f"clip{i}" for i in range(10)]


def test_several_processes_need_a_file(
    folder_of_12: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(score, "Processes", lambda: Others(0))
    assert run_score(tiny, folder_of_12) == 2
    assert "Name a result file with --out" in capsys.readouterr().err


@pytest.mark.slow
def test_accelerate_launches_two_processes(folder_of_12: Path, tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    command = [
        *(sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2"),
        *("--main_process_port", "0", "-m", "detectors", "score", folder_of_12, "--out", out),
        *("--detector", "fake_mamba", "--checkpoint", tiny, "--device", "cpu"),
    ]
    done = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True, check=False)
    assert "10 of 12 files scored, 2 failed." in done.stderr, done.stderr
    assert done.returncode == 1
    found = rows_of(out)
    assert sorted(found) == sorted(path.name for path in folder_of_12.iterdir())
    assert sum(row.error is None for row in found.values()) == 10
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]
