"""Decoding in another process: the same samples, and no harm from files that crash, hang or grow."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from demo import decoding
from demo.decoding import ROOT, Decoder
from demo.limits import LimitError, Limits
from detectors.audio import SAMPLE_RATE, load_audio
from detectors.errors import DetectorError
from detectors.file_facts import MAX_TAG, MAX_TAGS, file_facts

linux = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is limited on Linux only")


@pytest.fixture
def decoder() -> Iterator[Decoder]:
    decoder = Decoder(Limits.public(), processes=1)
    yield decoder
    decoder.close()


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "clip.flac", np.random.default_rng(0).uniform(-0.5, 0.5, 30_000), 22_050)
    return tmp_path / "clip.flac"


def at_work(decoder: Decoder) -> int | None:
    """The number of the process that waits for files."""
    (worker,) = decoder._idle.queue
    return worker._process.pid if worker else None


def test_the_samples_are_those_of_the_library(decoder: Decoder, clip: Path) -> None:
    wave = decoder(str(clip))
    np.testing.assert_array_equal(wave, load_audio(clip))
    assert wave.dtype == np.float32
    assert wave.flags.writeable


def test_headers_are_read_there_too(decoder: Decoder, clip: Path, tmp_path: Path) -> None:
    facts = decoder.facts(str(clip))
    assert facts == file_facts(clip)
    assert (facts["codec"], facts["sample_rate"], facts["channels"]) == ("flac", 22_050, 1)
    worker = at_work(decoder)
    assert worker is not None
    decoder(clip)
    assert at_work(decoder) == worker  # one process does both
    with pytest.raises(DetectorError, match="no longer at hand"):
        decoder.facts(tmp_path / "no.wav")


def test_tags_of_any_size_fit_into_an_answer(decoder: Decoder, clip: Path) -> None:
    """The most that file_facts lets through, in letters that JSON writes at their longest."""
    with av.open(str(clip)) as source, av.open(str(clip.with_suffix(".tagged.flac")), "w", "flac") as tagged:
        tagged.metadata.update({f"{n}" + "\U0001f50e" * 199: "\U0001f50e" * 300 for n in range(50)})
        track = tagged.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(source.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = track
                tagged.mux(packet)
    tags = decoder.facts(clip.with_suffix(".tagged.flac"))["tags"]
    assert len(tags) == MAX_TAGS
    assert {len(value) for value in tags.values()} == {MAX_TAG}


def test_a_process_is_kept_for_the_next_file(
    decoder: Decoder, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "FILES_EACH", 3)
    decoder(clip)
    first = at_work(decoder)
    decoder(clip)
    assert at_work(decoder) == first
    decoder(clip)
    assert at_work(decoder) is None  # it has had its files


def test_refusals_of_the_library_come_through(decoder: Decoder, tmp_path: Path) -> None:
    text = tmp_path / "notes.wav"
    text.write_text("hello")
    with pytest.raises(DetectorError, match=r"notes\.wav is not a sound file"):
        decoder(text)
    with pytest.raises(DetectorError, match="does not exist"):
        decoder(tmp_path / "no.wav")


def test_nothing_is_left_behind(
    decoder: Decoder, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    decoder(clip)
    with pytest.raises(DetectorError):
        decoder(tmp_path / "no.wav")
    assert list(folder.iterdir()) == []


def test_a_file_beyond_the_limits_is_refused(clip: Path, tmp_path: Path) -> None:
    small = Decoder(replace(Limits.public(), file_bytes=1000))
    with pytest.raises(LimitError, match=r"The file has [\d.]+ kB; at most 1000 bytes .*Cut it"):
        small(clip)
    assert [worker for worker in small._idle.queue if worker] == []  # no process was even started
    soundfile.write(tmp_path / "long.flac", np.zeros(601 * 8_000, np.int16), 8_000)
    short = Decoder(Limits.public(), processes=1)
    with pytest.raises(DetectorError, match="longer than 10 minutes, the longest that is read"):
        short(tmp_path / "long.flac")
    short.close()


def stop_before(decoder: Decoder, what: signal.Signals) -> None:
    """Let the waiting process get a signal, as if its next file were to blame."""
    process = at_work(decoder)
    assert process
    os.kill(process, what)


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs Unix signals")
def test_a_crash_is_told_and_the_next_file_is_read(decoder: Decoder, clip: Path) -> None:
    decoder(clip)
    stop_before(decoder, signal.SIGSEGV)
    with pytest.raises(DetectorError, match=r"could not cope with this file.*export it again"):
        decoder(clip)
    assert decoder(clip).size


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs Unix signals")
def test_a_file_that_hangs_is_stopped(clip: Path) -> None:
    decoder = Decoder(replace(Limits.public(), decode_seconds=1), processes=1)
    decoder(clip)
    lost = at_work(decoder)
    stop_before(decoder, signal.SIGSTOP)
    with pytest.raises(LimitError, match="more than 1 s, the longest that is waited"):
        decoder(clip)
    with pytest.raises(ProcessLookupError):
        os.kill(lost or 0, 0)
    assert decoder(clip).size
    decoder.close()


@linux
def test_a_file_that_takes_too_much_memory_is_stopped(clip: Path) -> None:
    decoder = Decoder(replace(Limits.public(), decode_bytes=1 << 20), processes=1)
    # Without memory some libraries give up in good order, and others crash: both must be told.
    with pytest.raises(DetectorError, match=r"more than 1 MB of memory|could not cope with this file"):
        decoder(clip)
    assert at_work(decoder) is None
    with pytest.raises(LimitError, match=r"more than 1 MB of memory, the most .*export it again"):
        decoder._checked({"failed": "memory"}, "samples")
    decoder.close()


def test_the_process_knows_no_secrets(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("SPOOFLENS_DATABASE_URL", "postgresql://me:secret@host/labels")
    told: list[dict[str, str]] = []
    start = subprocess.Popen

    def watched(*args: object, **options: object) -> object:
        told.append(options["env"])  # type: ignore[arg-type]
        return start(*args, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess, "Popen", watched)
    decoder = Decoder(Limits.public(), processes=1)
    decoder(clip)
    decoder.close()
    assert told
    assert "secret" not in str(told)


def test_it_ends_with_the_app(clip: Path) -> None:
    """A killed app leaves no process behind: its end of the pipe is closed."""
    script = (
        "import os; from demo.decoding import Decoder; from demo.limits import Limits\n"
        f"d = Decoder(Limits(), processes=1); d({str(clip)!r})\n"
        "print(d._idle.queue[0]._process.pid, flush=True); os._exit(0)"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            os.kill(int(done.stdout), 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail("the process is still there")


def test_many_at_once_get_each_their_own_samples(tmp_path: Path) -> None:
    decoder = Decoder(Limits(), processes=2)
    paths = []
    for level in range(1, 9):
        paths.append(tmp_path / f"{level}.wav")
        soundfile.write(paths[-1], np.full(SAMPLE_RATE, level / 10), SAMPLE_RATE, subtype="FLOAT")
    before = threading.active_count()
    with ThreadPoolExecutor(8) as pool:
        levels = [round(10 * float(wave.mean())) for wave in pool.map(decoder, paths)]
    decoder.close()
    assert levels == list(range(1, 9))
    assert threading.active_count() <= before  # no timer is left
