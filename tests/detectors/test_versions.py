"""Fine-tuned versions: kept whole, chosen at once, gone back from, loaded in place of the shipped ones."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from filelock import FileLock

from detectors.audio import sha256_of
from detectors.calibration import Calibration
from detectors.cards import CARDS
from detectors.checkpoints import WEIGHTS, save_model
from detectors.config import FrontEndConfig, SlsConfig
from detectors.errors import DetectorError
from detectors.models import build_model
from detectors.registry import detector_status, load_detector, weights_in_use
from detectors.versions import CARD, CURRENT, LOCK, Version, Versions

FRONT_END = FrontEndConfig(2, 16, 2, 24, extractor_channels=8, position_kernel=8, position_groups=2)
TINY = SlsConfig(FRONT_END, window_samples=8_000, hop_samples=4_000, fc_hidden=6)


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The shipped sls, tiny."""
    folder = tmp_path / "sls-mini"
    save_model(build_model(TINY), "sls", folder, {})
    card = replace(CARDS["sls", "mini"], folder=folder, sha256=sha256_of(folder / WEIGHTS))
    monkeypatch.setitem(CARDS, ("sls", "mini"), card)
    return folder


@pytest.fixture
def versions(tmp_path: Path) -> Versions:
    return Versions(tmp_path / "data")


def made(versions: Versions, seed: int, preset: str = "mini") -> Version:
    """A version with weights of its own."""
    torch.manual_seed(seed)
    facts = {"created": f"2026-01-0{seed}T00:00:00Z", "clips": 60}
    extra = {"preset": preset, "calibration": {"scale": 3.0, "offset": seed}, "finetuned": facts}

    def write(folder: Path) -> None:
        save_model(build_model(TINY), "sls", folder, extra)
        (folder / CARD).write_text(f"# Version {seed}")

    return versions.keep("sls", write)


def test_a_version_is_named_by_its_weights_and_is_not_in_use_yet(versions: Versions) -> None:
    version = made(versions, 1)
    assert version.name == sha256_of(version.folder / WEIGHTS)[:12]
    assert version.folder == versions.folder / "sls" / version.name
    assert version.card == "# Version 1"
    assert versions.current("sls", "mini") is None


def test_versions_are_listed_newest_first_each_under_its_preset(versions: Versions) -> None:
    first, second, full = made(versions, 1), made(versions, 2), made(versions, 3, "full")
    assert versions.all("sls", "mini") == [second, first]
    assert versions.all("sls", "full") == [full]
    assert versions.all("fake_mamba", "mini") == []


def test_the_choice_goes_forth_and_back(versions: Versions) -> None:
    first, second = made(versions, 1), made(versions, 2)
    for wanted in (first, second, None, first):
        versions.use("sls", "mini", wanted.name if wanted else None)
        assert Versions(versions.data).current("sls", "mini") == wanted
    assert versions.all("sls", "mini") == [second, first]  # nothing was removed on the way


def test_each_preset_has_a_choice_of_its_own(versions: Versions) -> None:
    mini, full = made(versions, 1), made(versions, 2, "full")
    versions.use("sls", "mini", mini.name)
    versions.use("sls", "full", full.name)
    versions.use("sls", "mini", None)
    assert versions.current("sls", "mini") is None
    assert versions.current("sls", "full") == full
    with pytest.raises(DetectorError, match="no version"):
        versions.use("sls", "mini", full.name)


@pytest.mark.parametrize("name", ["0" * 12, "../../etc", "", "current.json"])
def test_a_version_that_is_not_there_cannot_be_used(versions: Versions, name: str) -> None:
    kept = made(versions, 1)
    versions.use("sls", "mini", kept.name)
    with pytest.raises(DetectorError, match="no version"):
        versions.use("sls", "mini", name)
    assert versions.current("sls", "mini") == kept


def test_the_same_weights_again_are_the_same_version(versions: Versions) -> None:
    assert made(versions, 1) == made(versions, 1)
    assert len(versions.all("sls", "mini")) == 1


def test_a_version_that_was_not_finished_leaves_nothing(versions: Versions) -> None:
    def stop(folder: Path) -> None:
        save_model(build_model(TINY), "sls", folder, {})
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        versions.keep("sls", stop)
    assert list((versions.folder / "sls").iterdir()) == []


