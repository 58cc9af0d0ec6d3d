"""convert: released .pth files to our folders, from the command and as checkpoint=, and what is refused."""

import json
import os
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from detectors.__main__ import main
from detectors.calibration import Calibration
from detectors.config import FakeMambaConfig, SlsConfig
from detectors.convert import load_released, rename_fairseq
from detectors.errors import DetectorError
from detectors.registry import load_detector
from tests.detectors import plain_models as plain

MAKE: dict[str, Callable[[], plain.State]] = {"sls": plain.sls_state, "fake_mamba": plain.fake_mamba_state}
Saver = Callable[..., Path]


@pytest.fixture
def saved(tmp_path: Path) -> Saver:
    def save(state: object, name: str = "released.pth") -> Path:
        torch.save(state, tmp_path / name)
        return tmp_path / name

    return save


@pytest.fixture(scope="module")
def clip() -> np.ndarray:
    return plain.speech_like(plain.MAMBA_WINDOW + 9_000).numpy()


@pytest.mark.parametrize("detector", ["sls", "fake_mamba"])
def test_the_folder_and_the_released_file_score_the_same(detector, saved, tmp_path, clip, capsys):
    source, folder = saved(plain.parallel(MAKE[detector]())), tmp_path / "converted"
    assert main(["convert", str(source), str(folder), "--detector", detector]) == 0
    assert "3 front-end layers" in capsys.readouterr().out
    config = json.loads((folder / "config.json").read_text())
    assert (config["detector"], config["converted_from"]) == (detector, "released.pth")

    ours = load_detector(detector, checkpoint=folder, device="cpu").analyze(clip)
    theirs = load_detector(detector, checkpoint=source, device="cpu").analyze(clip)
    assert len(ours.windows) == 2
    assert [w.score for w in ours.windows] == [w.score for w in theirs.windows]
    assert ours.score == theirs.score
    assert ours.llr == theirs.llr == Calibration.fresh(detector).llr(ours.score)  # they bring no calibration
    for name, values in ours.maps.items():
        np.testing.assert_array_equal(values, theirs.maps[name])


@pytest.mark.parametrize("detector", ["sls", "fake_mamba"])
def test_a_loaded_detector_scores_as_the_plain_computation(detector, saved, clip):
    state = MAKE[detector]()
    found = load_detector(detector, checkpoint=saved(state), device="cpu").analyze(clip)
    window = plain.SLS_WINDOW if detector == "sls" else plain.MAMBA_WINDOW
    cuts = torch.from_numpy(np.stack([clip[:window], clip[-window:]]))
    scores = (plain.sls if detector == "sls" else plain.fake_mamba)(state, cuts)[0][:, 1]
    assert [w.score for w in found.windows] == pytest.approx(scores.tolist(), abs=1e-4)
    if detector == "sls":  # log-probabilities, whose log-odds are averaged
        scores = torch.logit(scores.exp().double()).mean().sigmoid().log()
    assert found.score == pytest.approx(scores.mean().item(), abs=1e-4)


def test_half_precision_is_smaller_and_close(saved, tmp_path, clip):
    source, folder = saved(plain.sls_state()), tmp_path / "half"
    assert main(["convert", str(source), str(folder), "--detector", "sls", "--fp16"]) == 0
    stored = load_file(folder / "model.safetensors")
    assert {t.dtype for t in stored.values()} == {torch.float16, torch.int64}
    assert (folder / "model.safetensors").stat().st_size < 0.6 * source.stat().st_size
    exact = load_detector("sls", checkpoint=source, device="cpu").analyze(clip).score
    assert load_detector("sls", checkpoint=folder, device="cpu").analyze(clip).score == pytest.approx(
        exact, abs=0.02
    )


