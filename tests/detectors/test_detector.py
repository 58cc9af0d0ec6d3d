"""A loaded detector on clips: windows, maps, scores, and what it refuses."""

import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

from detectors import detector as module
from detectors.calibration import Calibration
from detectors.clip_score import clip_score
from detectors.config import FakeMambaConfig, FrontEndConfig, SlsConfig
from detectors.detection import VOICE_TIME, p_spoof_of
from detectors.detector import Detector
from detectors.errors import DetectorError
from detectors.models import build_model
from detectors.registry import card_of
from tests.detectors import plain_models as plain

CONV = FrontEndConfig(2, 16, 2, 24, extractor_channels=8, position_kernel=8, position_groups=2)
MEL = FrontEndConfig(2, 16, 2, 24, "log_mel", 16, 8, 2)
WINDOW, HOP = 16_000, 8_000
CALIBRATION = Calibration(3.0, -0.7)


def build(name: str, front_end: FrontEndConfig = CONV) -> Detector:
    torch.manual_seed(7)
    if name == "sls":
        model = build_model(SlsConfig(front_end, WINDOW, HOP, fc_hidden=6))
    else:
        model = build_model(FakeMambaConfig(front_end, WINDOW, HOP, dim=16, layers=1, d_state=4))
    return Detector(card_of(name, "mini"), model, CALIBRATION, "abc123", "cpu")


@pytest.fixture(scope="module", params=["sls", "fake_mamba"])
def detector(request: pytest.FixtureRequest) -> Detector:
    return build(request.param)


@pytest.fixture(scope="module")
def sls() -> Detector:
    return build("sls")


@pytest.fixture(scope="module")
def fake_mamba() -> Detector:
    return build("fake_mamba")


def clip(seconds: float, seed: int = 0) -> np.ndarray:
    return plain.speech_like(round(seconds * 16_000), seed).numpy()


def direct(detector: Detector, *waves: np.ndarray) -> list[np.ndarray]:
    """The model's own output for full windows."""
    with torch.inference_mode():
        return [value.numpy() for value in detector.model(torch.from_numpy(np.stack(waves)))]


def test_windows_cover_the_clip_and_keep_to_it(detector):
    found = detector.analyze(clip(3.3))
    assert [w.start for w in found.windows] == [0.0, 0.5, 1.0, 1.5, 2.0, pytest.approx(2.3)]
    assert found.windows[-1].end == found.seconds == 3.3
    assert all(w.end - w.start == pytest.approx(detector.window_seconds) for w in found.windows)


def test_each_window_has_the_models_score(detector):
    wave = clip(1.8)
    found = detector.analyze(wave)
    expected = direct(detector, wave[:WINDOW], wave[HOP : HOP + WINDOW], wave[-WINDOW:])[0][:, 1]
    assert [w.score for w in found.windows] == pytest.approx(expected.tolist(), abs=1e-5)
    assert len({round(w.score, 6) for w in found.windows}) == 3


def test_the_clips_score_is_that_of_its_windows_and_its_llr_calibrated(detector):
    found = detector.analyze(clip(2.6))
    assert len(found.windows) > 1
    assert found.score == pytest.approx(clip_score([w.score for w in found.windows], of_log_prob=False))
    for item in (found, *found.windows):
        assert item.llr == pytest.approx(3.0 * item.score - 0.7)
        assert item.p_spoof == pytest.approx(p_spoof_of(item.llr))
    assert (found.detector, found.device) == (detector.name, "cpu")


def test_windows_in_batches_equal_windows_one_by_one(detector, monkeypatch):
    sizes = []
    hook = detector.model.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    wave = clip(6.1)
    together = detector.analyze(wave)
    assert sizes == [8, 4]
    monkeypatch.setattr(module, "BATCH", 1)
    alone = detector.analyze(wave)
    hook.remove()
    assert sizes[2:] == [1] * 12
    assert [w.score for w in together.windows] == pytest.approx([w.score for w in alone.windows], abs=1e-4)
    for name, values in together.maps.items():
        np.testing.assert_allclose(values, alone.maps[name], atol=1e-4)


@pytest.mark.parametrize("front_end", [CONV, MEL], ids=["conv", "log_mel"])
@pytest.mark.parametrize("seconds", [0.5, 0.97, 1.0, 1.01, 4.2])
def test_maps_of_sls(front_end, seconds):
    detector = build("sls", front_end)
    found = detector.analyze(clip(seconds))
    gates, layer_time = found.maps["layer_gates"], found.maps["layer_time"]
    assert set(found.maps) == {"layer_gates", "layer_time"}
    assert gates.shape == (len(found.windows), 2)
    assert ((gates > 0) & (gates < 1)).all()
    rate = front_end.frames(WINDOW) / detector.window_seconds
    assert layer_time.shape == (2, int(seconds * rate + 1e-9))
    assert np.isfinite(layer_time).all()


def test_a_clip_of_one_window_keeps_the_models_own_rows(sls, fake_mamba):
    wave = clip(1.0)
    maps = sls.analyze(wave).maps
    _, gates, frame_logits = direct(sls, wave)
    np.testing.assert_allclose(maps["layer_time"], frame_logits[0], rtol=1e-5)
    np.testing.assert_allclose(maps["layer_gates"], gates, rtol=1e-5)
    # The rows explain the gates: a gate is the sigmoid of its row's mean.
    logits = np.log(maps["layer_gates"][0] / (1 - maps["layer_gates"][0]))
    np.testing.assert_allclose(maps["layer_time"].mean(axis=1), logits, atol=1e-4)
    np.testing.assert_allclose(
        fake_mamba.analyze(wave).maps["attention"], direct(fake_mamba, wave)[1][0], rtol=1e-5
    )


