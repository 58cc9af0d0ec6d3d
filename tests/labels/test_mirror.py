"""A Space without a disk: labels go to a data set repository and come back at the next start."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from detectors.labels.journal import Journal
from detectors.labels.mirror import HubMirror
from detectors.labels.records import LabelError, StoreError
from detectors.labels.store import LabelStore
from tests.labels.fake_hub import FakeHub
from tests.labels.making import SHA256, draft, enqueue, judgement, label_it

AUDIO = f"audio/{SHA256[:2]}/{SHA256}"

Starter = Callable[[str], LabelStore]


@pytest.fixture
def hub() -> FakeHub:
    return FakeHub()


@pytest.fixture
def start(hub: FakeHub, tmp_path: Path) -> Iterator[Starter]:
    """Starts the app's store on an empty disk of the given name."""
    started = []

    def starter(disk: str) -> LabelStore:
        folder = tmp_path / disk
        started.append(LabelStore(folder, mirror=HubMirror(folder, "me/labels", api=hub, every=60)))
        return started[-1]

    yield starter
    for store in started:
        store.close()


def journals(hub: FakeHub) -> dict[str, bytes]:
    return {name: content for name, content in hub.files.items() if name.startswith("journal/")}


def test_everything_comes_back_on_an_empty_disk(
    start: Starter, hub: FakeHub, clip: Path, tmp_path: Path
) -> None:
    store = start("first")
    first = store.add(draft(note="metallic"), clip)
    second = store.add(draft(label="bonafide", supersedes=first.id), clip)
    store.withdraw(label_it(store, SHA256, "Bert").id, "Bert")
    other = enqueue(store, tmp_path, "b.wav", source="radio", added_by="Carl")
    store.keep_judgement(other, judgement(1.0))
    store.skip(other, "Anna")
    store.close()
    again = start("second")
    assert again.labels() == store.labels()
    assert again.labels(current_only=True) == [second]
    assert again.audit() == store.audit()
    assert again.clip(other) == store.clip(other)
    assert again.progress("Anna") == store.progress("Anna")
    assert again.audio_path(SHA256).read_bytes() == clip.read_bytes()


def test_each_process_has_a_file_of_its_own_and_sends_only_what_is_new(
    start: Starter, hub: FakeHub, clip: Path
) -> None:
    store = start("first")
    store.add(draft(), clip)
    store.close()
    hub.sent.clear()
    again = start("second")
    again.add(draft(annotator="Bert"), clip)
    again.close()
    assert len(hub.sent) == 1, f"sent again: {hub.sent}"
    assert hub.sent[0] in journals(hub)
    assert len(journals(hub)) == 2


def test_what_is_saved_reaches_the_repository_when_the_app_stops(
    start: Starter, hub: FakeHub, clip: Path
) -> None:
    store = start("first")
    hub.wait()  # the push at the start is over, the next one is an hour away
    store.add(draft(note="metallic"), clip)
    assert hub.files == {}
    store.close()
    assert hub.files[AUDIO] == clip.read_bytes()
    assert b"metallic" in b"".join(journals(hub).values())


def test_what_a_killed_process_left_on_the_disk_is_sent_by_the_next(
    start: Starter, hub: FakeHub, clip: Path
) -> None:
    killed = start("first")
    hub.wait()
    killed.add(draft(), clip)
    start("first").close()
    assert hub.files[AUDIO] == clip.read_bytes()
    assert start("second").labels() == killed.labels()


def test_lines_that_were_not_sent_yet_survive_a_restart(start: Starter, hub: FakeHub, clip: Path) -> None:
    store = start("first")
    store.add(draft(), clip)
    store._mirror._scheduler.trigger().result()
    store.add(draft(annotator="Bert"), clip)
    start("first").close()
    assert len(start("second").labels()) == 2


