"""What the label store takes and gives back, and what makes a label invalid."""

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from detectors.detection import p_spoof_of
from detectors.fusion import fused

#: The three answers an annotator can give. "unsure" is an answer, not a gap.
LABELS = ("bonafide", "spoof", "unsure")

#: The two answers that say what the clip is: what consensus, exports and fine-tuning count.
DECIDED = ("bonafide", "spoof")

#: Longest texts that are kept, in characters: a note is a remark, not a document.
MAX_NAME, MAX_NOTE = 80, 2_000

_SHA256 = re.compile(r"[0-9a-f]{64}")


class LabelError(ValueError):
    """A label that cannot be saved, or a clip that cannot be kept. The message may be shown."""


class StoreError(LabelError):
    """The store itself cannot be used: unreachable, busy, or written by a newer version."""


@dataclass(frozen=True)
class Region:
    """A stretch of the clip, in seconds, with its own label."""

    start: float
    end: float
    label: str

    def __post_init__(self) -> None:
        _check_label(self.label)
        if not 0 <= self.start < self.end:
            raise LabelError(
                f"A region must start at 0 s or later and end after its start, not {self.start}-{self.end} s."
            )


@dataclass(frozen=True, kw_only=True)
class LabelDraft:
    """What an annotator says about one clip, before it is stored.

    audio_sha256: of the original bytes. confidence: 1 (guess) to 5 (certain). attack: tool or
    method that made the clip, where known. versions and scores: per detector, as shown when
    labelling. blind: True when the scores were hidden. supersedes: id of the label this corrects.
    adjudication: True for the one that settles a disagreement between annotators.
    Raises LabelError when a field is out of range.
    """

    audio_sha256: str
    annotator: str
    label: str
    confidence: int
    consent: bool
    regions: tuple[Region, ...] = ()
    attack: str = ""
    note: str = ""
    licence: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    blind: bool = False
    supersedes: str | None = None
    adjudication: bool = False

    def __post_init__(self) -> None:
        check_sha256(self.audio_sha256)
        _check_label(self.label)
        if self.confidence not in range(1, 6):
            raise LabelError(f"Confidence must be a whole number from 1 to 5, not {self.confidence}.")
        check_person(self.annotator)
        check_text("attack or tool", self.attack)
        check_text("licence", self.licence)
        check_text("note", self.note, MAX_NOTE)


@dataclass(frozen=True, kw_only=True)
class Label(LabelDraft):
    """A stored label: a draft with its id and the UTC time (ISO 8601) at which it was saved.

    kind: "label", or "withdrawn" for the row that takes back the label it supersedes.
    """

    id: str
    created: str
    kind: str = "label"


@dataclass(frozen=True)
class Judgement:
    """What the detectors said of a clip when it was queued: it orders the queue and feeds the page.

    versions: {detector: version}. scores: {detector: {score, llr, p_spoof}}.
    windows: {detector: [{start, end, p_spoof}]}, in seconds. seconds: length of the clip.
    """

    versions: Mapping[str, str]
    scores: Mapping[str, Mapping[str, float]]
    windows: Mapping[str, Sequence[Mapping[str, float]]]
    seconds: float

    @property
    def uncertainty(self) -> float:
        """1 when the fused probability of spoof is 0.5 or no detector gave one, 0 when it is 0 or 1."""
        llrs = self._llrs()
        return 1 - abs(2 * p_spoof_of(fused(llrs, self.versions)) - 1) if llrs else 1.0

    @property
    def disagreement(self) -> float:
        """Highest minus lowest LLR of the detectors (natural log); 0 with fewer than two of them."""
        llrs = self._llrs().values()
        return max(llrs) - min(llrs) if llrs else 0.0

    def _llrs(self) -> dict[str, float]:
        return {name: of["llr"] for name, of in self.scores.items() if math.isfinite(of["llr"])}


