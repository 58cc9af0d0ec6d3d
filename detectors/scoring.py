"""Clips in, rows out: decoders at one end, detectors that judge full batches, whoever writes at the other.

This is what the score command runs, in one process or on several GPUs, and what each worker of its Ray
Data job runs.
"""

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

import numpy as np

from detectors.audio import SAMPLE_RATE
from detectors.decoders import Piece, decoded
from detectors.detection import Detection
from detectors.errors import DetectorError
from detectors.score_files import Row

logger = logging.getLogger(__name__)

Result = TypeVar("Result")


class Clip(NamedTuple):
    """A file to score and the id that it goes by in score files."""

    utt_id: str
    path: Path


class ClipHearing(Protocol):
    """One clip before one detector, as detectors.hearing.Hearing."""

    @property
    def done(self) -> bool: ...

    def feed(self, block: np.ndarray) -> None: ...

    def end(self) -> None: ...

    def detection(self) -> Detection: ...


class ClipBatches(Protocol):
    """Windows of many clips before one detector, as detectors.hearing.Batches."""

    def hear(self) -> ClipHearing: ...

    def flush(self) -> None: ...


class Scorer(Protocol):
    """The part of a detector that scoring needs."""

    @property
    def name(self) -> str: ...

    @property
    def preset(self) -> str: ...

    @property
    def version(self) -> str: ...

    @property
    def device(self) -> str: ...

    def batches(self) -> ClipBatches: ...


#: A clip and the detectors that are to judge it.
Task = tuple[Clip, Sequence[Scorer]]
#: Hears of a long clip under way: how many seconds of it were judged, and how long it claims to be.
Under = Callable[[Clip, float, float | None], None]


@dataclass
class Split:
    """Where the time of a run went, in seconds.

    decode: of the decoders, all together; it overlaps the rest where they are processes of their own.
    wait: without a decoded piece to judge. model and write: judging and writing.
    """

    decode: float = 0.0
    wait: float = 0.0
    model: float = 0.0
    write: float = 0.0

    def told(self, whole: float, decoders: int) -> str:
        """A line about it; `whole`: what the run took."""
        line = f"Time: {whole:.1f} s; model {self.model:.1f} s, write {self.write:.1f} s, "
        if not decoders:
            return f"{line}decode {self.decode:.1f} s."
        return (
            f"{line}waiting for decoders {self.wait:.1f} s "
            f"({decoders} decoded for {self.decode:.1f} s, beside the model)."
        )


def blank_row(clip: Clip) -> Row:
    """A row that says of a clip no more than what it is called."""
    return Row(path=str(clip.path), utt_id=clip.utt_id)


def score_clips(
    tasks: Sequence[Task], decoders: int = 0, split: Split | None = None, under_way: Under | None = None
) -> Iterator[tuple[Clip, list[Row]]]:
    """Each clip with its rows: one for each of its detectors, or one that says why none can take it.

    decoders: processes that decode while the detectors judge; 0: the clips are decoded in this one, and
    come out in order. Raises nothing on account of a clip.
    """
    split = split or Split()
    scorers = {scorer.name: scorer for _, wanted in tasks for scorer in wanted}
    batches = {name: scorer.batches() for name, scorer in scorers.items()}
    begun: dict[int, _Case] = {}
    ended: deque[_Case] = deque()
    pieces = decoded([clip.path for clip, _ in tasks], decoders)
    for place, piece in _timed(pieces, split, apart=decoders > 0):
        began = time.perf_counter()
        if place not in begun:
            begun[place] = _Case(*tasks[place], batches)
        case = begun[place]
        case.feed(piece)
        if piece.last:
            ended.append(begun.pop(place))
        elif under_way:
            under_way(case.clip, case.seconds, piece.claimed)
        split.model += time.perf_counter() - began
        yield from _finished(ended)
    began = time.perf_counter()
    for of_detector in batches.values():
        of_detector.flush()
    split.model += time.perf_counter() - began
    yield from _finished(ended)


