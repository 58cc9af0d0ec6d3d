"""Each export is opened by the tool it is for, and holds what people agreed on."""

import json
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import datasets
import numpy as np
import pytest
import soundfile

from detectors.__main__ import main
from detectors.audio import load_audio, sha256_of
from detectors.corpus import build_cache, read_manifest
from detectors.errors import DetectorError
from detectors.labels import exports
from detectors.labels.exports import ExportSummary, write_export
from detectors.labels.forms import FORMS
from detectors.labels.records import Label, LabelledClip, QueueItem, Region
from detectors.labels.selection import plain
from detectors.labels.store import LabelStore
from detectors.protocols import read_paths, read_trials
from tests.labels.labelled_stores import add_clip, label

#: The people of each clip: five pages of two clips, one human and one machine-made.
PAGES = range(5)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LabelStore]:
    """Ten clips that two people agree on, and three that stay in quarantine."""
    store = LabelStore(tmp_path / "data")
    clips = tmp_path / "clips"
    for page in PAGES:
        human = add_clip(store, clips, f"a man {page}.wav", source=f"page {page}")
        label(store, human, "bonafide", licence="CC0")
        region = Region(0.1, 0.3, "spoof")
        machine = add_clip(store, clips, f"tts{page}.flac", source=f"page {page}", speaker=f"voice {page}")
        label(store, machine, "spoof", attack="Vocoder X", regions=(region,))
    label(store, add_clip(store, clips, "one.wav", source="page 0"), "spoof", ("ann",))
    contested = add_clip(store, clips, "two.wav", source="page 0")
    label(store, contested, "spoof", ("ann",))
    label(store, contested, "bonafide", ("bob",))
    label(store, add_clip(store, clips, "three.wav", source="page 0"), "unsure")
    yield store
    store.close()


def export(store: LabelStore, tmp_path: Path, form: str, **rules: object) -> ExportSummary:
    return write_export(store, tmp_path / "out" / form, form, **rules)  # type: ignore[arg-type]


def originals(store: LabelStore) -> set[str]:
    """Hashes of the clips that two people agree on."""
    agreed = ("a man", "tts")
    return {clip.item.sha256 for clip in store.iter_labelled() if clip.item.name.startswith(agreed)}


# What is chosen


def test_only_what_two_people_agree_on_leaves_quarantine(store: LabelStore, tmp_path: Path) -> None:
    summary = export(store, tmp_path, "csv", held_back=0.2)
    assert summary.parts == {
        "train": {"bonafide": 4, "spoof": 4},
        "dev": {"bonafide": 1, "spoof": 1},
    }
    assert sum(summary.quarantined.values()) == 3
    assert any("1 of the 2 people needed agree" in reason for reason in summary.quarantined)
    assert any(line.startswith("quarantined: 3 (") for line in summary.lines())


def test_the_quarantined_can_be_asked_for_except_what_is_undecided(store: LabelStore, tmp_path: Path) -> None:
    summary = export(store, tmp_path, "csv", include_quarantined=True)
    assert summary.clips == 11
    assert sum(summary.quarantined.values()) == 2


def test_more_people_can_be_asked_for(store: LabelStore, tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match=r"No clip can be exported.*2 of the 3 people needed"):
        export(store, tmp_path, "csv", min_agree=3)
    assert not (tmp_path / "out" / "csv").exists()


def test_a_ruling_settles_a_disagreement(store: LabelStore, tmp_path: Path) -> None:
    contested = next(c.item for c in store.iter_labelled() if c.item.name == "two.wav")
    label(store, contested, "spoof", ("chief",), adjudication=True)
    assert export(store, tmp_path, "csv").clips == 11


