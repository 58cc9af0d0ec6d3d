"""A recipe is read as it is written, or refused with a message that names the mistake."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from detectors.augment import AugmentConfig
from detectors.cards import ASSETS
from detectors.checkpoints import read_config
from detectors.config import CONFIGS, FakeMambaConfig, FrontEndConfig, SlsConfig, config_from_dict
from detectors.corpus import Corpus
from detectors.errors import DetectorError
from detectors.recipe import Recipe, read_recipe

FOLDER = ASSETS / "recipes"
# Those of the audio language models are read by detectors/llm/recipe.py, and tested there.
RECIPES = [path for path in sorted(FOLDER.glob("*.yaml")) if "models" in yaml.safe_load(path.read_text())]
SMALL = """
manifest: data/m.csv
output_dir: out
cache_dir: cache
front_end: {layers: 2, hidden: 32, heads: 2, ffn: 64}
models:
  sls: {window_samples: 8000, hop_samples: 4000, fc_hidden: 8}
  fake_mamba: {window_samples: 8000, hop_samples: 4000, dim: 16, layers: 1}
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    return path


def test_recipes_are_shipped() -> None:
    assert "mini" in {path.stem for path in RECIPES}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_shipped_recipe_trains_what_it_describes(path: Path) -> None:
    described = list(yaml.safe_load(path.read_text())["models"])
    together = [[*described]] if path.stem == "mini" else []  # the papers' windows differ
    for detectors in (*together, *([name] for name in described)):
        recipe = read_recipe(path, detectors)
        assert list(recipe.models) == detectors
        for name, config in recipe.models.items():
            assert isinstance(config, CONFIGS[name])
            assert 0 < config.hop_samples <= config.window_samples
        # One front-end is trained for all of them.
        assert len({config.front_end for config in recipe.models.values()}) == 1
        for number in (recipe.front_end_lr, recipe.head_lr, recipe.weight_decay, recipe.average):
            assert isinstance(number, float)  # YAML takes "1e-4" for a string
        assert isinstance(recipe.augment, AugmentConfig)


@pytest.mark.parametrize(("name", "recipe"), [("sls", "mini"), ("fake_mamba", "fake_mamba-mini")])
def test_what_ships_is_what_its_recipe_describes(name: str, recipe: str) -> None:
    """And both learn the judge of the speaker network that they share in the same way."""
    described = read_recipe(FOLDER / f"{recipe}.yaml", [name])
    assert described.models[name] == config_from_dict(name, read_config(ASSETS / f"{name}-mini")["model"])
    assert described.speaker_start == read_recipe(FOLDER / "mini.yaml", ["sls"]).speaker_start


def test_the_models_share_the_front_end_and_the_rest_has_defaults(tmp_path: Path) -> None:
    recipe = read_recipe(written(tmp_path, SMALL), ["fake_mamba", "sls"])
    front_end = FrontEndConfig(layers=2, hidden=32, heads=2, ffn=64)
    assert recipe == Recipe(
        models={
            "fake_mamba": FakeMambaConfig(front_end, 8_000, 4_000, dim=16, layers=1),
            "sls": SlsConfig(front_end, 8_000, 4_000, fc_hidden=8),
        },
        manifest="data/m.csv",
        output_dir="out",
        cache_dir="cache",
    )


def test_corpora_may_stand_in_for_a_manifest(tmp_path: Path) -> None:
    text = SMALL.replace("manifest: data/m.csv", "train: {protocol: a.txt, audio: flac}")
    text += "dev: [{protocol: b.txt, audio: flac, phase: progress}, {protocol: c.csv}]\n"
    recipe = read_recipe(written(tmp_path, text), ["sls"])
    assert recipe.train == (Corpus("a.txt", "flac"),)
    assert recipe.dev == (Corpus("b.txt", "flac", "progress"), Corpus("c.csv"))


def test_epochs_are_counted_in_steps(tmp_path: Path) -> None:
    recipe = read_recipe(written(tmp_path, SMALL + "epochs: 3\nevaluate_every: 0\naccumulate: 2\n"), ["sls"])
    assert (recipe.batch_size, recipe.clips_per_step) == (16, 32)
    of_320 = recipe.in_steps(320)
    assert (of_320.steps, of_320.evaluate_every) == (30, 10)
    assert replace(recipe, evaluate_every=7).in_steps(320).evaluate_every == 7
    assert recipe.in_steps(5).steps == 3
    in_steps = read_recipe(written(tmp_path, SMALL), ["sls"])
    assert in_steps.in_steps(320) == in_steps


def test_only_the_named_detectors_are_kept(tmp_path: Path) -> None:
    assert list(read_recipe(written(tmp_path, SMALL), ["sls"]).models) == ["sls"]


def test_augmentation_is_set_one_chance_at_a_time(tmp_path: Path) -> None:
    path = written(tmp_path, SMALL + "augment: {room: 0.5, rawboost_algorithms: [4]}\n")
    augment = read_recipe(path, ["sls"]).augment
    assert augment.room == 0.5
    assert list(augment.rawboost_algorithms) == [4]
    assert augment.trim == AugmentConfig().trim


def test_views_to_compare_with_may_go_through_other_changes(tmp_path: Path) -> None:
    recipe = read_recipe(written(tmp_path, SMALL + "speaker_start: {known: {trim: 0.25}}\n"), ["sls"])
    assert recipe.speaker_start.known == AugmentConfig(trim=0.25)
    assert read_recipe(written(tmp_path, SMALL), ["sls"]).speaker_start.known is None