def _timed(pieces: Iterator[tuple[int, Piece]], split: Split, apart: bool) -> Iterator[tuple[int, Piece]]:
    while True:
        began = time.perf_counter()
        found = next(pieces, None)
        if apart:
            split.wait += time.perf_counter() - began
        if found is None:
            return
        split.decode += found[1].spent
        yield found


def _finished(ended: "deque[_Case]") -> Iterator[tuple[Clip, list[Row]]]:
    # In the order in which they ended. None is held up for long: a batch takes windows in that order too.
    while ended and ended[0].done:
        case = ended.popleft()
        yield case.clip, case.rows()


class _Case:
    """One clip on its way to rows."""

    def __init__(self, clip: Clip, scorers: Sequence[Scorer], batches: dict[str, ClipBatches]) -> None:
        self.clip, self.samples = clip, 0
        self._row = blank_row(clip)
        self._scorers = {scorer.name: scorer for scorer in scorers}
        self._hearings = {name: batches[name].hear() for name in self._scorers}
        self._errors: dict[str, str] = {}

    @property
    def seconds(self) -> float:
        """How much of the clip was fed so far."""
        return self.samples / SAMPLE_RATE

    def feed(self, piece: Piece) -> None:
        self.samples += len(piece.wave)
        self._row = replace(self._row, sha256=piece.sha256)
        if piece.error:
            self._row, self._hearings = replace(self._row, error=piece.error), {}
            return
        for name in list(self._hearings):
            self._try(name, lambda hearing: hearing.feed(piece.wave))
            if piece.last:
                self._try(name, lambda hearing: hearing.end())

    @property
    def done(self) -> bool:
        return all(hearing.done for hearing in self._hearings.values())

    def rows(self) -> list[Row]:
        if self._row.error:
            return [self._row]
        blank = replace(self._row, seconds=self.seconds)
        rows = [self._judged(blank, scorer) for scorer in self._scorers.values()]
        if rows[0].error and len({row.error for row in rows}) == 1:
            # No detector can take it, all for one reason: that is one bad file, so one row.
            return [replace(blank, error=rows[0].error)]
        return rows

    def _try(self, name: str, step: Callable[[ClipHearing], Result]) -> Result | None:
        """A step of a detector's hearing; when it fails, the hearing ends with that error."""
        if name not in self._hearings:
            return None
        try:
            return step(self._hearings[name])
        except Exception as error:
            del self._hearings[name]
            self._errors[name] = self._told(error)
            return None

    def _told(self, error: Exception) -> str:
        """The message for the row. A bug is logged with its traceback, but a long run goes on."""
        if isinstance(error, DetectorError):
            return str(error)
        logger.error("%s: unexpected error", self.clip.path, exc_info=error)
        return f"unexpected {type(error).__name__}: {error}"

    def _judged(self, blank: Row, scorer: Scorer) -> Row:
        name = scorer.name
        row = replace(blank, detector=name, preset=scorer.preset, version=scorer.version)
        found = self._try(name, lambda hearing: hearing.detection())
        if found is None:
            return replace(row, error=self._errors[name])
        if not (math.isfinite(found.score) and math.isfinite(found.llr)):
            return replace(row, error=f"{name} gave a score that is not a number. Try --device cpu.")
        return replace(
            row,
            score=float(found.score),
            llr=float(found.llr),
            p_spoof=float(found.p_spoof),
            verdict=found.verdict,
            step=found.step,
            abstained="+".join(found.abstained),
            mean_llr=None if found.mean_llr is None else float(found.mean_llr),
            windows=[
                {key: float(value) for key, value in asdict(window).items()} for window in found.windows
            ],
        )


def tasks_of(clips: Iterable[Clip], scorers: Sequence[Scorer], has: Callable[[Row, str], bool]) -> list[Task]:
    """What is left to do: each clip with those detectors that it was not scored with yet."""
    found: list[Task] = []
    for clip in clips:
        row = blank_row(clip)
        missing = [scorer for scorer in scorers if not has(row, scorer.name)]
        if missing:
            found.append((clip, missing))
    return found