def test_all_sizes_are_read_off_the_state_dict(saved):
    config = load_released(saved(plain.sls_state()), "sls").config
    assert isinstance(config, SlsConfig)
    assert (config.fc_hidden, config.flat, config.window_samples) == (plain.SLS_FC, plain.SLS_FLAT, 64_600)
    front_end = config.front_end
    assert (front_end.layers, front_end.hidden, front_end.heads, front_end.ffn) == (3, 128, 2, 96)
    assert front_end.extractor_channels == 32
    assert (front_end.position_kernel, front_end.position_groups) == (16, 4)


@pytest.mark.parametrize("blocks", [2, 3])
def test_fake_mambas_depth_is_read_off_the_state_dict(blocks, saved, tmp_path, capsys):
    source = saved(plain.fake_mamba_state(blocks=blocks))
    config = load_released(source, "fake_mamba").config
    assert isinstance(config, FakeMambaConfig)
    assert config.layers == blocks
    assert (config.dim, config.d_state, config.d_conv, config.expand, config.ffn_mult) == (32, 8, 4, 2, 4)
    assert main(["convert", str(source), str(tmp_path / "out"), "--detector", "fake_mamba"]) == 0
    assert f"{blocks} Mamba blocks" in capsys.readouterr().out


@pytest.mark.parametrize("wrapper", ["state_dict", "model_state_dict", "model"])
def test_a_wrapped_state_dict_is_unwrapped(wrapper, saved):
    state = plain.sls_state()
    wrapped = saved({wrapper: OrderedDict(plain.parallel(state)), "epoch": 2}, "wrapped.pth")
    expected, found = load_released(saved(state), "sls"), load_released(wrapped, "sls")
    for name, tensor in expected.state_dict().items():
        assert torch.equal(found.state_dict()[name], tensor), name


def test_newer_names_of_weight_norm_and_a_missing_mask_vector_are_taken(saved):
    state = plain.sls_state()
    position = f"{plain.SSL}encoder.pos_conv.0."
    renamed = {k: v for k, v in state.items() if not k.endswith("mask_emb")}
    renamed[f"{position}parametrizations.weight.original0"] = renamed.pop(f"{position}weight_g")
    renamed[f"{position}parametrizations.weight.original1"] = renamed.pop(f"{position}weight_v")
    expected, found = load_released(saved(state), "sls"), load_released(saved(renamed, "new.pth"), "sls")
    wave = plain.speech_like(plain.SLS_WINDOW, batch=1)
    with torch.no_grad():
        assert torch.equal(expected(wave)[0], found(wave)[0])


def test_pretraining_leftovers_are_left_out_and_nothing_else(saved):
    state = plain.sls_state()
    leftovers = [k for k in state if "quantizer" in k or "project_q" in k or "final_proj" in k]
    assert len(leftovers) == 7
    assert len(load_released(saved(state), "sls").state_dict()) == len(state) - len(leftovers)


def test_a_released_model_is_ready_for_inference(saved):
    assert not any(module.training for module in load_released(saved(plain.sls_state()), "sls").modules())


# What is refused


def test_an_unknown_front_end_tensor_is_named(saved):
    state = plain.sls_state() | {f"{plain.SSL}encoder.adapter.weight": torch.zeros(2)}
    with pytest.raises(DetectorError, match=r"encoder\.adapter\.weight"):
        load_released(saved(state), "sls")
    with pytest.raises(DetectorError, match="does not have"):
        rename_fairseq("my_encoder.layers.0.fc1.weight")


def test_an_unknown_head_tensor_is_named(saved):
    with pytest.raises(DetectorError, match=r"Not known: head\.fc9\.bias"):
        load_released(saved(plain.sls_state() | {"fc9.bias": torch.zeros(2)}), "sls")


def test_a_missing_tensor_is_named(saved):
    state = plain.sls_state()
    del state["fc3.bias"]
    with pytest.raises(DetectorError, match=r"Missing: head\.fc3\.bias"):
        load_released(saved(state), "sls")


