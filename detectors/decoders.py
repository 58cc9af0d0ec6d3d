"""Recordings decoded piece by piece, by a pool of processes that feeds whoever asks.

Each decoder has its own pipe, and works on at most one recording and holds at most one piece: so memory
is bounded however long the recordings are, and a decoder that a damaged file brings down costs that file
only (in concurrent.futures and torch's DataLoader it would end the run). A decoder imports no torch.
"""

import logging
import multiprocessing
import os
import queue
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TypeVar

import numpy as np

from detectors.audio import SAMPLE_RATE, claimed_seconds, sha256_of, stream_audio
from detectors.errors import DetectorError

#: A piece is at most about this long, so that most clips are one piece.
PIECE_SECONDS = 30
#: A decoder that says nothing for this long is stuck in its file.
STUCK_SECONDS = 300.0
#: Pieces that wait for the model at most, 2 MB each at most.
AHEAD = 16

logger = logging.getLogger(__name__)

Item = TypeVar("Item")


@dataclass(frozen=True)
class Piece:
    """Some of a recording, or why there is none.

    wave: float32 [s], 16 kHz mono. last: nothing follows; with `error` when the recording cannot be
    read (to its end). claimed: its length in seconds as its header has it, for progress, from the second
    piece on. spent: seconds that decoding took.
    """

    wave: np.ndarray
    last: bool
    sha256: str | None = None
    claimed: float | None = None
    error: str | None = None
    spent: float = 0.0


NOTHING = np.empty(0, np.float32)


def pieces_of(path: Path) -> Iterator[Piece]:
    """All of a recording. Raises nothing: what is wrong with it is in the last piece."""
    began = time.perf_counter()
    sha256 = claimed = error = None
    held: list[np.ndarray] = []
    try:
        sha256 = sha256_of(path)
        for block in stream_audio(path):
            if sum(map(len, held)) >= PIECE_SECONDS * SAMPLE_RATE:
                claimed = claimed or claimed_seconds(path)
                spent = time.perf_counter() - began
                yield Piece(np.concatenate(held), False, sha256, claimed, spent=spent)
                held, began = [], time.perf_counter()
            held.append(block)
    except DetectorError as refusal:
        error = str(refusal)
    except Exception as bug:
        logger.exception("%s: unexpected error", path)
        error = f"unexpected {type(bug).__name__}: {bug}"
    wave = NOTHING if error or not held else np.concatenate(held)
    yield Piece(wave, True, sha256, claimed, error, time.perf_counter() - began)


def decoded(paths: Iterable[Path], decoders: int) -> Iterator[tuple[int, Piece]]:
    """The pieces of all recordings, each with its recording's place in `paths`.

    decoders: how many processes decode at the same time; 0: none, they are decoded here, one after the
    other, when asked for. With several, pieces of different recordings come in any order.
    """
    if not decoders:
        return ((place, piece) for place, path in enumerate(paths) for piece in pieces_of(path))
    return _ahead(_Pool(paths, decoders).pieces(), AHEAD)


def usable_cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Decoder:
    """One process, and the recording that it is at."""

    def __init__(self) -> None:
        # Not forked: this process has threads of torch and of progress bars.
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(target=_decode, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()  # so that the pipe ends when the process does
        self.place = -1

    def give(self, place: int, path: Path) -> None:
        self.place = place
        with suppress(OSError):  # it has just died: its pipe's end says so next
            self.pipe.send(path)

    def stop(self) -> None:
        self.pipe.close()
        self.process.kill()
        self.process.join()


def _decode(pipe: Connection) -> None:
    """What a decoder does until its pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever reads the pipe
    with suppress(EOFError, OSError):
        while True:
            for piece in pieces_of(pipe.recv()):
                pipe.send(piece)


class _Pool:
    """Decoders that take the recordings in turn, the next one as soon as they are done with one."""

    def __init__(self, paths: Iterable[Path], decoders: int) -> None:
        self._todo = enumerate(paths)
        self._size = decoders
        self._busy: dict[Connection, _Decoder] = {}

    def pieces(self) -> Iterator[tuple[int, Piece]]:
        try:
            for _ in range(self._size):
                self._give(None)
            while self._busy:
                ready = wait(list(self._busy), timeout=STUCK_SECONDS)
                for pipe in ready or list(self._busy):
                    decoder = self._busy[pipe]  # type: ignore[index]  # a Connection went in
                    place = decoder.place
                    piece = self._received(decoder) if ready else self._lost(decoder, "took too long")
                    yield place, piece
        finally:
            for decoder in self._busy.values():
                decoder.stop()

    def _received(self, decoder: _Decoder) -> Piece:
        try:
            piece: Piece = decoder.pipe.recv()
        except (EOFError, OSError):
            return self._lost(decoder, "brought its decoder down")
        if piece.last:
            self._give(decoder)
        return piece

    def _lost(self, decoder: _Decoder, why: str) -> Piece:
        del self._busy[decoder.pipe]
        decoder.stop()
        self._give(None)
        return Piece(
            NOTHING, True, error=f"This file {why}; it may be damaged. Convert it to wav and try again."
        )

    def _give(self, decoder: _Decoder | None) -> None:
        """The next recording to a decoder, or to a new one; when none is left, the decoder goes."""
        place, path = next(self._todo, (-1, None))
        if path is not None:
            decoder = decoder or _Decoder()
            self._busy[decoder.pipe] = decoder
            decoder.give(place, path)
        elif decoder is not None:
            del self._busy[decoder.pipe]
            decoder.stop()


def _ahead(items: Iterator[Item], most: int) -> Iterator[Item]:
    """The same items, fetched by a thread up to `most` ahead of whoever takes them."""
    fetched: queue.Queue[tuple[Item] | BaseException | None] = queue.Queue(most)
    stopped = threading.Event()

    def put(item: tuple[Item] | BaseException | None) -> bool:
        while not stopped.is_set():
            with suppress(queue.Full):
                fetched.put(item, timeout=0.2)
                return True
        return False

    def fetch() -> None:
        try:
            if all(put((item,)) for item in items):
                put(None)
        except BaseException as error:  # for the taker to raise
            put(error)
        finally:
            items.close()  # type: ignore[attr-defined]  # a generator: its `finally` stops the decoders

    thread = threading.Thread(target=fetch, daemon=True)
    thread.start()
    try:
        while (item := fetched.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item[0]
    finally:
        stopped.set()
        thread.join(timeout=1)  # it may wait for a decoder that is stuck; the program's end ends both
