"""Fine-tuning, end to end on two kinds of sound that anyone can tell apart: tones and noise."""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import nn

from detectors import finetune
from detectors.__main__ import main
from detectors.audio import sha256_of
from detectors.augment import AugmentConfig
from detectors.calibration import Calibration
from detectors.cards import CARDS
from detectors.checkpoints import WEIGHTS, load_model, read_config, save_model
from detectors.comparison import Comparison, Row, compare
from detectors.config import FakeMambaConfig, FrontEndConfig, SlsConfig
from detectors.corpus import Clip, ClipCache, build_cache, read_manifest
from detectors.errors import DetectorError
from detectors.frontends.heard_once import forget_all
from detectors.frontends.speaker import SpeakerEar
from detectors.labels.records import LabelDraft
from detectors.labels.store import LabelStore
from detectors.material import example_clips, read_base, without
from detectors.models import build_model
from detectors.registry import load_detector
from detectors.tuning import Model, Tuning, TuningViews, before_and_after, tune
from detectors.versions import Versions

FRONT_END = FrontEndConfig(
    layers=2, hidden=32, heads=2, ffn=32, extractor="log_mel", extractor_channels=32, position_kernel=8,
    position_groups=4,
)  # fmt: skip
TINY = {
    "sls": SlsConfig(FRONT_END, window_samples=8_000, hop_samples=8_000, fc_hidden=8),
    "fake_mamba": FakeMambaConfig(
        FRONT_END, window_samples=8_000, hop_samples=8_000, dim=16, layers=1, d_state=4
    ),
}
PLAIN = AugmentConfig(0, 0, 0, 0, 0, 0, 0, 0)


@dataclass(frozen=True)
class Quick(Tuning):
    """Enough for a tiny random model to learn from in seconds."""

    steps: int = 30
    batch_size: int = 8
    head_lr: float = 1e-2
    warmup_steps: int = 2
    hold: float = 0.1
    augment: AugmentConfig = field(default_factory=lambda: PLAIN)


def mistaken(name: str) -> Model:
    """A random model whose scores are lower for tones than for noise."""
    torch.manual_seed(3)
    model = build_model(TINY[name]).eval()
    sounds = np.stack([sound(kind, seed) for kind in (True, False) for seed in range(4)]).astype(np.float32)
    with torch.no_grad():
        scores = model(torch.from_numpy(sounds))[0][:, 1]
        if scores[:4].mean() > scores[4:].mean():
            *_, last = (layer for layer in model.head.modules() if isinstance(layer, nn.Linear))
            for tensor in (last.weight, last.bias):
                tensor.copy_(tensor.flip(0))  # the answers change places
    return model


def sound(is_bonafide: bool, seed: int) -> np.ndarray:
    """0.5 s of a buzz with a pitch of its own (bona fide) or of noise (spoof)."""
    rng = np.random.default_rng([seed, is_bonafide])
    if not is_bonafide:
        return 0.3 * rng.standard_normal(8_000).clip(-3, 3)
    phase = 2 * np.pi * rng.uniform(100, 300) * np.arange(8_000) / 16_000
    return sum(0.3 / k * np.sin(k * phase) for k in range(1, 20))


