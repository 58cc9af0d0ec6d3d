"""Clips and labels for tests, and a look into the database past the store."""

import hashlib
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, create_engine, text

from detectors.labels.records import Judgement, Label, LabelDraft
from detectors.labels.store import LabelStore

BYTES = b"not audio, but the store does not mind"
SHA256 = hashlib.sha256(BYTES).hexdigest()


def draft(**changes: Any) -> LabelDraft:
    fields: dict[str, Any] = {
        "audio_sha256": SHA256,
        "annotator": "Anna",
        "label": "spoof",
        "confidence": 4,
        "consent": True,
    }
    return LabelDraft(**{**fields, **changes})


def said(annotator: str, label: str, turn: int = 0, **changes: Any) -> Label:
    """A stored label, without a store. turn: its place in time."""
    fields: dict[str, Any] = {
        "audio_sha256": SHA256,
        "annotator": annotator,
        "label": label,
        "confidence": 3,
        "consent": True,
        "id": f"{annotator}-{turn}",
        "created": f"2026-01-01T00:00:{turn:02d}Z",
    }
    return Label(**{**fields, **changes})


def judgement(*llrs: float) -> Judgement:
    """One detector for each LLR."""
    scores = {f"d{turn}": {"score": llr, "llr": llr, "p_spoof": 0.5} for turn, llr in enumerate(llrs)}
    windows = {name: [{"start": 0.0, "end": 2.0, "p_spoof": 0.25}] for name in scores}
    return Judgement(dict.fromkeys(scores, "v1"), scores, windows, 2.0)


def enqueue(store: LabelStore, folder: Path, name: str, **told: str) -> str:
    """Queue a clip whose bytes are its name; returns its hash."""
    path = folder / name
    path.write_bytes(name.encode())
    return store.enqueue(path, name, **told)[0].sha256


def label_it(store: LabelStore, sha256: str, annotator: str, label: str = "spoof", **changes: Any) -> Label:
    """Label a clip that is in the store."""
    told = draft(audio_sha256=sha256, annotator=annotator, label=label, **changes)
    return store.add(told, store.audio_path(sha256))


def sql(store: LabelStore, statement: str) -> list[tuple[Any, ...]]:
    """Run a statement as another program would that opens the same database."""
    engine = connect(store._db._engine.url)
    try:
        with engine.begin() as db:
            result = db.execute(text(statement))
            return [tuple(row) for row in result] if result.returns_rows else []
    finally:
        engine.dispose()


def connect(url: URL, **options: Any) -> Engine:
    """An engine past the store; a PostgreSQL cluster may have any encoding."""
    if url.get_backend_name() != "postgresql":
        return create_engine(url, **options)
    driven = url.set(drivername="postgresql+psycopg")
    return create_engine(driven, connect_args={"client_encoding": "utf8"}, **options)


def audio_files(store: LabelStore) -> list[Path]:
    return sorted(path for path in (store.folder / "audio").rglob("*") if path.is_file())


def check_nothing_lost(store: LabelStore, acknowledged: list[tuple[str, str]]) -> None:
    """Every acknowledged (label id, sha256) is in the store, which is whole."""
    kept = {label.id: label.audio_sha256 for label in store.labels()}
    lost = [label_id for label_id, sha256 in acknowledged if kept.get(label_id) != sha256]
    assert lost == [], "acknowledged labels are missing"
    assert len(set(acknowledged)) == len(acknowledged)
    rows = {sha256 for (sha256,) in sql(store, "SELECT sha256 FROM audio")}
    assert {path.name for path in audio_files(store)} == rows, "an orphan, a half copy or a missing clip"
    for path in audio_files(store):
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
    assert set(kept.values()) == rows
    assert sum(count for (count,) in sql(store, "SELECT labels FROM clip")) == len(kept)
    if store._db._engine.dialect.name == "sqlite":
        assert sql(store, "PRAGMA integrity_check") == [("ok",)]
        assert sql(store, "PRAGMA foreign_key_check") == []
