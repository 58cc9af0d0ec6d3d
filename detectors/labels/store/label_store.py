"""LabelStore: what may be done with labels and clips.

Folder layout: labels.sqlite3 (unless the database is elsewhere), and audio/<first two digits>/<sha256>
with each clip's original bytes. Facts are only ever added; a correction is a new row that names the
one it supersedes. The one exception is deletion on request, which leaves a tombstone.
"""

import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import Connection, select

from detectors.audio import sha256_of
from detectors.labels.audio_files import AudioFiles
from detectors.labels.journal import Fact
from detectors.labels.mirror import Mirror, NoMirror
from detectors.labels.records import (
    MAX_NOTE,
    AuditEntry,
    Judgement,
    Label,
    LabelDraft,
    LabelError,
    LabelledClip,
    Progress,
    QueueItem,
    StoreError,
    Tombstone,
    check_person,
    check_sha256,
    check_text,
    clean,
    person_of,
    storable,
)
from detectors.labels.store import burial, derive, facts, queue
from detectors.labels.store.clock import now
from detectors.labels.store.database import Database, Transaction
from detectors.labels.store.migrations import migrate
from detectors.labels.store.restore import take_in
from detectors.labels.store.rows import judgement_row, label_from
from detectors.labels.store.tables import audio, audit, judgement, label, skip, turn

#: Longest file name and file ending that are kept, in characters.
MAX_FILE_NAME, MAX_SUFFIX = 255, 16