def test_only_whole_clips_and_journals_are_sent(start: Starter, hub: FakeHub, clip: Path) -> None:
    store = start("first")
    store.add(draft(), clip)
    store.audio_path(SHA256).with_name(".incoming-1").write_bytes(b"ha")
    store.close()
    assert {name.split("/")[0] for name in hub.files} == {"audio", "journal"}
    assert [name for name in hub.files if "incoming" in name] == []


def test_a_deleted_clip_leaves_the_repository_too(start: Starter, hub: FakeHub, clip: Path) -> None:
    store = start("first")
    store.add(draft(annotator="Annabella", note="whispered secret"), clip)
    store.close()
    again = start("second")
    again.delete_clip(SHA256, "Ruth", "asked")
    hub.wait()
    assert AUDIO not in hub.files
    assert hub.squashed == 1, "earlier commits still hold the clip"
    sent = b"".join(journals(hub).values())
    assert b"whispered secret" not in sent
    assert b"Annabella" not in sent
    again.close()
    third = start("third")
    assert third.labels() == []
    assert [left.reason for left in third.tombstones()] == ["asked"]
    with pytest.raises(LabelError, match="deleted on request"):
        third.add(draft(), clip)


def test_a_deletion_that_the_hub_refuses_is_tried_again(start: Starter, hub: FakeHub, clip: Path) -> None:
    store = start("first")
    store.add(draft(), clip)
    store.close()
    again = start("second")
    hub.wait()
    hub.failing = True
    again.delete_clip(SHA256, "Ruth", "asked")
    hub.wait()
    assert AUDIO in hub.files
    hub.failing = False
    again.close()
    assert AUDIO not in hub.files


def test_a_deletion_that_never_reached_the_hub_is_caught_up_with(
    start: Starter, hub: FakeHub, clip: Path
) -> None:
    store = start("first")
    store.add(draft(note="whispered secret"), clip)
    store.close()
    stale = dict(hub.files)
    again = start("second")
    again.delete_clip(SHA256, "Ruth", "asked")
    again.close()
    hub.files |= stale  # as if only the tombstone had got through
    third = start("third")
    hub.wait()
    assert third.labels() == []
    third.close()
    assert AUDIO not in hub.files
    assert b"whispered secret" not in b"".join(journals(hub).values())


def test_a_public_repository_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"me/labels is public\. Labels name people"):
        HubMirror(tmp_path, "me/labels", api=FakeHub(private=False))


def test_a_repository_that_cannot_be_reached_is_explained(hub: FakeHub, tmp_path: Path) -> None:
    hub.failing = True
    with pytest.raises(StoreError, match=r"me/labels for labels cannot be used: .*503.* HF_TOKEN"):
        HubMirror(tmp_path, "me/labels", api=hub)


def test_a_failing_hub_fails_no_save_and_no_stop(
    start: Starter, hub: FakeHub, clip: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = start("first")
    hub.failing = True
    saved = store.add(draft(), clip)
    store.close()
    assert store.get(saved.id) == saved
    assert "the last labels were not sent" in caplog.text


def test_a_line_cut_short_is_passed_over(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append([("skip", {"id": "1", "created": "now"})])
    (path,) = (tmp_path / "journal").iterdir()
    with path.open("a", encoding="utf-8") as file:
        file.write('["skip", {"id": "2", "cre')
    assert list(Journal(tmp_path).facts()) == [("skip", {"id": "1", "created": "now"})]


def test_a_fact_that_speaks_of_a_missing_row_is_left_out(
    tmp_path: Path, hub: FakeHub, caplog: pytest.LogCaptureFixture
) -> None:
    fact = '["skip", {"id": "1", "audio_sha256": "ff", "annotator": "A", "skipped": 1, "created": "now"}]\n'
    hub.files["journal/x.jsonl"] = fact.encode()
    store = LabelStore(tmp_path, mirror=HubMirror(tmp_path, "me/labels", api=hub, every=60))
    assert "skip 1 speaks of a row that is missing; left out" in caplog.text
    store.close()
