"""Training, end to end: a tiny language model learns to tell buzzes from noise, is killed, and goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from transformers import WhisperConfig, WhisperModel

from detectors.__main__ import main
from detectors.backends.allm4add import Allm4add, load_allm4add
from detectors.checkpoints import save_model
from detectors.config import FakeMambaConfig, FrontEndConfig
from detectors.errors import DetectorError
from detectors.llm import checkpoint, clips
from detectors.llm.adapter_start import log_odds, start_adapter
from detectors.llm.checkpoint import load_audio_llm
from detectors.llm.detection import detection_turns
from detectors.llm.gather import gather
from detectors.llm.generate import answer
from detectors.llm.learning import parameter_groups
from detectors.llm.model import AudioLlm
from detectors.llm.projector_start import start_projector, statistics
from detectors.llm.prompts import Example, Turn
from detectors.llm.qwen2_audio import load_qwen2_audio
from detectors.llm.recipe import AdapterStart, LlmRecipe, ProjectorStart, read_llm_recipe
from detectors.llm.start import build_model
from detectors.llm.train import Run, train_llm
from detectors.models import FakeMamba
from tests.llm.test_qwen2_audio import tiny_base, tiny_qwen
from tests.llm.tiny import tiny_llm, tiny_tokenizer
from tests.llm.training import learner, log_of, sound, tiny_recipe, write_corpus

pytestmark = pytest.mark.usefixtures("on_the_cpu")

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder)
    return folder


@pytest.fixture
def recipe(corpus: Path, tmp_path: Path) -> LlmRecipe:
    """The corpus's recipe with an output folder of the test's own."""
    return tiny_recipe(corpus, output_dir=str(tmp_path / "out"))


@torch.inference_mode()
def said(model: AudioLlm) -> torch.Tensor:
    turns = [Turn("user", "<audio>Is this audio real or fake?")]
    heard = [model.hear(torch.from_numpy(sound(bool(k % 2), 70 + k, 8_000))[None])[0] for k in range(4)]
    return model.next_logits([Example(turns, [one]) for one in heard])


def test_a_run_learns_and_its_checkpoint_says_the_same(recipe: LlmRecipe) -> None:
    model = learner()
    train_llm(recipe, model)
    folder = Path(recipe.output_dir)
    losses = [entry["loss"] for entry in log_of(folder) if "loss" in entry]
    assert losses[-1] < 0.3 * losses[0]
    dev = [entry for entry in log_of(folder) if "dev" in entry]
    assert [entry["step"] for entry in dev] == [40, 80]
    assert dev[-1]["dev"]["eer"]["pooled"] == 0

    model.eval()
    again = load_audio_llm(folder, tiny_llm(len(tiny_tokenizer())), tiny_tokenizer())
    torch.testing.assert_close(said(again), said(model), atol=0.1, rtol=0.02)  # it is saved in fp16
    for k in range(6):  # clips that it has never heard
        clip = model.hear(torch.from_numpy(sound(bool(k % 2), 50 + k, 8_000))[None])[0]
        turns = [Turn("system", "Voice check."), Turn("user", "<audio>Is this audio real or fake?")]
        expected = "Real." if k % 2 else "Fake."
        assert answer(model, turns, [clip]) == answer(again, turns, [clip]) == expected


def test_the_checkpoint_is_a_detector(recipe: LlmRecipe, monkeypatch: pytest.MonkeyPatch) -> None:
    def load_base(name: str, dtype: torch.dtype, progress: Any) -> tuple[Any, Any]:
        return tiny_llm(len(tiny_tokenizer())), tiny_tokenizer()

    train_llm(recipe, learner())
    monkeypatch.setattr(checkpoint, "load_base", load_base)
    detector = load_allm4add(Path(recipe.output_dir), "cpu")
    assert (detector.config.window_samples, detector.config.hop_samples) == (8_000, 8_000)
    wave = torch.from_numpy(np.stack([sound(bool(k % 2), 80 + k, 8_000) for k in range(6)]))
    with torch.inference_mode():
        scores = detector(wave).cm_scores
    assert scores[1::2].min() > scores[::2].max()
    config = json.loads((Path(recipe.output_dir) / "config.json").read_text())
    assert config["step"] in (40, 80)
    assert config["dev"]["eer"]["bonafide"] == 3


def child(corpus: Path, values: dict[str, Any], step: int) -> subprocess.Popen[bytes]:
    """A run of its own process that stands still after so many updates."""
    command = [sys.executable, "-m", "tests.llm.training", str(corpus), json.dumps(values), str(step)]
    return subprocess.Popen(command, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"})


def test_a_run_that_was_killed_goes_on_to_the_same_weights(
    recipe: LlmRecipe, corpus: Path, tmp_path: Path
) -> None:
    values = {"steps": 12, "evaluate_every": 5, "average_steps": 4, "output_dir": str(tmp_path / "cut")}
    running = child(corpus, values, step=7)
    try:
        until = time.monotonic() + 300
        while not (tmp_path / "cut" / "waiting").exists():
            assert running.poll() is None, "the run ended by itself"
            assert time.monotonic() < until, "the run did not come to its seventh update"
            time.sleep(0.05)
    finally:
        running.send_signal(signal.SIGKILL)
        running.wait()
    assert torch.load(tmp_path / "cut" / "last.pt", weights_only=True)["step"] == 5

    cut = tiny_recipe(corpus, **values)
    train_llm(cut, learner(dropout=0.2))
    whole = replace(cut, output_dir=str(tmp_path / "whole"))
    train_llm(whole, learner(dropout=0.2))
    found, expected = (torch.load(tmp_path / n / "last.pt", weights_only=True) for n in ("cut", "whole"))
    assert found["step"] == expected["step"] == 12
    for part in ("learnt", "average"):
        assert found[part].keys() == expected[part].keys()
        for name, value in expected[part].items():
            torch.testing.assert_close(found[part][name], value, atol=1e-5, rtol=0, msg=f"{part} {name}")
    # The optimiser's state and what was learnt, not the language model, are in the file.
    assert not any("embed_tokens" in name or ".base_layer." in name for name in found["learnt"])


def test_a_finished_run_is_left_as_it_is(recipe: LlmRecipe) -> None:
    recipe = replace(recipe, steps=2, evaluate_every=2)
    train_llm(recipe, learner())
    files = [Path(recipe.output_dir) / name for name in ("last.pt", "log.jsonl", "model.safetensors")]
    before = [(file.stat().st_mtime_ns, file.read_bytes()) for file in files]
    train_llm(recipe, learner())
    assert [(file.stat().st_mtime_ns, file.read_bytes()) for file in files] == before


def test_another_models_state_is_not_taken_up(recipe: LlmRecipe) -> None:
    recipe = replace(recipe, steps=1, evaluate_every=1)
    train_llm(recipe, learner())
    with pytest.raises(DetectorError, match="other sizes or another average"):
        train_llm(replace(recipe, average_steps=3), learner())


def test_the_encoders_features_are_computed_once(recipe: LlmRecipe, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = replace(recipe, cache_dir=recipe.output_dir + "-cache", steps=1, evaluate_every=1)
    train_llm(recipe, learner())
    monkeypatch.setattr(clips, "_shrunk", lambda *_: pytest.fail("the encoder runs again"))
    train_llm(replace(recipe, output_dir=recipe.output_dir + "-2"), learner())


def test_accumulated_batches_learn_as_one_large_one(recipe: LlmRecipe, tmp_path: Path) -> None:
    """Each of the answers has as many tokens as any other, so that the means agree."""
    recipe = replace(recipe, steps=3, evaluate_every=3)
    found = []
    for size, accumulate in ((8, 1), (2, 4)):
        model = learner()
        folder = str(tmp_path / str(size))
        train_llm(replace(recipe, batch_size=size, accumulate=accumulate, output_dir=folder), model)
        found.append({n: p.detach() for n, p in model.named_parameters() if p.requires_grad})
    for name, value in found[0].items():
        torch.testing.assert_close(found[1][name], value, atol=2e-3, rtol=0.02, msg=name)


def test_the_averaged_weights_are_measured_and_saved(recipe: LlmRecipe) -> None:
    recipe = replace(recipe, steps=6, evaluate_every=6, average_steps=50)
    model = learner()
    train_llm(recipe, model)
    state = torch.load(Path(recipe.output_dir) / "last.pt", weights_only=True)
    again = load_audio_llm(Path(recipe.output_dir), tiny_llm(len(tiny_tokenizer())), tiny_tokenizer())
    for name, value in again.projector.named_parameters():
        average = state["average"][f"projector.{name}"]
        torch.testing.assert_close(value.detach(), average, atol=1e-2, rtol=1e-2)
        live = dict(model.projector.named_parameters())[name].detach()
        torch.testing.assert_close(live, state["learnt"][f"projector.{name}"])
        assert not torch.equal(live, average)


def test_an_encoder_that_learns_is_changed_and_saved(recipe: LlmRecipe) -> None:
    recipe = replace(recipe, steps=2, evaluate_every=2, batch_size=2, encoder_lr=1e-2, train_encoder=True)
    model = learner()
    before = {name: value.clone() for name, value in model.encoder.state_dict().items()}
    train_llm(recipe, model)
    again = load_audio_llm(Path(recipe.output_dir), tiny_llm(len(tiny_tokenizer())), tiny_tokenizer())
    after = again.encoder.state_dict()
    assert not torch.allclose(after["encoder.conv1.weight"], before["encoder.conv1.weight"], atol=1e-3)
    for name, value in model.encoder.state_dict().items():
        torch.testing.assert_close(after[name], value, atol=2e-3, rtol=2e-3)


def test_the_projectors_start_lays_the_difference_open(recipe: LlmRecipe) -> None:
    model = learner()
    start = ProjectorStart(passes=30, lr=1e-2, dropout=0.1, token_dropout=0.1, batch_size=8)
    train_llm(replace(recipe, steps=1, evaluate_every=1, projector_lr=0.0, projector_start=start), model)
    with torch.no_grad():
        heard = [
            model.projector(model.hear(torch.from_numpy(sound(bool(k % 2), 90 + k, 8_000))[None]))[0, 1:-1]
            for k in range(20)
        ]
    means = torch.stack([tokens.mean(dim=0) for tokens in heard])
    real, fake = means[1::2], means[::2]
    direction = real[:5].mean(0) - fake[:5].mean(0)  # of the first ones, judged on the others
    assert (real[5:] @ direction).min() > (fake[5:] @ direction).max()


ADAPTER_START = AdapterStart(passes=5, steps=20, lr=1e-2, batch_size=8)


def test_the_adapter_learns_to_answer_as_the_probe_does(recipe: LlmRecipe) -> None:
    model = learner()
    views = gather(recipe, model).views
    torch.manual_seed(1)
    assert isinstance(views, clips.Features)
    model.projector.settle(*statistics(model, [views]))
    probe = start_projector(model.projector, views, recipe.projector_start, 1, "cpu")
    before = {name: value.clone() for name, value in model.projector.state_dict().items()}
    expected = log_odds(probe, views, "cpu").numpy()
    start_adapter(model, views, probe, ADAPTER_START, 1, "cpu")
    with torch.inference_mode():
        heard = [views.clip(i) for i in range(len(views))]
        scores = Allm4add(model.eval()).judge(heard).cm_scores.numpy()
    assert np.corrcoef(scores, expected)[0, 1] > 0.98
    assert np.abs(scores - expected).mean() < 0.3 * expected.std()
    for name, value in model.projector.state_dict().items():
        torch.testing.assert_close(value, before[name])
    assert all(p.requires_grad for p in model.projector.parameters())
    for i in (0, 1, 2):
        assert answer(model, detection_turns(), [heard[i]]) == ("Real." if expected[i] > 0 else "Fake.")


def test_without_steps_what_the_starts_made_is_saved(recipe: LlmRecipe) -> None:
    model = learner()
    recipe = replace(recipe, steps=0, epochs=0, adapter_start=ADAPTER_START)
    train_llm(recipe, model)
    train_llm(recipe, learner())  # it is done already
    (entry,) = log_of(Path(recipe.output_dir))
    assert (entry["step"], entry["dev"]["eer"]["pooled"]) == (0, 0)
    again = load_audio_llm(Path(recipe.output_dir), tiny_llm(len(tiny_tokenizer())), tiny_tokenizer())
    torch.testing.assert_close(said(again), said(model.eval()), atol=0.1, rtol=0.02)


def test_qwen2_audio_is_trained_by_the_same_run(recipe: LlmRecipe) -> None:
    model, _ = tiny_qwen()
    train_llm(replace(recipe, steps=8, evaluate_every=8, gradient_checkpointing=True), model)
    again = load_qwen2_audio(Path(recipe.output_dir), "cpu", base=tiny_base())
    torch.testing.assert_close(said(again), said(model.eval()), atol=1e-3, rtol=1e-3)
    assert not torch.allclose(said(again), said(tiny_qwen()[0]), atol=1e-2)
    (loss, _) = log_of(Path(recipe.output_dir))
    assert loss["step"] == 8


def test_rates_are_those_of_the_parts(recipe: LlmRecipe) -> None:
    model = learner()
    model.encoder.requires_grad_(True)
    recipe = replace(recipe, projector_lr=1.0, adapter_lr=2.0, encoder_lr=3.0)
    rates = {
        id(p): (g["lr"], g["weight_decay"]) for g in parameter_groups(model, recipe) for p in g["params"]
    }
    for name, parameter in model.named_parameters():
        rate = {"projector": 1.0, "llm": 2.0, "encoder": 3.0}[name.split(".")[0]]
        decay = recipe.weight_decay if parameter.dim() > 1 else 0.0
        assert rates.get(id(parameter)) == ((rate, decay) if parameter.requires_grad else None), name


def test_the_rate_rises_and_falls_to_nothing(recipe: LlmRecipe, monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[float] = []
    update = Run._update

    def watched(run: Run, *given: Any) -> float:
        loss = update(run, *given)
        rates.append(run.optimizer.param_groups[0]["lr"])
        return loss

    monkeypatch.setattr(Run, "_update", watched)
    train_llm(replace(recipe, steps=10, evaluate_every=10, warmup_ratio=0.3, projector_lr=1.0), learner())
    np.testing.assert_allclose(rates[:4], [1 / 3, 2 / 3, 1, 1])
    assert (np.diff(rates[3:]) < 0).all()
    assert rates[-1] < 0.06


def test_checkpointed_gradients_are_the_same(recipe: LlmRecipe, tmp_path: Path) -> None:
    found = []
    for checkpointing in (False, True):
        folder, model = str(tmp_path / str(checkpointing)), learner()
        how = {"steps": 2, "evaluate_every": 2, "output_dir": folder, "gradient_checkpointing": checkpointing}
        train_llm(replace(recipe, **how), model)
        assert model.causal_lm.is_gradient_checkpointing == checkpointing
        found.append(dict(model.named_parameters()))
    for name, value in found[0].items():
        torch.testing.assert_close(found[1][name], value, msg=name)


def test_messages_are_learnt_as_clips_are_judged(corpus: Path, recipe: LlmRecipe) -> None:
    lines = []
    for i in range(12):
        label = "Real." if i % 2 == 0 else "Fake."
        asked = {"role": "user", "audio": f"{i}.wav", "content": "Is this audio real or fake?"}
        lines.append(json.dumps({"messages": [asked, {"role": "assistant", "content": label}]}))
    (corpus / "train.jsonl").write_text("\n".join(lines) + "\n")
    recipe = replace(recipe, manifest="", messages=str(corpus / "train.jsonl"), held_back=0.25, steps=100)
    learning = gather(recipe, learner())
    assert len(learning.held_back) == 3
    assert learning.mixture.epoch_size == 9
    assert learning.mixture[0].turns[:2] == detection_turns()
    train_llm(recipe, learner())
    (first, *_, last) = [entry["dev"]["loss"] for entry in log_of(Path(recipe.output_dir)) if "dev" in entry]
    assert last < first < 4
    assert json.loads((Path(recipe.output_dir) / "config.json").read_text())["detector"] == "allm4add"


def test_a_chat_is_trained_with_detection_by_its_side(recipe: LlmRecipe) -> None:
    shares = {"conversations": 0.5, "manifest": 0.5}
    recipe = replace(
        recipe, name="audio_llm", conversations=8, shares=shares, held_back=0.25, keep="loss", steps=4,
        evaluate_every=2, batch_size=2, max_length=2048,
    )  # fmt: skip
    train_llm(recipe, learner())
    measured = [entry["dev"] for entry in log_of(Path(recipe.output_dir)) if "dev" in entry]
    assert [sorted(found) for found in measured] == [["eer", "loss"]] * 2
    assert "detector" not in json.loads((Path(recipe.output_dir) / "config.json").read_text())


# The command line


@pytest.fixture
def parts(tmp_path: Path) -> dict[str, str]:
    """Folders of a language model and of a Whisper model, and data in AudioLLM's form."""
    tokenizer = tiny_tokenizer()
    tiny_llm(len(tokenizer)).save_pretrained(tmp_path / "llama")
    tokenizer.save_pretrained(tmp_path / "llama")
    config = WhisperConfig(
        d_model=16, encoder_layers=2, encoder_attention_heads=2, encoder_ffn_dim=24, decoder_layers=1,
        decoder_attention_heads=2, decoder_ffn_dim=24, vocab_size=40, pad_token_id=0, bos_token_id=1,
        eos_token_id=2, decoder_start_token_id=1,
    )  # fmt: skip
    WhisperModel(config).save_pretrained(tmp_path / "whisper")
    rows = []
    for k in range(10):
        soundfile.write(tmp_path / f"{k}.wav", sound(bool(k % 2), k), 16_000)
        rows.append(
            {
                "text": "<audio>Buzz or noise?",
                "audio_paths": f"{k}.wav",
                "response": "buzz" if k % 2 else "noise",
            }
        )
    (tmp_path / "data.json").write_text(json.dumps(rows))
    return {
        "data_path": str(tmp_path / "data.json"),
        "audio_dir": str(tmp_path),
        "llama_path": str(tmp_path / "llama"),
        "whisper_path": str(tmp_path / "whisper"),
        "output_dir": str(tmp_path / "out"),
    }


