"""The queue's orders, skips and progress, disagreements, and reading everything."""

from pathlib import Path

import pytest
from sqlalchemy import event

from detectors.labels.records import Judgement, LabelError
from detectors.labels.store import LabelStore
from detectors.labels.store import queue as queue_module
from tests.labels.making import enqueue, judgement, label_it


@pytest.mark.parametrize("order", queue_module.ORDERS)
def test_a_page_is_an_index_range_and_sorts_nothing(order: str, tmp_path: Path) -> None:
    """SQLite's plan: with an index for the order, a page costs the same among 100,000 clips."""
    store = LabelStore(tmp_path)
    asked = []
    event.listen(store._db._engine, "before_cursor_execute", lambda *call: asked.append(call[2:4]))
    store.queue("Anna", order)
    pages = [(statement, values) for statement, values in asked if "FROM clip" in statement]
    assert pages
    with store._db.reading() as db:
        for statement, values in pages:
            plan = [row[3] for row in db.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)]
            assert "INDEX" in plan[0], plan
            assert not any("TEMP B-TREE" in step or step in ("SCAN clip", "SCAN turn") for step in plan), plan


@pytest.fixture
def clips(store: LabelStore, tmp_path: Path) -> dict[str, str]:
    """Five clips by name; "silent" is not judged. LLRs: sure, even, torn (detectors apart), weak."""
    hashes = {
        name: enqueue(store, tmp_path, f"{name}.wav") for name in ("sure", "even", "torn", "weak", "silent")
    }
    for name, llrs in (("sure", (5.0, 5.5)), ("even", (0.1, -0.1)), ("torn", (-2.0, 4.0)), ("weak", (1.5,))):
        store.keep_judgement(hashes[name], judgement(*llrs))
    return hashes


def names(store: LabelStore, annotator: str, order: str, **options: int) -> list[str]:
    return [item.name.removesuffix(".wav") for item in store.queue(annotator, order, **options)]


def test_orders(store: LabelStore, clips: dict[str, str]) -> None:
    assert names(store, "Anna", "uncertain") == ["even", "torn", "weak", "sure", "silent"]
    assert names(store, "Anna", "disagreement") == ["torn", "sure", "even", "weak", "silent"]
    assert names(store, "Anna", "newest") == ["silent", "weak", "torn", "even", "sure"]
    assert names(store, "Anna", "newest", limit=2) == ["silent", "weak"]
    with pytest.raises(LabelError, match=r"no queue order 'best'\. Choose one of: uncertain, disagr"):
        store.queue("Anna", "best")


def test_random_order_is_the_same_for_a_seed_and_loses_nothing(
    store: LabelStore, clips: dict[str, str]
) -> None:
    shuffles = {seed: names(store, "Anna", "random", seed=seed) for seed in range(20)}
    assert names(store, "Anna", "random", seed=3) == shuffles[3]
    assert {tuple(sorted(each)) for each in shuffles.values()} == {tuple(sorted(clips))}
    assert len({each[0] for each in shuffles.values()}) > 1, "all seeds start with the same clip"
    assert names(store, "Anna", "random", seed=3, limit=2) == shuffles[3][:2]


def test_items_carry_what_is_known_and_the_newest_judgement(store: LabelStore, tmp_path: Path) -> None:
    sha256 = enqueue(store, tmp_path, "Ünï clip.WAV", source="radio", speaker="s1", licence="CC0-1.0")
    store.keep_judgement(sha256, judgement(1.0))
    newest = Judgement({"sls": "v2"}, {"sls": {"llr": 0.5}}, {"sls": [{"start": 0, "end": 1.5}]}, 1.5)
    store.keep_judgement(sha256, newest)
    item = store.clip(sha256)
    assert item == store.queue("Anna")[0]
    assert (item.name, item.suffix, item.bytes) == ("Ünï clip.WAV", ".wav", len("Ünï clip.WAV".encode()))
    assert (item.source, item.speaker, item.licence) == ("radio", "s1", "CC0-1.0")
    assert item.judgement == newest
    assert store.clip("0" * 64) is None


def test_dropping_a_clip_again_tells_more_of_it_but_does_not_double_it(
    store: LabelStore, tmp_path: Path
) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"clip")
    first, was_new = store.enqueue(path, "a.wav", source="radio")
    assert was_new
    again, was_new = store.enqueue(path, "copy of a.wav")
    assert not was_new
    assert again == first
    told, _ = store.enqueue(path, "b.wav", source="tv", speaker="s1")
    assert (told.name, told.source, told.speaker) == ("a.wav", "tv", "s1")
    assert len(store.queue("Anna")) == 1


