"""How much one visitor, one clip and one job may take; and who has had how much of it lately."""

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace

from demo import messages
from detectors.audio import MAX_CHANNELS, MAX_RATE, MAX_SECONDS, MIN_RATE, AudioLimits
from detectors.errors import DetectorError

#: How every limit is named in the environment: SPOOFLENS_LIMIT_SECONDS, SPOOFLENS_LIMIT_QUEUE, ...
PREFIX = "SPOOFLENS_LIMIT_"

#: Seconds over which a visitor's requests are counted.
SPAN = 600.0


class LimitError(DetectorError):
    """A limit was reached. The message names it and the next step."""


@dataclass(frozen=True)
class Limits:
    """The limits of one run; these are for a person's own machine. 0 in a rate means: not limited.

    file_bytes: of one uploaded file. body_bytes: of a request that is no upload. seconds, min_rate, max_rate,
    channels: of what comes out of the decoder. decode_seconds, decode_bytes: time and memory that
    decoding one file may take. job_seconds: time that judging one clip may take; answer_seconds: that the
    language model may take for one answer. queue: jobs that wait. sessions: visits whose state is held in
    memory; the one that was quiet for longest is forgotten first. import_files, import_bytes: of one
    import, the bytes as they come out of zips.

    Of one visitor in ten minutes: requests, uploaded bytes, analyses, questions, labels, imports, and
    guesses at the administrator's token.
    """

    file_bytes: int = 320 << 20
    body_bytes: int = 4 << 20
    seconds: int = MAX_SECONDS
    min_rate: int = MIN_RATE
    max_rate: int = MAX_RATE
    channels: int = MAX_CHANNELS
    decode_seconds: int = 600
    decode_bytes: int = 1 << 30
    job_seconds: int = 6 * 3600
    answer_seconds: int = 300
    queue: int = 32
    sessions: int = 512
    import_files: int = 5_000
    import_bytes: int = 4 << 30
    requests: int = 0
    uploaded_bytes: int = 0
    analyses: int = 0
    questions: int = 0
    labels: int = 0
    imports: int = 0
    guesses: int = 10

    @classmethod
    def public(cls) -> "Limits":
        """For a page that strangers reach: clips of ten minutes, jobs of five, and rates for each visitor."""
        return cls(
            file_bytes=64 << 20,
            body_bytes=1 << 20,
            seconds=600,
            min_rate=4_000,
            max_rate=192_000,
            channels=8,
            decode_seconds=60,
            decode_bytes=512 << 20,
            job_seconds=300,
            answer_seconds=60,
            import_files=200,
            import_bytes=1 << 30,
            requests=6_000,
            uploaded_bytes=1 << 30,
            analyses=60,
            questions=120,
            labels=600,
            imports=10,
        )

    def overridden(self, environ: Mapping[str, str]) -> "Limits":
        """These, but for what the environment names. ValueError, which names it, for a wrong value."""
        return replace(self, **{name: _number(name, text) for name, text in _given(environ).items()})

    def audio(self) -> AudioLimits:
        """What of them holds for the decoder's output."""
        return AudioLimits(self.seconds, self.min_rate, self.max_rate, self.channels)


def _given(environ: Mapping[str, str]) -> dict[str, str]:
    names = {PREFIX + each.name.upper(): each.name for each in fields(Limits)}
    for name in environ:
        if name.startswith(PREFIX) and name not in names:
            raise ValueError(messages.UNKNOWN_LIMIT.format(name=name, names=", ".join(sorted(names))))
    return {names[name]: environ[name] for name in names if environ.get(name)}


def _number(name: str, text: str) -> int:
    if not text.isdecimal() or (not int(text) and not _is_rate(name)):
        raise ValueError(messages.BAD_LIMIT.format(name=PREFIX + name.upper(), value=text))
    return int(text)


def _is_rate(name: str) -> bool:
    """Only a rate can be switched off: 0 seconds, or a queue of 0, would refuse everything."""
    return name in ("requests", "uploaded_bytes", *messages.RATES)


class Budget:
    """What each visitor has used of the rates lately, in this process's memory. Thread-safe.

    clock: seconds, never going back. The least recently seen visitors are forgotten beyond `visitors`.
    """

    def __init__(
        self, limits: Limits, clock: Callable[[], float] = time.monotonic, visitors: int = 20_000
    ) -> None:
        self.limits, self._clock, self._visitors = limits, clock, visitors
        self._used: OrderedDict[tuple[str, str], deque[tuple[float, int]]] = OrderedDict()
        self._lock = threading.Lock()

    def spend(self, kind: str, visitor: str, amount: int = 1) -> None:
        """Note that a visitor takes so much of a rate, a field of Limits. LimitError when it is used up:
        then nothing is taken, so whoever waits gets through again.
        """
        limit = getattr(self.limits, kind)
        if not limit:
            return
        now = self._clock()
        with self._lock:
            used = self._used.setdefault((kind, visitor), deque())
            self._used.move_to_end((kind, visitor))
            while used and used[0][0] <= now - SPAN:
                used.popleft()
            if sum(each for _, each in used) + amount > limit:
                wait = used[0][0] + SPAN - now if used else SPAN
                raise LimitError(messages.too_often(kind, limit, wait, SPAN))
            used.append((now, amount))
            while len(self._used) > self._visitors:
                self._used.popitem(last=False)


class Deadline:
    """The time that one job may take, counted only inside `running`: to load a model for the first time, or
    to fetch it, is no fault of the clip.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds, self._clock = seconds, clock
        self._used, self._since = 0.0, 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count the time within. LimitError at once when there is none left."""
        self._since = self._clock()
        self.check()
        try:
            yield
        finally:
            self._used += self._clock() - self._since

    def check(self) -> None:
        """LimitError when the time is up. To be called now and then, within `running`."""
        if self._used + self._clock() - self._since >= self.seconds:
            raise LimitError(messages.JOB_TOO_LONG.format(limit=messages.duration(self.seconds)))


class TimedStop(threading.Event):
    """Counts as set once `stop` is, or once so many seconds have passed since it was made: for what looks
    now and then whether it is to stop, as the language model does before each word.
    """

    def __init__(
        self, stop: threading.Event, seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__()
        self._stop, self._clock, self._end = stop, clock, clock() + seconds

    def is_set(self) -> bool:
        """True when whoever looks is to stop."""
        return self._stop.is_set() or self.is_late()

    def is_late(self) -> bool:
        """True when the time is up."""
        return self._clock() >= self._end