def test_views_to_compare_with_may_be_named(tmp_path: Path) -> None:
    text = SMALL.replace("front_end: {", "front_end: {speaker_views: 5, ")
    start = "speaker_start: {known_views: [[7, 9], [20, 23]]}\n"
    recipe = read_recipe(written(tmp_path, text + start), ["sls"])
    assert recipe.speaker_start.known_numbers(5) == [7, 8, 20, 21, 22]
    assert read_recipe(written(tmp_path, text), ["sls"]).speaker_start.known_numbers(5) == [0, 1, 2, 3, 4]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match=r"no training recipe at .*nowhere\.yaml"):
        read_recipe(tmp_path / "nowhere.yaml", ["sls"])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("models: [", "not valid YAML"),
        ("- a\n- b\n", "must be a mapping"),
        (SMALL.replace("manifest", "#manifest"), "names nothing to learn from: give a manifest, or train"),
        (SMALL.replace("output_dir", "#output"), "missing 1 required positional argument: 'output_dir'"),
        (SMALL + "optimizer: sgd\n", "optimizer is one of adamw, adam, not 'sgd'"),
        (SMALL + "watch: eer\n", "watch is one of dev_eer, dev_loss, train_loss, not 'eer'"),
        (SMALL + "mixed_precision: fp8\n", "mixed_precision is one of no, fp16, bf16, not 'fp8'"),
        (SMALL + "evaluate_every: 0\n", "there are no epochs"),
        (SMALL + "codecs: [mp3, floppy]\n", "codecs floppy are not known. Known: mp3, .*gsm"),
        (SMALL + "augment: {rawboost_algorithms: [9]}\n", r"not a usable recipe: .*some of 0-8, not \[9\]"),
        (SMALL + "augment: 3\n", "has 3 where keys with values belong"),
        (SMALL.replace("front_end: {", "front_end: {speaker_blocks: 4, "), "speaker_blocks is 0 to 3"),
        (SMALL.replace("front_end: {", "front_end: {speaker_hearings: 4, "), "speaker_hearings is 1 to 3"),
        (SMALL.replace("front_end: {", "front_end: {speaker_views: -1, "), "a number of known views"),
        (SMALL + "speaker_start: {known: {echo: 1}}\n", r"unknown keys: echo\. Known: .*room"),
        (SMALL + "speaker_start: {known_views: [[0, 3]]}\n", "known_views and spliced make 3 views"),
        (
            SMALL.replace("front_end: {", "front_end: {speaker_views: 8, ") + "speaker_start: {spliced: 8}\n",
            "spliced is a part of speaker_views",
        ),
        (SMALL + "speaker_start: {known_views: [3, 4]}\n", "not a usable recipe"),
        (SMALL + "texture_start: [1]\n", r"has \[1\] where keys with values belong"),
        (SMALL + "texture_start: {train: {audio: folder}}\n", "positional argument: 'protocol'"),
        (SMALL + "texture_start: {phase_passes: 3}\n", "phase_passes take the place of passes"),
        (SMALL + "train: {audio: folder}\n", "missing 1 required positional argument: 'protocol'"),
        (SMALL + "steps: many\n", "invalid literal for int.*'many'"),
        (SMALL + "init: whisper:folder\n", "init 'whisper:folder' is not known. Known: whisper_base"),
    ],
)
def test_a_mistake_in_the_file_is_explained(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(DetectorError, match=reason):
        read_recipe(written(tmp_path, text), ["sls"])


def test_a_number_that_yaml_takes_for_text_is_a_number(tmp_path: Path) -> None:
    assert read_recipe(written(tmp_path, SMALL + "weight_decay: 1e-3\n"), ["sls"]).weight_decay == 1e-3


def test_an_unknown_key_is_named_beside_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match=r"unknown keys: stepz\. Known: .*steps"):
        read_recipe(written(tmp_path, SMALL + "stepz: 10\n"), ["sls"])


def test_an_unknown_change_is_named_beside_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match=r"unknown keys: echo\. Known: .*room"):
        read_recipe(written(tmp_path, SMALL + "augment: {echo: 1}\n"), ["sls"])


def test_a_detector_that_is_not_described_is_named(tmp_path: Path) -> None:
    text = "".join(line for line in SMALL.splitlines(keepends=True) if "fake_mamba" not in line)
    with pytest.raises(DetectorError, match=r"describes \['sls'\]; it has nothing for fake_mamba"):
        read_recipe(written(tmp_path, text), ["sls", "fake_mamba"])


def test_a_detector_that_cannot_be_trained_is_named(tmp_path: Path) -> None:
    text = SMALL + "  allm4add: {dim: 16}\n"
    with pytest.raises(DetectorError, match="it has nothing for allm4add"):
        read_recipe(written(tmp_path, text), ["allm4add"])


@pytest.mark.parametrize(
    ("was", "becomes"),
    [("hop_samples: 4000, fc", "hop_samples: 8000, fc"), ("fc_hidden: 8", "front_end: {layers: 3}")],
)
def test_detectors_that_would_see_different_features_are_not_trained_together(
    tmp_path: Path, was: str, becomes: str
) -> None:
    path = written(tmp_path, SMALL.replace(was, becomes))
    with pytest.raises(DetectorError, match="need the same front-end and windows"):
        read_recipe(path, ["sls", "fake_mamba"])
    assert list(read_recipe(path, ["sls"]).models) == ["sls"]
