"""Labels in the store, on both databases: nothing is changed, nothing is lost, nothing is half written."""

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError

from detectors.labels.records import LabelError, Region, StoreError
from detectors.labels.store import LabelStore
from tests.labels.making import BYTES, SHA256, audio_files, draft, enqueue, label_it, sql

Opener = Callable[..., LabelStore]


def test_label_comes_back_whole_from_a_reopened_store(open_store: Opener, clip: Path) -> None:
    saved = open_store().add(
        draft(
            regions=(Region(0.5, 1.25, "spoof"),),
            attack="unknown vocoder",
            note="metallic s, äöü, 声, '; DROP TABLE label",
            licence="CC0-1.0",
            versions={"sls": "abc"},
            scores={"sls": {"score": -1.5, "llr": -2.0, "p_spoof": 0.88}},
            blind=True,
            adjudication=True,
        ),
        clip,
    )
    assert open_store().get(saved.id) == saved
    assert saved.created.endswith("Z")
    assert len(saved.id) == 32


def test_audio_is_kept_once_with_its_original_bytes(store: LabelStore, clip: Path) -> None:
    store.add(draft(), clip)
    store.add(draft(annotator="Bert"), clip)
    store.enqueue(clip, "other.name")
    assert audio_files(store) == [store.audio_path(SHA256)]
    assert store.audio_path(SHA256).read_bytes() == BYTES
    assert sql(store, "SELECT sha256, bytes, suffix FROM audio") == [(SHA256, len(BYTES), ".ogg")]


@pytest.mark.parametrize("table", ["audio", "provenance", "judgement", "label", "skip", "audit"])
@pytest.mark.parametrize("change", ["DELETE FROM {table}", "UPDATE {table} SET {key} = {key}"])
def test_rows_can_be_neither_changed_nor_deleted(full_store: LabelStore, table: str, change: str) -> None:
    before = sql(full_store, f"SELECT * FROM {table}")
    assert before, "the test needs rows that could be lost"
    with pytest.raises(IntegrityError, match=f"{table} is append-only"):
        sql(full_store, change.format(table=table, key="sha256" if table == "audio" else "id"))
    assert sql(full_store, f"SELECT * FROM {table}") == before


def test_rows_cannot_be_replaced_either(full_store: LabelStore) -> None:
    columns = "id, created, who, action, audio_sha256, label_id, detail"
    values = "SELECT id, created, 'somebody else', action, audio_sha256, label_id, detail FROM audit"
    on_sqlite = sql_dialect(full_store) == "sqlite"
    replace = "INSERT OR REPLACE INTO" if on_sqlite else "INSERT INTO"
    otherwise = "" if on_sqlite else "ON CONFLICT (id) DO UPDATE SET who = 'somebody else'"
    with pytest.raises(IntegrityError, match="audit is append-only"):
        sql(full_store, f"{replace} audit ({columns}) {values} {otherwise}")


def test_postgresql_cannot_empty_a_table(full_store: LabelStore) -> None:
    if sql_dialect(full_store) == "sqlite":
        pytest.skip("SQLite has no TRUNCATE")
    with pytest.raises(IntegrityError, match="append-only"):
        sql(full_store, "TRUNCATE label CASCADE")


def test_a_correction_is_a_new_row_and_hides_the_old_one(store: LabelStore, clip: Path) -> None:
    first = store.add(draft(), clip)
    second = store.add(draft(label="unsure", supersedes=first.id), clip)
    third = store.add(draft(label="bonafide", supersedes=second.id), clip)
    assert [label.id for label in store.labels(SHA256)] == [first.id, second.id, third.id]
    assert [label.id for label in store.labels(current_only=True)] == [third.id]
    with pytest.raises(LabelError, match=f"already corrected by {second.id}"):
        store.add(draft(supersedes=first.id), clip)
    with pytest.raises(LabelError, match="no label nonsense"):
        store.add(draft(supersedes="nonsense"), clip)


def test_a_correction_must_be_about_the_same_clip(store: LabelStore, clip: Path, tmp_path: Path) -> None:
    first = store.add(draft(), clip)
    other = tmp_path / "other.wav"
    other.write_bytes(b"another")
    with pytest.raises(LabelError, match="another clip"):
        store.add(draft(audio_sha256=hashlib.sha256(b"another").hexdigest(), supersedes=first.id), other)
    assert len(store.labels()) == 1
    assert audio_files(store) == [store.audio_path(SHA256)], "a refused label leaves its clip behind"


def test_a_withdrawn_label_stays_in_the_history_alone(store: LabelStore, clip: Path) -> None:
    given = store.add(draft(), clip)
    with pytest.raises(LabelError, match=r"is Anna's\. Only who gave it can withdraw it"):
        store.withdraw(given.id, "Bert")
    store.withdraw(given.id, " anna")
    assert store.labels(current_only=True) == []
    assert [(label.kind, label.supersedes) for label in store.labels()] == [
        ("label", None),
        ("withdrawn", given.id),
    ]
    with pytest.raises(LabelError, match="was withdrawn"):
        store.withdraw(given.id, "Anna")
    with pytest.raises(LabelError, match="was withdrawn"):
        store.add(draft(supersedes=given.id), clip)
    again = store.add(draft(label="bonafide"), clip)
    assert store.labels(current_only=True) == [again]


