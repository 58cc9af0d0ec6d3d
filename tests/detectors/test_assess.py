"""Conditions, per-source reports and the `assess` command on tiny models and made-up clips."""

import json

import numpy as np
import pytest
import torch

from detectors.__main__ import main
from detectors.checkpoints import read_config, save_model, weights_digest
from detectors.conditions import COMMON_RMS, shortcuts_removed
from detectors.config import FrontEndConfig, SlsConfig
from detectors.corpus import Clip
from detectors.dev_scores import eer_by_source
from detectors.models import Sls
from detectors.results import read_results

TINY = FrontEndConfig(
    layers=2, hidden=32, heads=2, ffn=32, extractor="log_mel", extractor_channels=32, position_kernel=8,
    position_groups=4,
)  # fmt: skip


def test_shortcuts_removed_leaves_one_level_and_band_and_no_silence():
    rng = np.random.default_rng(0)
    noise = rng.uniform(-0.8, 0.8, 32_000).astype(np.float32)
    wave = np.concatenate([np.zeros(8_000, np.float32), noise, np.zeros(8_000, np.float32)])
    plain = shortcuts_removed(wave)
    assert len(plain) == pytest.approx(32_000, abs=640)
    assert np.sqrt(np.mean(plain**2)) == pytest.approx(COMMON_RMS, rel=1e-3)
    power = np.abs(np.fft.rfft(plain)) ** 2
    assert power[int(0.6 * len(power)) :].sum() < 1e-3 * power.sum()
    np.testing.assert_allclose(shortcuts_removed(0.1 * wave), plain, atol=1e-5)


def test_eers_by_source_can_be_counted_by_hand():
    human, easy, hard = (Clip(n, "", n == "human", n) for n in ("human", "easy", "hard"))
    clips = [human] * 4 + [easy] * 2 + [hard] * 2
    report = eer_by_source(clips, np.array([1.0, 2.0, 3.0, 4.0, -1.0, -2.0, 2.5, 3.5]))
    assert report["sources"]["easy"] == {"eer": 0.0, "spoof": 2}
    # Against "hard" (2.5, 3.5), a threshold of 3 misses 1 and 2 of four and accepts 3.5 of two.
    assert report["sources"]["hard"] == {"eer": 50.0, "spoof": 2}
    assert report["macro"] == 25.0
    assert (report["bonafide"], report["spoof"]) == (4, 4)


def test_the_command_reports_and_saves_a_calibration(manifest, tmp_path, capsys):
    torch.manual_seed(0)
    folder = tmp_path / "sls-tiny"
    save_model(Sls(SlsConfig(TINY, 8_000, 4_000, fc_hidden=8)), "sls", folder, {"step": 3})
    where = ["--manifest", str(manifest), "--cache", str(tmp_path / "cache"), "--device", "cpu"]
    plots = tmp_path / "plots"
    code = main(["assess", str(folder), str(folder), *where, "--calibrate", "--plots", str(plots)])
    assert code == 0
    printed = capsys.readouterr().out
    assert "3 bona fide and 3 spoof clips." in printed
    assert "| spoof-source | 3 |" in printed
    assert "### all, mean of the LLRs" in printed
    config = read_config(folder)
    assert config["calibration"].keys() == {"scale", "offset"}
    assert config["step"] == 3
    scores = (folder / "shortcuts-removed.scores").read_text().splitlines()
    assert [line.split()[0] for line in scores] == [f"u{i}" for i in range(6)]
    assert json.loads((folder / "config.json").read_text()) == config
    kept = read_results(folder)
    assert (kept.names, kept.weights, kept.split) == (["sls-tiny"], [weights_digest(folder)], "dev")
    assert list(kept.conditions) == ["raw", "shortcuts removed"]
    raw = kept.conditions["raw"]
    assert (raw["bonafide"], raw["spoof"], raw["cllr_of"]) == (3, 3, "llr")
    assert raw["per_source"] == {"spoof-source": {"eer": raw["eer"], "spoof": 3}}
    lower, upper = raw["per_source_intervals"]["spoof-source"]
    assert f"| spoof-source | 3 | {raw['eer']:.1f} [{lower:.1f}, {upper:.1f}] |" in printed
    # The kept scores, read by the other command, have the same error rates as the LLRs.
    where = ["--keys", str(manifest), "--phase", "dev", "--json", "--without-shortcuts"]
    assert (
        main(["evaluate", str(folder / "raw.scores"), *where, str(folder / "shortcuts-removed.scores")]) == 0
    )
    evaluated = json.loads(capsys.readouterr().out)
    assert evaluated["eer"] == raw["eer"]
    assert evaluated["without_shortcuts"]["eer"] == kept.conditions["shortcuts removed"]["eer"]
    together = read_results(tmp_path / "results-of-sls-tiny+sls-tiny.json")
    assert together.names == ["sls-tiny", "sls-tiny"]
    drawn = ["sls-tiny+sls-tiny-det.png", "sls-tiny+sls-tiny-reliability.png", "sls-tiny-det.png"]
    assert sorted(path.name for path in plots.iterdir()) == [*drawn, "sls-tiny-reliability.png"]


def test_a_split_that_is_not_there_is_an_error(manifest, tmp_path, capsys):
    assert main(["assess", str(tmp_path), "--manifest", str(manifest), "--split", "eval"]) == 2
    assert "eval" in capsys.readouterr().err
