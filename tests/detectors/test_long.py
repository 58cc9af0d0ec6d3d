"""An hour of sound: the command's memory is that of a minute, measured in processes of their own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile
import torch

from detectors.audio import SAMPLE_RATE
from detectors.checkpoints import save_model
from detectors.config import FakeMambaConfig, FrontEndConfig
from detectors.models import build_model
from tests.detectors import plain_models as plain

ROOT = Path(__file__).parents[2]
FRONT_END = FrontEndConfig(2, 16, 2, 24, "log_mel", 16, 8, 2)
TINY = FakeMambaConfig(FRONT_END, 48_000, 24_000, dim=16, layers=1, d_state=4)
#: What a process needs to judge files, and the most memory that it ever had, in bytes (Linux counts in KiB).
MEASURE = """
import resource, sys
from detectors.__main__ import main
code = main(sys.argv[1:])
print(1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
sys.exit(code)
"""
LIBRARY = """
import resource, sys
from detectors import load_audio, load_detector
found = load_detector("fake_mamba", checkpoint=sys.argv[1], device="cpu").analyze(load_audio(sys.argv[2]))
assert len(found.maps["attention"]) <= 6000
print(1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="peak memory is counted in KiB on Linux only")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of a detector that is fast enough for an hour."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("tiny")
    save_model(build_model(TINY), "fake_mamba", folder, {})
    return folder


def speech_like(path: Path, seconds: int) -> Path:
    """A recording at 44.1 kHz, written a minute at a time."""
    rate = 44_100
    with soundfile.SoundFile(path, "w", rate, 1, subtype="PCM_16") as file:
        for start in range(0, seconds, 60):
            file.write(plain.speech_like(min(60, seconds - start) * rate, seed=start).numpy())
    return path


def peak(*arguments: str | Path) -> int:
    """Peak memory in bytes of a Python process that must succeed; it prints that number last."""
    command = [sys.executable, "-c", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[-1])


def peak_of_command(clip: Path, tiny: Path, out: Path) -> int:
    """Peak memory of `score` on a clip; its windows must reach to the clip's end."""
    found = peak(MEASURE, "score", clip, "--detector", "fake_mamba", "--checkpoint", tiny, "--out", out)
    (row,) = map(json.loads, out.read_text().splitlines())
    assert row["windows"][-1]["end"] == pytest.approx(row["seconds"])
    assert row["seconds"] == pytest.approx(soundfile.info(clip).duration, abs=1 / SAMPLE_RATE)
    return found


def test_scoring_three_minutes_takes_the_memory_of_twenty_seconds(tiny: Path, tmp_path: Path) -> None:
    short, long = (speech_like(tmp_path / f"{seconds}.flac", seconds) for seconds in (20, 180))
    grown = peak_of_command(long, tiny, tmp_path / "long") - peak_of_command(short, tiny, tmp_path / "short")
    assert grown < 30e6


@pytest.mark.slow
def test_scoring_an_hour_takes_the_memory_of_a_minute(tiny: Path, tmp_path: Path) -> None:
    short, long = (speech_like(tmp_path / f"{seconds}.flac", seconds) for seconds in (60, 3600))
    grown = peak_of_command(long, tiny, tmp_path / "long") - peak_of_command(short, tiny, tmp_path / "short")
    print(f"score: an hour takes {grown / 1e6:.0f} MB more than a minute")
    # The sound alone, held as a whole, would be 230 MB.
    assert grown < 100e6


@pytest.mark.slow
def test_an_hour_in_python_takes_little_more_than_its_samples(tiny: Path, tmp_path: Path) -> None:
    short, long = (speech_like(tmp_path / f"{seconds}.flac", seconds) for seconds in (60, 3600))
    grown = peak(LIBRARY, tiny, long) - peak(LIBRARY, tiny, short)
    print(f"analyze(load_audio(...)): an hour takes {grown / 1e6:.0f} MB more than a minute")
    assert grown < 300e6