def test_a_clip_that_was_only_labelled_is_queued_for_others(store: LabelStore, clip: Path) -> None:
    from tests.labels.making import SHA256, draft

    store.add(draft(), clip)
    assert store.queue("Anna") == []
    assert [item.name for item in store.queue("Bert")] == [f"{SHA256[:12]}.ogg"]
    item, was_new = store.enqueue(clip, "interview.ogg", source="radio")
    assert (item.name, item.source, was_new) == ("interview.ogg", "radio", False)


def test_unjudged_clips_are_found_until_they_are_judged(store: LabelStore, clips: dict[str, str]) -> None:
    assert [item.sha256 for item in store.unjudged(10)] == [clips["silent"]]
    store.keep_judgement(clips["silent"], judgement())
    assert store.unjudged(10) == []
    assert names(store, "Anna", "uncertain")[0] in ("even", "silent"), "no LLR at all is undecided"


def test_labelled_and_skipped_clips_leave_the_queue_of_that_person_alone(
    store: LabelStore, clips: dict[str, str]
) -> None:
    label = label_it(store, clips["even"], "Anna")
    store.skip(clips["torn"], "ANNA ")
    store.skip(clips["torn"], "Anna")
    assert names(store, "anna", "uncertain") == ["weak", "sure", "silent"]
    assert len(names(store, "Bert", "uncertain")) == 5
    assert (store.progress("Anna").total, store.progress("Anna").labelled) == (5, 1)
    assert store.progress("Anna").skipped == 1
    assert [item.sha256 for item in store.skipped("Anna")] == [clips["torn"]]
    store.withdraw(label.id, "Anna")
    store.unskip(clips["torn"], "Anna")
    assert len(names(store, "Anna", "uncertain")) == 5
    assert (store.progress("Anna").labelled, store.progress("Anna").skipped) == (0, 0)


def test_a_skipped_clip_that_is_labelled_counts_as_labelled(store: LabelStore, clips: dict[str, str]) -> None:
    store.skip(clips["even"], "Anna")
    label_it(store, clips["even"], "Anna")
    progress = store.progress("Anna")
    assert (progress.labelled, progress.skipped) == (1, 0)
    assert store.skipped("Anna") == []


def test_a_corrected_label_counts_once(store: LabelStore, clips: dict[str, str]) -> None:
    first = label_it(store, clips["even"], "Anna")
    label_it(store, clips["even"], "Anna", "bonafide", supersedes=first.id)
    assert store.progress("Anna").labelled == 1


def test_what_is_not_in_the_store_cannot_be_skipped_or_judged(store: LabelStore) -> None:
    with pytest.raises(LabelError, match="There is no clip 000"):
        store.skip("0" * 64, "Anna")
    with pytest.raises(LabelError, match="There is no clip 000"):
        store.keep_judgement("0" * 64, judgement())
    with pytest.raises(LabelError, match="name is missing"):
        store.skip("0" * 64, " ")


def test_conflicts_are_contradictions_that_nobody_has_settled(
    store: LabelStore, clips: dict[str, str]
) -> None:
    for name, answers in (
        ("sure", ("spoof", "spoof")),
        ("even", ("spoof", "unsure")),
        ("torn", ("spoof", "bonafide")),
        ("weak", ("bonafide", "spoof", "spoof")),
    ):
        for person, answer in zip(("Anna", "Bert", "Carl"), answers, strict=False):
            label_it(store, clips[name], person, answer)
    found = store.conflicts()
    assert [{label.audio_sha256 for label in labels} for labels in found] == [
        {clips["weak"]},
        {clips["torn"]},
    ], "newest clips first"
    assert [label.annotator for label in found[0]] == ["Anna", "Bert", "Carl"]
    assert len(store.conflicts(limit=1)) == 1
    label_it(store, clips["weak"], "Ruth", "spoof", adjudication=True)
    store.withdraw(found[1][0].id, "Anna")
    assert store.conflicts() == []


def test_everything_labelled_is_streamed_with_its_current_labels(
    store: LabelStore, clips: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_module, "CHUNK", 2)
    first = label_it(store, clips["even"], "Anna")
    newer = label_it(store, clips["even"], "Anna", "bonafide", supersedes=first.id)
    second = label_it(store, clips["even"], "Bert")
    gone = label_it(store, clips["torn"], "Anna")
    store.withdraw(gone.id, "Anna")
    others = {name: label_it(store, clips[name], "Anna") for name in ("sure", "weak", "silent")}
    streamed = {each.item.sha256: each for each in store.iter_labelled()}
    assert list(streamed) == sorted(clips[name] for name in ("even", "sure", "weak", "silent"))
    assert streamed[clips["even"]].labels == (newer, second)
    assert streamed[clips["sure"]].labels == (others["sure"],)
    assert streamed[clips["sure"]].item == store.clip(clips["sure"])