def test_a_source_that_all_share_is_not_split_and_that_is_said(tmp_path: Path) -> None:
    store = LabelStore(tmp_path / "data")
    for i in range(6):
        clip = add_clip(store, tmp_path / "clips", f"{i}.wav", source="one page")
        label(store, clip, "spoof" if i % 2 else "bonafide")
    summary = export(store, tmp_path, "csv")
    assert summary.parts["dev"] == {}
    assert any("Nothing is held back" in line for line in summary.lines())
    by_clip = write_export(store, tmp_path / "by-clip", "csv", group_by="clip", held_back=0.34)
    assert by_clip.parts["dev"] == {"bonafide": 1, "spoof": 1}


# Each form, opened by its tool


def test_the_csv_is_a_manifest_that_training_reads(store: LabelStore, tmp_path: Path) -> None:
    manifest = export(store, tmp_path, "csv").folder / "manifest.csv"
    clips = {part: read_manifest(manifest, part) for part in ("train", "dev")}
    assert (len(clips["train"]), len(clips["dev"])) == (8, 2)
    assert {sha256_of(clip.path) for of in clips.values() for clip in of} == originals(store)
    sources = {part: {clip.group for clip in of} for part, of in clips.items()}
    assert not sources["train"] & sources["dev"]
    cache = build_cache(tmp_path / "cache", clips["dev"], 0, 0)
    assert [len(cache.wave(i)) for i in range(2)] == [8_000, 8_000]
    machine = next(clip for clip in clips["train"] if not clip.is_bonafide)
    assert Path(machine.path).name.startswith("tts")