def test_unknown_labels_cannot_be_withdrawn(store: LabelStore) -> None:
    with pytest.raises(LabelError, match="no label nonsense to withdraw"):
        store.withdraw("nonsense", "Anna")


def test_a_clip_that_changed_or_went_away_is_refused_and_leaves_nothing(
    store: LabelStore, clip: Path
) -> None:
    clip.write_bytes(b"tampered")
    with pytest.raises(LabelError, match="changed since it was analysed"):
        store.add(draft(), clip)
    clip.unlink()
    with pytest.raises(LabelError, match="no longer here"):
        store.add(draft(), clip)
    assert audio_files(store) == []
    assert store.labels() == []
    assert store.audit() == []


def test_without_consent_nothing_is_stored(store: LabelStore, clip: Path) -> None:
    with pytest.raises(LabelError, match="needs your consent"):
        store.add(draft(consent=False), clip)
    assert audio_files(store) == []


def test_threads_and_stores_write_at_once_and_none_is_lost(open_store: Opener, clip: Path) -> None:
    stores = [open_store() for _ in range(3)]

    def add(turn: int) -> str:
        return stores[turn % 3].add(draft(annotator=f"A{turn}"), clip).id

    with ThreadPoolExecutor(6) as pool:
        ids = list(pool.map(add, range(24)))
    assert sorted(label.id for label in stores[0].labels(SHA256)) == sorted(ids)
    assert stores[0].audio_path(SHA256).read_bytes() == BYTES
    assert stores[0].progress("A7").labelled == 1
    assert sql(stores[0], "SELECT labels FROM clip") == [(24,)]


def test_of_two_corrections_at_once_one_wins(open_store: Opener, clip: Path) -> None:
    stores = [open_store(), open_store()]
    first = stores[0].add(draft(), clip)

    def correct(turn: int) -> bool:
        try:
            stores[turn % 2].add(draft(annotator=f"A{turn}", supersedes=first.id), clip)
        except LabelError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(correct, range(4))) == 1


def test_the_audit_trail_says_who_did_what(store: LabelStore, tmp_path: Path) -> None:
    sha256 = enqueue(store, tmp_path, "a.wav", added_by="Carl")
    enqueue(store, tmp_path, "a.wav", source="radio", added_by="Dora")
    first = label_it(store, sha256, "Anna")
    second = label_it(store, sha256, "Anna", "bonafide", supersedes=first.id)
    store.withdraw(second.id, "Anna")
    store.skip(sha256, "Bert")
    store.unskip(sha256, "Bert")
    ruling = label_it(store, sha256, "Ruth", adjudication=True)
    trail = [(entry.who, entry.action, entry.label_id) for entry in reversed(store.audit())]
    withdrawal = store.labels()[2]
    assert trail == [
        ("Carl", "added clip", None),
        ("Dora", "described clip", None),
        ("Anna", "added label", first.id),
        ("Anna", "corrected label", second.id),
        ("Anna", "withdrew label", withdrawal.id),
        ("Bert", "skipped", None),
        ("Bert", "unskipped", None),
        ("Ruth", "adjudicated", ruling.id),
    ]
    assert {entry.audio_sha256 for entry in store.audit()} == {sha256}
    assert [entry.action for entry in store.audit(limit=1)] == ["adjudicated"]


def test_one_comes_back_to_ones_own_labels(store: LabelStore, tmp_path: Path) -> None:
    clips = [enqueue(store, tmp_path, f"{name}.wav") for name in "abc"]
    labels = [label_it(store, sha256, "Anna") for sha256 in clips]
    label_it(store, clips[0], "Bert")
    store.withdraw(labels[1].id, "Anna")
    assert store.labels_by("Anna") == [labels[2], labels[0]]
    assert store.labels_by("Anna", limit=1) == [labels[2]]


def test_an_unusable_database_is_explained(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="names mysql; labels can be kept in SQLite or PostgreSQL"):
        LabelStore(tmp_path, "mysql://somewhere/labels")
    with pytest.raises(StoreError, match=r"cannot be read\. It should look like postgresql://"):
        LabelStore(tmp_path, "no url")
    with pytest.raises(StoreError, match="does not answer"):
        LabelStore(tmp_path, "postgresql://nobody@127.0.0.1:1/labels")
    (tmp_path / "labels.sqlite3").write_bytes(b"this is no database, but long enough to look like one" * 99)
    with pytest.raises(StoreError, match="file is not a database"):
        LabelStore(tmp_path)


@pytest.fixture
def full_store(store: LabelStore, tmp_path: Path) -> LabelStore:
    """A store with a row in every table of facts but those of deletion."""
    from tests.labels.making import judgement

    sha256 = enqueue(store, tmp_path, "a.wav", source="radio")
    store.keep_judgement(sha256, judgement(1.0))
    label_it(store, sha256, "Anna")
    store.skip(sha256, "Bert")
    return store


def sql_dialect(store: LabelStore) -> str:
    return store._db._engine.dialect.name
