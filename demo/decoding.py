"""Decoding what strangers upload: in other processes, which may crash, hang or eat memory without harm."""

import json
import logging
import os
import queue
import subprocess
import sys
import tempfile
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from demo import messages
from demo.limits import LimitError, Limits
from detectors.errors import DetectorError

logger = logging.getLogger(__name__)

ROOT = Path(__file__).parents[1]

#: A process is replaced after so many files, so that what a library leaks does not add up.
FILES_EACH = 200
#: Longest answer of a process, in bytes: a sentence about the file, or its tags.
LONGEST_ANSWER = 1 << 18
#: Seconds in which a new process must be ready: Python has to start, perhaps on a busy machine.
START = 60.0
#: All that a process gets to know of the environment, which holds tokens and passwords.
ENVIRONMENT = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "SYSTEMROOT", "LD_LIBRARY_PATH")


class _CrashError(Exception):
    """The process ended without an answer."""


class _LateError(Exception):
    """The process was ended, as it did not answer in time."""


class _Worker:
    """One process of demo.decode_worker, ready for files. memory: bytes that it may take for them."""

    def __init__(self, memory: int) -> None:
        environ = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
        # One thread: more would only take memory, of which there is little.
        environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "demo.decode_worker", str(memory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environ,
            cwd=ROOT,
        )
        self.files = 0
        self._answer(START)

    def ask(self, asked: dict[str, Any], seconds: float) -> dict[str, Any]:
        """The answer about one file. _CrashError or _LateError when there is none: then it has ended."""
        self.files += 1
        assert self._process.stdin
        try:
            self._process.stdin.write(json.dumps(asked).encode() + b"\n")
            self._process.stdin.flush()
        except OSError as error:
            self.close()
            raise _CrashError(f"exit code {self._process.returncode}") from error
        return self._answer(seconds)

    def close(self) -> None:
        """End the process, whatever it is doing."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            try:
                if pipe:
                    pipe.close()
            except OSError:  # a line that the process did not read any more
                pass

    def _answer(self, seconds: float) -> dict[str, Any]:
        assert self._process.stdout
        late = threading.Event()

        def end() -> None:
            late.set()
            self._process.kill()

        # The process is killed, which ends its output and so the wait for it: that works on every system.
        timer = threading.Timer(seconds, end)
        timer.daemon = True
        timer.start()
        try:
            line = self._process.stdout.readline(LONGEST_ANSWER)
        finally:
            timer.cancel()
        try:
            return dict(json.loads(line))
        except ValueError:
            self.close()
        raise _LateError if late.is_set() else _CrashError(f"exit code {self._process.returncode}")


class Decoder:
    """Reads recordings as detectors.load_audio does, in processes of their own. Thread-safe.

    At most `processes` files are decoded at once; others wait. A process is kept for the next file.
    Raises what load_audio raises, and LimitError for a file that takes too many bytes, too long, or too much
    memory.
    """

    def __init__(self, limits: Limits, processes: int = 2) -> None:
        self.limits, self._processes = limits, processes
        self._idle: queue.LifoQueue[_Worker | None] = queue.LifoQueue()
        for _ in range(processes):
            self._idle.put(None)

    def __call__(self, path: str | Path) -> np.ndarray:
        """The recording as float32 [samples], 16 kHz mono in [-1, 1]."""
        path = Path(path)
        if path.is_file() and path.stat().st_size > self.limits.file_bytes:
            raise LimitError(messages.file_too_big(path.stat().st_size, self.limits.file_bytes))
        handle, out = tempfile.mkstemp(prefix="spooflens-", suffix=".f32")
        os.close(handle)
        try:
            asked = {"path": str(path.absolute()), "out": out, "limits": asdict(self.limits.audio())}
            self._ask(asked, "samples")
            return np.fromfile(out, np.float32)
        finally:
            Path(out).unlink()

    def facts(self, path: str | Path) -> dict[str, Any]:
        """What the headers of a recording say, as detectors.file_facts does."""
        return dict(self._ask({"path": str(Path(path).absolute())}, "facts"))

    def close(self) -> None:
        """End the processes that wait for files; one that is at work ends when the app does."""
        idle = []
        while not self._idle.empty():
            try:
                idle.append(self._idle.get_nowait())
            except queue.Empty:
                break
        for worker in idle:
            if worker:
                worker.close()
            self._idle.put(None)

    def _ask(self, asked: dict[str, Any], wanted: str) -> Any:
        """What a process answers about one file, under the key `wanted`."""
        worker, kept = self._idle.get(), None
        try:
            worker = worker or _Worker(self.limits.decode_bytes)
            answer = worker.ask(asked, self.limits.decode_seconds)
            if "failed" not in answer and worker.files < FILES_EACH:
                kept = worker  # after an odd failure nobody knows what state it is in
        except _LateError as error:
            raise LimitError(messages.DECODING_TOO_LONG.format(seconds=self.limits.decode_seconds)) from error
        except _CrashError as error:
            logger.warning("a decoding process crashed at a file: %s", error)
            raise DetectorError(messages.DECODER_CRASHED) from error
        finally:
            if worker and not kept:
                worker.close()
            self._idle.put(kept)
        return self._checked(answer, wanted)

    def _checked(self, answer: dict[str, Any], wanted: str) -> Any:
        if "refused" in answer:
            raise DetectorError(str(answer["refused"]))
        if answer.get("failed") == "memory":
            limit = messages.size(self.limits.decode_bytes)
            raise LimitError(messages.DECODING_TOO_BIG.format(limit=limit))
        if wanted not in answer:
            raise DetectorError(messages.DECODER_CRASHED)
        return answer[wanted]
