"""Long clips: the worst stretch counts where a fit on clips made long found it better."""

import math
from dataclasses import replace

import numpy as np
import pytest

from detectors.corpus import Clip
from detectors.long_clips import LongClips, features
from detectors.long_clips_fit import DRAWS, LENGTHS, fit_long_clips, long_table, made_long, windows_in
from detectors.windows import Sizes

#: Windows of 3 s every 1.5 s.
SIZES = Sizes(48_000, 24_000)
SOURCES = ("a", "b", "c", "d")


def clips_of(each: int = 30) -> list[Clip]:
    """Clips of both classes from each source."""
    return [
        Clip(f"{source}{label}{i}", "", label, source)
        for source in SOURCES
        for label in (True, False)
        for i in range(each)
    ]


def scored(clips: list[Clip], apart: float, noise: float = 1.0) -> list[list[float]]:
    """Two windows of each clip; the classes are `apart` either side of 0."""
    dice = np.random.default_rng(0)
    return [list(dice.normal(apart if clip.is_bonafide else -apart, noise, 2)) for clip in clips]


def test_features_can_be_counted_by_hand() -> None:
    scores = [1.0, 3.0, -2.0, 0.0, 5.0, 5.0]
    assert features(scores, 1, 40) == (2.0, -2.0, pytest.approx(math.log(6)))
    assert features(scores, 2, 40)[1] == -1.0
    assert features(scores, 3, 40)[1] == pytest.approx(1 / 3)
    assert features([4.0, 2.0], 3, 40) == (3.0, 3.0, pytest.approx(math.log(2)))


def test_the_llr_is_what_it_says() -> None:
    long = LongClips(6, 40, 2, 0.5, 2.0, 0.25, -1.0)
    scores = [1.0, 3.0, -2.0, 0.0, 5.0, 5.0]
    assert long.llr(scores) == pytest.approx(0.5 * 2.0 + 2.0 * -1.0 + 0.25 * math.log(6) - 1.0)
    config = {"long_clips": vars(long)}
    assert LongClips.of_config(config) == long
    assert LongClips.of_config({}) is None


def test_of_log_probabilities_the_log_odds_are_judged() -> None:
    odds = [2.0, 0.5, -3.0, 1.0, 4.0, -1.0]
    log_probs = [-math.log1p(math.exp(-one)) for one in odds]
    long = LongClips(6, 40, 2, 0.5, 2.0, 0.25, -1.0)
    assert replace(long, of_log_prob=True).llr(log_probs) == pytest.approx(long.llr(odds), abs=1e-6)
    clips = clips_of()
    windows = scored(clips, 2.5)
    of_odds = fit_long_clips(clips, [windows], SIZES, "fake_mamba")
    of_log_probs = fit_long_clips(
        clips, [[list(-np.logaddexp(0, -np.array(of))) for of in windows]], SIZES, "sls"
    )
    assert of_odds.long
    assert of_log_probs.long
    assert of_log_probs.long.of_log_prob
    assert not of_odds.long.of_log_prob
    assert of_log_probs.long.worst == pytest.approx(of_odds.long.worst, rel=1e-3)


def test_windows_are_counted_as_clips_are_cut() -> None:
    assert [windows_in(seconds, SIZES) for seconds in (3, 4.5, 10, 60)] == [1, 2, 6, 39]


def test_a_long_clip_is_made_of_what_it_says() -> None:
    clips = clips_of()
    # A window's score tells where it is from: the source, and a sign for the class.
    windows = [[(1 + SOURCES.index(clip.group)) * (1.0 if clip.is_bonafide else -1.0)] * 2 for clip in clips]
    long = list(made_long(clips, windows, {10: 6, 60: 39}))
    assert len(long) == 3 * DRAWS * len(SOURCES) * 2
    assert long == list(made_long(clips, windows, {10: 6, 60: 39}))
    for clip in long:
        assert len(clip.scores) == {10: 6, 60: 39}[clip.seconds]
        number = 1.0 + SOURCES.index(clip.sources[0])
        if clip.kind == "partly":
            assert clip.sources == (clip.sources[0],) * 2
            assert clip.scores.count(-number) == 2
            first = clip.scores.index(-number)
            assert clip.scores[first + 1] == -number
            assert clip.scores.count(number) == len(clip.scores) - 2
        else:
            assert set(clip.scores) == {number if clip.kind == "bona fide" else -number}


def test_a_source_with_too_little_is_left_out_and_its_spoofs_go_into_others() -> None:
    clips = [clip for clip in clips_of() if clip.group != "a" or not clip.is_bonafide]
    windows = scored(clips, 1.0)
    long = list(made_long(clips, windows, {30: 19}))
    assert {clip.sources[0] for clip in long if clip.kind == "bona fide"} == {"b", "c", "d"}
    guests = [clip for clip in long if clip.kind == "partly" and clip.sources[0] == "a"]
    assert len(guests) == DRAWS
    assert {clip.sources[1] for clip in guests} <= {"b", "c", "d"}
    assert not list(made_long(clips, windows, {600: 399}))


def test_where_a_short_fake_part_drowns_in_the_mean_the_worst_stretch_counts() -> None:
    clips = clips_of()
    found = fit_long_clips(clips, [scored(clips, 2.5)], SIZES, "fake_mamba")
    assert found.long is not None
    assert found.long.worst > 0
    partly = {row.seconds: row for row in found.rows if row.kind == "partly"}
    assert list(partly) == list(LENGTHS)
    assert partly[60].cllr_worst < 0.5 < partly[60].cllr_mean
    assert partly[60].eer_worst < 5 < partly[60].eer_mean
    assert found.long.from_windows <= partly[15].windows
    # One bad stretch in a minute, and none.
    calm = [2.5] * 39
    assert found.long.llr(calm) > 1
    assert found.long.llr([*calm[:20], -2.5, -2.5, -2.5, *calm[23:]]) < -1
    assert found.long.llr([-2.5] * 39) < -1
    table = long_table(found.rows)
    assert f"| 60 s | 39 | partly | {DRAWS * 4} + {DRAWS * 4} |" in table
    assert found.facts()[0]["seconds"] == 10


def test_where_windows_say_little_the_mean_stays() -> None:
    clips = clips_of()
    dice = np.random.default_rng(1)
    # A clip's class shows only in the mean over many windows; part of a clip tells nothing.
    windows = [list(dice.normal(0.15 if clip.is_bonafide else -0.15, 3.0, 2)) for clip in clips]
    found = fit_long_clips(clips, [windows], SIZES, "fake_mamba")
    assert len(found.rows) == 2 * len(LENGTHS)
    if found.long is not None:  # if at all, only where it was measured to be better
        first = [row for row in found.rows if row.windows == found.long.from_windows]
        assert sum(row.cllr_worst for row in first) < sum(row.cllr_mean for row in first)


@pytest.mark.parametrize("each", [1, 30])
def test_too_little_material_gives_nothing(each: int) -> None:
    clips = [clip for clip in clips_of(each) if clip.is_bonafide or clip.group == "a"]
    found = fit_long_clips(clips, [scored(clips, 2.0)], SIZES, "fake_mamba")
    assert (found.long, found.rows) == (None, [])
