"""Visitors for the load test: each talks to a running app as its page does, over HTTP and from threads."""

import json
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import gradio as gr
import httpx
import numpy as np

#: What a busy app may say: its queue is full, or this visitor had their share.
BUSY = ("The queue is full", "the most for one visitor")
#: Seconds before a visitor who was turned away tries again.
PAUSE = 1.0


class TurnedAwayError(Exception):
    """The app is busy, and said so."""


@dataclass
class Record:
    """What the visitors saw, all together. Thread-safe."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    busy: int = 0
    wrong: list[str] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    @contextmanager
    def timed(self, kind: str) -> Iterator[None]:
        """Note how long what is within took, unless it fails."""
        began = time.monotonic()
        yield
        with self._lock:
            self.seconds[kind].append(time.monotonic() - began)

    def turned_away(self) -> None:
        with self._lock:
            self.busy += 1

    def note(self, wrong: str) -> None:
        with self._lock:
            self.wrong.append(wrong)

    def table(self) -> str:
        """Kind, how often, p50 and p95 in seconds, a line each."""
        lines = []
        for kind, took in sorted(self.seconds.items()):
            p50, p95 = np.percentile(took, [50, 95])
            lines.append(f"{kind:8} {len(took):6} times, p50 {p50:6.2f} s, p95 {p95:6.2f} s")
        return "\n".join(lines)


class Visitor:
    """One person with one clip. functions: the page's, by name; a new visit begins with `arrive`."""

    def __init__(self, url: str, functions: dict[str, int], page: gr.Blocks, clip: Path) -> None:
        self.functions, self.page, self.clip = functions, page, clip
        # Only browsers send this header, and they are told what is the matter in words.
        self.http = httpx.Client(base_url=url, timeout=600, headers={"sec-fetch-mode": "cors"})
        self.arrive()

    def arrive(self) -> None:
        """From now on the app does not know who this is."""
        self.session = uuid.uuid4().hex

    def upload(self) -> str:
        """The server's path of the clip."""
        with self.clip.open("rb") as file:
            answer = self.http.post("gradio_api/upload", files={"files": (self.clip.name, file)})
        self._check(answer)
        path: str = answer.json()[0]
        return path

    def call(self, name: str, data: list[Any]) -> list[Any]:
        """What a function of the page answers. TurnedAwayError when the app is too busy for it."""
        number = self.functions[name]
        asked = {"data": data, "fn_index": number, "session_hash": self.session}
        if not self.page.fns[number].queue:
            answer = self.http.post("gradio_api/run/predict", json=asked)
            self._check(answer)
            return list(answer.json()["data"])
        joined = self.http.post("gradio_api/queue/join", json=asked)
        self._check(joined)
        return self._heard(joined.json()["event_id"])

    def _heard(self, event: str) -> list[Any]:
        heard = f"gradio_api/queue/data?session_hash={self.session}"
        with self.http.stream("GET", heard) as answers:
            for line in answers.iter_lines():
                said = json.loads(line.removeprefix("data: ")) if line else {}
                if said.get("msg") == "process_completed" and said.get("event_id") == event:
                    if said["success"]:
                        return list(said["output"]["data"])
                    self._refused(json.dumps(said["output"]))
                if said.get("msg") == "unexpected_error":
                    self._refused(str(said))
        raise RuntimeError("the app said nothing")

    def _check(self, answer: httpx.Response) -> None:
        if answer.status_code != 200:
            self._refused(f"{answer.status_code} {answer.text}")

    def _refused(self, said: str) -> None:
        if any(each in said for each in BUSY):
            raise TurnedAwayError(said)
        raise RuntimeError(said)