def write_manifest(
    folder: Path,
    counts: dict[str, int],
    first: int,
    *,
    swap: bool = False,
    kinds: tuple[bool, ...] = (True, False),
) -> Path:
    """Clips of both kinds, so many a split, and the CSV that names them; swap: with the wrong labels."""
    folder.mkdir()
    rows = [["path", "utt_id", "label", "split", "source"]]
    number = first
    for split, count in counts.items():
        for i in range(count):
            is_tone = kinds[i % len(kinds)]
            number += 1
            soundfile.write(folder / f"{number}.wav", sound(is_tone, number), 16_000)
            label = "bonafide" if is_tone != swap else "spoof"
            rows.append([f"{number}.wav", f"utt{number}", label, split, f"{split}{is_tone}"])
    with (folder / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder / "manifest.csv"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(finetune, "Tuning", Quick)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Tiny random detectors in the place of the shipped ones, which take noise for a human voice."""
    folders = {}
    for name in TINY:
        folders[name] = tmp_path / f"{name}-mini"
        save_model(mistaken(name), name, folders[name], {"calibration": {"scale": 2.0, "offset": 0.5}})
        card = replace(CARDS[name, "mini"], folder=folders[name], sha256=sha256_of(folders[name] / WEIGHTS))
        monkeypatch.setitem(CARDS, (name, "mini"), card)
    return folders


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """What people labelled: 12 clips to learn from, 8 held back."""
    return write_manifest(tmp_path / "labelled", {"train": 12, "dev": 8}, 0)


def tell(tmp_path: Path, labelled: Path, *more: str | Path) -> list[str]:
    """The command's arguments."""
    fixed = ["finetune", "--detector", "sls", "--labels", labelled, "--versions", tmp_path / "data"]
    return [str(word) for word in [*fixed, "--cache", tmp_path / "cache", "--train", "all", *more]]


def learnt(tmp_path: Path) -> Versions:
    return Versions(tmp_path / "data")


# The command


@pytest.mark.parametrize(
    ("name", "train"), [("sls", "lora"), ("sls", "heads"), ("fake_mamba", "all"), ("fake_mamba", "lora")]
)
def test_a_detector_gets_better_and_is_used_from_then_on(
    name: str, train: str, tmp_path: Path, labelled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = write_manifest(tmp_path / "base", {"train": 8, "dev": 8}, 100)
    assert main(tell(tmp_path, labelled, "--base", base, "--detector", name, "--train", train)) == 0
    told = capsys.readouterr().out
    (version,) = learnt(tmp_path).all(name, "mini")
    assert learnt(tmp_path).current(name, "mini") == version
    held_back = version.facts["eer"]["held-back labelled"]
    assert held_back["after"] < held_back["before"]
    assert f"| held-back labelled | 4 | 4 | {held_back['before']:.1f} | {held_back['after']:.1f} |" in told
    assert "| dev, macro | 4 | 4 |" in told
    # The same through the files that were written, as the app loads them.
    detector = load_detector(name, device="cpu", data=tmp_path / "data")
    assert detector.version == version.name
    assert detector.calibration != Calibration(2.0, 0.5)
    llrs = {
        tone: [detector.analyze(sound(tone, seed)).llr for seed in range(50, 54)] for tone in (True, False)
    }
    assert np.mean(llrs[True]) > np.mean(llrs[False])


def test_the_version_says_how_it_was_made(tmp_path: Path, labelled: Path) -> None:
    assert main(tell(tmp_path, labelled, "--seed", "7")) == 0
    (version,) = learnt(tmp_path).all("sls", "mini")
    facts = read_config(version.folder)["finetuned"]
    assert facts["clips"] == 12
    assert facts["counts"]["held back"] == {"bonafide": 4, "spoof": 4}
    assert facts["counts"]["replayed"] == {"bonafide": 3, "spoof": 3}
    assert facts["tuning"]["seed"] == 7
    assert facts["from"] == "sls-mini"
    for text in (
        "--seed 7",
        "| held back | 4 | 4 |",
        "| held-back labelled | 4 | 4 |",
        "all weights",
        "not fitted anew",
    ):
        assert text in version.card
    assert load_detector("sls", device="cpu", data=tmp_path / "data").calibration == Calibration(2.0, 0.5)


def test_the_next_run_starts_from_the_version_in_use(tmp_path: Path, labelled: Path) -> None:
    assert main(tell(tmp_path, labelled, "--steps", "6")) in (0, 1)
    first = learnt(tmp_path).current("sls", "mini")
    assert first is not None
    main(tell(tmp_path, labelled))
    newest = learnt(tmp_path).all("sls", "mini")[0]
    if newest != first:
        assert newest.facts["from"] == first.name


def test_without_a_base_it_says_what_guards_the_detector(
    tmp_path: Path, labelled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(tell(tmp_path, labelled)) == 0
    told = capsys.readouterr()
    assert "shipped examples are replayed" in told.err
    assert "is not measured" in told.err
    assert "dev" not in told.out.split("Kept")[0]


def test_a_model_that_is_not_better_is_refused(
    tmp_path: Path, labelled: Path, shipped: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(tell(tmp_path, labelled, "--steps", "0")) == 1
    assert "Not kept: its EER on the held-back labelled clips is not lower" in capsys.readouterr().out
    assert learnt(tmp_path).all("sls", "mini") == []
    plain = sha256_of(shipped["sls"] / WEIGHTS)[:12]
    assert load_detector("sls", device="cpu", data=tmp_path / "data").version == plain


def test_a_model_that_forgets_is_refused(
    tmp_path: Path, labelled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Dev has every label the wrong way round: what learns from the labelled clips gets worse there."""
    dev = write_manifest(tmp_path / "base", {"dev": 16}, 200, swap=True)
    build_cache(tmp_path / "caches" / "dev", read_manifest(dev, "dev"), 0, 0)
    assert main(tell(tmp_path, labelled, "--base", tmp_path / "caches")) == 1
    assert "macro EER on dev rose by more than 1 point" in capsys.readouterr().out
    assert learnt(tmp_path).current("sls", "mini") is None


def test_the_app_s_store_is_learnt_from_and_given_the_version(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    store = LabelStore(folder)
    for i in range(20):
        clip = tmp_path / f"{i}.wav"
        soundfile.write(clip, sound(i % 2 == 0, i), 16_000)
        item, _ = store.enqueue(clip, clip.name, source=f"page{i % 10}")
        for annotator in ("ann", "bob"):
            answer = "bonafide" if i % 2 == 0 else "spoof"
            draft = LabelDraft(
                audio_sha256=item.sha256, annotator=annotator, label=answer, confidence=5, consent=True
            )
            store.add(draft, clip)
    store.close()
    arguments = [
        "finetune",
        "--labels",
        str(folder),
        "--detector",
        "sls",
        "--train",
        "all",
        "--held-back",
        "0.4",
    ]
    assert main(arguments) == 0
    version = Versions(folder).current("sls", "mini")
    assert version is not None
    assert version.facts["clips"] == 12
    assert "2 people agree on each" in version.card


def test_the_same_command_gives_the_same_weights(tmp_path: Path, labelled: Path) -> None:
    names = []
    for run in ("a", "b"):
        main(tell(tmp_path, labelled, "--versions", tmp_path / run, "--steps", "10"))
        names.append([version.name for version in Versions(tmp_path / run).all("sls", "mini")])
    assert names[0] == names[1]


# What cannot be done is said


def test_allm4add_learns_by_another_command(
    tmp_path: Path, labelled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(tell(tmp_path, labelled, "--detector", "allm4add")) == 2
    said = capsys.readouterr().err
    assert "export --labels FOLDER --form messages" in said
    assert "train allm4add" in said


@pytest.mark.parametrize(
    ("labels", "message"),
    [("nowhere", "neither a label store nor an export"), ("empty.csv", "is empty")],
)
def test_labels_that_are_not_there_are_named(
    tmp_path: Path, labels: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty.csv").write_text("")
    assert main(tell(tmp_path, tmp_path / labels)) == 2
    assert message in capsys.readouterr().err


def test_a_base_that_is_neither_manifest_nor_cache_is_named(
    tmp_path: Path, labelled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(tell(tmp_path, labelled, "--base", tmp_path)) == 2
    assert "neither a manifest" in capsys.readouterr().err


def test_one_class_alone_needs_a_base_to_be_measured_against(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fakes = write_manifest(tmp_path / "fakes", {"train": 6, "dev": 4}, 300, kinds=(False,))
    assert main(tell(tmp_path, fakes, "--steps", "1")) == 2
    assert "All 4 held-back clips are spoof" in capsys.readouterr().err
    base = write_manifest(tmp_path / "base", {"train": 8, "dev": 8}, 400)
    assert main(tell(tmp_path, fakes, "--base", base)) == 0
    (version,) = learnt(tmp_path).all("sls", "mini")
    assert "4 bona fide clips of dev" in version.card


def test_a_clip_that_cannot_be_read_is_left_out_and_named(
    tmp_path: Path, labelled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (labelled.parent / "1.wav").write_bytes(b"RIFF, but no sound")
    main(tell(tmp_path, labelled, "--steps", "1"))
    assert "utt1 is left out: " in capsys.readouterr().err


# The parts


def caches(tmp_path: Path) -> tuple[ClipCache, ClipCache]:
    manifests = [
        write_manifest(tmp_path / name, {"train": 8}, first) for name, first in (("one", 500), ("two", 600))
    ]
    one, two = (build_cache(m.parent / "cache", read_manifest(m, "train"), 0, 0) for m in manifests)
    return one, two


def test_every_batch_is_half_bona_fide_and_half_replay(tmp_path: Path) -> None:
    views = TuningViews(*caches(tmp_path), Quick(steps=4), 8_000, hold_all=False)
    rows = [views[k] for k in range(len(views))]
    assert len(rows) == 32
    assert sum(label for _, label, _ in rows) == 16
    for label in (0, 1):
        assert sum(held for _, of, held in rows if of == label) == 8
    assert torch.equal(views[5][0], TuningViews(*caches_again(tmp_path), Quick(steps=4), 8_000, False)[5][0])


def caches_again(tmp_path: Path) -> tuple[ClipCache, ClipCache]:
    return ClipCache(tmp_path / "one" / "cache"), ClipCache(tmp_path / "two" / "cache")


def test_a_class_that_nobody_labelled_is_replayed(tmp_path: Path) -> None:
    fakes = write_manifest(tmp_path / "fakes", {"train": 4}, 700, kinds=(False,))
    labelled = build_cache(tmp_path / "cache", read_manifest(fakes, "train"), 0, 0)
    _, replay = caches(tmp_path)
    views = TuningViews(labelled, replay, Quick(steps=4), 8_000, hold_all=False)
    rows = [views[k] for k in range(len(views))]
    assert all(held == 1 for _, label, held in rows if label == 1)
    assert sum(held for _, label, held in rows if label == 0) == 8
    with pytest.raises(DetectorError, match="no bona fide clip"):
        TuningViews(labelled, labelled, Quick(), 8_000, hold_all=False)


@pytest.mark.parametrize("train", ["heads", "lora", "all"])
def test_only_what_should_be_trained_changes_and_the_old_model_does_not(train: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    old = build_model(TINY["fake_mamba"]).eval()
    before = {name: value.clone() for name, value in old.state_dict().items()}
    tuning = Quick(train, steps=3)  # type: ignore[arg-type]
    views = TuningViews(*caches(tmp_path), tuning, 8_000, hold_all=True)
    new = tune(old, views, tuning, "cpu")
    after = new.state_dict()
    assert all(torch.equal(value, before[name]) for name, value in old.state_dict().items())
    assert list(after) == list(before)  # LoRA is merged: the names are those of any checkpoint
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert any(name.startswith("head.") for name in changed)
    assert not any("running_" in name for name in changed)
    front = {name for name in changed if name.startswith("front_end.")}
    if train == "heads":
        assert not front
    elif train == "lora":
        assert front
        assert all(".attention." in name and name.endswith("_proj.weight") for name in front)
    else:
        assert any("feature_extractor" in name for name in front)


@pytest.mark.parametrize("train", ["lora", "all"])
def test_the_judge_of_a_speaker_network_learns_too_and_its_ear_hears_a_view_once(
    train: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    config = replace(TINY["fake_mamba"], front_end=replace(FRONT_END, speaker_blocks=1), speaker_weight=0.5)
    old = build_model(config).eval()
    forget_all()
    heard: list[torch.Tensor] = []
    listen = SpeakerEar._listen
    monkeypatch.setattr(SpeakerEar, "_listen", lambda ear, wave: (heard.append(wave), listen(ear, wave))[1])
    tuning = Quick(train, steps=2)  # type: ignore[arg-type]
    new = tune(old, TuningViews(*caches(tmp_path), tuning, 8_000, hold_all=True), tuning, "cpu")
    assert len(heard) == 2
    before, after = (model.front_end.speaker.state_dict() for model in (old, new))
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert changed == {f"judge.{layer}.{of}" for layer in (1, 4) for of in ("weight", "bias")}


def test_sls_learns_the_same_at_every_place_of_the_window(tmp_path: Path) -> None:
    torch.manual_seed(0)
    old = build_model(TINY["sls"]).eval()
    tuning = Quick("heads", steps=3)
    new = tune(old, TuningViews(*caches(tmp_path), tuning, 8_000, hold_all=True), tuning, "cpu")
    change = (new.head.fc1.weight - old.head.fc1.weight).unflatten(1, (TINY["sls"].slots, -1))
    decay = 1e-3 * old.head.fc1.weight.abs().max()  # weight decay alone differs from place to place
    assert change.abs().max() > 3 * decay
    assert (change - change.mean(1, keepdim=True)).abs().max() < decay


def test_both_models_are_judged_side_by_side(tmp_path: Path) -> None:
    torch.manual_seed(0)
    old, new = build_model(TINY["sls"]).eval(), build_model(TINY["sls"]).eval()
    wave = torch.randn(2, 8_000)
    answers = before_and_after(old, new)(wave)
    assert torch.equal(answers["before"], old(wave)[0])
    assert torch.equal(answers["after"], new(wave)[0])


def comparison(held_back: tuple[float, float], macro: tuple[float, float] | None) -> Comparison:
    row = Row("dev, macro", 5, 5, *macro) if macro else None
    return Comparison(Row("held-back labelled", 5, 5, *held_back), row, row)


@pytest.mark.parametrize(
    ("held_back", "macro", "objections"),
    [
        ((40, 20), (30, 31), 0),
        ((40, 20), None, 0),
        ((40, 40), (30, 20), 1),
        ((40, 20), (30, 31.1), 1),
        ((40, 41), (30, 40), 2),
    ],
)
def test_what_may_stay(
    held_back: tuple[float, float], macro: tuple[float, float] | None, objections: int
) -> None:
    assert len(comparison(held_back, macro).objections()) == objections


def test_eers_before_and_after_can_be_counted_by_hand() -> None:
    human, fake = Clip("h", "", True, "mic"), Clip("f", "", False, "tts")
    before = np.array([0.0, 1.0, 2.0, 3.0])  # human, human, fake, fake: all wrong
    found = compare(
        [human, human, fake, fake],
        {"before": before, "after": before[::-1].copy()},
        [human, fake],
        {"before": np.array([1.0, 0.0]), "after": np.array([0.0, 1.0])},
    )
    assert (found.held_back.before, found.held_back.after) == (100, 0)
    assert found.macro is not None
    assert (found.macro.before, found.macro.after) == (0, 100)


def test_clips_that_were_learnt_from_are_no_part_of_dev(tmp_path: Path) -> None:
    one, two = caches(tmp_path)
    assert len(without(one, one)) == 0
    rest = without(two, one)
    assert [rest.clips, rest.variants(3)] == [two.clips, 1]
    np.testing.assert_array_equal(rest.wave(3), two.wave(3))


def test_a_folder_of_caches_is_a_base(tmp_path: Path) -> None:
    one, _ = caches(tmp_path)
    (tmp_path / "base").mkdir()
    (tmp_path / "one" / "cache").rename(tmp_path / "base" / "train")
    base = read_base(tmp_path / "base", tmp_path / "unused")
    assert base.dev is None
    assert base.replay is not None
    assert base.replay.clips == one.clips


def test_the_shipped_examples_have_both_kinds() -> None:
    clips = example_clips()
    assert {clip.is_bonafide for clip in clips} == {True, False}
    assert all(Path(clip.path).is_file() for clip in clips)


def test_what_is_measured_is_what_is_saved(tmp_path: Path, labelled: Path) -> None:
    main(tell(tmp_path, labelled, "--steps", "5"))
    for version in learnt(tmp_path).all("sls", "mini"):
        assert json.loads((version.folder / "config.json").read_text())["preset"] == "mini"
        loaded = load_model(version.folder, "sls")
        assert all(torch.equal(p, p.half().float()) for p in loaded.parameters())
