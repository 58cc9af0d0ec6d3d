"""Clips that come in blocks and share batches: the same judgement as alone, in bounded memory."""

import tracemalloc
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from detectors.calibration import Calibration
from detectors.config import FakeMambaConfig, FrontEndConfig
from detectors.detection import VOICE_TIME, p_spoof_of
from detectors.detector import BATCH, Detector
from detectors.errors import DetectorError
from detectors.hearing import Hearing
from detectors.long_clips import LongClips
from detectors.models import build_model
from detectors.registry import card_of
from tests.detectors import plain_models as plain

FRONT_END = FrontEndConfig(2, 16, 2, 24, extractor_channels=8, position_kernel=8, position_groups=2)
WINDOW, HOP = 16_000, 8_000


@pytest.fixture(scope="module")
def detector() -> Detector:
    torch.manual_seed(7)
    model = build_model(FakeMambaConfig(FRONT_END, WINDOW, HOP, dim=16, layers=1, d_state=4))
    return Detector(card_of("fake_mamba", "mini"), model, Calibration(3.0, -0.7), "abc123", "cpu")


def clip(seconds: float, seed: int = 0) -> np.ndarray:
    return plain.speech_like(round(seconds * 16_000), seed).numpy()


def sizes_of_batches(detector: Detector) -> list[int]:
    """Fills up as batches go through the model."""
    sizes: list[int] = []
    detector.model.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    return sizes


def heard(detector: Detector, waves: list[np.ndarray]) -> list[Hearing]:
    batches = detector.batches()
    clips = [batches.hear(maps=True) for _ in waves]
    for hearing, wave in zip(clips, waves, strict=True):
        hearing.feed(wave)
        hearing.end()
    batches.flush()
    return clips


