"""What this visit has analysed so far: a short list of names and verdicts. No Gradio in here.

The list itself lies in the visit's own gr.State; nothing here knows of other visits. An analysis is shown
again only while the app still has it in memory.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from demo import messages, messages_history, messages_verdict
from demo.analysis import Analysis
from detectors.evidence.sections import plain

#: The latest of a visit that are listed.
MOST = 20
#: Characters of a file's name that are listed.
NAME = 60


@dataclass(frozen=True)
class Entry:
    """One analysis of the visit. id: of the analysis; created: UTC, ISO 8601; sha256: of the clip; headline:
    its verdict in a few words.
    """

    id: str
    created: str
    name: str
    sha256: str
    headline: str
    p_spoof: float | None


def with_new(entries: Sequence[Entry], analysis: Analysis) -> list[Entry]:
    """The list with one more, the latest first."""
    name = plain(Path(analysis.path).name)
    short = name if len(name) <= NAME else name[: NAME - 1] + "…"
    headline = messages_verdict.headline(analysis.step, bool(analysis.abstained))
    new = Entry(analysis.id, analysis.created, short, analysis.sha256, headline, analysis.p_spoof)
    return [new, *(entry for entry in entries if entry.id != new.id)][:MOST]


def without_deleted(entries: Sequence[Entry], is_deleted: Callable[[str], bool]) -> list[Entry]:
    """The list without clips that were deleted on request. is_deleted: asked with a clip's sha256."""
    return [entry for entry in entries if not is_deleted(entry.sha256)]


def line(entry: Entry, is_kept: bool) -> str:
    """An entry as it is listed: time, name, verdict, number; and that it is forgotten, if so."""
    parts = [f"{entry.created[11:16]} UTC", entry.name, entry.headline]
    parts += [messages.number(entry.p_spoof)] if entry.p_spoof is not None else []
    parts += [] if is_kept else [messages_history.FORGOTTEN]
    return " · ".join(parts)
