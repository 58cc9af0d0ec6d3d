"""Many visitors at once, for a while: no error but "the queue is full", nothing mixed up, no growing memory.

    SPOOFLENS_LOAD_VISITORS=50 SPOOFLENS_LOAD_SECONDS=600 python -m pytest -m slow tests/demo/test_load.py -s

SPOOFLENS_LOAD_DETECTORS=mini takes the shipped detectors instead of fake ones. With -s the times are shown.
"""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from demo.ui import build_demo
from detectors.audio import sha256_of
from detectors.labels.store import LabelStore
from tests.demo.fake_detectors import fake_services, write_clip
from tests.demo.test_crash import free_port
from tests.demo.visiting import PAUSE, Record, TurnedAwayError, Visitor

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="memory is watched on Linux only"),
]

ROOT = Path(__file__).parents[2]
VISITORS = int(os.environ.get("SPOOFLENS_LOAD_VISITORS", "5"))
SECONDS = float(os.environ.get("SPOOFLENS_LOAD_SECONDS", "20"))
DETECTORS = os.environ.get("SPOOFLENS_LOAD_DETECTORS", "fake")
#: Seconds to wait for the app to start.
PATIENCE = 300
#: Memory in use may still grow by so much between a third of the time and its end: caches fill up.
GROWTH, SLACK = 1.1, 64 << 20


@pytest.fixture
def app(tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    port = free_port()
    command = [sys.executable, "-m", "tests.demo.load_app", DETECTORS, "--port", str(port), "--device", "cpu"]
    environ = {
        **os.environ,
        "GRADIO_TEMP_DIR": str(tmp_path / "cache"),
        "SPOOFLENS_DATA": str(tmp_path / "data"),
    }
    process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.DEVNULL)
    url, end = f"http://127.0.0.1:{port}/", time.monotonic() + PATIENCE
    try:
        while True:
            assert process.poll() is None, "the app ended by itself"
            assert time.monotonic() < end, "the app does not answer"
            try:
                httpx.get(url, timeout=30).raise_for_status()
                break
            except httpx.HTTPError:
                time.sleep(0.5)
        yield url, process
    finally:
        process.kill()


def test_many_visitors(app: tuple[str, subprocess.Popen[bytes]], tmp_path: Path) -> None:
    url, process = app
    page = build_demo(fake_services(tmp_path / "map"))  # the same page, to know its functions' numbers
    # The first of a name is the first tab's.
    functions = {fn.name: number for number, fn in reversed(page.fns.items()) if fn.fn}
    record, end = Record(), time.monotonic() + SECONDS
    memory: list[tuple[float, int]] = []
    clips = [write_clip(tmp_path / f"{n}.wav", 1.0 + n / 10, 0.1 + n / 100) for n in range(VISITORS)]

    def visit(number: int) -> None:
        visitor = Visitor(url, functions, page, clips[number])
        while time.monotonic() < end:
            try:
                once(visitor, f"visitor {number}", record)
            except TurnedAwayError:
                record.turned_away()
                time.sleep(PAUSE)
            except Exception as error:
                record.note(f"visitor {number}: {error!r}")

    threads = [threading.Thread(target=visit, args=(number,)) for number in range(VISITORS)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        memory.append((time.monotonic() - began, resident(process.pid)))
        time.sleep(SECONDS / 60)
    for thread in threads:
        thread.join()

    third = max(used for at, used in memory if at <= SECONDS / 3)
    last = memory[-1][1]
    print(f"\n{VISITORS} visitors, {SECONDS:.0f} s, {DETECTORS} detectors\n{record.table()}")
    print(f"turned away as the app was busy: {record.busy} times; wrong: {len(record.wrong)}")
    print(f"memory at 1/3 of the time {third >> 20} MB, at the end {last >> 20} MB")
    assert record.wrong == []
    assert set(record.seconds) == {"upload", "analyse", "ask", "label"}
    assert last < GROWTH * third + SLACK

    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    owners = {sha256_of(clip): f"visitor {number}" for number, clip in enumerate(clips)}
    labels = LabelStore(tmp_path / "data").labels()
    assert len(labels) == len(record.seconds["label"])
    assert {label.annotator for label in labels if owners[label.audio_sha256] != label.annotator} == set()


def once(visitor: Visitor, name: str, record: Record) -> None:
    """One visit: a clip is uploaded, judged, asked about and labelled; all must be about this very clip."""
    visitor.arrive()
    with record.timed("upload"):
        path = visitor.upload()
    with record.timed("analyse"):
        file = {"path": path, "meta": {"_type": "gradio.FileData"}}
        report, _ = visitor.call("analyze_here", [file])
    if report["sha256"] != sha256_of(visitor.clip):
        record.note(f"{name} was given the analysis of another clip")
    # What the visit's list says now; the list and the analysis are states, known to the server alone.
    listed = json.dumps(visitor.call("add", [None, None]))
    if set(re.findall(r"\d+\.wav", listed)) != {visitor.clip.name}:
        record.note(f"{name}: the list of earlier clips is {listed}")
    with record.timed("ask"):
        asked = [report["analysis_id"], "How long is the clip?", []]
        (answer,) = visitor.call("ask", asked)
    if f"{report['seconds']:.1f} s" not in answer["answer"]:
        record.note(f"{name}: the answer is about another clip: {answer['answer']}")
    with record.timed("label"):
        form = [None, None, "spoof", 3, name, "", "", "", True]
        saved, _ = visitor.call("save", form)
    if "Saved" not in saved:
        record.note(f"{name}: {saved}")


def resident(process: int) -> int:
    """Bytes of memory that a process and the processes that it started have in use."""
    pages = 0
    for each in (process, *children(process)):
        try:
            pages += int(Path(f"/proc/{each}/statm").read_text().split()[1])
        except OSError:  # it has just ended
            continue
    return pages * os.sysconf("SC_PAGE_SIZE")


def children(process: int) -> list[int]:
    """The processes that one has started, by the numbers that Linux gives them."""
    found: list[int] = []
    for task in Path(f"/proc/{process}/task").iterdir():
        try:
            found += map(int, (task / "children").read_text().split())
        except OSError:  # a thread that has just ended
            continue
    return found