def test_a_gap_in_the_layers_is_found(saved):
    state = {k: v for k, v in plain.sls_state().items() if f"{plain.SSL}encoder.layers.1." not in k}
    with pytest.raises(DetectorError, match=r"encoder\.layers\.1\."):
        load_released(saved(state), "sls")


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("fc1.weight", (plain.SLS_FC, 2_000), r"fc1 takes 2000 values.*2814"),
        ("fc3.weight", (2, 5), r"does not fit the (sls )?model"),
        (f"{plain.SSL}post_extract_proj.weight", (7,), "post_extract_proj|sls checkpoint|does not fit"),
    ],
)
def test_a_tensor_of_another_shape_is_refused(saved, name, shape, message):
    with pytest.raises(DetectorError, match=message):
        load_released(saved(plain.sls_state() | {name: torch.zeros(shape)}), "sls")


@pytest.mark.parametrize(("given", "asked"), [("sls", "fake_mamba"), ("fake_mamba", "sls")])
def test_the_other_detectors_file_is_refused(given, asked, saved, tmp_path, capsys):
    source = saved(MAKE[given]())
    assert main(["convert", str(source), str(tmp_path / "out"), "--detector", asked]) == 2
    assert f"no {asked} checkpoint" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


class Bomb:
    """Makes a folder when it is unpickled the careless way."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.marker),)


def test_code_in_a_pickle_is_never_run(saved, tmp_path, capsys):
    marker = tmp_path / "it-ran"
    source = saved({**plain.sls_state(), "extra": Bomb(marker)})
    assert main(["convert", str(source), str(tmp_path / "out"), "--detector", "sls"]) == 2
    message = capsys.readouterr().err
    assert "not a plain PyTorch state dict" in message
    assert "weights_only" not in message  # torch's own advice is how to run that code
    assert not marker.exists()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "content",
    [b"", b"hello, this is text", b"RIFF\x24\x00\x00\x00WAVEfmt ", b"<!DOCTYPE html>", b"\x8c\x01\xff."],
    ids=["empty", "text", "wav", "html", "bytes"],
)
def test_a_file_of_another_kind_is_refused(content, tmp_path):
    (tmp_path / "other.pth").write_bytes(content)
    with pytest.raises(DetectorError, match=r"other\.pth is not a plain PyTorch state dict"):
        load_released(tmp_path / "other.pth", "sls")


def test_a_cut_download_is_refused(saved):
    source = saved(plain.sls_state())
    source.write_bytes(source.read_bytes()[:-5_000])
    with pytest.raises(DetectorError, match="not a plain PyTorch state dict"):
        load_released(source, "sls")


@pytest.mark.parametrize(
    "state", [{}, {"epoch": 3}, [torch.zeros(2)], {1: torch.zeros(2)}], ids=["empty", "number", "list", "key"]
)
def test_a_pickle_of_something_else_is_refused(state, saved):
    with pytest.raises(DetectorError, match=r"not a state dict|no sls checkpoint"):
        load_released(saved(state), "sls")


def test_a_missing_file_is_named(tmp_path, capsys):
    assert main(["convert", str(tmp_path / "no.pth"), str(tmp_path / "out"), "--detector", "sls"]) == 2
    assert "no checkpoint at" in capsys.readouterr().err


def test_a_folder_with_a_checkpoint_is_not_overwritten(saved, tmp_path, capsys):
    source, folder = saved(plain.sls_state()), tmp_path / "out"
    assert main(["convert", str(source), str(folder), "--detector", "sls"]) == 0
    before = (folder / "model.safetensors").read_bytes()
    other = saved(plain.sls_state(seed=9), "other.pth")
    assert main(["convert", str(other), str(folder), "--detector", "sls"]) == 2
    assert "already holds a checkpoint" in capsys.readouterr().err
    assert (folder / "model.safetensors").read_bytes() == before


def test_a_file_in_the_place_of_the_folder_is_refused(saved, tmp_path, capsys):
    (tmp_path / "out").write_text("mine")
    assert main(["convert", str(saved(plain.sls_state())), str(tmp_path / "out"), "--detector", "sls"]) == 2
    assert str(tmp_path / "out") in capsys.readouterr().err
    assert (tmp_path / "out").read_text() == "mine"
