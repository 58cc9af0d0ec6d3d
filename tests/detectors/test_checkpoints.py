"""Our checkpoint folders: what is written is what is read, and damage is told in plain words."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from detectors.checkpoints import (
    CONFIG,
    WEIGHTS,
    load_exactly,
    load_front_end,
    load_model,
    read_config,
    save_model,
    weights_digest,
)
from detectors.config import (
    DetectorConfig,
    FakeMambaConfig,
    FrontEndConfig,
    SlsConfig,
    config_from_dict,
    config_to_dict,
)
from detectors.errors import DetectorError
from detectors.models import build_model
from tests.detectors import plain_models as plain

FRONT_END = FrontEndConfig(2, 16, 2, 24, extractor_channels=8, position_kernel=8, position_groups=2)
CONFIGS: dict[str, DetectorConfig] = {
    "sls": SlsConfig(FRONT_END, window_samples=8_000, hop_samples=4_000, fc_hidden=6),
    "fake_mamba": FakeMambaConfig(FRONT_END, 8_000, 4_000, dim=16, layers=2, block="con_bimamba"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sound SLS checkpoint."""
    save_model(build_model(CONFIGS["sls"]), "sls", tmp_path / "ours", {})
    return tmp_path / "ours"


@pytest.mark.parametrize("detector", CONFIGS)
def test_a_saved_model_comes_back_in_half_precision(detector, tmp_path):
    model = build_model(CONFIGS[detector]).eval()
    model.head.first_bn.num_batches_tracked.fill_(123_457)  # more than fp16 can count
    extra = {"calibration": {"scale": 2.0, "offset": 0.5}, "trained_on": "a test"}
    save_model(model, detector, tmp_path / "ours", extra)
    assert sorted(p.name for p in (tmp_path / "ours").iterdir()) == [CONFIG, WEIGHTS]

    loaded = load_model(tmp_path / "ours", detector)
    assert loaded.config == model.config
    assert not any(module.training for module in loaded.modules())
    assert loaded.head.first_bn.num_batches_tracked == 123_457
    for name, value in model.state_dict().items():
        found = loaded.state_dict()[name]
        assert found.dtype == value.dtype, name
        torch.testing.assert_close(
            found, value.half().to(value.dtype) if value.is_floating_point() else value
        )
    assert read_config(tmp_path / "ours")["calibration"] == {"scale": 2.0, "offset": 0.5}


@torch.no_grad()
def test_in_single_precision_the_scores_are_exactly_the_same(tmp_path):
    model = build_model(CONFIGS["fake_mamba"]).eval()
    save_model(model, "fake_mamba", tmp_path, {}, torch.float32)
    wave = plain.speech_like(8_000, batch=2)
    assert torch.equal(load_model(tmp_path, "fake_mamba")(wave)[0], model(wave)[0])


@pytest.mark.parametrize("config", [*CONFIGS.values(), SlsConfig(), FakeMambaConfig()])
def test_a_config_survives_json(config):
    detector = "sls" if isinstance(config, SlsConfig) else "fake_mamba"
    assert config_from_dict(detector, json.loads(json.dumps(config_to_dict(config)))) == config


@torch.no_grad()
def test_only_the_front_end_can_be_taken_over(folder):
    other = build_model(CONFIGS["fake_mamba"])
    load_front_end(other.front_end, folder)
    source = load_model(folder, "sls").front_end.state_dict()
    for name, value in other.front_end.state_dict().items():
        assert torch.equal(value, source[name]), name


def test_missing_and_unknown_names_are_listed_but_not_all():
    model = torch.nn.Sequential(*[torch.nn.Linear(1, 1) for _ in range(4)])
    with pytest.raises(DetectorError, match=r"^here does not fit .*Not known: extra\.bias\.$") as caught:
        load_exactly(model, {"extra.bias": torch.zeros(1)}, Path("here"))
    assert "0.weight, 0.bias, 1.weight, 1.bias, 2.weight and 3 more" in str(caught.value)


def test_a_checkpoint_that_cannot_be_described_leaves_no_weights(tmp_path):
    with pytest.raises(TypeError):
        save_model(build_model(CONFIGS["sls"]), "sls", tmp_path, {"not json": object()})
    assert not (tmp_path / WEIGHTS).exists()


# Damage


def edit(folder: Path, **changes: object) -> None:
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps({**config, **changes}))


@pytest.mark.parametrize("gone", [WEIGHTS, CONFIG])
def test_a_folder_without_both_files_is_no_checkpoint(folder, gone):
    (folder / gone).unlink()
    with pytest.raises(DetectorError, match=r"needs model\.safetensors and config\.json"):
        load_model(folder, "sls")


def test_another_detectors_folder_is_refused(folder):
    with pytest.raises(DetectorError, match="holds the detector sls, not fake_mamba"):
        load_model(folder, "fake_mamba")


def test_an_unknown_detector_in_the_config_is_refused(folder):
    edit(folder, detector="aasist")
    with pytest.raises(DetectorError, match=r"'aasist'; known: allm4add, fake_mamba, sls"):
        load_model(folder, "sls")


def test_weights_that_lack_a_layer_are_refused(folder):
    tensors = load_file(folder / WEIGHTS)
    save_file({k: v for k, v in tensors.items() if "encoder.layers.1." not in k}, folder / WEIGHTS)
    with pytest.raises(
        DetectorError, match=r"Missing: front_end\.model\.encoder\.layers\.1\..* and \d+ more"
    ):
        load_model(folder, "sls")


