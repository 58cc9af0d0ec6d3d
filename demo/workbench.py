"""What the workbench and the team's page may do: import clips, hand them out, keep labels. No Gradio."""

import io
import tempfile
import threading
import wave
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from demo import messages
from demo.analysis import Analysis
from demo.uploads import Arrival, Limits, arrivals
from detectors.audio import SAMPLE_RATE, load_audio
from detectors.errors import DetectorError
from detectors.labels.agreement import Agreement, agreement
from detectors.labels.records import (
    AuditEntry,
    Judgement,
    Label,
    LabelDraft,
    LabelError,
    Progress,
    QueueItem,
    StoreError,
    clean,
    person_of,
    regions_within,
)
from detectors.labels.store import LabelStore

#: Longest clip that the workbench takes: half an hour is 58 MB of samples for the browser.
MAX_SECONDS = 30 * 60

#: How many clips' lengths and how many decoded clips are kept at hand.
LENGTHS, SOUNDS = 4096, 2


@dataclass(frozen=True)
class ImportReport:
    """What came of an import. new and known count clips; refused: (file, reason)."""

    new: int
    known: int
    refused: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class OpenClip:
    """A clip as an annotator sees it now. shown: the detectors' judgement; None while it is hidden
    or not there yet, which `hidden` tells apart. seconds: its length.
    """

    item: QueueItem
    seconds: float
    shown: Judgement | None
    hidden: bool


@dataclass(frozen=True)
class Conflict:
    """A clip with its current labels, which contradict each other."""

    item: QueueItem
    labels: tuple[Label, ...]