class LabelStore:
    """Labels and their clips. Safe for several threads and processes.

    url: SQLAlchemy's database URL, of PostgreSQL or SQLite; None: an SQLite file in `folder`.
    mirror: hears of every row that was committed. Raises StoreError when the database cannot be used.
    """

    def __init__(self, folder: str | Path, url: str | None = None, mirror: Mirror | None = None) -> None:
        self.folder = Path(folder)
        self._files = AudioFiles(self.folder)
        self._mirror = mirror or NoMirror()
        self._db = Database(self.folder, url)
        self._db.prepare(lambda db: _bring_up_to_date(db, self._mirror.facts()))
        self._files.sweep(self._known)

    def audio_path(self, sha256: str) -> Path:
        """Where the clip with this hash is kept, whether or not it is there yet. LabelError for no hash."""
        check_sha256(sha256)
        return self._files.path(sha256)

    def add(self, draft: LabelDraft, clip: str | Path) -> Label:
        """Store the clip's bytes (once), then the label, and return the label as stored.

        Raises LabelError when consent is missing, when the clip was deleted on request, when its
        bytes are gone or are not those that `draft.audio_sha256` names, or when `draft.supersedes`
        is not a label of this clip that is still current.
        """
        if draft.consent is not True:  # the text "false" is no consent
            raise LabelError("Nothing was saved: storing a clip and its label needs your consent.")
        with self._keeping(Path(clip), draft.audio_sha256, draft.annotator) as (transaction, _):
            if draft.supersedes is not None:
                facts.current(transaction.connection, draft.supersedes, draft.audio_sha256)
            fields = {name: getattr(draft, name) for name in LabelDraft.__dataclass_fields__}
            saved = Label(**fields, id=uuid.uuid4().hex, created=now())
            action = "corrected label" if draft.supersedes else "added label"
            facts.say(transaction, saved, "adjudicated" if draft.adjudication else action)
        return saved

    def get(self, label_id: str) -> Label | None:
        """One label by its id, current or not."""
        with self._db.reading() as db:
            return facts.find(db, label_id)

    def labels(self, audio_sha256: str | None = None, current_only: bool = False) -> list[Label]:
        """All labels, or those of one clip, oldest first.

        `current_only` leaves out those that were superseded or withdrawn, and the withdrawals.
        """
        query = select(label).order_by(label.c.created, label.c.id)
        if audio_sha256 is not None:
            query = query.where(label.c.audio_sha256 == audio_sha256)
        if current_only:
            query = query.where(derive.is_current())
        with self._db.reading() as db:
            return [label_from(row) for row in db.execute(query).mappings()]

    def labels_by(self, annotator: str, limit: int = 50) -> list[Label]:
        """One annotator's current labels, newest first: to come back to one, or to undo it."""
        mine = (label.c.annotator == annotator) & derive.is_current()
        query = select(label).where(mine).order_by(label.c.created.desc(), label.c.id).limit(limit)
        with self._db.reading() as db:
            return [label_from(row) for row in db.execute(query).mappings()]

    def withdraw(self, label_id: str, annotator: str) -> None:
        """Take one's own current label back, by a new row: nothing is changed or deleted.

        Raises LabelError for a label that is unknown, somebody else's, corrected or withdrawn.
        """
        before = self.get(label_id)
        if before is None:
            raise LabelError(f"There is no label {label_id} to withdraw.")
        if person_of(before.annotator) != person_of(annotator):
            raise LabelError(f"Label {label_id} is {before.annotator}'s. Only who gave it can withdraw it.")
        with self._db.writing(before.audio_sha256) as transaction:
            facts.current(transaction.connection, label_id, before.audio_sha256)
            fields = {name: getattr(before, name) for name in Label.__dataclass_fields__}
            fields |= {"id": uuid.uuid4().hex, "created": now(), "supersedes": label_id, "kind": "withdrawn"}
            facts.say(transaction, Label(**fields), "withdrew label")
        self._mirror.write(transaction.added)

    def enqueue(
        self,
        clip: Path,
        name: str,
        *,
        source: str = "",
        speaker: str = "",
        licence: str = "",
        added_by: str = "",
    ) -> tuple[QueueItem, bool]:
        """Keep a clip for labelling. True with it when it is new, False when its bytes were here.

        name: of the file as it came; the first one stays. What else is told of a clip that was here
        fills in or corrects what is known of it. Raises LabelError for a text that is too long and
        for a clip that was deleted on request.
        """
        told = {"source": clean(source), "speaker": clean(speaker), "licence": clean(licence)}
        for what, text in {**told, "name": added_by}.items():
            check_text(what, text)
        sha256 = sha256_of(clip)
        suffix = Path(name).suffix
        with self._keeping(Path(clip), sha256, added_by, suffix) as (transaction, is_new):
            name = storable(name)[-MAX_FILE_NAME:]
            item = facts.tell(transaction, sha256, told | {"name": name, "added_by": added_by}, is_new)
        return item, is_new

    def clip(self, sha256: str) -> QueueItem | None:
        """One clip of the store."""
        with self._db.reading() as db:
            return queue.one(db, sha256)

    def keep_judgement(self, sha256: str, judged: Judgement) -> None:
        """Keep what the detectors said of a clip; the newest judgement counts."""
        with self._writing_about(sha256) as transaction:
            row = {"id": uuid.uuid4().hex, "audio_sha256": sha256, "created": now()}
            transaction.append(judgement, row | judgement_row(judged))
            derive.refresh(transaction.connection, sha256)

    def unjudged(self, limit: int) -> list[QueueItem]:
        """Clips that no detector has heard yet."""
        with self._db.reading() as db:
            return queue.unjudged(db, limit)

    def queue(
        self, annotator: str, order: str = "uncertain", limit: int = 50, seed: int = 0
    ) -> list[QueueItem]:
        """The next clips that this annotator has neither labelled nor skipped.

        order: "uncertain" or "disagreement" of the detectors first (clips that they have not heard
        come last), "newest", or "random", which `seed` shuffles. LabelError for another order.
        """
        with self._db.reading() as db:
            return queue.waiting(db, annotator, order, limit, seed)

    def skip(self, sha256: str, annotator: str) -> None:
        """Put a clip aside for this annotator."""
        self._set_aside(sha256, annotator, 1)

    def unskip(self, sha256: str, annotator: str) -> None:
        """Let a skipped clip come back into this annotator's queue."""
        self._set_aside(sha256, annotator, 0)

    def skipped(self, annotator: str, limit: int = 50) -> list[QueueItem]:
        """Clips that this annotator skipped and has not labelled since."""
        with self._db.reading() as db:
            return queue.put_aside(db, annotator, limit)

    def progress(self, annotator: str) -> Progress:
        """How many clips there are, and how many this annotator has labelled or skipped."""
        with self._db.reading() as db:
            return queue.progress(db, annotator)

    def conflicts(self, limit: int = 50) -> list[list[Label]]:
        """The current labels of each clip on which people contradict each other and nobody has ruled."""
        with self._db.reading() as db:
            return queue.conflicts(db, limit)

    def iter_labelled(self) -> Iterator[LabelledClip]:
        """Every clip that has current labels, with them, in the order of the hashes.

        Read in small pieces: memory stays bounded and writers are not held up. A clip that changes
        meanwhile is given as it was when its piece was read.
        """
        last = ""
        while True:
            with self._db.reading() as db:
                found = queue.labelled_after(db, last)
            if not found:
                return
            yield from found
            last = found[-1].item.sha256

    def delete_clip(self, sha256: str, by: str, reason: str) -> Tombstone:
        """Delete a clip's bytes, labels and everything told of it, and leave a tombstone.

        The audit trail keeps what happened to it, but no longer who did. The same bytes are refused
        from then on. Raises LabelError for an unknown clip and when name or reason is missing.
        """
        check_sha256(sha256)
        _check_request(by, reason)
        with self._files.removing(sha256), self._db.writing(sha256) as transaction:
            left = burial.bury(transaction, sha256, clean(by), clean(reason))
            facts.note(transaction, by, "deleted clip", sha256, detail=clean(reason))
        self._mirror.write(transaction.added)
        self._mirror.forget(left)
        self._db.shred()
        return left

    def readmit(self, sha256: str, by: str, reason: str) -> None:
        """Allow the bytes of a deleted clip to be added again. LabelError when none was deleted."""
        _check_request(by, reason)
        with self._db.writing(sha256) as transaction:
            burial.readmit(transaction, sha256, clean(by), clean(reason))
            facts.note(transaction, by, "readmitted clip", sha256, detail=clean(reason))
        self._mirror.write(transaction.added)

    def tombstones(self) -> list[Tombstone]:
        """All of them, newest first."""
        with self._db.reading() as db:
            return burial.tombstones(db)

    def audit(self, limit: int = 200) -> list[AuditEntry]:
        """The newest entries of the audit trail, newest first."""
        query = select(audit).order_by(audit.c.created.desc(), audit.c.id).limit(limit)
        with self._db.reading() as db:
            return [
                AuditEntry(**{name: row[name] for name in AuditEntry.__dataclass_fields__})
                for row in db.execute(query).mappings()
            ]

    def close(self) -> None:
        """Flush the mirror and give the connections back."""
        self._mirror.close()
        self._db.close()

    @contextmanager
    def _keeping(
        self, clip: Path, sha256: str, who: str, suffix: str | None = None
    ) -> Iterator[tuple[Transaction, bool]]:
        """A transaction in which the clip's bytes and row are there, and whether they are new.

        New ones do not stay when it fails.
        """
        with self._db.reading() as db:
            burial.check_not_buried(db, sha256)  # before the bytes are copied, so that most never are
        ending = (clip.suffix if suffix is None else suffix).lower()[:MAX_SUFFIX]
        try:
            with self._files.keeping(clip, sha256) as size, self._db.writing(sha256) as transaction:
                burial.check_not_buried(transaction.connection, sha256)
                kept = {"sha256": sha256, "bytes": size, "suffix": storable(ending)}
                yield transaction, facts.admit(transaction, kept, who)
        except BaseException:
            with suppress(StoreError):  # the database is away: the sweep at the next start does it
                self._files.drop_unless_known(sha256, self._known)
            raise
        self._mirror.write(transaction.added)

    @contextmanager
    def _writing_about(self, sha256: str) -> Iterator[Transaction]:
        check_sha256(sha256)
        with self._db.writing(sha256) as transaction:
            if transaction.connection.execute(select(audio.c.sha256).where(audio.c.sha256 == sha256)).first():
                yield transaction
            else:
                raise LabelError(f"There is no clip {sha256} in the store. It may have been deleted.")
        self._mirror.write(transaction.added)

    def _set_aside(self, sha256: str, annotator: str, skipped: int) -> None:
        check_person(annotator)
        with self._writing_about(sha256) as transaction:
            mine = (turn.c.person == person_of(annotator)) & (turn.c.sha256 == sha256)
            before = transaction.connection.execute(select(turn.c.skipped).where(mine)).scalar() or 0
            if before == skipped:
                return
            row = {"id": uuid.uuid4().hex, "audio_sha256": sha256, "created": now()}
            transaction.append(skip, row | {"annotator": annotator, "skipped": skipped})
            derive.refresh(transaction.connection, sha256)
            facts.note(transaction, annotator, "skipped" if skipped else "unskipped", sha256)

    def _known(self, digits: str) -> set[str]:
        """Hashes in the database that start with these two digits."""
        with self._db.reading() as db:
            here = audio.c.sha256.between(digits, digits + "g")  # "g" comes after every hexadecimal digit
            return set(db.execute(select(audio.c.sha256).where(here)).scalars())


def _bring_up_to_date(db: Connection, mirrored: Iterable[Fact]) -> None:
    if migrate(db):
        derive.rebuild(db)
    take_in(db, mirrored)


def _check_request(by: str, reason: str) -> None:
    check_person(by)
    check_text("reason", reason, MAX_NOTE)
    if not reason.strip():
        raise LabelError("Say why: the reason stays with the tombstone.")
