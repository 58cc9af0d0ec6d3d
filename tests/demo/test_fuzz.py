"""Broken and hostile files: each gives sound within the limits or a clear sentence, in time and space."""

import logging
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from demo.decoding import Decoder
from demo.limits import Limits
from detectors.audio import SAMPLE_RATE, load_audio
from detectors.errors import DetectorError
from tests.demo import damaged_audio
from tests.demo.damaged_audio import KINDS, Damaged, damaged

SEED = 20
LIMITS = replace(Limits.public(), decode_seconds=60, decode_bytes=256 << 20)
#: Peak memory that a decoding process may have reached: its own start, and what is allowed above that.
PEAK = LIMITS.decode_bytes + (150 << 20)


@pytest.fixture
def decoder() -> Iterator[Decoder]:
    decoder = Decoder(LIMITS, processes=1)
    yield decoder
    decoder.close()


def outcome(decoder: Decoder, folder: Path, file: Damaged) -> str:
    """ "decoded" or the kind of refusal, once all that must hold of it does."""
    path = folder / file.name
    path.write_bytes(file.data)
    begun = time.monotonic()
    try:
        wave = decoder(path)
    except DetectorError as error:
        check_message(str(error), folder)
        return type(error).__name__
    finally:
        path.unlink()
        assert time.monotonic() - begun < LIMITS.decode_seconds + 60, f"{file.name} hung"
    assert wave.dtype == np.float32
    assert np.isfinite(wave).all()
    assert 0 < wave.size <= LIMITS.seconds * SAMPLE_RATE
    assert np.abs(wave).max() <= 1
    return "decoded"


def check_message(message: str, folder: Path) -> None:
    """A sentence for people: what happened, and what to do; no trace and no path of this machine."""
    assert message.endswith((".", "mp4."))
    assert message.count(". ") >= 1, message
    assert len(message) < 400, message
    for word in ("Traceback", "Error(", str(folder), "<class"):
        assert word not in message


def peak_memory(decoder: Decoder) -> int:
    """Most bytes that the decoder's present processes ever held."""
    peaks = [0]
    for worker in decoder._idle.queue:
        status = Path(f"/proc/{worker._process.pid}/status") if worker else Path("nowhere")
        if status.exists():
            (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
            peaks.append(int(line.split()[1]) << 10)
    return max(peaks)


def run(decoder: Decoder, folder: Path, count: int) -> tuple[Counter[tuple[str, str]], int]:
    """How often each kind of file had each outcome, and the most memory that a process took."""
    found: Counter[tuple[str, str]] = Counter()
    peak = 0
    for index in range(count):
        file = damaged(SEED, index)
        found[file.kind, outcome(decoder, folder, file)] += 1
        peak = max(peak, peak_memory(decoder))
        assert peak < PEAK, file.name
    return found, peak


def check_counts(found: Counter[tuple[str, str]]) -> None:
    """Whole files are read; bombs, empty and foreign files never are."""
    assert {kind for kind, _ in found} == set(KINDS)
    assert {result for kind, result in found if kind == "without a fault"} == {"decoded"}
    for kind in ("silence bomb", "no samples", "no sound file", "no sound track", "empty container"):
        expected = {"DetectorError"} | ({"decoded"} if kind == "no samples" else set())
        assert {result for each, result in found if each == kind} <= expected, kind


def test_120_files_give_sound_or_a_clear_sentence(decoder: Decoder, tmp_path: Path) -> None:
    check_counts(run(decoder, tmp_path, 120)[0])


@pytest.mark.slow
def test_2000_files_give_sound_or_a_clear_sentence(decoder: Decoder, tmp_path: Path) -> None:
    begun = time.monotonic()
    found, peak = run(decoder, tmp_path, 2000)
    for (kind, result), count in sorted(found.items()):
        print(f"{kind}: {result} {count}")
    print(f"{time.monotonic() - begun:.0f} s, peak {peak >> 20} MB")
    check_counts(found)


def test_the_corpus_is_the_same_for_the_same_seed() -> None:
    first = [damaged(SEED, index) for index in range(len(KINDS))]
    for made in (damaged_audio.sound, damaged_audio.video, damaged_audio._silence):
        made.cache_clear()
    assert [damaged(SEED, index) for index in range(len(KINDS))] == first
    assert [damaged(SEED + 1, index) for index in range(len(KINDS))] != first


def test_the_library_itself_gives_sound_or_a_detector_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The command line decodes in its own process: no other exception may leave load_audio."""
    caplog.set_level(logging.ERROR)
    for index in range(2 * len(KINDS)):
        file = damaged(SEED, index)
        path = tmp_path / file.name
        path.write_bytes(file.data)
        try:
            wave = load_audio(path, LIMITS.audio())
        except DetectorError:
            continue
        assert np.isfinite(wave).all()
