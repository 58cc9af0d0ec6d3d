"""When there is no verdict: each reason on sounds that have it, and none on those that do not."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from detectors import familiar
from detectors.abstention import Checks
from detectors.audio import SAMPLE_RATE
from detectors.detection import Detection, abstained_of
from detectors.familiar import Familiar, fit, summary
from detectors.speech import SpeechMeter

RNG = np.random.default_rng(0)
T = np.arange(4 * SAMPLE_RATE) / SAMPLE_RATE


def talk(seconds: float = 4.0, pitch: float = 120.0) -> np.ndarray:
    """Voice-like: a buzz whose formants jump eight times a second, with a hiss between some of them."""
    pieces = []
    for _ in range(round(seconds * 8)):
        t = np.arange(SAMPLE_RATE // 8) / SAMPLE_RATE
        formants = RNG.uniform([250, 800, 2000], [800, 2000, 3500])
        harmonics = pitch * np.arange(1, 30)
        heights = sum(np.exp(-(((harmonics - f) / 150) ** 2)) for f in formants)
        piece = sum(h * np.sin(2 * np.pi * f * t) for h, f in zip(heights, harmonics, strict=True))
        if RNG.random() < 0.3:
            piece = np.diff(RNG.normal(size=len(t) + 1))
        pieces.append(0.1 * np.asarray(piece) * np.hanning(len(t)))
    return np.concatenate(pieces).astype(np.float32)


def chords(held: float) -> np.ndarray:
    """A chord again and again, each for `held` s, dying away."""
    wave = sum(np.sin(2 * np.pi * f * k * T) / k for f in (220, 277, 330) for k in range(1, 8))
    return 0.05 * np.asarray(wave) * np.exp(-3 * (T % held))


NO_SPEECH = {
    "silence": np.zeros(len(T)),
    "white noise": 0.1 * RNG.normal(size=len(T)),
    "quiet noise": 1e-4 * RNG.normal(size=len(T)),
    "noise that swells": 0.1 * RNG.normal(size=len(T)) * (0.5 + 0.5 * np.sin(2 * np.pi * 4 * T)),
    "a tone": 0.3 * np.sin(2 * np.pi * 440 * T),
    "hum": sum(0.1 * np.sin(2 * np.pi * 50 * k * T) / k for k in range(1, 9)),
    "a held chord": chords(4.0),
    "chords": chords(0.5),
}


def reasons(wave: np.ndarray, known: Familiar | None = None) -> tuple[str, ...]:
    checks = Checks(known)
    for start in range(0, len(wave), 7001):
        checks.feed(wave[start : start + 7001].astype(np.float32))
    return checks.reasons()


@pytest.mark.parametrize("name", NO_SPEECH)
def test_what_is_no_speech(name: str) -> None:
    assert reasons(NO_SPEECH[name]) == ("no_speech",)


def test_speech_gets_a_verdict() -> None:
    assert reasons(talk()) == ()
    assert reasons(talk() + 0.003 * RNG.normal(size=4 * SAMPLE_RATE)) == ()
    assert reasons(0.01 * talk()) == ()


def test_little_speech_in_a_long_clip() -> None:
    wave = np.concatenate([np.zeros(SAMPLE_RATE), talk(0.75), np.zeros(2 * SAMPLE_RATE)])
    assert reasons(wave + 1e-4 * RNG.normal(size=len(wave))) == ("little_speech",)


def test_heavy_clipping_and_no_mild_one() -> None:
    wave = talk()
    peak = np.abs(wave).max()
    assert reasons(np.clip(30 * wave / peak, -1, 1)) == ("clipping",)
    assert reasons(np.clip(1.2 * wave / peak, -1, 1)) == ()


def test_blocks_of_any_length_are_the_same() -> None:
    wave = talk()
    whole, parts = SpeechMeter(), SpeechMeter()
    whole.feed(wave)
    for start in range(0, len(wave), 333):
        parts.feed(wave[start : start + 333])
    assert np.array_equal(whole.frames(), parts.frames())
    assert whole.seconds() > 3
    assert SpeechMeter().seconds() == 0


@pytest.fixture
def known() -> Familiar:
    spread = np.diag([3.0, 1.0, 0.1, 0.1, 0.1, 0.1])
    return fit(RNG.normal(size=(500, 6)) @ spread + 5, rank=2)


def test_distance_counts_each_direction_by_its_spread(known: Familiar) -> None:
    centre = np.full(6, 5.0)
    distances = [known.distance(centre + RNG.normal(size=6) * [3, 1, 0.1, 0.1, 0.1, 0.1]) for _ in range(300)]
    assert np.mean(np.square(distances)) == pytest.approx(1, abs=0.15)
    assert known.distance(centre + 3 * np.eye(6)[0]) < 0.6 < 3 < known.distance(centre + 3 * np.eye(6)[2])


def test_an_unfamiliar_clip_is_one_beyond_the_threshold(known: Familiar) -> None:
    known = Familiar(known.mean, known.directions, known.variances, known.rest, threshold=2.0)
    for apart, wanted in ((0.0, ()), (5.0, ("unfamiliar",))):
        checks = Checks(known)
        checks.feed(talk())
        for _ in range(2):
            checks.take(5.0 + apart * np.eye(6)[2])
        assert checks.reasons() == wanted


def test_what_is_known_is_kept_for_its_own_front_end(tmp_path: Path, known: Familiar) -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.front_end = nn.Linear(2, 3)

    model, known = Model(), Familiar(known.mean, known.directions, known.variances, known.rest, 2.5)
    assert familiar.load(tmp_path, model) is None
    familiar.save(tmp_path, known, model.front_end, {"threshold_from": "a test"})
    found = familiar.load(tmp_path, model)
    assert found is not None
    clip = np.arange(6.0)
    assert found.distance(clip) == pytest.approx(known.distance(clip), rel=0.01)
    assert found.threshold == 2.5
    assert familiar.load(tmp_path, Model()) is None
    (tmp_path / familiar.FILE).write_bytes(b"damaged")
    assert familiar.load(tmp_path, model) is None


def test_the_summary_is_mean_and_spread_over_time() -> None:
    features = torch.randn(2, 50, 3)
    found = summary(features)
    assert torch.allclose(found, torch.cat([features.mean(1), features.std(1)], dim=1))


def test_a_clip_that_any_detector_abstains_from_gets_no_verdict() -> None:
    plain = Detection("sls", -3.0, -3.0, 0.95, [], 4.0, "cpu")
    held = Detection("fake_mamba", -3.0, -3.0, 0.95, [], 4.0, "cpu", abstained=("unfamiliar", "clipping"))
    assert (plain.verdict, plain.step) == ("spoof", "likely_spoof")
    assert (held.verdict, held.step) == ("inconclusive", "inconclusive")
    assert abstained_of([plain, held]) == ("clipping", "unfamiliar")
