"""ALLM4ADD: the odds of two answers as a score, and its way through the same commands as the others."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from detectors import cards
from detectors.__main__ import main
from detectors.backends.allm4add import Allm4add, Allm4addConfig, Answers, load_allm4add, save_allm4add
from detectors.calibration import Calibration
from detectors.cards import CARDS, PRESETS
from detectors.checkpoints import read_config, weights_digest
from detectors.detector import Detector
from detectors.errors import DetectorError
from detectors.llm import base, checkpoint
from detectors.llm.detection import answer_tokens
from detectors.llm.model import AudioLlm
from detectors.registry import card_of, detector_status, load_detector
from tests.llm.tiny import tiny_audio_llm, tiny_llm, tiny_tokenizer, waves

WINDOW, HOP = 16_000, 8_000
CONFIG = Allm4addConfig(WINDOW, HOP)
CLOSE = {"rtol": 1e-4, "atol": 1e-4}


@pytest.fixture(scope="module")
def model() -> Allm4add:
    return Allm4add(tiny_audio_llm(), CONFIG).eval()


@pytest.fixture
def known_base(monkeypatch: pytest.MonkeyPatch) -> None:
    """The language model that the checkpoints name, in the place of what would be fetched."""

    def load_base(name: str, dtype: torch.dtype = torch.float32, progress: Any = None) -> tuple[Any, Any]:
        assert name == "tiny"
        tokenizer = tiny_tokenizer()
        return tiny_llm(len(tokenizer)).to(dtype), tokenizer

    monkeypatch.setattr(checkpoint, "load_base", load_base)
    monkeypatch.setattr(base, "base_status", lambda name: None)


@pytest.fixture
def saved(model: Allm4add, tmp_path: Path) -> Path:
    save_allm4add(model, tmp_path / "allm4add", {"step": 3}, torch.float32)
    return tmp_path / "allm4add"


@pytest.fixture
def mini(saved: Path, known_base: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The mini card on the tiny checkpoint."""
    card = replace(CARDS["allm4add", "mini"], folder=saved, sha256=weights_digest(saved))
    monkeypatch.setitem(CARDS, ("allm4add", "mini"), card)
    return saved