def test_audio_llm_is_trained_by_the_public_projects_options(parts: dict[str, str]) -> None:
    options = [word for name, value in parts.items() for word in (f"--{name}", value)]
    assert main(["train", "audio_llm", *options, "--batch_size", "5", "--num_epochs", "2"]) == 0
    folder = Path(parts["output_dir"])
    config = json.loads((folder / "config.json").read_text())
    assert config["audio_llm"]["base"] == parts["llama_path"]
    assert config["audio_llm"]["encoder_layers"] == 2
    assert config["audio_llm"]["visible_range"] == 8
    assert "detector" not in config
    assert log_of(folder)[-1]["step"] == 4
    model = load_audio_llm(folder)
    whisper = WhisperModel.from_pretrained(parts["whisper_path"]).get_encoder()
    torch.testing.assert_close(
        model.encoder.encoder.layers[1].fc1.weight, whisper.layers[1].fc1.weight, atol=1e-3, rtol=1e-3
    )
    assert model.encoder.normed


def test_a_fake_mambas_texture_with_phases_is_heard(parts: dict[str, str], tmp_path: Path) -> None:
    sizes = FrontEndConfig(
        1, 16, 2, 24, "log_mel", extractor_channels=16, position_kernel=8, position_groups=2
    )
    sizes = replace(sizes, textures=1, phase_textures=1)
    fake_mamba = FakeMamba(FakeMambaConfig(sizes, 8_000, 8_000, dim=16, layers=1, d_state=4))
    save_model(fake_mamba, "fake_mamba", tmp_path / "mamba", {}, torch.float32)
    recipe = LlmRecipe(
        "allm4add",
        parts["output_dir"],
        base=parts["llama_path"],
        encoder=f"whisper:{parts['whisper_path']}",
        textures=str(tmp_path / "mamba"),
        model={"heard_textures": 1},
    )
    found = build_model(recipe).encoder.textures[0].state_dict()
    for name, value in fake_mamba.front_end.textures[1].state_dict().items():
        torch.testing.assert_close(found[name], value)
    with pytest.raises(DetectorError, match="no checkpoint has 0"):
        build_model(replace(recipe, textures=""))
    with pytest.raises(DetectorError, match=r"hears 2 textures with phases, but .*mamba has 1"):
        build_model(replace(recipe, model={"heard_textures": 2}))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["allm4add"], "A recipe is needed"),
        (["audio_llm", "sls", "--config", "x.yaml"], "Train one at a time"),
        (["sls", "--config", "x.yaml", "--batch_size", "4"], "option of audio_llm"),
        (["allm4add", "--config", "x.yaml", "--fp16"], "option of audio_llm"),
        (["audio_llm", "--config", "missing.yaml"], "no training recipe"),
    ],
)
def test_what_cannot_be_trained_is_told(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_detectors_help_does_not_wait_for_torch() -> None:
    code = "import sys; from detectors.__main__ import build_parser; build_parser('train'); "
    code += "assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.parametrize("name", ["allm4add-mini", "allm4add-full", "audio_llm-mini"])
def test_the_recipes_are_usable(name: str) -> None:
    model = "audio_llm" if name.startswith("audio_llm") else "allm4add"
    recipe = read_llm_recipe(model, ROOT / "assets" / "recipes" / f"{name}.yaml", {})
    assert recipe.name == model


def test_the_full_recipe_is_the_papers() -> None:
    recipe = read_llm_recipe("allm4add", ROOT / "assets" / "recipes" / "allm4add-full.yaml", {})
    assert recipe.model["lora"] == {"rank": 64, "alpha": 16, "dropout": 0.05}
    assert (recipe.adapter_lr, recipe.warmup_ratio, recipe.weight_decay) == (4e-5, 0.01, 0.1)
    assert (recipe.epochs, recipe.batch_size, recipe.max_length) == (5, 8, 512)
    assert (recipe.betas, recipe.mixed_precision, recipe.gradient_checkpointing) == (
        (0.9, 0.95),
        "bf16",
        True,
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("output_dir: x", "nothing to learn from"),
        ("output_dir: x\nmanifest: m\nlearning_speed: 3", "unknown keys: learning_speed"),
        ("output_dir: x\nmanifest: m\nsteps: many", "not a usable recipe"),
        ("output_dir: x\nmanifest: m\nencoder: wav2vec:y", "is not known"),
        ("output_dir: x\nmanifest: m\nencoder: whisper:y\nstart: z", "brings its own encoder"),
        ("output_dir: x\nmessages: m\nkeep: eer", "needs a manifest"),
        ("output_dir: x\nmanifest: m\nkeep: loss", "keep: eer"),
        ("output_dir: x\nmanifest: m\nmixed_precision: fp8", "not 'fp8'"),
        ("output_dir: x\nmanifest: m\nadapter_start: {passes: 1}", "learns from the probe"),
        ("output_dir: x\nmanifest: m\nbackend: gpt", "not 'gpt'"),
        ("output_dir: x\nmessages: m\nconversations: 3", "are about clips of a manifest"),
        ("output_dir: x\nmanifest: m\nshares: {messages: 1}", "gives a share to messages"),
        ("output_dir: x\ndata_path: m", "learns from a manifest or from messages"),
        ("manifest: m", "not a usable recipe"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(text)
    with pytest.raises(DetectorError, match=message):
        read_llm_recipe("allm4add", tmp_path / "recipe.yaml", {})


def test_options_stand_over_the_recipe(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("output_dir: x\ndata_path: m\nbatch_size: 4\nepochs: 3")
    options = {"batch_size": 2, "learning_rate": 1e-3, "bf16": True, "whisper_path": "w", "llama_path": "l"}
    recipe = read_llm_recipe("audio_llm", tmp_path / "recipe.yaml", options)
    assert (recipe.batch_size, recipe.epochs, recipe.mixed_precision) == (2, 3, "bf16")
    assert (recipe.projector_lr, recipe.adapter_lr) == (1e-3, 1e-3)
    assert (recipe.encoder, recipe.base) == ("whisper:w", "l")


def test_a_tracker_that_is_not_installed_is_named(recipe: LlmRecipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detectors.devices.find_spec", lambda _: None)
    with pytest.raises(DetectorError, match="pip install wandb"):
        train_llm(replace(recipe, use_wandb=True), learner())
