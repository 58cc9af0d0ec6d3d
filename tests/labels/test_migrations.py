"""Old databases open with their labels, new ones have the shape that queries expect."""

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import inspect

from detectors.labels.records import Region, StoreError
from detectors.labels.store import LabelStore, derive, migrations
from detectors.labels.store.tables import metadata
from tests.labels.making import enqueue, judgement, label_it, sql

#: A database as the first version left it: two clips, four labels, one of them corrected.
M001 = (Path(__file__).parent / "data" / "m001.sql").read_text(encoding="utf-8")

Opener = Callable[..., LabelStore]


@pytest.fixture
def old_folder(tmp_path: Path) -> Path:
    db = sqlite3.connect(tmp_path / "labels.sqlite3")
    db.executescript(M001)
    db.close()
    return tmp_path


def test_the_first_versions_database_opens_with_its_labels(old_folder: Path) -> None:
    store = LabelStore(old_folder)
    assert [(label.annotator, label.label) for label in store.labels()] == [
        ("Anna", "spoof"),
        ("Anna", "spoof"),
        ("Anna", "bonafide"),
        ("Bert", "spoof"),
    ]
    first = store.labels()[0]
    assert (first.id, first.created) == ("741430bda28248d78728e712469cecc9", "2026-11-21T11:11:05.238Z")
    assert (first.regions, first.note, first.blind) == ((Region(0.5, 1.0, "spoof"),), "metallic", True)
    assert (first.scores, first.kind, first.adjudication) == (
        {"sls": {"score": -1.5, "llr": -2.0, "p_spoof": 0.88}},
        "label",
        False,
    )
    assert [[label.label for label in labels] for labels in store.conflicts()] == [["bonafide", "spoof"]]
    assert store.progress("Anna").labelled == 2
    assert [item.suffix for item in store.queue("Bert")] == [".wav"]


def test_the_first_versions_database_can_be_written_to(old_folder: Path) -> None:
    store = LabelStore(old_folder)
    bert = store.labels()[3]
    store.withdraw(bert.id, "Bert")
    assert store.conflicts() == []
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        sqlite3.connect(old_folder / "labels.sqlite3").execute("DELETE FROM label")


def test_the_first_step_is_what_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrations, "MIGRATIONS", migrations.MIGRATIONS[:1])
    monkeypatch.setattr(derive, "rebuild", lambda _: None)  # its tables come with a later step
    LabelStore(tmp_path).close()
    assert shape(tmp_path / "labels.sqlite3") == shape_of_sql(M001)


def shape(path: Path) -> set[tuple[str, str]]:
    db = sqlite3.connect(path)
    try:
        rows = db.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    finally:
        db.close()
    return {(name, " ".join(text.split())) for name, text in rows}


def shape_of_sql(script: str) -> set[tuple[str, str]]:
    db = sqlite3.connect(":memory:")
    db.executescript(script)
    rows = db.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    db.close()
    return {(name, " ".join(text.split())) for name, text in rows}


def test_steps_are_recorded_and_run_once(open_store: Opener) -> None:
    open_store()
    store = open_store()
    steps = [step.__name__ for step in migrations.MIGRATIONS]
    assert [name for (name,) in sql(store, "SELECT name FROM migration ORDER BY name")] == steps
    assert [name[:5] for name in steps] == [f"m{turn:03d}_" for turn in range(1, len(steps) + 1)]


def test_processes_that_start_at_once_make_the_tables_once(open_store: Opener) -> None:
    with ThreadPoolExecutor(6) as pool:
        stores = list(pool.map(lambda _: open_store(), range(6)))
    assert len(sql(stores[0], "SELECT name FROM migration")) == len(migrations.MIGRATIONS)


def test_the_tables_have_the_columns_that_queries_name(store: LabelStore) -> None:
    found = inspect(store._db._engine)
    for table in metadata.sorted_tables:
        columns = [column["name"] for column in found.get_columns(table.name)]
        assert columns == [column.name for column in table.columns], table.name


def test_sqlite_is_in_wal_mode_and_syncs_each_commit(tmp_path: Path) -> None:
    store = LabelStore(tmp_path)
    with store._db.reading() as db:
        assert db.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert db.exec_driver_sql("PRAGMA synchronous").scalar() == 2


def test_a_failed_step_leaves_no_trace(open_store: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    def m005_broken(db: object) -> None:
        db.exec_driver_sql("CREATE TABLE half (x INTEGER)")
        raise RuntimeError("stop")

    monkeypatch.setattr(migrations, "MIGRATIONS", (*migrations.MIGRATIONS, m005_broken))
    with pytest.raises(RuntimeError, match="stop"):
        open_store()
    monkeypatch.undo()
    assert not inspect(open_store()._db._engine).has_table("half")


def test_a_newer_database_is_refused(open_store: Opener) -> None:
    sql(open_store(), "INSERT INTO migration (name, applied) VALUES ('m999_future', 'later')")
    with pytest.raises(StoreError, match=r"newer SpoofLens \(step m999_future\). Update SpoofLens"):
        open_store()


def test_what_is_worked_out_is_the_same_when_worked_out_again(store: LabelStore, tmp_path: Path) -> None:
    clips = [enqueue(store, tmp_path, f"{turn}.wav", source="radio") for turn in range(4)]
    store.keep_judgement(clips[0], judgement(1.0, -1.0))
    first = label_it(store, clips[0], "Anna")
    label_it(store, clips[0], "Bert", "bonafide")
    label_it(store, clips[1], "Anna")
    store.withdraw(label_it(store, clips[2], "Anna").id, "Anna")
    store.skip(clips[1], "Bert")
    store.skip(clips[2], "Bert")
    store.unskip(clips[2], "Bert")
    label_it(store, clips[0], "Anna", "unsure", supersedes=first.id)
    store.delete_clip(clips[3], "Ruth", "asked")
    queries = ("SELECT * FROM clip ORDER BY sha256", "SELECT * FROM turn ORDER BY person, sha256")
    before = [[row for row in sql(store, query) if row[2:] != (0, 0)] for query in queries]
    assert [len(rows) for rows in before] == [3, 4]
    store._db.prepare(derive.rebuild)
    assert [[row for row in sql(store, query) if row[2:] != (0, 0)] for query in queries] == before