def test_a_choice_that_was_not_finished_leaves_the_one_before(
    versions: Versions, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = made(versions, 1), made(versions, 2)
    versions.use("sls", "mini", first.name)

    def stop(*paths: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("detectors.versions.os.replace", stop)
    with pytest.raises(KeyboardInterrupt):
        versions.use("sls", "mini", second.name)
    assert versions.current("sls", "mini") == first


def test_a_damaged_choice_is_explained(shipped: Path, versions: Versions) -> None:
    made(versions, 1)
    (versions.folder / "sls" / CURRENT).write_text("{")
    with pytest.raises(DetectorError, match=r"current\.json is damaged.*Delete it"):
        versions.current("sls", "mini")
    reason = detector_status("sls", "mini", versions.data)
    assert reason is not None
    assert "damaged" in reason


def test_a_damaged_version_does_not_hide_the_others(versions: Versions) -> None:
    first, second = made(versions, 1), made(versions, 2)
    (first.folder / "config.json").write_text("{")
    assert versions.all("sls", "mini") == [second]


def test_no_choice_is_lost_when_many_choose_at_once(versions: Versions) -> None:
    """Each preset has a writer of its own, and every writer replaces the file with the choices of all."""
    presets = [f"preset{n}" for n in range(6)]
    chosen = {preset: made(versions, seed, preset).name for seed, preset in enumerate(presets, 1)}
    for _ in range(5):
        for preset in presets:
            versions.use("sls", preset, None)
        with ThreadPoolExecutor(len(presets)) as pool:
            list(pool.map(lambda item: Versions(versions.data).use("sls", *item), chosen.items()))
        assert json.loads((versions.folder / "sls" / CURRENT).read_text()) == chosen


def test_a_choice_waits_for_another_process_only_so_long(
    versions: Versions, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = made(versions, 1)
    monkeypatch.setattr("detectors.versions.PATIENCE", 0.05)
    with FileLock(versions.folder / "sls" / LOCK), pytest.raises(DetectorError, match=r"locked.*Try again"):
        versions.use("sls", "mini", kept.name)
    versions.use("sls", "mini", kept.name)
    assert versions.current("sls", "mini") == kept


# Loading


def test_the_version_in_use_is_what_loads(shipped: Path, versions: Versions) -> None:
    version = made(versions, 1)
    plain = load_detector("sls", device="cpu", data=versions.data)
    assert plain.version == sha256_of(shipped / WEIGHTS)[:12]
    versions.use("sls", "mini", version.name)
    tuned = load_detector("sls", device="cpu", data=versions.data)
    assert tuned.version == version.name
    assert tuned.calibration == Calibration(3.0, 1)
    assert tuned.card.folder == version.folder
    assert tuned.card.trained_on.endswith("then fine-tuned on 60 labelled clips")
    # Whoever names no data folder, or a checkpoint, gets what was asked for.
    assert load_detector("sls", device="cpu").version == plain.version
    named = load_detector("sls", checkpoint=shipped, device="cpu", data=versions.data)
    assert named.version == plain.version


def test_weights_in_use_are_where_the_next_version_starts(shipped: Path, versions: Versions) -> None:
    assert weights_in_use("sls", "mini", versions.data)[1] == shipped
    version = made(versions, 1)
    versions.use("sls", "mini", version.name)
    assert weights_in_use("sls", "mini", versions.data)[1] == version.folder


def test_weights_that_changed_since_are_refused(shipped: Path, versions: Versions) -> None:
    version = made(versions, 1)
    versions.use("sls", "mini", version.name)
    save_model(build_model(TINY), "sls", version.folder, {"preset": "mini"})
    with pytest.raises(DetectorError, match=r"sha256 differs.*Put another version in use"):
        load_detector("sls", device="cpu", data=versions.data)


def test_a_version_can_run_where_the_shipped_weights_are_missing(
    tmp_path: Path, versions: Versions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CARDS, ("sls", "mini"), replace(CARDS["sls", "mini"], folder=tmp_path / "gone"))
    assert detector_status("sls", "mini", versions.data) is not None
    versions.use("sls", "mini", made(versions, 1).name)
    assert detector_status("sls", "mini", versions.data) is None


def test_current_json_is_as_documented(versions: Versions) -> None:
    version = made(versions, 1)
    versions.use("sls", "mini", version.name)
    assert json.loads((versions.folder / "sls" / CURRENT).read_text()) == {"mini": version.name}
