"""The chat's language model: loaded once, at the first question, while the page tells how far it is."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Protocol

import numpy as np

from demo import messages
from detectors.chat import talker
from detectors.chat.conversation import Talker
from detectors.chat.facts import FactSheet
from detectors.errors import DetectorError
from detectors.progress import Progress

logger = logging.getLogger(__name__)

#: After a failure to load, so many seconds pass before a question tries again: each try may wait for a
#: network that is away.
RETRY_AFTER = 300.0
#: Seconds between two looks at how far the loading is.
LOOK_EVERY = 0.5


class Speaker(Protocol):
    """A loaded language model: gives a talker that hears one clip."""

    def about(self, wave: np.ndarray, sheet: FactSheet) -> Talker: ...


class LazySpeaker:
    """The one language model of the app. Its methods may be called from any thread.

    load: gives the model, may take minutes the first time, raises DetectorError when it cannot.
    status: None, or a reason why loading is sure to fail; cheap.
    """

    def __init__(self, load: Callable[[Progress], Speaker], status: Callable[[], str | None]) -> None:
        self._load, self._status = load, status
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._doing = ""
        self._failed_at = 0.0
        self._failure: str | None = None
        self.speaker: Speaker | None = None

    def reason(self) -> str | None:
        """Why the model does not speak here; None when it does, or when that has not been tried yet."""
        return None if self.speaker else self._failure or self._status()

    def wait(self, stop: threading.Event) -> Iterator[str]:
        """Load the model unless it is there; meanwhile, twice a second, what is being done.

        So whoever waits can be stopped even when nothing moves. Ends when the model is there, when it cannot
        be had (see `reason`), or when `stop` is set: the loading then goes on for the next question.
        """
        thread = self._loading()
        while thread is not None and thread.is_alive() and not stop.is_set():
            yield self._doing
            thread.join(LOOK_EVERY)

    def load_now(self) -> None:
        """Load the model unless it is there, and return when that is done or failed."""
        if thread := self._loading():
            thread.join()

    def _loading(self) -> threading.Thread | None:
        """The thread that loads, started if it must be; None when there is nothing to wait for."""
        with self._lock:
            if self.speaker or (self._failure and time.monotonic() - self._failed_at < RETRY_AFTER):
                return None
            if self._status() is not None:
                return None
            if self._thread is None or not self._thread.is_alive():
                self._doing = messages.LOADING_LLM
                self._thread = threading.Thread(target=self._run, name="language model", daemon=True)
                self._thread.start()
            return self._thread

    def _run(self) -> None:
        try:
            self.speaker = self._load(self._tell)
            self._failure = None
        except DetectorError as error:
            self._fail(str(error))
        except Exception:
            # A bug here must not take the answers from the facts away; the log keeps the trace.
            logger.exception("the language model could not be loaded")
            self._fail(messages.LLM_FAILED)

    def _tell(self, share: float, doing: str) -> None:
        self._doing = messages.fetching(share, doing)

    def _fail(self, reason: str) -> None:
        self._failed_at, self._failure = time.monotonic(), reason


def lazy_speaker(device: str) -> LazySpeaker:
    """The language model that we ship an adapter for, to run on this device."""
    load = partial(talker.load_speaker, talker.CHECKPOINT, device, merge=True)
    return LazySpeaker(lambda progress: load(progress=progress), talker.talker_status)