def test_clips_share_batches_and_keep_their_own_scores(detector: Detector) -> None:
    waves = [clip(seconds, seed) for seed, seconds in enumerate((0.6, 3.3, 1.0, 6.1, 0.5))]
    alone = [detector.analyze(wave) for wave in waves]
    sizes = sizes_of_batches(detector)
    together = heard(detector, waves)
    windows = sum(len(found.windows) for found in alone)
    assert sizes == [*[BATCH] * (windows // BATCH), windows % BATCH]
    for hearing, expected in zip(together, alone, strict=True):
        assert hearing.done
        found = hearing.detection()
        assert [w.start for w in found.windows] == [w.start for w in expected.windows]
        assert [w.score for w in found.windows] == pytest.approx(
            [w.score for w in expected.windows], abs=1e-5
        )
        np.testing.assert_allclose(found.maps["attention"], expected.maps["attention"], atol=1e-5)


def test_clips_fed_in_turns_do_not_mix(detector: Detector) -> None:
    waves = [clip(4.0, seed) for seed in range(3)]
    batches = detector.batches()
    clips = [batches.hear() for _ in waves]
    for start in range(0, len(waves[0]), 5_000):
        for hearing, wave in zip(clips, waves, strict=True):
            hearing.feed(wave[start : start + 5_000])
    for hearing in clips:
        hearing.end()
    batches.flush()
    for hearing, wave in zip(clips, waves, strict=True):
        found = hearing.detection()
        assert found.score == pytest.approx(detector.analyze(wave).score, abs=1e-5)
        assert found.maps == {}


def test_clips_with_maps_and_without_share_batches() -> None:
    torch.manual_seed(7)
    hears = replace(FRONT_END, speaker_blocks=1)
    model = build_model(FakeMambaConfig(hears, WINDOW, HOP, dim=16, layers=1, d_state=4))
    detector = Detector(card_of("fake_mamba", "mini"), model, Calibration(3.0, -0.7), "abc123", "cpu")
    waves = [clip(1.7, seed) for seed in range(3)]
    batches = detector.batches()
    clips = [batches.hear(maps=turn == 1) for turn in range(3)]
    for hearing, wave in zip(clips, waves, strict=True):
        hearing.feed(wave)
        hearing.end()
    batches.flush()
    assert [set(hearing.detection().maps) for hearing in clips] == [set(), {"attention", VOICE_TIME}, set()]
    np.testing.assert_allclose(
        clips[1].detection().maps[VOICE_TIME], detector.analyze(waves[1]).maps[VOICE_TIME], atol=1e-4
    )


def test_a_window_that_the_model_cannot_take_costs_its_own_clip_only(
    detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = detector.model.forward

    def fail_on_loud(waveform: torch.Tensor) -> object:
        if waveform.abs().max() > 5:
            raise RuntimeError("too loud for me")
        return original(waveform)

    monkeypatch.setattr(detector.model, "forward", fail_on_loud)
    good, bad, other = heard(detector, [clip(2.0), 10 * clip(2.0), clip(1.5, seed=1)])
    assert good.detection().score == pytest.approx(detector.analyze(clip(2.0)).score, abs=1e-5)
    assert other.done
    assert bad.done
    with pytest.raises(RuntimeError, match="too loud for me"):
        bad.detection()


@pytest.mark.parametrize("block", [1_000, 8_000, 23_456, 200_000])
def test_a_stream_is_judged_like_the_whole_clip(detector: Detector, block: int) -> None:
    wave = clip(9.7)
    blocks = (wave[start : start + block] for start in range(0, len(wave), block))
    streamed, whole = detector.analyze_stream(blocks), detector.analyze(wave)
    assert [w.end for w in streamed.windows] == [w.end for w in whole.windows]
    assert streamed.score == pytest.approx(whole.score, abs=1e-6)
    assert streamed.seconds == whole.seconds
    np.testing.assert_allclose(streamed.maps["attention"], whole.maps["attention"], atol=1e-6)


def test_the_first_windows_are_told_while_the_rest_is_to_come(detector: Detector) -> None:
    wave, fed, told = clip(10.0), [0], []

    def blocks() -> Iterator[np.ndarray]:
        for start in range(0, len(wave), HOP):
            fed[0] = start + HOP
            yield wave[start : start + HOP]

    found = detector.analyze_stream(
        blocks(), so_far=lambda windows: told.append((len(windows), windows[0].score, fed[0]))
    )
    assert [count for count, *_ in told] == [8, 16, 19]
    assert told[0][2] < len(wave)
    assert {score for _, score, _ in told} == {found.windows[0].score}


@pytest.mark.parametrize("claimed", [5.0, 10.0, 20.0])
def test_progress_ends_at_one_whatever_length_was_claimed(detector: Detector, claimed: float) -> None:
    shares: list[float] = []
    detector.analyze_stream([clip(10.0)], claimed, shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ([], r"0\.00 s long"),
        ([clip(0.3)], r"0\.30 s long; at least 0\.5 s"),
        ([np.zeros(16_000, np.float32)] * 5, "silent throughout"),
        ([clip(2.0), np.array([np.inf], np.float32)], "not numbers"),
    ],
    ids=["empty", "short", "silent", "inf"],
)
def test_streams_that_cannot_be_judged_are_refused(
    detector: Detector, blocks: list[np.ndarray], message: str
) -> None:
    with pytest.raises(DetectorError, match=message):
        detector.analyze_stream(blocks)


def peak_of_stream(detector: Detector, seconds: int) -> int:
    """Most bytes of numpy's at a time while a stream of this length is judged."""
    second = clip(1.0)
    tracemalloc.start()
    try:
        detector.analyze_stream(second.copy() for _ in range(seconds))
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_long_stream_takes_hardly_more_memory_than_a_short_one(detector: Detector) -> None:
    peak_of_stream(detector, 20)  # what is made once, at first use
    short, long = peak_of_stream(detector, 20), peak_of_stream(detector, 180)
    sound = 160 * 16_000 * 4
    assert long - short < sound / 5


def test_of_a_long_clip_the_worst_stretch_counts_and_the_rest_stays_as_it_was(detector: Detector) -> None:
    long_clips = LongClips(
        from_windows=5, measured_windows=40, adjacent=2, mean=0.5, worst=2.0, log_windows=0.3, offset=-0.2
    )
    knowing = Detector(detector.card, detector.model, detector.calibration, "abc123", "cpu", long_clips)
    for seconds, counted in ((2.4, False), (3.0, True)):
        wave = clip(seconds)
        plainly, found = detector.analyze(wave), knowing.analyze(wave)
        assert (len(found.windows) >= 5) == counted
        assert (found.score, found.windows) == (plainly.score, plainly.windows)
        if not counted:
            assert (found.llr, found.mean_llr) == (plainly.llr, None)
            continue
        assert found.mean_llr == plainly.llr
        assert found.llr == long_clips.llr([window.score for window in found.windows])
        assert found.p_spoof == p_spoof_of(found.llr)


def test_nothing_beyond_the_limit_is_claimed_of_a_long_clip_either(detector: Detector) -> None:
    long_clips = LongClips(
        from_windows=5, measured_windows=40, adjacent=2, mean=0.0, worst=0.0, log_windows=0.0, offset=-9.0
    )
    limited = replace(detector.calibration, limit=2.5)
    found = Detector(detector.card, detector.model, limited, "abc123", "cpu", long_clips).analyze(clip(3.0))
    assert found.llr == -2.5
    assert all(abs(window.llr) <= 2.5 for window in found.windows)