def scores(model: Allm4add, wave: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return model(wave).cm_scores


# The score


@torch.inference_mode()
def by_hand(listener: AudioLlm, wave: torch.Tensor) -> float:
    """Log odds of the two answers, from the prompt as a text and the probabilities of what follows."""
    before = "<|im_start|>system\nVoice check.<|im_end|>\n<|im_start|>user\n"
    after = "Is this audio real or fake?<|im_end|>\n<|im_start|>assistant\n"
    embed = listener.causal_lm.get_input_embeddings()

    def text(words: str) -> torch.Tensor:
        return embed(torch.tensor([listener.tokenizer.encode(words)]))

    heard = listener.projector(listener.encoder(wave[None]))
    prompt = torch.cat([text(before), heard, text(after)], dim=1)
    probabilities = listener.llm(inputs_embeds=prompt).logits[0, -1].double().softmax(-1)
    fake, real = (probabilities[listener.tokenizer.encode(word)[0]] for word in ("Fake", "Real"))
    return float((real / fake).log())


def test_the_score_is_the_log_odds_of_real_against_fake(model):
    wave = waves(3, WINDOW)
    expected = [by_hand(model.listener, one) for one in wave]
    assert scores(model, wave).tolist() == pytest.approx(expected, abs=1e-4)
    assert np.ptp(expected) > 1e-3  # it does depend on what is heard


def test_one_answer_is_fake_and_the_other_real():
    answers = Answers(torch.tensor([[1.0, 3.5], [2.0, -1.0]]))
    assert answers.cm_scores.tolist() == [2.5, -3.0]
    assert answers.maps(lambda frames: frames)["answer_logits"].tolist() == [[1.0, 3.5], [2.0, -1.0]]


def test_a_language_model_whose_tokens_do_not_tell_the_answers_apart_is_refused():
    class OneToken:
        def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
            return [7, len(text)]

    with pytest.raises(DetectorError, match="Real and Fake begin alike"):
        answer_tokens(OneToken())


def test_clips_of_other_lengths_in_the_batch_change_nothing(model):
    with torch.inference_mode():
        clips = [model.listener.hear(waves(1, samples))[0] for samples in (4_000, 16_000, 9_000)]
        assert len({len(clip) for clip in clips}) == 3
        together = model.judge(clips).logits
        alone = torch.cat([model.judge([clip]).logits for clip in clips])
    assert together.shape == (3, 2)
    torch.testing.assert_close(together, alone, **CLOSE)


# As a detector


def test_it_judges_windows_in_batches_like_the_others(model, monkeypatch):
    detector = Detector(card_of("allm4add", "mini"), model, Calibration(2.0, 0.5), "abc", "cpu")
    wave = waves(1, round(6.3 * WINDOW))[0].numpy()
    shares: list[float] = []
    found = detector.analyze(wave, shares.append)
    assert len(found.windows) == 12
    assert found.windows[-1].end == found.seconds == 6.3
    assert shares == [8 / 12, 1.0]
    logits = found.maps["answer_logits"]
    assert logits.shape == (12, 2)
    assert [w.score for w in found.windows] == pytest.approx((logits[:, 1] - logits[:, 0]).tolist(), abs=1e-5)
    assert found.score == pytest.approx(np.mean([w.score for w in found.windows]))
    assert found.llr == pytest.approx(2 * found.score + 0.5)
    monkeypatch.setattr("detectors.detector.BATCH", 1)
    np.testing.assert_allclose(detector.analyze(wave).maps["answer_logits"], logits, rtol=1e-4, atol=1e-4)


def test_saved_and_loaded_it_gives_the_same_scores(model, saved, known_base):
    wave = waves(4, WINDOW, 5)
    loaded = load_allm4add(saved, "cpu")
    assert loaded.config == CONFIG
    assert not loaded.training
    torch.testing.assert_close(scores(loaded, wave), scores(model, wave), **CLOSE)
    config = read_config(saved)
    assert (config["detector"], config["step"]) == ("allm4add", 3)
    assert (config["window_samples"], config["hop_samples"]) == (WINDOW, HOP)


def test_the_adapter_is_part_of_what_is_loaded(saved, known_base, tmp_path):
    other = Allm4add(tiny_audio_llm(seed=1), CONFIG)
    save_allm4add(other, tmp_path / "other", {}, torch.float32)
    before = scores(load_allm4add(saved, "cpu"), waves(2, WINDOW))
    digest = weights_digest(saved)
    shutil.copy(tmp_path / "other" / "adapter_model.safetensors", saved)
    after = scores(load_allm4add(saved, "cpu"), waves(2, WINDOW))
    assert (before - after).abs().min() > 1e-3
    assert weights_digest(saved) != digest


def test_a_missing_adapter_is_named(saved, known_base):
    (saved / "adapter_model.safetensors").unlink()
    with pytest.raises(DetectorError, match=r"adapter_model\.safetensors is missing"):
        load_allm4add(saved, "cpu")


def test_windows_that_leave_gaps_are_refused(saved, known_base):
    config = read_config(saved)
    (saved / "config.json").write_text(json.dumps({**config, "hop_samples": WINDOW + 1}))
    with pytest.raises(DetectorError, match=r"windows of 16000 samples every 16001"):
        load_allm4add(saved, "cpu")


def test_a_checkpoint_of_a_chat_model_or_another_detector_is_refused(saved, known_base):
    config = read_config(saved)
    (saved / "config.json").write_text(json.dumps({**config, "detector": "sls"}))
    with pytest.raises(DetectorError, match="holds the detector sls, not allm4add"):
        load_detector("allm4add", checkpoint=saved)
    del config["detector"]
    (saved / "config.json").write_text(json.dumps(config))
    with pytest.raises(DetectorError, match="is of detector None"):
        load_detector("allm4add", checkpoint=saved)


# By its name


def test_mini_is_loaded_by_name_with_calibration_and_version(mini):
    config = read_config(mini)
    (mini / "config.json").write_text(json.dumps({**config, "calibration": {"scale": 0.5, "offset": -1.0}}))
    assert detector_status("allm4add") is None
    detector = load_detector("allm4add", device="cpu")
    assert detector.calibration == Calibration(0.5, -1.0)
    assert detector.version == weights_digest(mini)[:12]
    assert detector.window_seconds == 1.0


def test_mini_with_another_adapter_is_refused(mini):
    save_allm4add(Allm4add(tiny_audio_llm(seed=1), CONFIG), mini, {}, torch.float32)
    with pytest.raises(DetectorError, match="sha256 differs"):
        load_detector("allm4add")
    assert load_detector("allm4add", checkpoint=mini).name == "allm4add"


@pytest.mark.parametrize("preset", PRESETS)
def test_without_its_weights_it_says_what_is_missing(preset, tmp_path, monkeypatch):
    card = replace(CARDS["allm4add", preset], folder=tmp_path / "nothing")
    monkeypatch.setitem(CARDS, ("allm4add", preset), card)
    reason = detector_status("allm4add", preset)
    assert reason is not None
    said = {
        "mini": "its weights, .*nothing, are missing",
        "full": r"train allm4add --config .*-full\.yaml",
    }
    with pytest.raises(DetectorError, match=f"ALLM4ADD.*{said[preset]}") as caught:
        load_detector("allm4add", preset)
    assert reason in str(caught.value)
    if preset == "full":
        assert str(cards.CACHE / "allm4add-full") in reason


def test_a_language_model_that_cannot_be_had_is_the_status(mini, monkeypatch):
    monkeypatch.setattr(base, "base_status", lambda name: f"{name} is not where SPOOFLENS_LLM says")
    reason = detector_status("allm4add")
    assert reason == "smollm2-135m-instruct is not where SPOOFLENS_LLM says"
    with pytest.raises(DetectorError, match="SPOOFLENS_LLM"):
        load_detector("allm4add")


def test_a_fetch_that_fails_is_an_error_to_show(mini, monkeypatch):
    def fail(name: str, dtype: Any = None, progress: Any = None) -> None:
        raise DetectorError("The language model could not be fetched.")

    monkeypatch.setattr(checkpoint, "load_base", fail)
    assert detector_status("allm4add") is None  # the status does not ask the network
    with pytest.raises(DetectorError, match="could not be fetched"):
        load_detector("allm4add")


def test_what_is_fetched_first_can_be_heard(mini, monkeypatch):
    quiet = checkpoint.load_base

    def load_base(name: str, dtype: torch.dtype = torch.float32, progress: Any = None) -> Any:
        progress(0.5, "Fetching the language model (93 MB, once)")
        return quiet(name, dtype)

    monkeypatch.setattr(checkpoint, "load_base", load_base)
    heard: list[tuple[float, str]] = []
    load_detector("allm4add", progress=lambda *told: heard.append(told))
    assert heard == [(0.5, "Fetching the language model (93 MB, once)")]


# Through the commands


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    rows = ["path,utt_id,label,split,source"]
    for i, wave in enumerate(waves(6, 12_000)):
        label = "bonafide" if i % 2 else "spoof"
        soundfile.write(tmp_path / f"{i}.wav", wave.numpy(), 16_000)
        rows.append(f"{i}.wav,u{i},{label},dev,{label}-source")
    (tmp_path / "manifest.csv").write_text("\n".join(rows) + "\n")
    return tmp_path / "manifest.csv"


def test_assess_measures_it_per_source_and_calibrates_it(saved, known_base, manifest, tmp_path, capsys):
    where = ["--manifest", str(manifest), "--cache", str(tmp_path / "cache"), "--device", "cpu"]
    assert main(["assess", str(saved), *where, "--calibrate"]) == 0
    assert "| spoof-source | 3 |" in capsys.readouterr().out
    fitted = read_config(saved)["calibration"]
    assert load_detector("allm4add", checkpoint=saved).calibration == Calibration(**fitted)
    scores_of = dict(line.split() for line in (saved / "raw.scores").read_text().splitlines())
    # Clips shorter than the window are tiled, as `analyze` does.
    wave, _ = soundfile.read(tmp_path / "2.wav", dtype="float32")
    found = load_detector("allm4add", checkpoint=saved, device="cpu").analyze(wave)
    assert float(scores_of["u2"]) == pytest.approx(found.score, abs=1e-3)


def test_score_and_evaluate_take_it(saved, known_base, manifest, tmp_path, capsys):
    out = tmp_path / "scores.txt"
    tell = ["--detector", "allm4add", "--checkpoint", str(saved), "--format", "scores", "--out", str(out)]
    assert main(["score", str(manifest), *tell]) == 0
    assert len(out.read_text().splitlines()) == 6
    assert main(["evaluate", str(out), "--keys", str(manifest), "--json"]) == 0
    assert 0 <= json.loads(capsys.readouterr().out)["eer"] <= 100


# What is shipped


def test_the_shipped_weights_are_those_of_the_card():
    card = CARDS["allm4add", "mini"]
    if not (card.folder / "model.safetensors").is_file():
        pytest.skip("no weights of ALLM4ADD are shipped in this checkout")
    assert weights_digest(card.folder) == card.sha256
    assert read_config(card.folder)["audio_llm"]["base"] == card.base


@pytest.mark.slow
def test_the_shipped_detector_judges_a_clip():
    card = CARDS["allm4add", "mini"]
    if not (card.folder / "model.safetensors").is_file() or not base.is_at_hand(card.base):
        pytest.skip("needs the shipped weights and SmolLM2 in the cache or in SPOOFLENS_LLM")
    found = load_detector("allm4add", device="cpu").analyze(waves(1, 80_000)[0].numpy())
    assert found.maps["answer_logits"].shape == (len(found.windows), 2)
    assert np.isfinite(found.llr)
