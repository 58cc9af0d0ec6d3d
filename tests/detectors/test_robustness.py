"""Stresses are repeatable and do what they say; a stress test counts rightly; the command measures."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from detectors import robustness_command
from detectors.__main__ import main
from detectors.audio import SAMPLE_RATE
from detectors.checkpoints import save_model
from detectors.codecs import gsm_round_trip
from detectors.config import FakeMambaConfig, FrontEndConfig, SlsConfig
from detectors.detection import Detection, Window, p_spoof_of
from detectors.errors import DetectorError
from detectors.familiar import front_end_digest
from detectors.models import FakeMamba, Sls
from detectors.results import read_robustness, robustness_tables, updated
from detectors.robustness import MAX_SECONDS, STRESSES, Stress, excerpt, stress_test
from detectors.shared_hearing import share_front_ends, together

TINY = FrontEndConfig(
    layers=2, hidden=32, heads=2, ffn=32, extractor="log_mel", extractor_channels=32, position_kernel=8,
    position_groups=4,
)  # fmt: skip


def voice(seconds: float) -> np.ndarray:
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    wave = sum(np.sin(2 * np.pi * 140 * k * time) / k for k in range(1, 40))
    return (0.1 * wave * (1.2 + np.sin(2 * np.pi * 3 * time))).astype(np.float32)


def share_above(wave: np.ndarray, frequency: float) -> float:
    power = np.abs(np.fft.rfft(wave)) ** 2
    return float(power[np.fft.rfftfreq(len(wave), 1 / SAMPLE_RATE) > frequency].sum() / power.sum())


def by_level(quiet: float, name: str = "sls"):
    """A judge that calls what has less than an RMS of `quiet` machine-made, with |LLR| 2."""

    def judge(wave: np.ndarray) -> Detection:
        if len(wave) < SAMPLE_RATE // 2:
            raise DetectorError("too short.")
        llr = 2.0 if np.sqrt(np.mean(wave**2)) > quiet else -2.0
        seconds = len(wave) / SAMPLE_RATE
        window = Window(0, seconds, llr, llr, p_spoof_of(llr))
        return Detection(name, llr, llr, p_spoof_of(llr), [window], seconds, "cpu")

    return judge


@pytest.mark.parametrize("stress", STRESSES, ids=lambda stress: stress.key)
def test_a_stress_changes_a_long_clip_in_the_same_way_every_time(stress: Stress) -> None:
    wave = voice(9)
    kept = wave.copy()
    changed = stress.apply(wave)
    assert changed.dtype == np.float32
    assert np.isfinite(changed).all()
    assert np.abs(changed).max() <= 1
    assert not np.array_equal(changed, wave)
    np.testing.assert_array_equal(changed, stress.apply(wave))
    np.testing.assert_array_equal(wave, kept)


def test_the_keys_and_titles_tell_the_stresses_apart() -> None:
    assert len({stress.key for stress in STRESSES}) == len(STRESSES)
    assert len({stress.title for stress in STRESSES}) == len(STRESSES)


def test_noise_band_speed_and_length_are_as_named() -> None:
    changes = {stress.key: stress.apply for stress in STRESSES}
    wave = voice(9)
    for key, snr in (("noise30", 30), ("noise20", 20), ("noise10", 10)):
        noise = changes[key](wave) - wave
        assert 10 * np.log10(np.mean(wave**2) / np.mean(noise**2)) == pytest.approx(snr, abs=0.2)
    assert share_above(wave, 4_300) > 1e-3 > 100 * share_above(changes["band"](wave), 4_300)
    assert len(changes["faster"](wave)) == pytest.approx(len(wave) / 1.1, abs=2)
    assert len(changes["slower"](wave)) == pytest.approx(len(wave) / 0.9, abs=2)
    assert [len(changes[key](wave)) / SAMPLE_RATE for key in ("only2s", "only4s", "only8s")] == [2, 4, 8]


def test_gsm_keeps_the_clip_and_takes_what_a_phone_takes() -> None:
    wave = voice(2)
    coded = gsm_round_trip(wave)
    assert (coded.shape, coded.dtype) == (wave.shape, np.float32)
    assert share_above(coded, 4_300) < 0.01 * share_above(wave, 4_300)
    assert np.linalg.norm(coded) == pytest.approx(np.linalg.norm(wave), rel=0.3)


def test_an_excerpt_is_where_the_most_sound_is() -> None:
    wave = np.zeros(5 * SAMPLE_RATE, np.float32)
    wave[3 * SAMPLE_RATE : 4 * SAMPLE_RATE] = 0.5
    assert (excerpt(wave, 1.0) == 0.5).all()
    assert np.array_equal(excerpt(wave, 5.0), wave)


def test_what_held_is_counted_and_what_could_not_be_done_is_named() -> None:
    wave = voice(3)
    test = stress_test(wave, {"sls": by_level(0.01), "fake_mamba": by_level(0.01, "fake_mamba")})
    assert (test.verdict, test.llr, test.seconds) == ("bonafide", 2.0, 3.0)
    assert set(test.left_out) >= {"Only 4 s of it", "Only 8 s of it"}
    assert test.held == len(test.trials) == len(STRESSES) - len(test.left_out)
    assert test.trials[0].detectors == {"sls": p_spoof_of(2.0), "fake_mamba": p_spoof_of(2.0)}
    report = json.loads(json.dumps(test.report()))
    assert (report["held"], report["tests"]) == (test.held, len(test.trials))


def test_a_verdict_that_turns_is_not_held() -> None:
    wave = np.zeros(9 * SAMPLE_RATE, np.float32)
    wave[: 2 * SAMPLE_RATE] = voice(2)
    rms = {key: float(np.sqrt(np.mean(excerpt(wave, key) ** 2))) for key in (2.0, 4.0, 9.0)}
    # As a whole quiet, so "machine-made"; loud enough for "human" once only its loud part is left.
    test = stress_test(wave, {"sls": by_level((rms[2.0] + rms[4.0]) / 2)})
    assert test.verdict == "spoof"
    assert [trial.key for trial in test.opposite] == ["only2s"]
    assert test.held == len(test.trials) - 1


def test_a_stress_that_leaves_too_little_is_left_out_with_the_reason() -> None:
    test = stress_test(voice(0.52), {"sls": by_level(0.01)})
    assert test.left_out["10 % faster"] == "too short."
    assert "10 % faster" not in [trial.title for trial in test.trials]


def test_a_missing_encoder_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detectors.robustness.can_encode", lambda name: name != "amr")
    test = stress_test(voice(1), {"sls": by_level(0.01)})
    assert "encoder" in test.left_out["Mobile phone (AMR-NB)"]


def test_of_a_long_clip_the_part_with_the_most_sound_is_tested() -> None:
    wave = np.tile(voice(1), 70)
    heard: list[tuple[float, str]] = []
    test = stress_test(wave, {"sls": by_level(0.01)}, lambda share, title: heard.append((share, title)))
    assert test.seconds == MAX_SECONDS
    shares = [share for share, _ in heard]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert heard[0][1] == STRESSES[0].title


def test_what_refuses_the_clip_itself_is_an_error() -> None:
    with pytest.raises(DetectorError, match="too short"):
        stress_test(voice(0.2), {"sls": by_level(0.01)})


# ---- the command


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One tiny SLS in the place of every detector's weights; how often a clip was changed goes to changes."""
    torch.manual_seed(0)
    folder = tmp_path / "sls-tiny"
    calibration = {"calibration": {"scale": 2.0, "offset": 0.5}}
    save_model(Sls(SlsConfig(TINY, 8_000, 4_000, fc_hidden=8)), "sls", folder, calibration)
    monkeypatch.setattr(robustness_command, "weights_in_use", lambda name, preset, data: (None, folder))
    real = robustness_command.load_countermeasure
    monkeypatch.setattr(
        robustness_command, "load_countermeasure", lambda folder, name, *rest: real(folder, "sls", *rest)
    )
    few = STRESSES[:1] + STRESSES[-1:]
    monkeypatch.setattr(robustness_command, "STRESSES", few)
    return folder


