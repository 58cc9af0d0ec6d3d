"""Conditions, per-source reports and the `assess` command on tiny models and made-up clips."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from detectors.__main__ import main
from detectors.assess import long_section
from detectors.assessed import AS_SHIPPED, as_shipped, fitted
from detectors.checkpoints import read_config, save_model, weights_digest
from detectors.conditions import COMMON_RMS, CONDITIONS, shortcuts_removed
from detectors.config import FakeMambaConfig, FrontEndConfig, SlsConfig
from detectors.corpus import Clip, bonafide_mask
from detectors.dev_scores import clip_scores, eer_by_source
from detectors.fusion import read_fusion
from detectors.held_out import BY_SOURCE
from detectors.judged import Judged
from detectors.long_clips import LongClips
from detectors.long_clips_fit import LongFit
from detectors.metrics import cllr
from detectors.models import FakeMamba, Sls
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
    torch.manual_seed(1)
    folder = tmp_path / "sls-tiny"
    save_model(Sls(SlsConfig(TINY, 8_000, 4_000, fc_hidden=8)), "sls", folder, {"step": 3})
    other = tmp_path / "mamba-tiny"
    config = FakeMambaConfig(TINY, 8_000, 4_000, dim=16, layers=1, d_state=4)
    save_model(FakeMamba(config), "fake_mamba", other, {})
    where = ["--manifest", str(manifest), "--cache", str(tmp_path / "cache"), "--device", "cpu"]
    plots = tmp_path / "plots"
    code = main(["assess", str(folder), str(other), *where, "--calibrate", "--plots", str(plots)])
    assert code == 0
    printed = capsys.readouterr().out
    assert "3 bona fide and 3 spoof clips." in printed
    assert "| spoof-source | 3 |" in printed
    assert "### sls-tiny + mamba-tiny, " in printed
    assert "| sls + fake_mamba | " in printed
    config = read_config(folder)
    assert config["calibration"].keys() - {"limit", "of_log_prob"} == {"scale", "offset"}
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
    together = read_results(tmp_path / "results-of-sls-tiny+mamba-tiny.json")
    assert together.names == ["sls-tiny", "mamba-tiny"]
    titles = ("mamba-tiny", "sls-tiny", "sls-tiny+mamba-tiny")
    drawn = [f"{title}-{plot}.png" for title in titles for plot in ("det", "reliability")]
    assert sorted(path.name for path in plots.iterdir()) == sorted(drawn)
    fusion = read_fusion(tmp_path / "fusion.json")
    assert fusion is not None
    assert fusion.sha256 == {"sls": weights_digest(folder), "fake_mamba": weights_digest(other)}
    assert [list(weighing.weights) for weighing in fusion.weighings] == [["sls", "fake_mamba"]]


def test_kept_scores_give_the_same_without_judging_again(manifest, tmp_path, capsys, monkeypatch):
    torch.manual_seed(0)
    folder = tmp_path / "sls-tiny"
    save_model(Sls(SlsConfig(TINY, 8_000, 4_000, fc_hidden=8)), "sls", folder, {})
    command = ["assess", str(folder), "--manifest", str(manifest), "--calibrate"]
    assert main([*command, "--scores"]) == 2
    assert "without --scores" in capsys.readouterr().err
    assert main([*command, "--cache", str(tmp_path / "cache"), "--device", "cpu"]) == 0
    printed, first = capsys.readouterr().out, read_results(folder)
    calibration = read_config(folder)["calibration"]
    windows = json.loads((folder / "windows.json").read_text())["windows"]
    # 0.75 s in windows of 0.5 s, one every 0.25 s.
    assert {len(scores) for scores in windows["raw"].values()} == {2}
    monkeypatch.setattr("detectors.judged.load_countermeasure", None)
    assert main([*command, "--scores"]) == 0
    assert capsys.readouterr().out == printed
    assert read_results(folder).conditions["raw"]["cllr"] == pytest.approx(
        first.conditions["raw"]["cllr"], abs=1e-3
    )
    assert read_config(folder)["calibration"] == pytest.approx(calibration, rel=1e-2)
    save_model(Sls(SlsConfig(TINY, 8_000, 4_000, fc_hidden=8)), "sls", folder, {})
    for _ in ("windows.json", "only .scores"):
        assert main([*command, "--scores"]) == 2
        assert "other weights" in capsys.readouterr().err
        (folder / "windows.json").unlink(missing_ok=True)


#: Eight sources of either class, of which each clip has two windows; of a source's clips all are much alike.
SOURCES = 8


def judged_by_hand(folder: Path, detector: str, clips: list[Clip], apart: float) -> Judged:
    """A checkpoint folder with made-up window scores: the classes' log-odds are `apart` either side of 0."""
    folder.mkdir()
    sizes = {"window_samples": 48_000, "hop_samples": 24_000}
    (folder / "config.json").write_text(json.dumps({"detector": detector, "model": sizes}))
    (folder / "model.safetensors").write_bytes(detector.encode())
    dice = np.random.default_rng(len(detector))
    offsets = {(clip.group, clip.is_bonafide): dice.normal(0, 0.7) for clip in clips}
    windows = [
        [
            [float(apart if clip.is_bonafide else -apart) + offsets[clip.group, clip.is_bonafide] + noise
             for noise in dice.normal(0, 0.7, 2)]
            for clip in clips
        ]
        for _ in CONDITIONS
    ]  # fmt: skip
    if detector == "sls":
        windows = [[(-np.log1p(np.exp(-np.array(of)))).tolist() for of in each] for each in windows]
    return Judged(folder, detector, np.stack([clip_scores(of, detector) for of in windows]), windows)


