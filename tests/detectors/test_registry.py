"""Names to detectors, without a network: what is offered, fetched, kept and refused."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError

from detectors import registry
from detectors.audio import sha256_of
from detectors.calibration import Calibration
from detectors.cards import CARDS, PRESETS
from detectors.checkpoints import CONFIG, WEIGHTS, load_model, read_config, save_model
from detectors.config import FrontEndConfig, SlsConfig
from detectors.detector import Detector
from detectors.errors import DetectorError
from detectors.models import build_model
from detectors.registry import available_detectors, card_of, detector_status, load_detector, resolve_device
from tests.detectors import plain_models as plain

FRONT_END = FrontEndConfig(2, 16, 2, 24, extractor_channels=8, position_kernel=8, position_groups=2)
TINY = SlsConfig(FRONT_END, window_samples=8_000, hop_samples=4_000, fc_hidden=6)


@pytest.fixture
def released(tmp_path: Path) -> Path:
    torch.save(plain.parallel(plain.sls_state()), tmp_path / "epoch_2.pth")
    return tmp_path / "epoch_2.pth"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The full SLS card with a cache folder that is empty so far."""
    card = replace(CARDS["sls", "full"], folder=tmp_path / "cache" / "sls-full")
    monkeypatch.setitem(CARDS, ("sls", "full"), card)
    return card.folder


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Callable[[object], list[tuple[object, ...]]]:
    """Put an answer, a path or an exception, in the place of the hub; gives the calls that come in."""

    def answer_with(answer: object) -> list[tuple[object, ...]]:
        calls: list[tuple[object, ...]] = []

        def download(repo_id: str, filename: str, revision: str) -> str:
            calls.append((repo_id, filename, revision))
            if isinstance(answer, Exception):
                raise answer
            return str(answer)

        monkeypatch.setattr(registry, "hf_hub_download", download)
        return calls

    return answer_with


