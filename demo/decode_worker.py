"""The process that decodes what strangers upload: it is limited, knows no secrets, and may be killed.

Reads one JSON line for each file: its path, where to write the samples, and the limits; or its path alone,
to be told what its headers say. Answers with one line: {"samples": n}, {"facts": ...}, {"refused": sentence}
or {"failed": kind}. Ends when its input ends.
"""

import json
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any, TextIO

from detectors.audio import AudioLimits, stream_audio
from detectors.errors import DetectorError
from detectors.file_facts import file_facts

logger = logging.getLogger(__name__)

#: Open files that the decoder needs besides the three standard ones and Python's own.
FILES = 64


def main() -> None:
    """Decode files until there are no more, within the memory that the first argument allows, in bytes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the app, which then closes our input
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints is no answer
    _bound(int(sys.argv[1]))
    _tell(answers, {"ready": True})
    for line in sys.stdin:
        _tell(answers, _answer(json.loads(line)))


def _tell(answers: TextIO, answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


def _answer(asked: dict[str, Any]) -> dict[str, Any]:
    try:
        if "out" in asked:
            return {"samples": _decode(asked["path"], asked["out"], AudioLimits(**asked["limits"]))}
        return {"facts": file_facts(Path(asked["path"]))}
    except DetectorError as error:
        return {"refused": str(error)}
    except MemoryError:
        return {"failed": "memory"}
    except Exception:
        # A damaged file found a bug in a library or in us; the log keeps the trace.
        logger.exception("a file could not be decoded")
        return {"failed": "error"}


def _decode(path: str, out: str, limits: AudioLimits) -> int:
    """Write the samples of a file; how many there are."""
    _bound_output(int(limits.seconds * 16_000 * 4) + (1 << 20))
    with Path(out).open("wb") as file:
        return sum(file.write(block.data) // block.itemsize for block in stream_audio(path, limits))


def _bound(memory: int) -> None:
    """No more than `memory` bytes above what is in use now, few files, no core dumps: where Unix can."""
    try:
        import resource
    except ImportError:  # Windows: the app still stops a file that takes too long
        return
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:  # no Linux: its address space is full of other things, and cannot be limited this way
        pages = 0
    if pages:
        _set(resource.RLIMIT_AS, pages * resource.getpagesize() + memory)
    _set(resource.RLIMIT_NOFILE, FILES)
    _set(resource.RLIMIT_CORE, 0)


def _bound_output(size: int) -> None:
    try:
        import resource
    except ImportError:
        return
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # writing more is then an error like others
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def _set(what: int, value: int) -> None:
    import resource

    hard = resource.getrlimit(what)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(what, (value, value))


if __name__ == "__main__":
    main()
