"""Several detectors' LLRs as one: weighed where that was found better and the weights are the same."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from detectors import fusion
from detectors.calibration import Calibration, fuse
from detectors.fusion import (
    MEAN,
    WEIGHED,
    Fusion,
    Weighing,
    fit_fusion,
    fused,
    fusion_table,
    read_fusion,
    save_fusion,
    uncounted,
    way_of,
)
from detectors.held_out import held_out_llrs, turns_of
from detectors.logistic import fit_logistic

SHA = {name: 8 * f"{digit}23456789abc"[:8] for name, digit in (("sls", "1"), ("fake_mamba", "2"))}
VERSIONS = {name: digest[:12] for name, digest in SHA.items()}
LLRS = {"sls": 1.0, "fake_mamba": -3.0}


def kept(cllr: float = 0.4, cllr_of_mean: float = 0.5) -> Fusion:
    weighing = Weighing({"sls": 0.5, "fake_mamba": 2.0}, 0.25, cllr, cllr_of_mean)
    return Fusion("dev", 3, 4, ["raw"], "held out", SHA, [weighing])


@pytest.fixture
def shipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fusion, "shipped", kept)


def test_the_weights_are_used_for_the_detectors_they_were_fitted_on(shipped: None) -> None:
    assert fused(LLRS, VERSIONS) == pytest.approx(0.25 + 0.5 - 6.0)
    assert fused(dict(reversed(LLRS.items())), SHA) == pytest.approx(-5.25)
    assert way_of(VERSIONS) == f"{WEIGHED}: sls 0.500, fake_mamba 2.000; offset +0.250"


@pytest.mark.parametrize(
    "versions", [{}, {"sls": VERSIONS["sls"]}, {**VERSIONS, "sls": "abcdefabcdef"}, {**VERSIONS, "sls": "1"}]
)
def test_other_weights_are_fused_by_the_mean(shipped: None, versions: dict[str, str]) -> None:
    assert fused(LLRS, versions) == fuse([1.0, -3.0]) == -1.0


def test_a_set_that_was_not_fitted_is_fused_by_the_mean(shipped: None) -> None:
    third = {**VERSIONS, "allm4add": "333456789abc"}
    assert fused({**LLRS, "allm4add": 8.0}, third) == 2.0
    assert fused({"sls": 1.5}, VERSIONS) == 1.5
    assert way_of(third) == way_of({}) == MEAN


def test_the_mean_of_some_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    some = Weighing({"sls": 0.0, "fake_mamba": 1.0}, 0.0, 0.4, 0.5)
    monkeypatch.setattr(fusion, "shipped", lambda: replace(kept(), weighings=[some]))
    assert fused(LLRS, VERSIONS) == -3.0
    assert way_of(VERSIONS) == "mean of the LLRs of fake_mamba"
    assert uncounted(VERSIONS) == ["sls"]
    assert uncounted({"sls": VERSIONS["sls"]}) == []  # nothing is left out of one alone


@pytest.mark.parametrize("cllr", [0.5, 0.495])
def test_weights_that_were_hardly_better_are_not_used(cllr: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fusion, "shipped", lambda: kept(cllr, 0.5))
    assert fused(LLRS, VERSIONS) == -1.0
    assert way_of(VERSIONS) == MEAN


def test_without_a_file_or_with_a_damaged_one_the_mean_counts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert read_fusion(tmp_path / "fusion.json") is None
    for damaged in ("{", "[]", '{"weighings": [{}]}', '{"weighings": []}'):
        (tmp_path / "fusion.json").write_text(damaged)
        caplog.clear()
        assert read_fusion(tmp_path / "fusion.json") is None
        assert "damaged" in caplog.text


def test_a_file_comes_back_as_it_was(tmp_path: Path) -> None:
    save_fusion(tmp_path / "fusion.json", kept())
    assert read_fusion(tmp_path / "fusion.json") == kept()
    assert json.loads((tmp_path / "fusion.json").read_text())["sha256"] == SHA


def test_the_table_says_which_way_was_better() -> None:
    assert "| sls + fake_mamba | 0.50, 2.00 | 0.400 | 0.500 | weighed |" in fusion_table(kept())
    assert "| 0.500 | 0.400 | mean |" in fusion_table(kept(0.5, 0.4))


def made(noise: float, seed: int, labels: np.ndarray) -> np.ndarray:
    return np.where(labels, 1.0, -1.0) + noise * np.random.default_rng(seed).normal(size=(2, len(labels)))


def test_a_fit_weighs_the_better_detector_more_and_beats_the_mean() -> None:
    labels = np.arange(400) < 200
    turns = turns_of([f"{label}{i % 5}" for i, label in enumerate(labels)], labels)
    scores = {
        "sls": made(0.8, 0, labels),
        "fake_mamba": made(4.0, 1, labels),
        "allm4add": made(1.0, 2, labels),
    }
    llrs, held_out = {}, {}
    for name, values in scores.items():
        fitted = fit_logistic(values.reshape(-1, 1), np.tile(labels, 2))
        llrs[name] = Calibration(fitted.weights[0], fitted.offset).llr(values)
        held_out[name] = held_out_llrs(fit_logistic, values[..., None], labels, turns)
    found = fit_fusion(llrs, held_out, labels, turns)
    assert [list(each.weighing.weights) for each in found] == [
        ["sls", "fake_mamba"],
        ["sls", "allm4add"],
        ["fake_mamba", "allm4add"],
        ["sls", "fake_mamba", "allm4add"],
    ]
    for each in found:
        assert each.weighing.better
        assert min(each.weighing.weights.values()) >= 0
        assert each.scores.shape == each.llrs.shape == (2, 400)
    # Independent evidence adds up: the calibrated LLRs count nearly in full, and together for more.
    assert found[1].weighing.weights["sls"] == pytest.approx(1, abs=0.25)
    one, two = {name: 1.0 for name in found[-1].weighing.weights}, found[-1].weighing
    assert two.llr(one) > 2.0


def test_where_weights_do_not_help_the_mean_of_some_may() -> None:
    labels = np.arange(400) < 200
    turns = turns_of([f"{label}{i % 5}" for i, label in enumerate(labels)], labels)
    llrs = {name: made(30.0, seed, labels) for seed, name in enumerate(("sls", "fake_mamba", "allm4add"))}
    held_out = {
        "sls": made(0.5, 4, labels),
        "fake_mamba": made(0.5, 5, labels),
        "allm4add": -2 * made(0.5, 6, labels),
    }
    pair, *_, three = fit_fusion(llrs, held_out, labels, turns)
    assert not pair.weighing.better  # than the mean of both, which is not among what is tried beside it
    assert three.weighing.counted == ["sls", "fake_mamba"]
    assert three.weighing.way == "mean of the LLRs of sls, fake_mamba"
    np.testing.assert_allclose(three.llrs, (held_out["sls"] + held_out["fake_mamba"]) / 2)
    np.testing.assert_allclose(three.scores, (llrs["sls"] + llrs["fake_mamba"]) / 2)