@pytest.fixture
def mini(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The mini SLS card on a tiny random model, with its right sha256."""
    folder = tmp_path / "sls-mini"
    save_model(build_model(TINY), "sls", folder, {"calibration": {"scale": 2.0, "offset": 0.5}})
    card = replace(CARDS["sls", "mini"], folder=folder, sha256=sha256_of(folder / WEIGHTS))
    monkeypatch.setitem(CARDS, ("sls", "mini"), card)
    return folder


def test_every_detector_is_listed_and_has_a_card_for_every_preset():
    assert available_detectors() == ["sls", "fake_mamba", "allm4add"]
    for name in available_detectors():
        for preset in PRESETS:
            card = card_of(name, preset)
            assert (card.name, card.preset) == (name, preset)
            assert card.title
            assert card.kind.endswith(".")


@pytest.mark.parametrize("ask", [card_of, detector_status, load_detector])
def test_an_unknown_name_or_preset_lists_the_known_ones(ask):
    with pytest.raises(DetectorError, match=r"no detector 'rawnet'.* sls, fake_mamba, allm4add"):
        ask("rawnet", "mini")
    with pytest.raises(DetectorError, match=r"no preset 'huge'.* mini, full"):
        ask("sls", "huge")


def test_an_unknown_device_lists_the_known_ones():
    with pytest.raises(DetectorError, match=r"no device 'tpu'.* auto, cpu, cuda"):
        resolve_device("tpu")


def test_a_missing_gpu_is_said_and_auto_does_without(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DetectorError, match=r"No CUDA GPU.*auto or cpu"):
        resolve_device("cuda")
    assert resolve_device("auto") == resolve_device("cpu") == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_device("auto") == resolve_device("cuda") == "cuda"


def test_another_detectors_file_does_not_become_allm4add(tmp_path):
    torch.save(plain.fake_mamba_state(), tmp_path / "fake_mamba.pth")
    with pytest.raises(DetectorError, match=r"ALLM4ADD|allm4add"):
        load_detector("allm4add", checkpoint=tmp_path / "fake_mamba.pth")


def test_the_full_fake_mamba_tells_how_to_get_its_weights(tmp_path, monkeypatch):
    card = replace(CARDS["fake_mamba", "full"], folder=tmp_path / "nothing")
    monkeypatch.setitem(CARDS, ("fake_mamba", "full"), card)
    reason = detector_status("fake_mamba", "full")
    assert reason is not None
    assert "python -m detectors convert" in reason
    with pytest.raises(DetectorError, match="convert"):
        load_detector("fake_mamba", "full")


def test_a_mini_without_its_weights_is_not_available(tmp_path, monkeypatch):
    monkeypatch.setitem(CARDS, ("sls", "mini"), replace(CARDS["sls", "mini"], folder=tmp_path / "gone"))
    with pytest.raises(DetectorError, match=r"not available.*weights, .*, are missing"):
        load_detector("sls", "mini")


def test_a_mini_without_the_weights_it_shares_is_not_available(mini):
    config = json.loads((mini / CONFIG).read_text())
    (mini / CONFIG).write_text(json.dumps({**config, "frozen_in": "front_end-mini"}))
    reason = detector_status("sls")
    assert reason is not None
    assert "front_end-mini too, which are missing. Copy that folder beside it" in reason
    with pytest.raises(DetectorError, match=r"not available.*front_end-mini"):
        load_detector("sls")


# mini


def test_mini_loads_with_its_calibration_and_version(mini):
    assert detector_status("sls", "mini") is None
    detector = load_detector("sls", device="cpu")
    assert isinstance(detector, Detector)
    assert (detector.name, detector.preset, detector.device) == ("sls", "mini", "cpu")
    assert detector.version == sha256_of(mini / WEIGHTS)[:12]
    assert detector.calibration == Calibration(2.0, 0.5)
    assert detector.window_seconds == 0.5


def test_mini_weights_that_were_changed_are_refused(mini):
    save_model(build_model(TINY), "sls", mini, {})
    with pytest.raises(DetectorError, match="sha256 differs"):
        load_detector("sls", "mini")
    # Named as a checkpoint they are somebody's own and may be used.
    assert load_detector("sls", checkpoint=mini).calibration == Calibration.fresh("sls")


# full


def test_full_without_the_hub_says_so(cache, hub):
    for error in (LocalEntryNotFoundError("offline"), OSError("no route to host")):
        hub(error)
        with pytest.raises(DetectorError, match=r"could not be fetched.*Connect to the internet.*mini"):
            load_detector("sls", "full")
    assert not cache.exists()


def test_full_is_fetched_converted_and_kept(cache, hub, released):
    calls = hub(released)
    assert detector_status("sls", "full") is None
    first = load_detector("sls", "full", device="cpu")
    assert calls == [("sukhdeveyash/XLS-R-SLS-Deepfake-Detection", "v1/epoch_2.pth", "main")]
    origin = read_config(cache)
    assert origin["sha256"] == sha256_of(released)
    assert origin["converted_from"] == "sukhdeveyash/XLS-R-SLS-Deepfake-Detection/v1/epoch_2.pth"
    assert load_model(cache, "sls").config.front_end.layers == plain.LAYERS

    calls = hub(AssertionError("the hub was asked again"))
    second = load_detector("sls", "full", device="cpu")
    assert calls == []
    wave = plain.speech_like(plain.SLS_WINDOW).numpy()
    expected = load_detector("sls", checkpoint=released, device="cpu").analyze(wave).score
    assert first.analyze(wave).score == second.analyze(wave).score == expected
    assert first.version == second.version


def test_a_fetched_file_that_is_no_checkpoint_is_not_kept(cache, hub, tmp_path):
    (tmp_path / "page.pth").write_text("<html>sign in</html>")
    hub(tmp_path / "page.pth")
    with pytest.raises(DetectorError, match="not a plain PyTorch state dict"):
        load_detector("sls", "full")
    assert not (cache / WEIGHTS).exists()


def test_a_fetched_file_with_another_sha256_is_not_kept(cache, hub, released, monkeypatch):
    monkeypatch.setitem(CARDS, ("sls", "full"), replace(CARDS["sls", "full"], sha256="0" * 64))
    hub(released)
    with pytest.raises(DetectorError, match="sha256"):
        load_detector("sls", "full")
    assert not (cache / WEIGHTS).exists()


# checkpoint=


def test_a_checkpoint_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DetectorError, match="nowhere"):
        load_detector("sls", checkpoint=tmp_path / "nowhere")


def test_a_checkpoint_may_be_a_string_and_wins_over_the_preset(cache, hub, released):
    hub(AssertionError("the hub was asked"))
    detector = load_detector("sls", "full", checkpoint=str(released), device="cpu")
    assert detector.version == sha256_of(released)[:12]
    assert not cache.exists()
