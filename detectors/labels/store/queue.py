"""Which clips an annotator sees next, and how far everybody is. Each query walks an index."""

import hashlib
from collections.abc import Iterator
from itertools import chain

from sqlalchemy import ColumnElement, Connection, Select, exists, func, select

from detectors.labels.records import Label, LabelError, LabelledClip, Progress, QueueItem, person_of
from detectors.labels.store.derive import current_labels
from detectors.labels.store.rows import item_from, items
from detectors.labels.store.tables import clip, turn

#: Orders that an index holds, best first; ties by hash. "random" is one too, see `_from_pivot`.
_BY_COLUMN = {
    "uncertain": clip.c.uncertainty.desc(),
    "disagreement": clip.c.disagreement.desc(),
    "newest": clip.c.added.desc(),
}

#: Every order that a queue can have.
ORDERS = (*_BY_COLUMN, "random")

#: Clips read at once while all are streamed.
CHUNK = 500


def waiting(db: Connection, annotator: str, order: str, limit: int, seed: int) -> list[QueueItem]:
    """The next clips for an annotator: neither labelled nor put aside by that person."""
    if order not in ORDERS:
        raise LabelError(f"There is no queue order '{order}'. Choose one of: {', '.join(ORDERS)}.")
    done = (turn.c.labels > 0) | (turn.c.skipped == 1)
    untouched = ~exists().where(turn.c.person == person_of(annotator), turn.c.sha256 == clip.c.sha256, done)
    query = items().where(untouched).limit(limit)
    if order == "random":
        return _from_pivot(db, query, limit, seed)
    return _items(db, query.order_by(_BY_COLUMN[order], clip.c.sha256))


def put_aside(db: Connection, annotator: str, limit: int) -> list[QueueItem]:
    """Clips that the annotator skipped and has not labelled since."""
    mine = (turn.c.person == person_of(annotator)) & (turn.c.skipped == 1) & (turn.c.labels == 0)
    query = items().join(turn, turn.c.sha256 == clip.c.sha256).where(mine)
    return _items(db, query.order_by(turn.c.sha256).limit(limit))


def unjudged(db: Connection, limit: int) -> list[QueueItem]:
    """Clips that no detector has heard yet, in no particular order."""
    return _items(db, items().where(clip.c.uncertainty < 0).limit(limit))


def one(db: Connection, sha256: str) -> QueueItem | None:
    """One clip by its hash."""
    row = db.execute(items().where(clip.c.sha256 == sha256)).mappings().first()
    return item_from(row) if row else None


def the(db: Connection, sha256: str) -> QueueItem:
    """A clip that is known to be there."""
    return item_from(db.execute(items().where(clip.c.sha256 == sha256)).mappings().one())


def progress(db: Connection, annotator: str) -> Progress:
    """Counts for one annotator."""
    mine = turn.c.person == person_of(annotator)
    total = db.execute(select(func.count()).select_from(clip)).scalar_one()
    labelled = db.execute(select(func.count()).where(mine, turn.c.labels > 0)).scalar_one()
    aside = (turn.c.skipped == 1) & (turn.c.labels == 0)
    skipped = db.execute(select(func.count()).where(mine, aside)).scalar_one()
    return Progress(total, labelled, skipped)


def conflicts(db: Connection, limit: int) -> list[list[Label]]:
    """Labels of clips on which people contradict each other, newest clips first."""
    query = select(clip.c.sha256).where(clip.c.disputed == 1).order_by(clip.c.added.desc(), clip.c.sha256)
    found = db.execute(query.limit(limit)).scalars().all()
    return [current_labels(db, sha256)[sha256] for sha256 in found]


def labelled_after(db: Connection, sha256: str) -> list[LabelledClip]:
    """The next CHUNK clips that have current labels, in the order of their hashes, each with them."""
    query = items().where(clip.c.sha256 > sha256, clip.c.labels > 0).order_by(clip.c.sha256).limit(CHUNK)
    found = _items(db, query)
    if not found:
        return []
    by_clip = current_labels(db, found[0].sha256, found[-1].sha256)
    return [LabelledClip(item, tuple(by_clip[item.sha256])) for item in found]


def _from_pivot(db: Connection, query: Select, limit: int, seed: int) -> list[QueueItem]:
    """In the order of the hashes, from a place that the seed picks, and round again from the start.

    A hash has nothing to do with what a clip sounds like, so any stretch of that order is a random
    sample, and the primary key's index gives it without sorting.
    """
    pivot = hashlib.sha256(str(seed).encode()).hexdigest()

    def part(where: ColumnElement[bool]) -> Iterator[QueueItem]:
        yield from _items(db, query.where(where).order_by(clip.c.sha256))

    both = chain(part(clip.c.sha256 >= pivot), part(clip.c.sha256 < pivot))
    return [item for item, _ in zip(both, range(limit), strict=False)]


def _items(db: Connection, query: Select) -> list[QueueItem]:
    return [item_from(row) for row in db.execute(query).mappings()]