def test_evaluate_reads_the_csv_and_the_protocols_keys(
    store: LabelStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = export(store, tmp_path, "csv").folder / "manifest.csv"
    protocol = export(store, tmp_path, "protocol").folder
    trials = read_trials(manifest)
    scores = tmp_path / "scores.txt"
    lines = [f"{u} {float(b)}\n" for u, b in zip(trials.utt_ids, trials.is_bonafide, strict=True)]
    scores.write_text("".join(lines))
    for keys in (manifest, protocol / "keys"):
        assert main(["evaluate", str(scores), "--keys", str(keys), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["eer"] == 0
    dev = read_trials(protocol / "keys", "dev")
    assert len(dev) == 2
    assert sorted(dev.groups) == ["", "Vocoder-X"]


def test_the_protocol_has_asvspoof_2019_lines(store: LabelStore, tmp_path: Path) -> None:
    folder = export(store, tmp_path, "protocol").folder
    train, dev = (read_trials(folder / f"{part}.txt") for part in ("train", "dev"))
    assert train.format == "ASVspoof 2019"
    assert (len(train), len(dev)) == (8, 2)
    line = next(line for line in (folder / "train.txt").read_text().splitlines() if line.endswith("spoof"))
    speaker, utterance, _, attack, _ = line.split(" ")
    assert speaker.startswith("voice-")
    assert attack == "Vocoder-X"
    assert (folder / "audio" / f"{utterance}.flac").is_file()


def read_messages(path: Path) -> list[tuple[str, str, str]]:
    """ALLM4ADD's reader: (audio, question, answer) of each line."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        user, assistant = json.loads(line)["messages"]
        assert (user["role"], assistant["role"]) == ("user", "assistant")
        rows.append((user["audio"], user["content"], assistant["content"]))
    return rows


def test_messages_are_allm4adds(store: LabelStore, tmp_path: Path) -> None:
    folder = export(store, tmp_path, "messages").folder
    rows = read_messages(folder / "train.jsonl") + read_messages(folder / "dev.jsonl")
    assert len(rows) == 10
    assert {question for _, question, _ in rows} == {"Is this audio real or fake?"}
    for audio, _, answer in rows:
        assert answer == ("Fake." if "tts" in audio else "Real.")
        assert load_audio(folder / audio).shape == (8_000,)


def test_audio_llm_lists_name_the_clip_and_say_no_more_than_people_did(
    store: LabelStore, tmp_path: Path
) -> None:
    folder = export(store, tmp_path, "audio_llm").folder
    rows = json.loads((folder / "train.json").read_text()) + json.loads((folder / "dev.json").read_text())
    assert len(rows) == 10
    for row in rows:
        assert row["text"].count("<audio>") == 1
        assert (folder / "audio" / row["audio_paths"]).is_file()
        expected = "Fake. It was made with Vocoder X. From 0.1 to 0.3 s it is machine-made."
        assert row["response"] == (expected if "tts" in row["audio_paths"] else "Real.")


@pytest.fixture
def _torchcodec(monkeypatch: pytest.MonkeyPatch) -> None:
    """datasets imports torchcodec's encoder even to note a path, and never calls it here. torchcodec
    needs a system FFmpeg; where there is none, an empty module passes for it."""
    try:
        import torchcodec.encoders  # noqa: F401
    except (ImportError, RuntimeError, OSError):
        encoders = ModuleType("torchcodec.encoders")
        encoders.AudioEncoder = None  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "torchcodec", ModuleType("torchcodec"))
        monkeypatch.setitem(sys.modules, "torchcodec.encoders", encoders)


@pytest.mark.usefixtures("_torchcodec")
def test_the_dataset_opens_as_an_audio_folder(store: LabelStore, tmp_path: Path) -> None:
    folder = export(store, tmp_path, "dataset").folder
    opened = datasets.load_dataset("audiofolder", data_dir=str(folder), cache_dir=str(tmp_path / "hub"))
    assert {part: rows.num_rows for part, rows in opened.items()} == {"train": 8, "validation": 2}
    raw = opened["train"].cast_column("audio", datasets.Audio(decode=False))
    for row in raw:
        kept = Path(row["audio"]["path"])
        assert sha256_of(kept) == row["sha256"]
        assert row["label"] == ("spoof" if "tts" in kept.name else "bonafide")
        assert row["people"] == 2


@pytest.mark.usefixtures("_torchcodec")
def test_what_audiofolder_would_overlook_becomes_flac(tmp_path: Path) -> None:
    store = LabelStore(tmp_path / "data")
    for i in range(2):
        clip = add_clip(store, tmp_path / "clips", f"{i}.wav", source=f"page{i}")
        phone = tmp_path / f"{i}.m4a"  # an ending that datasets does not list; the bytes do not matter here
        phone.write_bytes(store.audio_path(clip.sha256).read_bytes() + b"\0")
        item, _ = store.enqueue(phone, phone.name, source=f"page{i}")
        label(store, item, "spoof" if i else "bonafide")
    folder = export(store, tmp_path, "dataset", held_back=0.0).folder
    opened = datasets.load_dataset(
        "audiofolder", data_dir=str(folder), cache_dir=str(tmp_path / "hub"), split="train"
    ).cast_column("audio", datasets.Audio(decode=False))
    for row in opened:
        assert row["audio"]["path"].endswith(".flac")
        assert soundfile.info(row["audio"]["path"]).frames == 8_000


def test_every_form_names_each_clip_once_and_brings_its_audio(store: LabelStore, tmp_path: Path) -> None:
    for form in FORMS:
        folder = export(store, tmp_path, form).folder
        audio = [path for path in folder.rglob("*") if path.suffix in (".wav", ".flac")]
        assert {sha256_of(path) for path in audio} == originals(store), form
        assert len(audio) == 10
    paths = read_paths(tmp_path / "out" / "csv" / "manifest.csv")
    assert all(Path(path).is_file() for _, path in paths)


# How it is written


def test_copies_are_apart_from_the_store_and_links_are_not(store: LabelStore, tmp_path: Path) -> None:
    for link in (False, True):
        folder = write_export(store, tmp_path / f"{link}", "csv", link=link).folder
        (one, *_) = (folder / "audio").iterdir()
        original = store.audio_path(sha256_of(one))
        assert one.samefile(original) is link


def test_another_disk_gets_copies_instead_of_links(
    store: LabelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*paths: Path) -> None:
        raise OSError("Invalid cross-device link")

    monkeypatch.setattr(exports.os, "link", refuse)
    assert export(store, tmp_path, "csv", link=True).clips == 10


def test_a_clip_whose_audio_is_gone_is_counted(store: LabelStore, tmp_path: Path) -> None:
    store.audio_path(next(iter(originals(store)))).unlink()
    summary = export(store, tmp_path, "csv")
    assert (summary.clips, summary.missing) == (9, 1)
    assert any("audio is gone" in line for line in summary.lines())


def test_an_export_that_was_cut_off_leaves_nothing(
    store: LabelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*paths: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(exports.shutil, "copyfile", stop)
    with pytest.raises(KeyboardInterrupt):
        export(store, tmp_path, "csv")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_folder_that_holds_something_is_left_alone(store: LabelStore, tmp_path: Path) -> None:
    (tmp_path / "out" / "csv").mkdir(parents=True)
    assert export(store, tmp_path, "csv").clips == 10  # an empty one is fine
    with pytest.raises(DetectorError, match="is there already"):
        export(store, tmp_path, "csv")


def test_an_unknown_form_names_the_known_ones(store: LabelStore, tmp_path: Path) -> None:
    with pytest.raises(
        DetectorError, match=r"no export form 'xml'.* messages, audio_llm, protocol, csv, dataset"
    ):
        export(store, tmp_path, "xml")


def test_an_empty_store_says_so(tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match="no labelled clip yet"):
        write_export(LabelStore(tmp_path / "data"), tmp_path / "out", "csv")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("My clip 1.wav", "My-clip-1"),
        ("v1.5", "v1"),
        ("../../etc/passwd", "etc-passwd"),
        ("Ärger über.mp3", "Arger-uber"),
        ("声.wav", "clip"),
        ("", "clip"),
        ("x" * 99 + ".wav", "x" * 40),
    ],
)
def test_names_fit_any_file_system_and_protocol(name: str, expected: str) -> None:
    assert plain(name) == expected


class ManyClips:
    """A store of as many clips as asked for, none of which is kept in memory."""

    def __init__(self, count: int, audio: Path) -> None:
        self.count, self._audio = count, audio

    def iter_labelled(self) -> Iterator[LabelledClip]:
        for i in range(self.count):
            sha256 = f"{i:064x}"
            item = QueueItem(sha256, f"{i}.wav", ".wav", 1, "", f"page{i % 50}", "", "", None)
            fields = {"confidence": 3, "consent": True, "created": ""}
            yield LabelledClip(
                item,
                tuple(
                    Label(audio_sha256=sha256, annotator=who, label="spoof", id=f"{i}{who}", **fields)
                    for who in ("ann", "bob")
                ),
            )

    def audio_path(self, sha256: str) -> Path:
        return self._audio


def test_memory_does_not_grow_with_the_number_of_clips(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "_bring_audio", lambda original, form, chosen, link: form.audio(chosen))
    peaks = []
    for count in (300, 3_000):
        store = ManyClips(count, tmp_path)
        tracemalloc.start()
        write_export(store, tmp_path / f"out{count}", "csv")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0] + 200_000


def test_the_command_writes_and_tells(
    store: LabelStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--labels", str(tmp_path / "data"), "--form", "csv", "--seed", "5"]
    assert main(["export", *arguments, "--out", str(tmp_path / "a")]) == 0
    told = capsys.readouterr().out
    assert "10 clips" in told
    assert "train: 4 bona fide, 4 spoof" in told
    assert main(["export", *arguments, "--out", str(tmp_path / "a")]) == 2
    assert "is there already" in capsys.readouterr().err
    assert main(["export", "--labels", str(tmp_path), "--form", "csv", "--out", str(tmp_path / "b")]) == 2
    assert "no label store" in capsys.readouterr().err
    assert not (tmp_path / "labels.sqlite3").exists()


def test_regions_of_both_people_reach_the_table(store: LabelStore, tmp_path: Path) -> None:
    text = (export(store, tmp_path, "csv").folder / "manifest.csv").read_text()
    assert text.count('""start"": 0.1') == 2 * len(PAGES)
    assert np.char.count(text, "Vocoder X").item() == len(PAGES)
