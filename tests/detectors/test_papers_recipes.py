"""The papers' own recipes: as they say, and each is run for a few steps on tiny random weights."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import soundfile
from transformers import Wav2Vec2Model

from detectors.checkpoints import load_model, read_config
from detectors.config import DetectorConfig, FakeMambaConfig, FrontEndConfig, SlsConfig
from detectors.frontends.xlsr import XlsrFrontEnd
from detectors.recipe import Recipe, read_recipe
from detectors.train import train
from tests.detectors.test_train import sound

pytestmark = pytest.mark.usefixtures("on_the_cpu")

FOLDER = Path(__file__).parents[2] / "assets" / "recipes"
#: Recipe -> its detector.
RECIPES = {"sls-v1": "sls", "sls-v2": "sls", "fake_mamba-la": "fake_mamba", "fake_mamba-df": "fake_mamba"}
TINY = FrontEndConfig(
    layers=2, hidden=24, heads=2, ffn=32, extractor_channels=8, position_kernel=8, position_groups=4
)

SMALL_HEADS: dict[str, dict[str, int]] = {
    "sls": {"fc_hidden": 8},
    "fake_mamba": {"dim": 8, "layers": 1, "d_state": 2},
}


def paper(name: str) -> Recipe:
    return read_recipe(FOLDER / f"{name}.yaml", [RECIPES[name]])


@pytest.mark.parametrize("name", RECIPES)
def test_what_all_of_them_share(name: str) -> None:
    recipe = paper(name)
    assert recipe.optimizer == "adam"
    assert {recipe.front_end_lr, recipe.extractor_lr, recipe.head_lr} == {1e-6}
    assert (recipe.sls_fc1_lr, recipe.lr_floor, recipe.warmup_steps, recipe.clip_grad) == (0, 1, 0, 0)
    assert (recipe.weight_decay, recipe.seed, recipe.epochs) == (1e-4, 1234, 100)
    assert list(recipe.class_weights) == [0.1, 0.9]
    assert (recipe.label_smoothing, recipe.balance, recipe.copy_synthesis, recipe.average) == (0, False, 0, 0)
    augment = recipe.augment
    assert (augment.rawboost, augment.cut_anywhere) == (1, False)
    others = (
        "coded",
        "trim",
        "speed",
        "room",
        "low_pass",
        "noise_floor",
        "clipping",
        "resample",
        "dither",
        "gain",
    )
    assert {getattr(augment, change) for change in others} == {0}
    assert recipe.init == "xlsr:facebook/wav2vec2-xls-r-300m"
    for corpus, part in ((recipe.train, "train.trn"), (recipe.dev, "dev.trl")):
        assert [Path(c.protocol).name for c in corpus] == [f"ASVspoof2019.LA.cm.{part}.txt"]


@pytest.mark.parametrize(
    ("name", "config", "batch", "algorithm", "watch", "patience", "average_best"),
    [
        ("sls-v1", SlsConfig(), 5, 3, "train_loss", 1, 0),
        ("sls-v2", SlsConfig(), 5, 3, "dev_loss", 10, 0),
        ("fake_mamba-la", FakeMambaConfig(), 20, 5, "dev_loss", 7, 5),
        ("fake_mamba-df", FakeMambaConfig(), 20, 3, "dev_loss", 7, 5),
    ],
)
def test_what_sets_each_apart(
    name: str,
    config: DetectorConfig,
    batch: int,
    algorithm: int,
    watch: str,
    patience: int,
    average_best: int,
) -> None:
    recipe = paper(name)
    assert recipe.models == {RECIPES[name]: config}
    assert config.window_samples == (64_600 if RECIPES[name] == "sls" else 66_800)
    assert recipe.clips_per_step == batch
    assert list(recipe.augment.rawboost_algorithms) == [algorithm]
    assert (recipe.watch, recipe.patience, recipe.average_best) == (watch, patience, average_best)
    # After each epoch: 25,380 clips are 5,076 batches of SLS, 1,269 of Fake-Mamba.
    assert recipe.in_steps(25_380).evaluate_every == 25_380 // batch


def write_corpus(recipe: Recipe, clips: int) -> None:
    """ASVspoof 2019's layout where the recipe looks for it: FLAC files of 0.6 s, named by the protocols."""
    for corpora in (recipe.train, recipe.dev):
        (corpus,) = corpora
        Path(corpus.protocol).parent.mkdir(parents=True, exist_ok=True)
        Path(corpus.audio).mkdir(parents=True)
        lines = []
        for i in range(clips):
            utt, is_bonafide = f"LA_{Path(corpus.protocol).stem[-5]}_{i}", i % 3 == 0
            soundfile.write(Path(corpus.audio) / f"{utt}.flac", sound(is_bonafide, i), 16_000)
            lines.append(f"LA_0001 {utt} - {'- bonafide' if is_bonafide else f'A0{i % 3} spoof'}\n")
        Path(corpus.protocol).write_text("".join(lines))


@pytest.mark.parametrize("name", RECIPES)
def test_each_runs_for_a_few_steps(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    detector, recipe = RECIPES[name], paper(name)
    write_corpus(recipe, clips=6)
    XlsrFrontEnd(TINY).model.save_pretrained(tmp_path / "xlsr")
    config = replace(recipe.models[detector], front_end=TINY, **SMALL_HEADS[detector])
    tiny = replace(
        recipe,
        models={detector: config},
        init=f"xlsr:{tmp_path / 'xlsr'}",
        batch_size=min(5, recipe.batch_size),
        epochs=2,
        workers=0,
    )
    train(tiny)
    lines = (Path(recipe.output_dir) / "log.jsonl").read_text().splitlines()
    entries = [json.loads(line) for line in lines]
    per_epoch = tiny.in_steps(6).evaluate_every
    measured = [entry["step"] for entry in entries if "mean_of_steps" not in entry]
    assert measured == [per_epoch, 2 * per_epoch]
    assert all(math.isfinite(entry["dev_loss"][detector]) for entry in entries)
    assert entries[0]["dev"][detector]["spoof"] == 4
    saved = read_config(Path(recipe.output_dir) / detector)
    if recipe.average_best:
        assert saved["mean_of_steps"] == measured
    model = load_model(Path(recipe.output_dir) / detector, detector)
    assert model.config.window_samples == recipe.models[detector].window_samples
    start = Wav2Vec2Model.from_pretrained(tmp_path / "xlsr").feature_projection.projection.weight
    moved = (model.front_end.model.feature_projection.projection.weight - start).abs().max()
    # At 1e-6 a step, Adam moves no weight further; fp16 rounds on top of it.
    assert moved <= 1e-6 * measured[-1] + 1e-3 * start.abs().max()