def call(manifest: Path, *more: str) -> int:
    cache = str(manifest.parent / "cache")
    return main(["robustness", "--manifest", str(manifest), "--cache", cache, "--device", "cpu", *more])


def test_the_command_prints_a_table_for_each_detector_and_one_together(tiny, manifest, capsys) -> None:
    assert call(manifest, "--detector", "all") == 0
    printed = capsys.readouterr().out
    assert "3 bona fide and 3 spoof clips." in printed
    for heading in ("### sls", "### fake_mamba", "### allm4add", "### all, mean of the detectors' LLRs"):
        assert heading in printed
    rows = [line for line in printed.splitlines() if line.startswith("| Telephone (G.711) |")]
    assert len(rows) == 4


def test_json_has_the_same_figures_and_a_second_run_scores_nothing_again(
    tiny, manifest, capsys, monkeypatch
) -> None:
    assert call(manifest, "--detector", "sls", "--json") == 0
    first = json.loads(capsys.readouterr().out)
    conditions = first["detectors"]["sls"]
    assert list(conditions) == ["as it is", "Telephone (G.711)", "Only 8 s of it"]
    # These clips are all shorter than 8 s, so that condition changes none of them.
    assert conditions["Only 8 s of it"] == conditions["as it is"]
    assert set(conditions["as it is"]["sources"]) == {"spoof-source"}
    monkeypatch.setattr(robustness_command, "score_cache", None)
    assert call(manifest, "--detector", "sls", "--json") == 0
    assert json.loads(capsys.readouterr().out) == first