def test_what_is_fitted_is_kept_and_judged_by_fits_that_had_not_seen_the_source(tmp_path):
    clips = [
        Clip(f"{source}{label}{i}", "", label, f"s{source}")
        for source in range(SOURCES)
        for label in (True, False)
        for i in range(25)
    ]
    judged = [
        judged_by_hand(tmp_path / "one", "sls", clips, 1.5),
        judged_by_hand(tmp_path / "two", "fake_mamba", clips, 1.0),
    ]
    entries = fitted(judged, clips, "dev")
    assert [entry.title.split(",")[0] for entry in entries] == ["one", "two", "one + two"]
    bonafide = bonafide_mask(clips)
    flattered = as_shipped(judged)
    for entry, shipped in zip(entries, flattered, strict=True):
        assert shipped.how.endswith(AS_SHIPPED)
        honest, flattering = (
            np.mean([cllr(row[bonafide], row[~bonafide]) for row in of.llrs]) for of in (entry, shipped)
        )
        assert flattering < honest < flattering + 0.2
        assert entry.how.endswith(BY_SOURCE)
    for entry, each in zip(entries, judged, strict=False):
        np.testing.assert_allclose(entry.scores, flattered[entries.index(entry)].llrs)
        config = read_config(each.folder)
        assert config["calibration"].keys() - {"limit", "of_log_prob"} == {"scale", "offset"}
        assert entry.long is not None
        assert LongClips.of_config(config) == entry.long.long
        assert entry.long.long is not None
    # Together they are better than either, by the same way that the shipped weights are used.
    assert entries[2].title == flattered[2].title
    costs = [np.mean([cllr(row[bonafide], row[~bonafide]) for row in entry.llrs]) for entry in entries]
    assert costs[2] < min(costs[:2])


def test_two_of_one_detector_are_not_fused(tmp_path, capsys):
    clips = [Clip(f"{i}", "", i % 2 == 0, f"s{i % 2}{i % 4}") for i in range(24)]
    judged = [judged_by_hand(tmp_path / name, "sls", clips, 1.0) for name in ("one", "two")]
    assert [entry.title for entry in fitted(judged, clips, "dev")] == ["one", "two"]
    assert "one detector" in capsys.readouterr().err
    assert not (tmp_path / "fusion.json").exists()


def test_a_split_that_is_not_there_is_an_error(manifest, tmp_path, capsys):
    assert main(["assess", str(tmp_path), "--manifest", str(manifest), "--split", "eval"]) == 2
    assert "eval" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("adjacent", "told"),
    [
        (None, "The mean counts at every length."),
        (1, "From 6 windows on the worst stretch counts: the lowest window."),
        (2, "From 6 windows on the worst stretch counts: the lowest mean of 2 neighbouring windows."),
    ],
)
def test_the_card_says_what_counts_of_a_long_clip(adjacent: int | None, told: str) -> None:
    long = None
    if adjacent is not None:
        long = LongClips(
            from_windows=6, measured_windows=39, adjacent=adjacent, mean=1.0, worst=0.5, log_windows=0.0,
            offset=0.0,
        )  # fmt: skip
    assert long_section(LongFit(long, [])).splitlines()[-1] == told