class Workbench:
    """The queue and its labels. One per app; its methods may be called from any thread.

    judge: listens to a clip with all detectors. ready: whether any detector can run here.
    Methods raise LabelError, with a message for the page, when something cannot be done.
    """

    def __init__(
        self,
        store: LabelStore,
        judge: Callable[[Path], Analysis],
        ready: Callable[[], bool],
        read_audio: Callable[[str], np.ndarray] = load_audio,
        limits: Limits | None = None,
    ) -> None:
        self.store = store
        self._judge, self._ready, self._read_audio = judge, ready, read_audio
        self._limits = limits or Limits()
        self._judging, self._comparing = threading.Lock(), threading.Lock()
        self._compared: tuple[list[AuditEntry], Agreement] | None = None  # as of which change, and the result
        self._seen: set[tuple[str, str]] = set()  # (person, clip) whose scores were on that person's page
        self._sound = lru_cache(SOUNDS)(self._decode)
        self.seconds = lru_cache(LENGTHS)(self._measure)

    # ---- the queue

    def import_clips(
        self,
        paths: Iterable[str | Path],
        *,
        consent: bool,
        source: str = "",
        speaker: str = "",
        licence: str = "",
        added_by: str = "",
        tell: Callable[[str], None] = lambda name: None,
    ) -> ImportReport:
        """Put sound files, and those in zips, into the queue; bytes that are there already count as known.

        tell: hears the name of each file when its turn comes.
        """
        if consent is not True:
            raise LabelError(messages.NO_QUEUE_CONSENT)
        about = {
            "source": clean(source), "speaker": clean(speaker),
            "licence": clean(licence), "added_by": clean(added_by),
        }  # fmt: skip
        new = known = 0
        refused = []
        with tempfile.TemporaryDirectory(prefix="spooflens-import-") as folder:
            for arrival in arrivals([Path(path) for path in paths], Path(folder), self._limits):
                tell(arrival.name)
                try:
                    is_new = self._enqueue(arrival, about)
                except StoreError:
                    raise  # the store is out of order: the other clips would fail as well
                except (DetectorError, LabelError) as error:
                    refused.append((arrival.name, str(error)))
                    continue
                new, known = new + is_new, known + (not is_new)
        return ImportReport(new, known, tuple(refused))

    def next_clip(self, annotator: str, order: str) -> QueueItem | None:
        """The next clip that this annotator has neither labelled nor skipped; None when there is none.

        "random" is another order for each person, and stays the same for one.
        """
        seed = zlib.crc32(person_of(clean(annotator)).encode())
        waiting = self.store.queue(clean(annotator), order, limit=1, seed=seed)
        return waiting[0] if waiting else None

    def progress(self, annotator: str) -> Progress:
        """How many clips there are, and how many of them this annotator has labelled or skipped."""
        return self.store.progress(clean(annotator))

    def skip(self, sha256: str, annotator: str) -> None:
        """Put a clip aside for this annotator."""
        self.store.skip(sha256, clean(annotator))

    def bring_back_skipped(self, annotator: str) -> int:
        """Put everything that this annotator skipped into their queue again, and count it."""
        brought = 0
        while aside := self.store.skipped(clean(annotator)):
            for item in aside:
                self.store.unskip(item.sha256, clean(annotator))
            brought += len(aside)
        return brought

    # ---- one clip

    def open(self, sha256: str, annotator: str, reveal: bool) -> OpenClip:
        """A clip for the page; reveal: with the detectors' scores, which makes a later label not blind."""
        item = self._item(sha256)
        shown = item.judgement if reveal else None
        if shown:
            self._seen.add((person_of(annotator), sha256))
        return OpenClip(item, self.seconds(sha256), shown, hidden=not reveal)

    def wav(self, sha256: str) -> bytes:
        """The clip as a WAV file that every browser reads: 16 kHz, mono, 16 bits, a header of 44 bytes."""
        samples = np.round(self._sound(sha256) * 32767).astype("<i2")
        file = io.BytesIO()
        with wave.open(file, "wb") as writer:
            writer.setnchannels(1)
            writer.setsampwidth(2)
            writer.setframerate(SAMPLE_RATE)
            writer.writeframes(samples.tobytes())
        return file.getvalue()

    def save(
        self,
        sha256: str,
        *,
        annotator: str,
        label: str,
        confidence: int,
        consent: bool,
        regions: Sequence[dict[str, Any]] = (),
        note: str = "",
        attack: str = "",
        adjudication: bool = False,
    ) -> Label:
        """Store a label. A second one by the same person corrects the first; whether it is blind is not
        for the caller to say: it is blind when that person had not seen the detectors' scores.
        """
        if consent is not True:
            raise LabelError(messages.NO_QUEUE_CONSENT)
        item = self._item(sha256)
        stretches = regions_within(regions, self.seconds(sha256))
        person = person_of(clean(annotator))
        earlier = [each for each in self.store.labels(sha256) if person_of(each.annotator) == person]
        judgement = item.judgement
        draft = LabelDraft(
            audio_sha256=sha256,
            annotator=clean(annotator),
            label=label,
            confidence=confidence,
            consent=consent,
            regions=stretches,
            attack=clean(attack),
            note=clean(note),
            licence=item.licence,
            versions=judgement.versions if judgement else {},
            scores=judgement.scores if judgement else {},
            blind=not earlier and (person, sha256) not in self._seen,
            supersedes=self._standing(sha256, person, adjudication),
            adjudication=adjudication,
        )
        return self.store.add(draft, self.store.audio_path(sha256))

    def undo(self, label_id: str, annotator: str) -> Label:
        """Take a label back; the row stays, and a new one says that it no longer stands."""
        label = self.store.get(label_id)
        if label is None:
            raise LabelError(messages.NOTHING_TO_UNDO)
        self.store.withdraw(label_id, clean(annotator))
        return label

    def forget(self) -> None:
        """Drop the sounds in memory: one of them may be of a clip that was deleted."""
        self._sound.cache_clear()
        self.seconds.cache_clear()

    # ---- several people

    def agreement(self) -> Agreement:
        """How far people agree on their own: labels that settled a disagreement do not count.

        It reads every label, so the result is kept until something in the store changes.
        """
        with self._comparing:
            newest = self.store.audit(1)
            if self._compared is None or self._compared[0] != newest:
                own = (
                    [label for label in clip.labels if not label.adjudication]
                    for clip in self.store.iter_labelled()
                )
                self._compared = newest, agreement(own)
            return self._compared[1]

    def conflicts(self, limit: int = 50) -> list[Conflict]:
        """Clips on which people contradict each other and nobody has ruled, newest first."""
        found = self.store.conflicts(limit)
        return [Conflict(self._item(labels[0].audio_sha256), tuple(labels)) for labels in found]

    # ---- the detectors, in the background

    def waiting_for_judgement(self) -> bool:
        """True when a detector can run and there is a clip that none has heard."""
        return self._ready() and bool(self.store.unjudged(1))

    def judge_next(self) -> bool:
        """Let the detectors hear one clip that waits for them; False when there is nothing to do.

        Returns at once when another thread is at it already.
        """
        if not self._judging.acquire(blocking=False):
            return False
        try:
            waiting = self.store.unjudged(1) if self._ready() else []
            for item in waiting:
                self._keep_judgement(item.sha256)
            return bool(waiting)
        finally:
            self._judging.release()

    # ---- inside

    def _enqueue(self, arrival: Arrival, about: dict[str, str]) -> bool:
        """True when the clip is new. Raises when it cannot be read, is too long, or was deleted before."""
        if arrival.path is None:
            raise LabelError(arrival.refusal)
        try:
            samples = self._read_audio(str(arrival.path))
        except DetectorError as error:  # it names the unpacked file, which the person does not know
            raise LabelError(str(error).replace(arrival.path.name, messages.THE_FILE)) from error
        if len(samples) > MAX_SECONDS * SAMPLE_RATE:
            raise LabelError(messages.CLIP_TOO_LONG.format(minutes=MAX_SECONDS // 60))
        _, is_new = self.store.enqueue(arrival.path, arrival.name, **about)
        return is_new

    def _keep_judgement(self, sha256: str) -> None:
        try:
            analysis = self._judge(self.store.audio_path(sha256))
        except DetectorError:  # refused by all: kept without scores, or it would be tried for ever
            judgement = Judgement({}, {}, {}, seconds=0.0)
        else:
            judgement = Judgement(analysis.versions, analysis.scores(), _windows(analysis), analysis.seconds)
        self.store.keep_judgement(sha256, judgement)

    def _standing(self, sha256: str, person: str, adjudication: bool) -> str | None:
        """The id of this person's label that stands, which a new one corrects. To settle a matter is not
        to correct one's own view of it: that one stays.
        """
        current = self.store.labels(sha256, current_only=True)
        mine = [
            each.id
            for each in current
            if person_of(each.annotator) == person and each.adjudication == adjudication
        ]
        return mine[-1] if mine else None

    def _item(self, sha256: str) -> QueueItem:
        item = self.store.clip(sha256)
        if item is None:
            raise LabelError(messages.CLIP_GONE)
        return item

    def _decode(self, sha256: str) -> np.ndarray:
        try:
            return self._read_audio(str(self.store.audio_path(sha256)))
        except DetectorError as error:
            raise LabelError(messages.CLIP_UNREADABLE) from error

    def _measure(self, sha256: str) -> float:
        return len(self._sound(sha256)) / SAMPLE_RATE


def _windows(analysis: Analysis) -> dict[str, list[dict[str, float]]]:
    return {
        name: [{"start": w.start, "end": w.end, "p_spoof": w.p_spoof} for w in detection.windows]
        for name, detection in analysis.detections.items()
    }
