"""Deletion on request: what must go is gone, what must stay stays, and nothing comes back unasked."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError

from detectors.labels.records import LabelError
from detectors.labels.store import LabelStore
from tests.labels.making import BYTES, SHA256, audio_files, draft, enqueue, judgement, label_it, sql

#: Words that occur nowhere but in what is said of the deleted clip.
PERSONAL = ("Annabella", "whispered secret", "Interviewtape", "Speakerine", "Broadcaster", "Toolmaker")

Opener = Callable[..., LabelStore]


@pytest.fixture
def said(store: LabelStore, clip: Path, tmp_path: Path) -> LabelStore:
    """A store with one clip of which much was said, and another one."""
    store.enqueue(clip, "Interviewtape.ogg", source="Broadcaster", speaker="Speakerine", added_by="Annabella")
    first = store.add(draft(annotator="Annabella", note="whispered secret", attack="Toolmaker"), clip)
    store.add(draft(annotator="Annabella", label="bonafide", supersedes=first.id), clip)
    store.add(draft(annotator="Bert"), clip)
    store.keep_judgement(SHA256, judgement(1.0))
    store.skip(SHA256, "Dora")
    label_it(store, enqueue(store, tmp_path, "other.wav", source="radio"), "Bert")
    return store


def test_everything_goes_but_the_tombstone(said: LabelStore) -> None:
    left = said.delete_clip(SHA256, "Ruth", "the speaker asked")
    assert (left.sha256, left.bytes, left.labels, left.annotators) == (SHA256, len(BYTES), 3, 2)
    assert (left.by, left.reason, left.readmitted) == ("Ruth", "the speaker asked", None)
    assert said.tombstones() == [left]
    assert not said.audio_path(SHA256).exists()
    assert said.clip(SHA256) is None
    assert said.labels(SHA256) == []
    assert said.conflicts() == []
    assert [item.name for item in said.queue("Anna")] == ["other.wav"]
    assert said.progress("Bert").labelled == 1
    assert [each.item.name for each in said.iter_labelled()] == ["other.wav"]
    assert len(audio_files(said)) == 1


def test_the_audit_trail_keeps_what_happened_but_not_who(said: LabelStore) -> None:
    before = [entry.action for entry in said.audit() if entry.audio_sha256 == SHA256]
    said.delete_clip(SHA256, "Ruth", "the speaker asked")
    deletion, *earlier = (entry for entry in said.audit() if entry.audio_sha256 == SHA256)
    assert (deletion.who, deletion.action, deletion.detail) == ("Ruth", "deleted clip", "the speaker asked")
    assert [entry.action for entry in earlier] == before
    assert {entry.who for entry in earlier} == {""}
    assert {entry.who for entry in said.audit() if entry.audio_sha256 != SHA256} == {"", "Bert"}


def test_personal_words_are_in_no_file_and_no_table(said: LabelStore) -> None:
    assert all(found_in(said, word) for word in PERSONAL), "the search finds nothing at all"
    said.delete_clip(SHA256, "Ruth", "asked")
    assert [word for word in PERSONAL if found_in(said, word)] == []


def found_in(store: LabelStore, word: str) -> bool:
    """Whether a word is in a file of the store's folder, or in a table of its database."""
    in_files = any(word.encode() in path.read_bytes() for path in store.folder.rglob("*") if path.is_file())
    tables = ("audio", "provenance", "judgement", "label", "skip", "audit", "clip", "turn", "tombstone")
    return in_files or any(word in str(sql(store, f"SELECT * FROM {table}")) for table in tables)


def test_the_same_bytes_are_refused_until_they_are_allowed(said: LabelStore, clip: Path) -> None:
    said.delete_clip(SHA256, "Ruth", "asked")
    with pytest.raises(LabelError, match=r"deleted on request on 20\d\d-\d\d-\d\d and is not taken in again"):
        said.enqueue(clip, "again.ogg")
    with pytest.raises(LabelError, match="deleted on request"):
        said.add(draft(), clip)
    assert not said.audio_path(SHA256).exists()
    said.readmit(SHA256, "Ruth", "the speaker changed their mind")
    item, was_new = said.enqueue(clip, "again.ogg")
    assert was_new
    assert (item.name, item.source, item.judgement) == ("again.ogg", "", None)
    assert said.labels(SHA256) == []
    assert said.tombstones()[0].readmitted is not None
    with pytest.raises(LabelError, match="was not deleted"):
        said.readmit(SHA256, "Ruth", "twice")


def test_a_clip_can_be_deleted_once_for_each_time_it_was_let_in(said: LabelStore, clip: Path) -> None:
    said.delete_clip(SHA256, "Ruth", "asked")
    with pytest.raises(LabelError, match="deleted on request"):
        said.delete_clip(SHA256, "Ruth", "asked again")
    said.readmit(SHA256, "Ruth", "allowed")
    said.add(draft(), clip)
    with pytest.raises(IntegrityError, match="append-only"):
        sql(said, "DELETE FROM label")  # the first tombstone no longer stands
    said.delete_clip(SHA256, "Ruth", "and gone")
    assert [left.labels for left in said.tombstones()] == [1, 3]


def test_other_clips_stay_protected(said: LabelStore) -> None:
    said.delete_clip(SHA256, "Ruth", "asked")
    with pytest.raises(IntegrityError, match="label is append-only"):
        sql(said, "DELETE FROM label")
    with pytest.raises(IntegrityError, match="tombstone is append-only"):
        sql(said, "DELETE FROM tombstone")
    with pytest.raises(IntegrityError, match="audit is append-only"):
        sql(said, f"UPDATE audit SET action = 'nothing' WHERE audio_sha256 = '{SHA256}'")
    with pytest.raises(IntegrityError, match="audit is append-only"):
        sql(said, "UPDATE audit SET who = ''")


def test_a_request_needs_a_clip_a_name_and_a_reason(said: LabelStore) -> None:
    with pytest.raises(LabelError, match="no clip 000"):
        said.delete_clip("0" * 64, "Ruth", "asked")
    with pytest.raises(LabelError, match="not a SHA-256"):
        said.delete_clip("../labels.sqlite3", "Ruth", "asked")
    with pytest.raises(LabelError, match="name is missing"):
        said.delete_clip(SHA256, " ", "asked")
    with pytest.raises(LabelError, match="Say why"):
        said.delete_clip(SHA256, "Ruth", " ")
    assert said.tombstones() == []
    assert said.audio_path(SHA256).exists()


def test_a_deletion_cut_short_is_finished_at_the_next_start(
    said: LabelStore, open_store: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            said.delete_clip(SHA256, "Ruth", "asked")
    assert said.audio_path(SHA256).exists()
    open_store()
    assert not said.audio_path(SHA256).exists()
