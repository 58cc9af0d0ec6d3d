"""Training, end to end on two kinds of sound that anyone can tell apart: tones and noise."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file
from torch import Tensor, nn

from detectors.__main__ import main
from detectors.augment import AugmentConfig
from detectors.checkpoints import load_model, read_config
from detectors.corpus import Clip, ClipCache, build_cache, read_manifest
from detectors.dev_scores import clip_scores, eer_by_source, score_clips, single, weighted_loss
from detectors.errors import DetectorError
from detectors.head_start import HeadStartConfig, KeptFeatures
from detectors.recipe import Recipe, read_recipe
from detectors.train import Run, learning_rate_factor, train
from detectors.views import Spliced, Views, draw_odds
from tests.detectors.speaker_wheel import network, wheel_of

pytestmark = pytest.mark.usefixtures("on_the_cpu")

ROOT = Path(__file__).parents[2]
DETECTORS = ["sls", "fake_mamba"]
#: Folders that a run writes into, by what the recipe calls them.
PLACES = (("output", "out"), ("cache", "cache"))
RECIPE = """
manifest: {folder}/manifest.csv
output_dir: {folder}/out
cache_dir: {folder}/cache
front_end: {{layers: 2, hidden: 32, heads: 2, ffn: 32, extractor: log_mel, extractor_channels: 32,
            position_kernel: 8, position_groups: 4}}
models:
  sls: {{window_samples: 8000, hop_samples: 8000, fc_hidden: 8}}
  fake_mamba: {{window_samples: 8000, hop_samples: 8000, dim: 16, layers: 1, d_state: 4}}
