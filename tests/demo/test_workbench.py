"""The workbench without its page: import, queue, blind labels, undo, judging, disagreements."""

import io
import threading
import wave
import zipfile
from pathlib import Path

import numpy as np
import pytest

from demo import messages
from demo.analysis import RecentAnalyses
from demo.services import Services
from demo.settings import Settings
from demo.workbench import Workbench
from detectors.audio import load_audio
from detectors.labels.records import Label, LabelError
from tests.demo.fake_detectors import FakeSource, fake_services, write_clip


@pytest.fixture
def services(tmp_path: Path) -> Services:
    return fake_services(tmp_path / "data")


@pytest.fixture
def bench(services: Services) -> Workbench:
    return services.workbench


@pytest.fixture
def clips(tmp_path: Path) -> list[Path]:
    """Three clips, the middle one nearest to what the fake detectors cannot decide."""
    return [write_clip(tmp_path / f"{n}.wav", 2.0 + n, level) for n, level in enumerate((0.02, 0.36, 0.9))]


def fill(bench: Workbench, clips: list[Path], judge: bool = True) -> list[str]:
    """Import the clips, let the detectors hear them, and return their hashes in the order given."""
    hashes = []
    for clip in clips:
        bench.import_clips([clip], consent=True, licence="CC0", added_by="Anna")
        known = set(hashes)
        hashes += [item.sha256 for item in bench.store.queue("nobody", "newest") if item.sha256 not in known]
    while judge and bench.judge_next():
        pass
    return hashes


def label(bench: Workbench, sha256: str, **changes: object) -> Label:
    fields = {"annotator": "Anna", "label": "spoof", "confidence": 4, "consent": True}
    return bench.save(sha256, **{**fields, **changes})  # type: ignore[arg-type]


# ---- import


def test_an_import_counts_new_and_known_clips_and_names_what_it_refused(
    bench: Workbench, clips: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "broken.wav").write_bytes(b"RIFF nothing")
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.write(clips[0], "renamed.wav")
        archive.write(clips[2], "third.wav")
    heard: list[str] = []
    report = bench.import_clips(
        [*clips[:2], tmp_path / "broken.wav", tmp_path / "all.zip"],
        consent=True, source="radio", licence="CC0", added_by="Anna", tell=heard.append,
    )  # fmt: skip
    assert (report.new, report.known) == (3, 1)
    ((name, reason),) = report.refused
    assert name == "broken.wav"
    assert "the file is not a sound file that can be read" in reason
    assert heard == ["0.wav", "1.wav", "broken.wav", "renamed.wav", "third.wav"]
    assert messages.imported(3, 1, 1) == "4 clips: 3 new, 1 already here. Not taken: 1."
    items = bench.store.queue("Anna", "newest")
    assert {item.name for item in items} == {"0.wav", "1.wav", "third.wav"}
    assert {(item.source, item.licence) for item in items} == {("radio", "CC0")}


def test_nothing_is_imported_without_consent(bench: Workbench, clips: list[Path]) -> None:
    with pytest.raises(LabelError, match="tick the box"):
        bench.import_clips(clips, consent=False)
    assert bench.progress("Anna").total == 0


