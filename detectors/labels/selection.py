"""Which clips of a store may be learnt from, under which label and in which part.

The store is read once, clip by clip; what was chosen waits in a temporary file until every clip has
been heard of and the parts can be dealt. So memory does not grow with the number of clips, and what
is labelled meanwhile cannot tear a selection apart.
"""

import json
import re
import tempfile
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import IO, Protocol

from detectors.labels.consensus import MIN_AGREE, Consensus, opinions, settle
from detectors.labels.records import LabelledClip
from detectors.labels.splits import GroupBy, GroupedSplit, Part

#: Longest part of a clip's own name that its utterance id keeps, in characters.
MAX_STEM = 40


@dataclass(frozen=True)
class Rules:
    """min_agree: people who must agree, else a clip is quarantined; include_quarantined takes those
    clips too whose people do not contradict each other evenly. The others are GroupedSplit's.
    """

    min_agree: int = MIN_AGREE
    include_quarantined: bool = False
    group_by: GroupBy = "both"
    held_back: float = 0.2
    seed: int = 1234


@dataclass(frozen=True)
class Chosen:
    """One clip that was selected. label: "bonafide" or "spoof". people: how many gave that label.

    utt_id: from the clip's name and hash, unique, without blanks. suffix: file ending. tool: attack
    or tool as most of them named it. regions: theirs, as [start s, end s, label].
    """

    sha256: str
    utt_id: str
    suffix: str
    label: str
    part: Part
    people: int
    source: str
    speaker: str
    tool: str
    licence: str
    note: str
    regions: tuple[tuple[float, float, str], ...]

    @property
    def file_name(self) -> str:
        """The name of its audio file in an export."""
        return self.utt_id + self.suffix


@dataclass
class Counts:
    """What became of the clips. parts: {"train": {"bonafide": n, "spoof": n}, "dev": ...}."""

    parts: dict[str, Counter[str]] = field(default_factory=lambda: {"train": Counter(), "dev": Counter()})
    quarantined: Counter[str] = field(default_factory=Counter)  # by reason

    def total(self, part: str) -> int:
        return self.parts[part].total()


class Labelled(Protocol):
    """The part of LabelStore that is read."""

    def iter_labelled(self) -> Iterator[LabelledClip]: ...


class Selection:
    """The chosen clips of a store, to be gone through any number of times. A context manager."""

    def __init__(self, store: Labelled, rules: Rules) -> None:
        self.counts = Counts()
        self._split = GroupedSplit(rules.group_by, rules.held_back, rules.seed)
        # Closed by __exit__.
        self._spool: IO[str] = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115
        min_agree = 1 if rules.include_quarantined else rules.min_agree
        for clip in store.iter_labelled():
            consensus = settle(clip.labels, min_agree)
            if consensus.label is None:
                self.counts.quarantined[consensus.reason] += 1
            else:
                self._keep(clip, consensus)
        self._split.deal()
        for chosen in self:
            self.counts.parts[chosen.part][chosen.label] += 1

    def __enter__(self) -> "Selection":
        return self

    def __exit__(self, *exc: object) -> None:
        self._spool.close()

    def __iter__(self) -> Iterator[Chosen]:
        self._spool.seek(0)
        for line in self._spool:
            fields = json.loads(line)
            place = fields.pop("place")
            fields["part"] = self._split.part(tuple(place) if isinstance(place, list) else place)
            fields["regions"] = tuple((start, end, label) for start, end, label in fields["regions"])
            yield Chosen(**fields)

    def _keep(self, clip: LabelledClip, consensus: Consensus) -> None:
        item, label = clip.item, str(consensus.label)
        place = self._split.join(label, item.source.strip(), item.speaker.strip())
        agreeing = [vote for vote in opinions(clip.labels).values() if vote.label == label]
        chosen = Chosen(
            sha256=item.sha256,
            utt_id=f"{plain(item.name)}-{item.sha256[:12]}",
            suffix=item.suffix,
            label=label,
            part="train",  # until the parts are dealt
            people=consensus.support,
            source=item.source.strip(),
            speaker=item.speaker.strip(),
            tool=_most_said(vote.attack for vote in agreeing),
            licence=item.licence or _most_said(vote.licence for vote in agreeing),
            note=_most_said(vote.note for vote in agreeing),
            regions=tuple(
                (region.start, region.end, region.label) for vote in agreeing for region in vote.regions
            ),
        )
        self._spool.write(json.dumps({**asdict(chosen), "place": place}) + "\n")


def plain(text: str, limit: int = MAX_STEM) -> str:
    """A name as ASCII letters, digits, "." "_" "-", without its file ending: fit for any file system
    and for protocols whose columns are split at blanks. "clip" where nothing is left.
    """
    stem = re.sub(r"\.\w{1,5}$", "", text)
    ascii_only = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9._-]+", "-", ascii_only).strip("-._")[:limit] or "clip"


def _most_said(texts: Iterable[str]) -> str:
    said = Counter(text.strip() for text in texts if text.strip())
    return said.most_common(1)[0][0] if said else ""