@pytest.mark.parametrize("seconds", [0.5, 1.0, 1.3, 5.0])
def test_attention_of_fake_mamba_is_a_distribution_over_the_clip(fake_mamba, seconds):
    maps = fake_mamba.analyze(clip(seconds)).maps
    assert set(maps) == {"attention"}
    assert maps["attention"].ndim == 1
    assert (maps["attention"] >= 0).all()
    assert maps["attention"].sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("name", ["sls", "fake_mamba"])
@pytest.mark.parametrize(("seconds", "frames"), [(0.55, 5), (1.0, 10), (2.3, 23), (700.0, 6000)])
def test_where_a_speaker_network_is_heard_a_map_tells_what_each_moment_makes(name, seconds, frames):
    detector = build(name, replace(MEL, speaker_blocks=1))
    wave = clip(seconds)
    found = detector.analyze(wave)
    odds = found.maps[VOICE_TIME]
    assert odds.shape == (frames,)
    assert np.isfinite(odds).all()
    assert np.ptp(odds) > 0
    assert detector.scores([wave])[0] == pytest.approx(found.score, abs=1e-5)
    if seconds == 1.0:  # just a window
        with torch.inference_mode():
            speaker, own = detector.model.front_end.speaker, torch.tensor([len(wave)])
            _, moments = speaker.over_time(torch.from_numpy(wave)[None], own)
        np.testing.assert_allclose(odds, moments[0], atol=1e-5)


def test_maps_of_a_long_clip_are_bounded(detector):
    found = detector.analyze(clip(126.0))
    time = found.maps["layer_time" if detector.name == "sls" else "attention"]
    assert time.shape[-1] == 6000
    assert len(found.windows) == 251


def test_a_short_clip_is_repeated_and_shown_once(sls):
    wave = clip(0.6)
    found = sls.analyze(wave)
    repeated = np.concatenate([wave, wave])[:WINDOW]
    log_probs, _, frame_logits = direct(sls, repeated)
    assert len(found.windows) == 1
    assert (found.windows[0].start, found.windows[0].end) == (0.0, 0.6)
    assert found.score == pytest.approx(log_probs[0, 1], abs=1e-5)
    shown = found.maps["layer_time"]
    np.testing.assert_allclose(shown, frame_logits[0][:, : shown.shape[1]], rtol=1e-5)


def test_a_changed_stretch_shows_where_it_is(sls):
    wave = clip(4.0)
    changed = wave.copy()
    changed[40_000:44_000] = clip(0.25, seed=5) * 0.1
    difference = np.abs(sls.analyze(changed).maps["layer_time"] - sls.analyze(wave).maps["layer_time"])
    frames = difference.shape[1]
    assert difference[:, : round(1.9 / 4 * frames)].max() < 1e-5  # in no window that saw the change
    assert 2.3 < difference.sum(axis=0).argmax() / frames * 4 < 2.9


def test_progress_rises_to_one(detector):
    heard: list[float] = []
    detector.analyze(clip(10.0), heard.append)
    assert heard == pytest.approx([8 / 19, 16 / 19, 1.0])
    heard.clear()
    detector.analyze(clip(0.7), heard.append)
    assert heard == [1.0]


def test_judging_changes_neither_the_clip_nor_the_model():
    detector, wave = build("sls"), clip(1.4)
    before, state = wave.copy(), {k: v.clone() for k, v in detector.model.state_dict().items()}
    first, second = detector.analyze(wave), detector.analyze(wave)
    assert first.score == second.score
    assert np.array_equal(wave, before)
    assert not any(m.training for m in detector.model.modules())
    for name, value in detector.model.state_dict().items():
        assert torch.equal(value, state[name]), name


def test_requests_at_the_same_time_get_their_own_scores(detector):
    waves = [clip(1.7, seed) for seed in range(3)]
    alone = [detector.analyze(wave).score for wave in waves]
    found: dict[int, list[float]] = {i: [] for i in range(len(waves))}
    start = threading.Barrier(len(waves))

    def work(i: int) -> None:
        start.wait(timeout=10)
        found[i] += [detector.analyze(waves[i]).score for _ in range(5)]

    threads = [threading.Thread(target=work, args=(i,)) for i in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    for i, scores in found.items():
        assert scores == pytest.approx([alone[i]] * 5, abs=1e-5)


def test_float64_and_strided_clips_are_taken(detector):
    wave = clip(1.2)
    expected = detector.analyze(wave).score
    assert detector.analyze(wave.astype(np.float64)).score == pytest.approx(expected, abs=1e-6)
    assert detector.analyze(np.repeat(wave, 2)[::2]).score == expected
    frozen = wave.copy()
    frozen.flags.writeable = False
    assert detector.analyze(frozen).score == expected


@pytest.mark.parametrize(
    ("wave", "message"),
    [
        (clip(0.49), r"0\.49 s long; at least 0\.5 s"),
        (np.zeros(0, np.float32), r"0\.00 s long"),
        (np.zeros(16_000, np.float32), "silent throughout"),
        (np.append(clip(1.0), np.float32("nan")), "not numbers"),
        (np.append(clip(1.0), np.float32("inf")), "not numbers"),
        (np.stack([clip(1.0)] * 2), r"mono clip.*\(2, 16000\)"),
    ],
    ids=["short", "empty", "silent", "nan", "inf", "stereo"],
)
def test_clips_that_cannot_be_judged_are_refused_with_the_reason(detector, wave, message):
    heard: list[float] = []
    with pytest.raises(DetectorError, match=message):
        detector.analyze(wave, heard.append)
    assert heard == []


def test_half_a_second_is_enough(detector):
    assert detector.analyze(clip(0.5)).seconds == 0.5