def test_weights_of_another_shape_are_refused(folder):
    sizes = config_to_dict(CONFIGS["sls"])
    edit(folder, model={**sizes, "fc_hidden": 5})
    with pytest.raises(DetectorError, match="does not fit"):
        load_model(folder, "sls")


@pytest.mark.parametrize("content", ["{", "[]", '{"detector": "sls"}'], ids=["broken", "list", "no sizes"])
def test_a_damaged_config_is_refused(folder, content):
    (folder / CONFIG).write_text(content)
    with pytest.raises(DetectorError, match="config"):
        load_model(folder, "sls")


def test_a_config_of_a_later_version_is_refused(folder):
    edit(folder, model={**config_to_dict(CONFIGS["sls"]), "new_idea": 1})
    with pytest.raises(DetectorError, match="new_idea"):
        load_model(folder, "sls")


def test_cut_weights_are_refused(folder):
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:1_000])
    with pytest.raises(DetectorError, match=r"model\.safetensors"):
        load_model(folder, "sls")


HEARS = SlsConfig(replace(FRONT_END, speaker_blocks=2), 8_000, 4_000, fc_hidden=6, speaker_weight=0.3)


def is_shared(name: str) -> bool:
    return name.startswith(("front_end.model.", "front_end.speaker."))


@pytest.fixture
def sharing(tmp_path: Path) -> Path:
    """A checkpoint whose front-end and speaker network are in the folder beside it."""
    model = build_model(HEARS)
    shared = {name: value for name, value in model.state_dict().items() if is_shared(name)}
    (tmp_path / "shared").mkdir()
    speaker = {name: value for name, value in shared.items() if ".speaker." in name}
    save_file(speaker, tmp_path / "shared" / "speaker.safetensors")
    save_file({name: shared[name] for name in shared.keys() - speaker}, tmp_path / "shared" / WEIGHTS)
    save_model(model, "sls", tmp_path / "ours", {}, torch.float32, frozen_in="shared")
    return tmp_path / "ours"


def all_of(folder: Path) -> dict[str, torch.Tensor]:
    return {name: value for path in folder.glob("*.safetensors") for name, value in load_file(path).items()}


def test_shared_parts_are_kept_once(sharing: Path) -> None:
    own, shared = load_file(sharing / WEIGHTS), all_of(sharing.parent / "shared")
    assert not any(is_shared(name) for name in own)
    assert not own.keys() & shared.keys()
    model = load_model(sharing, "sls")
    assert model.state_dict().keys() == own.keys() | shared.keys()
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, (own | shared)[name])


def test_what_differs_from_the_shared_is_its_own(sharing: Path) -> None:
    model = load_model(sharing, "sls")
    with torch.no_grad():
        model.front_end.speaker.judge[1].bias.add_(1)
    save_model(model, "sls", sharing, {}, torch.float32, frozen_in="shared")
    assert [name for name in load_file(sharing / WEIGHTS) if is_shared(name)] == [
        "front_end.speaker.judge.1.bias"
    ]
    again = load_model(sharing, "sls").front_end.speaker.judge[1].bias
    torch.testing.assert_close(again, model.front_end.speaker.judge[1].bias)


@pytest.mark.parametrize("blocks", [0, 1])
def test_who_hears_less_shares_the_same_file(sharing: Path, blocks: int) -> None:
    sizes = replace(HEARS, front_end=replace(HEARS.front_end, speaker_blocks=blocks))
    shared = all_of(sharing.parent / "shared")
    less = build_model(sizes)
    less.load_state_dict({name: value for name, value in shared.items() if ".ear." in name}, strict=False)
    save_model(less, "sls", sharing.parent / "less", {}, torch.float32, frozen_in="shared")
    own = load_file(sharing.parent / "less" / WEIGHTS)
    assert not any(".ear." in name for name in own)
    assert any(".judge." in name for name in own) == bool(blocks)
    model = load_model(sharing.parent / "less", "sls")
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, (shared | own)[name])


def test_the_digest_is_of_shared_weights_too(sharing: Path) -> None:
    before = weights_digest(sharing)
    path = sharing.parent / "shared" / WEIGHTS
    save_file({name: value + 1 for name, value in load_file(path).items()}, path)
    assert weights_digest(sharing) != before


def test_the_digest_is_of_how_much_shared_weights_count_too(sharing: Path) -> None:
    config = json.loads((sharing / CONFIG).read_text())
    before = weights_digest(sharing)
    (sharing / CONFIG).write_text(json.dumps(config | {"calibration": {"scale": 2.0, "offset": 0.0}}))
    assert weights_digest(sharing) == before  # changes what a score means, not the score
    config["model"]["speaker_weight"] += 0.1
    (sharing / CONFIG).write_text(json.dumps(config))
    assert weights_digest(sharing) != before


def test_a_missing_or_strange_shared_folder_is_told(sharing: Path) -> None:
    (sharing.parent / "shared").rename(sharing.parent / "elsewhere")
    for ask in (weights_digest, lambda folder: load_model(folder, "sls")):
        with pytest.raises(DetectorError, match=r"ours needs the weights in .*shared too"):
            ask(sharing)
    config = json.loads((sharing / CONFIG).read_text())
    (sharing / CONFIG).write_text(json.dumps(config | {"frozen_in": "../shared"}))
    with pytest.raises(DetectorError, match=r"names the folder beside it, not '\.\./shared'"):
        load_model(sharing, "sls")