def test_a_clip_that_is_too_long_is_refused(
    bench: Workbench, clips: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("demo.workbench.MAX_SECONDS", 3)
    report = bench.import_clips(clips, consent=True)
    assert (report.new, [name for name, _ in report.refused]) == (2, ["2.wav"])


def test_a_deleted_clip_does_not_come_back_unnoticed(bench: Workbench, clips: list[Path]) -> None:
    (sha256,) = fill(bench, clips[:1], judge=False)
    bench.store.delete_clip(sha256, by="Anna", reason="asked for by the speaker")
    report = bench.import_clips(clips[:1], consent=True)
    assert (report.new, report.known, len(report.refused)) == (0, 0, 1)


# ---- the queue


def test_the_most_uncertain_clip_comes_first_once_it_was_judged(bench: Workbench, clips: list[Path]) -> None:
    hashes = fill(bench, clips)
    first = bench.next_clip("Anna", "uncertain")
    assert first is not None
    assert first.sha256 == hashes[1]
    newest = bench.next_clip("Anna", "newest")
    assert newest is not None
    assert newest.sha256 == hashes[2]


def test_labelled_and_skipped_clips_are_over_until_brought_back(bench: Workbench, clips: list[Path]) -> None:
    hashes = fill(bench, clips)
    label(bench, hashes[0])
    bench.skip(hashes[1], "Anna")
    bench.skip(hashes[2], "Anna")
    assert bench.next_clip("Anna", "random") is None
    assert messages.progress(bench.progress("Anna")) == "1 of 3 labelled, 2 skipped"
    assert bench.next_clip("Ben", "random") is not None
    assert bench.bring_back_skipped("Anna") == 2
    assert messages.progress(bench.progress("Anna")) == "1 of 3 labelled"
    assert bench.next_clip("Anna", "random") is not None


def test_a_wav_for_the_browser_holds_the_clip(bench: Workbench, clips: list[Path]) -> None:
    (sha256,) = fill(bench, clips[:1], judge=False)
    data = bench.wav(sha256)
    with wave.open(io.BytesIO(data)) as reader:
        assert (reader.getframerate(), reader.getnchannels(), reader.getsampwidth()) == (16000, 1, 2)
        heard = np.frombuffer(reader.readframes(reader.getnframes()), "<i2") / 32767
    assert len(data) == 44 + 2 * len(heard)
    np.testing.assert_allclose(heard, load_audio(clips[0]), atol=1 / 32767)


# ---- labels


def test_a_label_is_blind_and_keeps_what_the_detectors_said(bench: Workbench, clips: list[Path]) -> None:
    (sha256,) = fill(bench, clips[:1])
    assert bench.open(sha256, "Anna", reveal=False).shown is None
    saved = label(bench, sha256, regions=[{"start": 0.25, "end": 1.5, "label": "unsure"}], note=" hiss ")
    assert (saved.blind, saved.licence, saved.note) == (True, "CC0", "hiss")
    assert (saved.regions[0].start, saved.regions[0].end) == (0.25, 1.5)
    assert saved.versions == {"sls": "sls-v1", "fake_mamba": "fake_mamba-v1"}
    assert bench.store.labels() == [saved]


def test_a_label_after_a_look_at_the_scores_is_not_blind(bench: Workbench, clips: list[Path]) -> None:
    (sha256,) = fill(bench, clips[:1])
    shown = bench.open(sha256, "Anna", reveal=True).shown
    assert shown is not None
    assert set(shown.windows) == {"sls", "fake_mamba"}
    assert label(bench, sha256, annotator=" ANNA ").blind is False  # however the name is typed
    assert label(bench, sha256, annotator="Ben").blind is True


def test_a_look_before_there_are_scores_leaves_a_label_blind(bench: Workbench, clips: list[Path]) -> None:
    (sha256,) = fill(bench, clips[:1], judge=False)
    assert bench.open(sha256, "Anna", reveal=True).shown is None
    assert label(bench, sha256).blind is True


def test_a_second_label_corrects_the_first_and_is_not_blind(bench: Workbench, clips: list[Path]) -> None:
    (sha256,) = fill(bench, clips[:1])
    first = label(bench, sha256)
    second = label(bench, sha256, label="bonafide")
    assert (second.supersedes, second.blind) == (first.id, False)
    assert bench.store.labels(current_only=True) == [second]


def test_undo_is_a_new_row_and_the_clip_comes_again(bench: Workbench, clips: list[Path]) -> None:
    (sha256,) = fill(bench, clips[:1])
    saved = label(bench, sha256)
    assert bench.undo(saved.id, "Anna") == saved
    assert bench.store.labels(current_only=True) == []
    assert [each.kind for each in bench.store.labels(sha256)] == ["label", "withdrawn"]
    item = bench.next_clip("Anna", "newest")
    assert item is not None
    assert item.sha256 == sha256
    with pytest.raises(LabelError, match="Only who gave it"):
        bench.undo(label(bench, sha256).id, "Ben")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"consent": False}, "tick the box"),
        ({"consent": "false"}, "tick the box"),
        ({"annotator": " "}, "name is missing"),
        ({"label": "maybe"}, "not a label"),
        ({"regions": [{"start": 1.0, "end": 2.1, "label": "spoof"}]}, "which is 2.00 s long"),
        ({"regions": [{"start": 1.0, "end": 1.5, "label": None}]}, "not a label"),
    ],
)
def test_what_cannot_be_saved_says_why(
    bench: Workbench, clips: list[Path], change: dict[str, object], message: str
) -> None:
    (sha256,) = fill(bench, clips[:1], judge=False)
    with pytest.raises(LabelError, match=message):
        label(bench, sha256, **change)
    assert bench.store.labels() == []