augment: {{coded: 0, trim: 0, speed: 0, room: 0, low_pass: 0, rawboost: 0, noise_floor: 0, clipping: 0}}
coded_variants: 0
copy_synthesis: 0
batch_size: 4
steps: 30
warmup_steps: 3
evaluate_every: 15
front_end_lr: 0.001
extractor_lr: 0.001
head_lr: 0.003
average: 0.8
threads: 1
"""


def sound(is_bonafide: bool, seed: int) -> np.ndarray:
    """0.6 s of a buzz with a pitch of its own (bona fide) or of noise (spoof)."""
    rng = np.random.default_rng([seed, is_bonafide])
    if not is_bonafide:
        return 0.3 * rng.standard_normal(9_600).clip(-3, 3)
    phase = 2 * np.pi * rng.uniform(100, 300) * np.arange(9_600) / 16_000
    return sum(0.3 / k * np.sin(k * phase) for k in range(1, 20))


def new_sounds(is_bonafide: bool) -> list[np.ndarray]:
    return [sound(is_bonafide, seed).astype(np.float32) for seed in range(50, 55)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 clips to train on and 6 to evaluate on, half of them tones, with a recipe."""
    folder = tmp_path_factory.mktemp("corpus")
    rows = ["path,utt_id,label,split,source"]
    for i in range(18):
        is_bonafide, split = i % 2 == 0, "train" if i < 12 else "dev"
        soundfile.write(folder / f"{i}.wav", sound(is_bonafide, i), 16_000, subtype="PCM_16")
        rows.append(f"{i}.wav,utt{i},{'bonafide' if is_bonafide else 'spoof'},{split},src{i % 4}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    (folder / "recipe.yaml").write_text(RECIPE.format(folder=folder))
    return folder


@pytest.fixture
def recipe(folder: Path, tmp_path: Path) -> Recipe:
    """The recipe with an output folder of the test's own."""
    return replace(read_recipe(folder / "recipe.yaml", DETECTORS), output_dir=str(tmp_path / "out"))


@pytest.fixture
def cache(folder: Path, tmp_path: Path) -> ClipCache:
    return build_cache(tmp_path / "cache", read_manifest(folder / "manifest.csv", "train"), 1, 1)


def log_of(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_both_detectors_learn_to_tell_tones_from_noise(folder: Path) -> None:
    assert main(["train", *DETECTORS, "--config", str(folder / "recipe.yaml")]) == 0
    entries = log_of(folder / "out")
    assert [entry["step"] for entry in entries if "dev" in entry] == [15, 30]
    for name in DETECTORS:
        # Clips that no training step has seen, through the files that were written.
        model = load_model(folder / "out" / name, name)
        real, fake = (
            score_clips(single(name, model), model.config, new_sounds(label), "cpu")[name]
            for label in (True, False)
        )
        assert real.min() > fake.max()
        config = read_config(folder / "out" / name)
        assert config["step"] in (15, 30)
        assert config["dev_eer"] == {
            "pooled": 0,
            "macro": 0,
            "bonafide": 3,
            "spoof": 3,
            "sources": {"src1": {"eer": 0, "spoof": 2}, "src3": {"eer": 0, "spoof": 1}},
        }


def test_the_loss_of_each_detector_falls_and_is_logged(
    recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses: list[dict[str, float]] = []
    step = Run.train_step

    def recorded(run: Run, jury: nn.Module, wave: Tensor, label: Tensor) -> dict[str, float]:
        losses.append(step(run, jury, wave, label))
        return losses[-1]

    monkeypatch.setattr(Run, "train_step", recorded)
    train(recipe)
    assert len(losses) == recipe.steps
    for name in DETECTORS:
        first, last = (np.mean([loss[name] for loss in part]) for part in (losses[:5], losses[-5:]))
        assert last < 0.6 * first
    (logged,) = [entry for entry in log_of(Path(recipe.output_dir)) if "loss" in entry]
    means = {name: np.mean([loss[name] for loss in losses[:25]]) for name in DETECTORS}
    assert logged == {"step": 25, "loss": pytest.approx(means)}


class Killed(Exception):
    """Stands for a machine that goes away."""


def kill_at(step: int, original: Callable[..., dict[str, float]]) -> Callable[..., dict[str, float]]:
    def train_step(run: Run, *batch: Tensor) -> dict[str, float]:
        if run.step == step:
            raise Killed
        return original(run, *batch)

    return train_step


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"average": 0.0, "average_best": 2, "watch": "train_loss", "patience": 2},
        {"epochs": 4, "batch_size": 2, "accumulate": 2, "evaluate_every": 5, "optimizer": "adam"},
    ],
)
def test_a_run_that_was_killed_goes_on_to_the_same_weights(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict
) -> None:
    recipe = replace(recipe, **({"steps": 20, "evaluate_every": 5} | changes))
    whole, cut = (replace(recipe, output_dir=str(tmp_path / name)) for name in ("whole", "cut"))
    train(whole)
    with monkeypatch.context() as patch:
        patch.setattr(Run, "train_step", kill_at(7, Run.train_step))
        with pytest.raises(Killed):
            train(cut)
    assert torch.load(tmp_path / "cut" / "last.pt")["step"] == 5
    train(cut)
    expected, found = (torch.load(tmp_path / name / "last.pt") for name in ("whole", "cut"))
    assert found["step"] == expected["step"] > 7
    for part in ("jury", "averaged"):
        for name, value in expected[part].items():
            torch.testing.assert_close(found[part][name], value, atol=1e-5, rtol=0, msg=f"{part} {name}")
    assert found["ranking"] == expected["ranking"]
    for name in DETECTORS:
        results = [load_file(tmp_path / run / name / "model.safetensors") for run in ("whole", "cut")]
        for key, value in results[0].items():
            torch.testing.assert_close(results[1][key], value, msg=f"{name} {key}")
    evaluations = [[e["step"] for e in log_of(tmp_path / n) if "dev" in e] for n in ("whole", "cut")]
    assert evaluations[0] == evaluations[1]


def test_a_run_of_other_models_is_not_gone_on_with(recipe: Recipe) -> None:
    train(replace(recipe, steps=1))
    with pytest.raises(
        DetectorError, match=r"last\.pt does not fit the model\. .*Not known: heads\.fake_mamba"
    ):
        train(replace(recipe, models={"sls": recipe.models["sls"]}))


def figures_of(monkeypatch: pytest.MonkeyPatch, figures: list[float]) -> None:
    """Let evaluations find these figures, one after another."""
    left = iter(figures)
    monkeypatch.setattr(Run, "_figure", lambda *_: next(left))