@dataclass(frozen=True)
class QueueItem:
    """One clip of the store. name: as it came, or made from the hash. suffix: file ending, ".wav".

    bytes: size. added: UTC, ISO 8601. source, speaker, licence: "" where unknown.
    judgement: the newest one, None until the detectors have heard the clip.
    """

    sha256: str
    name: str
    suffix: str
    bytes: int
    added: str
    source: str
    speaker: str
    licence: str
    judgement: Judgement | None


@dataclass(frozen=True)
class Progress:
    """How far one annotator is. labelled and skipped never count the same clip twice."""

    total: int
    labelled: int
    skipped: int


@dataclass(frozen=True)
class LabelledClip:
    """A clip with its current labels, oldest first."""

    item: QueueItem
    labels: tuple[Label, ...]


@dataclass(frozen=True)
class Tombstone:
    """What is left of a deleted clip: its hash, its size in bytes, and how much was said of it by how many.

    by and reason: of the deletion. readmitted: UTC time at which the same bytes were allowed again.
    """

    sha256: str
    bytes: int
    labels: int
    annotators: int
    by: str
    reason: str
    created: str
    readmitted: str | None


@dataclass(frozen=True)
class AuditEntry:
    """Who did what to which clip, and when (UTC). `who` is empty where the clip was deleted since."""

    created: str
    who: str
    action: str
    audio_sha256: str
    label_id: str | None
    detail: str


def clean(text: str) -> str:
    """The text without blanks around it. LabelError for what is no text: an API can send anything."""
    if not isinstance(text, str):
        raise LabelError(f"Name, note, tool and licence must be text, not {text!r}.")
    return text.strip()


def person_of(annotator: str) -> str:
    """One key for the ways in which a person may type a name: "Anna", " anna" and "ANNA" are one.

    Without it, a second spelling would count as a second person who agrees.
    """
    return " ".join(unicodedata.normalize("NFKC", annotator).casefold().split())


def regions_from(rows: list[dict[str, Any]]) -> tuple[Region, ...]:
    """Regions from plain dicts {start, end, label}. LabelError when a field is missing or wrong."""
    try:
        return tuple(Region(float(row["start"]), float(row["end"]), str(row["label"])) for row in rows)
    except (KeyError, TypeError) as error:
        raise LabelError("Each region needs start and end in seconds and a label.") from error
    except LabelError:
        raise
    except ValueError as error:
        raise LabelError(f"A region's start and end must be numbers of seconds: {error}.") from error


def regions_within(rows: Sequence[dict[str, Any]], seconds: float) -> tuple[Region, ...]:
    """`regions_from`, with a LabelError for a region that ends after the clip of `seconds`."""
    regions = regions_from(list(rows))
    if any(region.end > seconds for region in regions):
        raise LabelError(f"A region ends after the clip, which is {seconds:.2f} s long.")
    return regions


def check_sha256(sha256: str) -> None:
    """LabelError unless it is one: it becomes a file name, so "../../" must not get through."""
    if not (isinstance(sha256, str) and _SHA256.fullmatch(sha256)):
        raise LabelError(f"'{sha256}' is not a SHA-256: 64 hexadecimal digits are needed.")


def check_person(name: str) -> None:
    """LabelError for a name that is missing or too long."""
    if not name.strip():
        raise LabelError("Your name is missing. Enter a name or a short code, so that labels can be traced.")
    check_text("name", name)


def check_text(name: str, text: str, limit: int = MAX_NAME) -> None:
    """LabelError for a text that is too long, or that not every database can hold."""
    if len(text) > limit:
        raise LabelError(f"The {name} has {len(text)} characters; at most {limit} are kept. Shorten it.")
    if text != storable(text):
        raise LabelError(f"The {name} has characters that are no text (NUL or half a pair). Remove them.")


def storable(text: str) -> str:
    """The text as every database can hold it: file names may carry NUL or bytes that are no UTF-8."""
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")


def _check_label(label: str) -> None:
    if label not in LABELS:
        raise LabelError(f"'{label}' is not a label. Choose one of: {', '.join(LABELS)}.")