def test_chosen_conditions_go_into_a_file_as_they_are_done(tiny, manifest, capsys, monkeypatch) -> None:
    out = manifest.parent / "robustness.json"
    chosen = ["--detector", "sls", "--out", str(out)]

    def stop(*_: object) -> None:
        raise DetectorError("stopped here")

    real = robustness_command.score_cache
    turns = iter([real, stop])
    monkeypatch.setattr(robustness_command, "score_cache", lambda *rest: next(turns)(*rest))
    assert call(manifest, *chosen, "--only", STRESSES[-1].key) == 2
    assert list(read_robustness(out)["detectors"]["sls"]) == ["as it is"]
    monkeypatch.setattr(robustness_command, "score_cache", real)
    assert call(manifest, *chosen, "--only", STRESSES[-1].key) == 0
    assert list(read_robustness(out)["detectors"]["sls"]) == ["as it is", "Only 8 s of it"]
    capsys.readouterr()
    with pytest.raises(SystemExit):
        call(manifest, "--only", "shouting")
    assert "shouting" in capsys.readouterr().err


def measured(sls: float, mamba: float, of_all: float) -> dict:
    rates = {"eer_pooled": 30.0, "cllr": 0.5, "real_called_fake": 10.0, "fake_called_real": 20.0}
    eers = {"sls": sls, "fake_mamba": mamba, "all": of_all}
    return {name: {**rates, "eer_macro": eer} for name, eer in eers.items()}


def test_a_readme_gets_its_table_from_the_file(tmp_path) -> None:
    unchanged, coded = measured(20.0, 10.0, 0.0), measured(25.0, 9.5, 1.0)
    report = {
        "split": "dev", "bonafide": 3, "spoof": 4, "fusion": "the mean", "left_out": {"GSM": "no encoder"},
        "detectors": {name: {"as it is": unchanged[name], "MP3": coded[name]} for name in unchanged},
    }  # fmt: skip
    (tmp_path / "robustness.json").write_text(json.dumps(report))
    text = "# Title\n<!-- robustness of: robustness.json -->\nold\n<!-- end of robustness -->\nend\n"
    renewed = updated(text, tmp_path)
    assert "| as it is | 20.0 | 10.0 | 0.0 |" in renewed
    assert "| MP3 | 25.0 (+25 %) | 9.5 (-5 %) | 1.0 |" in renewed
    assert "3 bona fide and 4 spoof clips" in renewed
    assert "old" not in renewed
    assert renewed.endswith("<!-- end of robustness -->\nend\n")
    assert updated(renewed, tmp_path) == renewed
    tables = robustness_tables(report)
    assert "### all, the mean" in tables
    assert "| MP3 | 30.0 | 25.0 | 0.500 | 10.0 | 20.0 |" in tables
    assert "Not measured: GSM (no encoder)." in tables
    (tmp_path / "robustness.json").write_text("{}")
    with pytest.raises(DetectorError, match="robustness --out"):
        updated(text, tmp_path)


def test_detectors_with_the_same_front_end_hear_a_window_once() -> None:
    torch.manual_seed(0)
    sls = Sls(SlsConfig(TINY, 8_000, 4_000, fc_hidden=8)).eval()
    sizes = FakeMambaConfig(TINY, 8_000, 4_000, dim=16, layers=1, d_state=4)
    alike, other = FakeMamba(sizes).eval(), FakeMamba(sizes).eval()
    alike.front_end.load_state_dict(sls.front_end.state_dict())
    windows = 0.1 * torch.randn(3, 8_000)
    models = {"sls": sls, "alike": alike, "other": other}
    with torch.inference_mode():
        apart = {name: model(windows).cm_scores for name, model in models.items()}
        share_front_ends(list(models.values()))
        assert alike.front_end is sls.front_end
        assert other.front_end is not sls.front_end
        heard: list[int] = []
        sls.front_end.register_forward_hook(lambda *_: heard.append(1))
        found = together(models)(windows)
    assert len(heard) == 1
    for name, scores in apart.items():
        torch.testing.assert_close(found[name], scores)


def test_one_that_hears_the_signal_too_keeps_its_front_end() -> None:
    sizes = [replace(TINY, extractor="log_mel", signal=signal) for signal in (True, False)]
    sls = Sls(SlsConfig(sizes[0], 8_000, 4_000, fc_hidden=8))
    mamba = FakeMamba(FakeMambaConfig(sizes[1], 8_000, 4_000, dim=16, layers=1, d_state=4))
    mamba.front_end.load_state_dict(sls.front_end.state_dict())
    share_front_ends([sls, mamba])
    assert mamba.front_end is not sls.front_end
    assert front_end_digest(mamba.front_end) != front_end_digest(sls.front_end)


@pytest.mark.parametrize(
    ("more", "message"), [(["--limit", "1"], "at least 2"), (["--split", "eval"], "eval")]
)
def test_what_cannot_be_measured_is_refused(tiny, manifest, capsys, more: list[str], message: str) -> None:
    assert call(manifest, *more) == 2
    assert message in capsys.readouterr().err


def test_clips_of_one_class_are_refused(tiny, manifest, capsys) -> None:
    lines = manifest.read_text().splitlines()
    manifest.write_text("\n".join([lines[0], *[line for line in lines if ",spoof," in line]]) + "\n")
    assert call(manifest) == 2
    assert "one class" in capsys.readouterr().err