def test_a_clip_that_is_not_in_the_store_cannot_be_named(bench: Workbench) -> None:
    for sha256 in ("0" * 64, "../../etc/passwd"):
        with pytest.raises(LabelError, match="no longer in the store"):
            label(bench, sha256)
        with pytest.raises(LabelError, match="no longer in the store"):
            bench.open(sha256, "Anna", reveal=True)


# ---- detectors in the background


def test_judging_keeps_windows_and_leaves_recent_analyses_alone(tmp_path: Path, clips: list[Path]) -> None:
    recent = RecentAnalyses(count=1)
    services = Services(Settings(data=tmp_path / "data"), FakeSource().source(), recent=recent)
    analysis = services.analyze(write_clip(tmp_path / "own.wav", 3.0))
    fill(services.workbench, clips)
    assert services.recent(analysis.id) == analysis
    items = services.store.queue("Ben", "uncertain")
    assert len(items) == 3
    assert all(item.judgement and item.judgement.windows["sls"] for item in items)
    assert not services.workbench.waiting_for_judgement()


def test_a_clip_that_every_detector_refuses_is_not_tried_for_ever(bench: Workbench, tmp_path: Path) -> None:
    fill(bench, [write_clip(tmp_path / "short.wav", 0.2)])
    assert not bench.waiting_for_judgement()
    (item,) = bench.store.queue("Anna", "uncertain")
    assert item.judgement is not None
    assert item.judgement.scores == {}


def test_without_detectors_clips_wait_and_can_be_labelled(tmp_path: Path, clips: list[Path]) -> None:
    nothing = FakeSource(missing=dict.fromkeys(("sls", "fake_mamba", "allm4add"), "no weights"))
    bench = fake_services(tmp_path / "data", nothing).workbench
    (sha256,) = fill(bench, clips[:1])
    assert not bench.judge_next()
    assert bench.store.unjudged(5) != []
    assert label(bench, sha256).scores == {}


def test_only_one_clip_is_judged_at_a_time(services: Services, clips: list[Path]) -> None:
    bench, inside, go_on = services.workbench, threading.Event(), threading.Event()
    fill(bench, clips[:1], judge=False)
    judge = bench._judge

    def slow(path: Path) -> object:
        inside.set()
        assert go_on.wait(10)
        return judge(path)

    bench._judge = slow  # type: ignore[assignment]
    first = threading.Thread(target=bench.judge_next)
    first.start()
    assert inside.wait(10)
    assert bench.judge_next() is False  # at once, while the other is at it
    go_on.set()
    first.join()
    assert bench.store.unjudged(5) == []


# ---- several people


def test_a_disagreement_is_listed_until_somebody_settles_it(bench: Workbench, clips: list[Path]) -> None:
    one, other, _ = fill(bench, clips)
    for name, answer in (("Anna", "spoof"), ("Ben", "bonafide")):
        label(bench, one, annotator=name, label=answer)
        label(bench, other, annotator=name, label="spoof")
    (conflict,) = bench.conflicts()
    assert (conflict.item.sha256, [each.annotator for each in conflict.labels]) == (one, ["Anna", "Ben"])
    agreement = bench.agreement()
    assert (agreement.clips, agreement.pairs[0].same) == (2, 0.5)
    ruling = label(bench, one, annotator="Anna", label="bonafide", adjudication=True)
    assert ruling.supersedes is None  # Anna's own view stays in the record
    assert bench.conflicts() == []
    assert bench.agreement().pairs[0].same == 0.5  # a ruling is no agreement