def test_a_run_ends_when_nothing_got_better_for_so_long(
    recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(recipe, steps=9, evaluate_every=1, patience=3)
    figures_of(monkeypatch, [5, 4, 4, 6, 3, 3, 7, 8, 1])
    train(recipe)
    assert [entry["step"] for entry in log_of(Path(recipe.output_dir))] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert read_config(Path(recipe.output_dir) / "sls")["step"] == 5
    train(recipe)  # it is over
    assert len(log_of(Path(recipe.output_dir))) == 8


def test_the_mean_of_the_best_is_shipped(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = replace(recipe, steps=4, evaluate_every=1, average=0.0, average_best=2)
    live: list[dict[str, Tensor]] = []
    record = Run.record

    def recorded(run: Run, entry: dict) -> None:
        live.append({name: value.clone() for name, value in run.jury.state_dict().items()})
        record(run, entry)

    monkeypatch.setattr(Run, "record", recorded)
    figures_of(monkeypatch, [5, 2, 7, 3])
    train(recipe)
    folder = Path(recipe.output_dir)
    assert read_config(folder / "sls")["mean_of_steps"] == [2, 4]
    assert log_of(folder)[-1]["mean_of_steps"] == [2, 4]
    assert {path.name for path in (folder / "best").iterdir()} == {"step-2.pt", "step-4.pt"}
    shipped = load_file(folder / "sls" / "model.safetensors")
    for name in ("fc1.weight", "first_bn.running_mean"):
        expected = (live[1][f"heads.sls.{name}"] + live[3][f"heads.sls.{name}"]) / 2
        torch.testing.assert_close(shipped[f"head.{name}"].float(), expected, atol=1e-3, rtol=1e-3)
    before = (folder / "log.jsonl").read_text()
    train(recipe)  # it is done already
    assert (folder / "log.jsonl").read_text() == before


def test_what_is_watched_tells_the_best(recipe: Recipe) -> None:
    recipe = replace(recipe, steps=4, evaluate_every=2)
    for watch in ("dev_eer", "dev_loss", "train_loss"):
        watching = replace(recipe, watch=watch, output_dir=f"{recipe.output_dir}-{watch}")
        train(watching)
        found = torch.load(Path(watching.output_dir) / "last.pt")["best"]
        entries = log_of(Path(watching.output_dir))
        if watch == "dev_eer":
            reports = [entry["dev"].values() for entry in entries]
            figures = [np.mean([r["pooled"] + r["macro"] for r in report]) for report in reports]
        elif watch == "dev_loss":
            figures = [np.mean(list(entry["dev_loss"].values())) for entry in entries]
        else:
            continue  # fewer than 25 steps are not logged; see the test of a killed run
        assert found == pytest.approx(min(figures))


def test_the_weighted_loss_by_hand() -> None:
    # Logits [0, ln 3] say 75 % bona fide: the bona fide clip loses -ln 0.75, the spoof -ln 0.25.
    odds, bonafide = np.log([3.0, 3.0]), np.array([True, False])
    assert weighted_loss(odds, bonafide, (0.1, 0.9)) == pytest.approx(
        -0.9 * np.log(0.75) - 0.1 * np.log(0.25)
    )
    # As torch has it, which weighs the mean in the same way.
    rng = np.random.default_rng(0)
    logits, labels = torch.from_numpy(rng.standard_normal((9, 2))), torch.arange(9) % 3 == 0
    expected = nn.functional.cross_entropy(logits, labels.long(), weight=torch.tensor([0.1, 0.9]).double())
    odds = (logits[:, 1] - logits[:, 0]).numpy()
    assert weighted_loss(odds, labels.numpy(), (0.1, 0.9)) == pytest.approx(expected.item())


def test_accumulated_parts_learn_as_one_large_batch(recipe: Recipe, tmp_path: Path) -> None:
    """Batch norms see the parts one by one; Fake-Mamba's and SLS's are set to leave what they see."""
    found = []
    for accumulate in (1, 4):
        run = Run(
            replace(recipe, accumulate=accumulate, class_weights=(0.1, 0.9), clip_grad=0.0, warmup_steps=0)
        )
        for module in run.jury.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 0.0
                module.eval()
        torch.manual_seed(0)
        losses = run.train_step(run.jury, 0.1 * torch.randn(8, 8_000), torch.arange(8) % 3 % 2)
        found.append(
            (losses, {name: p.grad for name, p in run.jury.named_parameters() if p.grad is not None})
        )
    assert found[1][0] == pytest.approx(found[0][0], rel=1e-4)
    for name, gradient in found[0][1].items():
        torch.testing.assert_close(found[1][1][name], gradient, atol=1e-6, rtol=1e-3, msg=name)


def test_passes_bring_every_clip_once_before_any_comes_again(cache: ClipCache, recipe: Recipe) -> None:
    views = Views(cache, recipe, 8_000, in_passes=True)
    orders = [[views._drawn(k)[0] for k in range(n * len(cache), (n + 1) * len(cache))] for n in range(3)]
    for order in orders:
        assert sorted(order) == list(range(len(cache)))
    assert orders[0] != orders[1] != orders[2]
    again = Views(cache, recipe, 8_000, in_passes=True)  # a run that goes on begins anywhere
    assert [again._drawn(k)[0] for k in (30, 2)] == [orders[2][6], orders[0][2]]


def test_the_rates_may_stay_and_adam_decays_by_the_gradient(recipe: Recipe) -> None:
    flat = replace(recipe, lr_floor=1.0, warmup_steps=0, optimizer="adam", weight_decay=0.5)
    assert [learning_rate_factor(step, flat) for step in (0, 10, 1_000)] == [1, 1, 1]
    optimizer = Run(flat).optimizer
    assert type(optimizer) is torch.optim.Adam
    assert {group["weight_decay"] for group in optimizer.param_groups} == {0.5}


def test_a_batch_that_the_processes_cannot_share_is_refused(
    recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("accelerate.Accelerator.num_processes", 3)
    with pytest.raises(DetectorError, match="batch of 4 cannot be shared by 3 processes"):
        Run(recipe)


def test_half_precision_needs_a_gpu_and_tensorboard_its_package(
    recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DetectorError, match="fp16 needs a CUDA GPU"):
        Run(replace(recipe, mixed_precision="fp16"))
    monkeypatch.setattr("detectors.devices.find_spec", lambda _: None)
    with pytest.raises(DetectorError, match="tensorboard, which is not installed: pip install tensorboard"):
        Run(replace(recipe, tensorboard=True))


@pytest.fixture
def _fresh_accelerate() -> Iterator[None]:
    """Accelerate keeps the precision of the first run of a process; forget it, before and after."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.mark.usefixtures("_fresh_accelerate")
def test_half_precision_is_for_learning_and_not_for_scores(recipe: Recipe) -> None:
    half = replace(recipe, mixed_precision="bf16", steps=2, evaluate_every=2, average=0.0)
    train(half)
    model = load_model(Path(recipe.output_dir) / "sls", "sls")
    assert all(torch.isfinite(p).all() for p in model.parameters())
    run = Run(half)
    wave = 0.1 * torch.randn(2, 8_000)
    expected = run.jury.eval()(wave)
    prepared = run.accelerator.prepare(run.jury)
    for name in DETECTORS:
        assert not torch.equal(prepared(wave)[name], expected[name])
        torch.testing.assert_close(run.jury.judge(wave)[name], expected[name], rtol=0, atol=0)


def test_tensorboard_shows_losses_and_error_rates(recipe: Recipe) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(replace(recipe, tensorboard=True, steps=25, evaluate_every=25))
    (entry,) = [entry for entry in log_of(Path(recipe.output_dir)) if "dev" in entry]
    events = EventAccumulator(str(Path(recipe.output_dir) / "spooflens"))
    events.Reload()
    for name in DETECTORS:
        assert [e.step for e in events.Scalars(f"train loss/{name}")] == [25]
        (shown,) = events.Scalars(f"dev EER/{name}, pooled")
        assert shown.value == pytest.approx(entry["dev"][name]["pooled"])
        (shown,) = events.Scalars(f"dev loss/{name}")
        assert shown.value == pytest.approx(entry["dev_loss"][name])


#: On GPUs, accelerate's launcher starts the processes as torch's does; on a CPU it starts one only.
LAUNCHERS = {
    "one": ["accelerate.commands.launch", "--cpu", "--num_processes", "1", "-m"],
    "two": ["torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m"],
}


def test_a_launched_run_shares_its_batches_among_the_processes(folder: Path, tmp_path: Path) -> None:
    """Two processes learn what one learns, but for the batch norms, which see half as many clips at once."""
    text = (folder / "recipe.yaml").read_text().replace("steps: 30", "steps: 4")
    text = text.replace("evaluate_every: 15", "evaluate_every: 2\naccumulate: 2\naverage_best: 2")
    losses = []
    for name, launcher in LAUNCHERS.items():
        (tmp_path / "recipe.yaml").write_text(text.replace(f"{folder}/out", str(tmp_path / name)))
        command = [sys.executable, "-m", *launcher, "detectors", "train", "sls"]
        command += ["--config", str(tmp_path / "recipe.yaml")]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        ended = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stderr
        assert "training: 100%" in ended.stderr
        entries = log_of(tmp_path / name)
        assert [entry["step"] for entry in entries] == [2, 4, 4]
        assert entries[2]["mean_of_steps"] == read_config(tmp_path / name / "sls")["mean_of_steps"] == [2, 4]
        clips_of_a_process = 6 // (1 if name == "one" else 2)
        assert f"| {clips_of_a_process}/{clips_of_a_process} [" in ended.stderr
        losses.append([entry["dev_loss"]["sls"] for entry in entries])
    assert losses[1] == pytest.approx(losses[0], rel=0.05)


def test_a_finished_run_is_left_as_it_is(recipe: Recipe) -> None:
    recipe = replace(recipe, steps=2, evaluate_every=2)
    train(recipe)
    files = [Path(recipe.output_dir) / name for name in ("last.pt", "log.jsonl", "sls/model.safetensors")]
    before = [(file.stat().st_mtime_ns, file.read_bytes()) for file in files]
    train(recipe)
    assert [(file.stat().st_mtime_ns, file.read_bytes()) for file in files] == before


def test_only_a_better_evaluation_replaces_the_shipped_weights(
    recipe: Recipe, folder: Path, tmp_path: Path
) -> None:
    dev = build_cache(tmp_path / "dev", read_manifest(folder / "manifest.csv", "dev"), 0, 1)
    run = Run(recipe)
    run.best = -1.0  # no error rate is better
    run.evaluate(dev)
    assert not (run.folder / "sls").exists()
    run.best, run.step = 1_000.0, 7
    reports = run.evaluate(dev)
    assert run.best == pytest.approx(np.mean([r["pooled"] + r["macro"] for r in reports.values()]))
    for name in DETECTORS:
        assert read_config(run.folder / name)["step"] == 7


def test_the_shipped_weights_are_the_average_and_follow_the_live_ones(recipe: Recipe) -> None:
    run = Run(recipe)
    run.recipe = replace(recipe, average=0.75)
    with torch.no_grad():
        for parameter in run.jury.parameters():
            parameter.add_(1.0)
    before = {name: value.clone() for name, value in run.averaged.state_dict().items()}
    run.step = 1_000
    run._average()
    for name, value in run.averaged.named_parameters():
        torch.testing.assert_close(value, before[name] + 0.25)
    # After the first step the start counts for 1 part in 11 only.
    run.step = 1
    run._average()
    for name, value in run.averaged.named_parameters():
        torch.testing.assert_close(value, before[name] + 1 - 0.75 / 11)


def test_one_detector_can_be_trained_from_the_front_end_of_another(recipe: Recipe, tmp_path: Path) -> None:
    train(replace(recipe, steps=2, evaluate_every=2))
    start = Path(recipe.output_dir) / "sls"
    models = {"fake_mamba": recipe.models["fake_mamba"]}
    alone = replace(recipe, models=models, init=f"detector:{start}", output_dir=str(tmp_path))
    expected = load_model(start, "sls").front_end.state_dict()
    for name, value in Run(alone).jury.front_end.state_dict().items():
        torch.testing.assert_close(value, expected[name])


def test_the_detectors_share_one_front_end(recipe: Recipe) -> None:
    jury = Run(recipe).jury
    assert all(member.front_end is jury.front_end for member in jury.members.values())
    parameters = [id(p) for p in (*jury.front_end.parameters(), *jury.heads.parameters())]
    assert sorted(parameters) == sorted(id(p) for p in jury.parameters())  # each is trained, each once
    logits = jury(torch.zeros(3, 8_000))
    assert {name: tuple(value.shape) for name, value in logits.items()} == {n: (3, 2) for n in DETECTORS}


def test_views_depend_on_the_seed_and_the_number_alone(cache: ClipCache, recipe: Recipe) -> None:
    recipe = replace(recipe, augment=AugmentConfig())
    views, again = Views(cache, recipe, 8_000), Views(cache, recipe, 8_000)
    other = Views(cache, replace(recipe, seed=recipe.seed + 1), 8_000)
    numbers = [7, 0, 3, 100_000]
    for k in numbers:
        (wave, label), (wave_again, label_again) = views[k], again[k]
        assert wave.shape == (8_000,)
        assert wave.dtype == torch.float32
        assert label == label_again
        torch.testing.assert_close(wave, wave_again, rtol=0, atol=0)
    assert not all(torch.equal(views[k][0], other[k][0]) for k in numbers)
    assert not torch.equal(views[0][0], views[1][0])


def test_a_view_is_of_the_clip_whose_label_it_bears(cache: ClipCache, recipe: Recipe) -> None:
    views = Views(cache, recipe, 8_000)
    labels = []
    for k in range(30):
        wave, label = views[k]
        spectrum = np.abs(np.fft.rfft(wave.numpy())) ** 2
        is_tone = np.sort(spectrum)[-50:].sum() > 0.8 * spectrum.sum()
        assert label == int(is_tone)
        labels.append(label)
    assert 8 < sum(labels) < 22


def test_coded_views_come_as_often_as_their_chance_says(cache: ClipCache, recipe: Recipe) -> None:
    def drawn(coded: float, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        variants: list[int] = []
        original = cache.wave

        def wave(i: int, variant: int = 0) -> np.ndarray:
            variants.append(variant)
            return original(i, variant)

        monkeypatch.setattr(cache, "wave", wave)
        views = Views(cache, replace(recipe, augment=replace(recipe.augment, coded=coded)), 8_000)
        for k in range(60):
            views[k]
        return variants

    with pytest.MonkeyPatch.context() as patch:
        assert set(drawn(0.0, patch)) == {0}
    with pytest.MonkeyPatch.context() as patch:
        assert set(drawn(1.0, patch)) == {1}
    with pytest.MonkeyPatch.context() as patch:
        assert 15 < sum(drawn(0.5, patch)) < 45


def test_draw_odds_weigh_classes_alike_and_sources_by_the_root_of_their_size() -> None:
    sizes = {(True, "mic"): 100, (False, "big"): 64, (False, "small"): 4}
    clips = [Clip("", "", label, group) for (label, group), n in sizes.items() for _ in range(n)]
    odds = draw_odds(clips)
    assert odds.sum() == pytest.approx(1)
    assert odds[:100].sum() == pytest.approx(0.5)
    assert odds[100:164].sum() == pytest.approx(0.5 * 8 / (8 + 2))
    assert odds[164:].sum() == pytest.approx(0.5 * 2 / (8 + 2))
    assert np.ptp(odds[:100]) == 0


def test_a_source_name_that_both_classes_use_is_two_sources() -> None:
    clips = [Clip("", "", i < 3, "same") for i in range(12)]
    odds = draw_odds(clips)
    np.testing.assert_allclose(odds, [1 / 6] * 3 + [1 / 18] * 9)


def test_draw_odds_of_one_class_still_sum_to_one() -> None:
    assert draw_odds([Clip("", "", False, "x")] * 5) == pytest.approx(np.full(5, 0.2))


def test_the_learning_rate_rises_linearly_then_falls_as_half_a_cosine(recipe: Recipe) -> None:
    recipe = replace(recipe, steps=110, warmup_steps=10)
    factors = np.array([learning_rate_factor(step, recipe) for step in range(111)])
    np.testing.assert_allclose(factors[:10], np.arange(1, 11) / 10)
    assert factors[10] == 1
    assert (np.diff(factors[10:]) < 0).all()
    assert factors[60] == pytest.approx((1 + 0.02) / 2)
    assert factors[110] == pytest.approx(0.02)
    assert learning_rate_factor(1_000, recipe) == pytest.approx(0.02)
    assert learning_rate_factor(0, replace(recipe, warmup_steps=0)) == 1


def test_a_head_start_alone_is_a_run(recipe: Recipe) -> None:
    start = HeadStartConfig(
        views=24, sls_shallow=100, sls_deep=1, fake_mamba_shallow=15, fake_mamba_deep=2,
        dropout=0.1, hidden_dropout=0.1,
    )  # fmt: skip
    recipe = replace(recipe, steps=0, head_start=start)
    before = Run(recipe).jury.front_end.state_dict()
    train(recipe)
    (entry,) = log_of(Path(recipe.output_dir))
    assert entry["step"] == 0
    for name in DETECTORS:
        assert entry["dev"][name]["pooled"] == 0
        model = load_model(Path(recipe.output_dir) / name, name)
        for key, value in model.front_end.state_dict().items():
            torch.testing.assert_close(value, before[key], atol=1e-3, rtol=1e-3)


def changed_recipe(folder: Path, tmp_path: Path, changes: dict[str, str]) -> Path:
    """The recipe in `folder` with other words, and with folders of its own."""
    text = (folder / "recipe.yaml").read_text()
    folders = {f"{part}_dir: {folder}/{name}": f"{part}_dir: {tmp_path}/{name}" for part, name in PLACES}
    for old, new in (changes | folders).items():
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    return path


def test_textures_learn_from_a_corpus_of_their_own_too(folder: Path, tmp_path: Path) -> None:
    noise = tmp_path / "copies"
    noise.mkdir()
    soundfile.write(noise / "copy.wav", sound(False, 99), 16_000, subtype="PCM_16")
    (noise / "list.csv").write_text("path,utt_id,label,split,source\ncopy.wav,copy,spoof,train,src0\n")
    changes = {
        "position_groups: 4}": "position_groups: 4, textures: 2}",
        "dim: 16, ": "dim: 16, texture_weight: 0.5, ",
        "steps: 30": "steps: 0\ntexture_start: {views: 32, passes: 20, batch_size: 16, "
        f"train: [{{protocol: {noise}/list.csv, phase: train}}]}}",
    }
    train(read_recipe(changed_recipe(folder, tmp_path, changes), ["fake_mamba"]))
    assert len(ClipCache(tmp_path / "cache" / "train")) == 12
    assert len(ClipCache(tmp_path / "cache" / "texture-train")) == 13
    model = load_model(tmp_path / "out" / "fake_mamba", "fake_mamba").eval()
    with torch.inference_mode():
        said = [
            model.front_end(torch.from_numpy(np.stack(new_sounds(kind))[:, :8_000])).texture
            for kind in (True, False)
        ]
    assert said[0].min() > said[1].max()


def hearing_voices(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int, start: str, views: int = 0
) -> Recipe:
    """Of Fake-Mamba beside a speaker network's judge, with so many known views, started as `start` says."""
    wheel_of(tmp_path, network(), monkeypatch)
    changes = {
        "position_groups: 4}": f"position_groups: 4, speaker_blocks: 1, speaker_views: {views}}}",
        "dim: 16, ": "dim: 16, speaker_weight: 0.5, ",
        "steps: 30": f"steps: {steps}\nspeaker_start: {{{start}, weights: {tmp_path}}}",
        "evaluate_every: ": "evaluate_every: 2  # ",
    }
    return read_recipe(changed_recipe(folder, tmp_path, changes), ["fake_mamba"])


def test_what_a_speaker_network_hears_is_learnt_from_and_judged(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(hearing_voices(folder, tmp_path, monkeypatch, 2, "views: 32, passes: 20, batch_size: 16"))
    model = load_model(tmp_path / "out" / "fake_mamba", "fake_mamba").eval()
    speaker: Any = model.front_end.speaker
    torch.testing.assert_close(
        speaker.ear.stem.enter.weight, network()["head.conv1.weight"], atol=1e-3, rtol=1e-3
    )
    with torch.inference_mode():
        said = [speaker(torch.from_numpy(np.stack(new_sounds(kind))[:, :8_000])) for kind in (True, False)]
    assert said[0].min() > said[1].max()


def test_the_views_to_compare_with_go_through_changes_of_their_own(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_process: None
) -> None:
    start = "views: 16, passes: 1, known: {trim: 0.125}"
    recipe = hearing_voices(folder, tmp_path, monkeypatch, 0, start, views=24)
    heard: list[tuple[AugmentConfig, int]] = []
    drawn = Views.__getitem__

    def noted(views: Views, k: int) -> tuple[Tensor, int]:
        heard.append((views.how.augment, k))
        return drawn(views, k)

    monkeypatch.setattr(Views, "__getitem__", noted)
    train(recipe)
    assert {k for augment, k in heard if augment == recipe.augment} == set(range(16))
    assert {k for augment, k in heard if augment.trim == 0.125} == set(range(24))


def test_the_last_of_the_known_views_may_be_spliced(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = "views: 16, passes: 1, batch_size: 16, spliced: 8"
    train(hearing_voices(folder, tmp_path, monkeypatch, 0, start, views=24))
    (kept,) = tmp_path.glob("**/known")
    plain, spliced = (KeptFeatures(kept / part).labels for part in ("views", "spliced"))
    assert (len(plain), spliced.tolist()) == (16, [0] * 8)
    weights = load_file(tmp_path / "out" / "fake_mamba" / "model.safetensors")[
        "front_end.speaker.likeness.weights"
    ]
    assert (weights[16:] < 0).all()


def test_the_widest_layer_has_a_rate_of_its_own(recipe: Recipe) -> None:
    run = Run(replace(recipe, sls_fc1_lr=1e-5, warmup_steps=0))
    rates = {id(p): group["lr"] for group in run.optimizer.param_groups for p in group["params"]}
    fc1 = run.jury.members["sls"].head.fc1
    assert {rates[id(p)] for p in fc1.parameters()} == {1e-5}
    assert sorted(rates) == sorted(id(p) for p in run.jury.parameters())
    assert {rates[id(p)] for p in run.jury.members["fake_mamba"].head.parameters()} == {recipe.head_lr}


def test_scores_per_source_by_hand() -> None:
    clips = [Clip("", "", True, "mic")] * 2 + [Clip("", "", False, "a")] * 2 + [Clip("", "", False, "b")]
    report = eer_by_source(clips, np.array([1.0, 2.0, -1.0, -2.0, 3.0]))
    assert report["sources"] == {"a": {"eer": 0.0, "spoof": 2}, "b": {"eer": 100.0, "spoof": 1}}
    assert report["macro"] == 50
    assert (report["bonafide"], report["spoof"]) == (2, 3)
    assert 0 < report["pooled"] < 100


def test_a_clip_of_several_windows_is_scored_from_its_own(recipe: Recipe) -> None:
    """Windows of many clips share batches; each score must still be of its own clip."""
    run = Run(recipe)
    jury = run.averaged.eval()
    parts = [sound(i % 2 == 0, i)[:8_000].astype(np.float32) for i in range(20)]
    with torch.inference_mode():
        alone = {
            name: logits[:, 1].numpy() for name, logits in jury(torch.from_numpy(np.stack(parts))).items()
        }
    clips = [parts[0], np.concatenate(parts[1:19]), parts[19]]  # 1, 18 and 1 windows
    for name, scores in score_clips(jury, run.config, clips, "cpu").items():
        own_windows = alone[name][:1], alone[name][1:19], alone[name][19:]
        np.testing.assert_allclose(scores, clip_scores(own_windows, name), atol=1e-5)


def test_copy_synthesis_makes_spoofs_of_bona_fide_clips(
    cache: ClipCache, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, drawn = cache.wave, []

    def wave(i: int, variant: int = 0) -> np.ndarray:
        drawn.append(i)
        return original(i, variant)

    monkeypatch.setattr(cache, "wave", wave)
    for share, spoofs_are_bonafide_clips in ((0.0, {False}), (1.0, {True}), (0.5, {False, True})):
        drawn.clear()
        views = Views(cache, replace(recipe, copy_synthesis=share), 8_000)
        labels = [views[k][1] for k in range(20)]
        kinds = [cache.clips[i].is_bonafide for i in drawn]
        assert {kind for kind, label in zip(kinds, labels, strict=True) if label == 1} == {True}
        assert {
            kind for kind, label in zip(kinds, labels, strict=True) if label == 0
        } == spoofs_are_bonafide_clips


def test_spliced_views_are_bona_fide_clips_in_another_order(cache: ClipCache, recipe: Recipe) -> None:
    views = Spliced(cache, recipe, 8_000)
    bonafide_groups = {clip.group for clip in cache.clips if clip.is_bonafide}
    for k in range(10):
        wave, label = views[k]
        assert (label, views.label(k), wave.shape) == (0, 0, (8_000,))
        assert views.source(k) in bonafide_groups
        torch.testing.assert_close(wave, views[k][0])
    assert len({views[k][0].numpy().tobytes() for k in range(10)}) == 10


def test_a_corpus_of_one_kind_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).uniform(-0.5, 0.5, 16_000), 16_000)
    clips = [Clip("a", str(tmp_path / "a.wav"), True, "x")]
    cache = build_cache(tmp_path / "cache", clips, 0, 1)
    with pytest.raises(DetectorError, match="only one kind"):
        Views(cache, Recipe(models={}, manifest="", output_dir="", cache_dir=""), 8_000)
