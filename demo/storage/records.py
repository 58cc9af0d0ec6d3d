"""What one label holds, and what makes it invalid."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: The three answers an annotator can give. "unsure" is an answer, not a gap.
LABELS = ("bonafide", "spoof", "unsure")

#: Longest texts that are kept, in characters: a note is a remark, not a document.
MAX_NAME, MAX_NOTE = 80, 2_000

_SHA256 = re.compile(r"[0-9a-f]{64}")


class LabelError(ValueError):
    """A label that cannot be saved. The message may be shown to the annotator."""


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

    def __post_init__(self) -> None:
        if not _SHA256.fullmatch(self.audio_sha256):
            raise LabelError(f"'{self.audio_sha256}' is not a SHA-256: 64 hexadecimal digits are needed.")
        _check_label(self.label)
        if self.confidence not in range(1, 6):
            raise LabelError(f"Confidence must be a whole number from 1 to 5, not {self.confidence}.")
        if not self.annotator.strip():
            raise LabelError(
                "Your name is missing. Enter a name or a short code, so that labels can be traced."
            )
        for name, text, limit in (
            ("name", self.annotator, MAX_NAME),
            ("attack or tool", self.attack, MAX_NAME),
            ("licence", self.licence, MAX_NAME),
            ("note", self.note, MAX_NOTE),
        ):
            if len(text) > limit:
                raise LabelError(
                    f"The {name} has {len(text)} characters; at most {limit} are kept. Shorten it."
                )


@dataclass(frozen=True, kw_only=True)
class Label(LabelDraft):
    """A stored label: a draft with its id and the UTC time (ISO 8601) at which it was saved."""

    id: str
    created: str


def clean(text: str) -> str:
    """The text without blanks around it. LabelError for what is no text: an API can send anything."""
    if not isinstance(text, str):
        raise LabelError(f"Name, note, tool and licence must be text, not {text!r}.")
    return text.strip()


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


def _check_label(label: str) -> None:
    if label not in LABELS:
        raise LabelError(f"'{label}' is not a label. Choose one of: {', '.join(LABELS)}.")
