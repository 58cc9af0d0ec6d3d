"""The label store: nothing is changed, nothing is lost, nothing is half written."""

import hashlib
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from demo.storage.migrations import migrate
from demo.storage.records import LabelDraft, LabelError, Region, regions_from
from demo.storage.store import LabelStore

BYTES = b"not audio, but the store does not mind"
SHA256 = hashlib.sha256(BYTES).hexdigest()


@pytest.fixture
def store(tmp_path: Path) -> LabelStore:
    return LabelStore(tmp_path / "data")


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.OGG"
    path.write_bytes(BYTES)
    return path


def draft(**changes: Any) -> LabelDraft:
    fields: dict[str, Any] = {
        "audio_sha256": SHA256,
        "annotator": "Anna",
        "label": "spoof",
        "confidence": 4,
        "consent": True,
    }
    return LabelDraft(**{**fields, **changes})


def rows(store: LabelStore, query: str) -> list[tuple[Any, ...]]:
    db = sqlite3.connect(store.folder / "labels.sqlite3")
    try:
        return db.execute(query).fetchall()
    finally:
        db.close()


def test_label_comes_back_whole_from_a_reopened_store(store: LabelStore, clip: Path) -> None:
    saved = store.add(
        draft(
            regions=(Region(0.5, 1.25, "spoof"),),
            attack="unknown vocoder",
            note="metallic s",
            licence="CC0-1.0",
            versions={"sls": "abc"},
            scores={"sls": {"score": -1.5, "llr": -2.0, "p_spoof": 0.88}},
            blind=True,
        ),
        clip,
    )
    assert LabelStore(store.folder).get(saved.id) == saved
    assert saved.created.endswith("Z")
    assert len(saved.id) == 32


def test_audio_is_kept_once_with_its_original_bytes(store: LabelStore, clip: Path) -> None:
    store.add(draft(), clip)
    store.add(draft(annotator="Bert"), clip)
    assert store.audio_path(SHA256).read_bytes() == BYTES
    assert [path for path in (store.folder / "audio").rglob("*") if path.is_file()] == [
        store.audio_path(SHA256)
    ]
    assert rows(store, "SELECT sha256, bytes, suffix FROM audio") == [(SHA256, len(BYTES), ".ogg")]


@pytest.mark.parametrize(
    "change", ["UPDATE label SET label = 'bonafide'", "DELETE FROM label", "DELETE FROM audio"]
)
def test_rows_can_be_neither_changed_nor_deleted(store: LabelStore, clip: Path, change: str) -> None:
    store.add(draft(), clip)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        rows(store, change)


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


def test_a_clip_that_changed_or_went_away_is_refused_and_leaves_nothing(
    store: LabelStore, clip: Path
) -> None:
    clip.write_bytes(b"tampered")
    with pytest.raises(LabelError, match="changed since it was analysed"):
        store.add(draft(), clip)
    clip.unlink()
    with pytest.raises(LabelError, match="no longer here"):
        store.add(draft(), clip)
    assert not [path for path in (store.folder / "audio").rglob("*") if path.is_file()]
    assert store.labels() == []


def test_without_consent_nothing_is_stored(store: LabelStore, clip: Path) -> None:
    with pytest.raises(LabelError, match="needs your consent"):
        store.add(draft(consent=False), clip)
    assert not store.audio_path(SHA256).exists()


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("label", "fake", "'fake' is not a label. Choose one of: bonafide, spoof, unsure"),
        ("confidence", 0, "whole number from 1 to 5"),
        ("confidence", 6, "whole number from 1 to 5"),
        ("confidence", 2.5, "whole number from 1 to 5"),
        ("annotator", "  ", "name is missing"),
        ("note", "x" * 2001, "2001 characters; at most 2000"),
        ("audio_sha256", "../../etc/passwd", "not a SHA-256"),
    ],
)
def test_wrong_fields_are_refused_with_the_reason(field: str, value: Any, message: str) -> None:
    with pytest.raises(LabelError, match=message):
        draft(**{field: value})


@pytest.mark.parametrize(
    "region",
    [
        {"start": 2, "end": 1, "label": "spoof"},
        {"start": -1, "end": 1, "label": "spoof"},
        {"start": 0, "end": 1, "label": "fake"},
        {"start": 0, "label": "spoof"},
        {"start": "soon", "end": 1, "label": "spoof"},
        {"start": float("nan"), "end": 1, "label": "spoof"},
    ],
)
def test_wrong_regions_are_refused(region: dict[str, Any]) -> None:
    with pytest.raises(LabelError):
        regions_from([region])


def test_threads_write_at_once_and_none_is_lost(store: LabelStore, clip: Path) -> None:
    def add(turn: int) -> str:
        return LabelStore(store.folder).add(draft(annotator=f"A{turn}"), clip).id

    with ThreadPoolExecutor(6) as pool:
        ids = list(pool.map(add, range(24)))
    assert sorted(label.id for label in store.labels(SHA256)) == sorted(ids)
    assert store.audio_path(SHA256).read_bytes() == BYTES


def test_of_two_corrections_at_once_one_wins(store: LabelStore, clip: Path) -> None:
    first = store.add(draft(), clip)

    def correct(turn: int) -> bool:
        try:
            store.add(draft(annotator=f"A{turn}", supersedes=first.id), clip)
        except LabelError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(correct, range(4))) == 1


def test_migrations_are_recorded_and_run_once(store: LabelStore) -> None:
    LabelStore(store.folder)
    assert rows(store, "SELECT name FROM migration") == [("m001_initial",)]
    assert rows(store, "PRAGMA journal_mode") == [("wal",)]


def test_a_failed_migration_leaves_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    def m002_broken(db: sqlite3.Connection) -> None:
        db.execute("CREATE TABLE half (x)")
        raise RuntimeError("stop")

    monkeypatch.setattr("demo.storage.migrations.MIGRATIONS", (m002_broken,))
    db = sqlite3.connect(":memory:", isolation_level=None)
    with pytest.raises(RuntimeError):
        migrate(db)
    assert db.execute("SELECT name FROM sqlite_master").fetchall() == []
    db.close()
