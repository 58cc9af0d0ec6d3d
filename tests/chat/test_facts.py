"""The sheet: what is rounded, ranked and compared, and how it reads."""

import math

import numpy as np
import pytest

from detectors.chat.acoustics import Measured
from detectors.chat.facts import Part, extreme_parts, sheet_of
from detectors.chat.prompt import lines, system_text
from detectors.chat.sheets import random_sheet
from detectors.detection import Detection, Window, p_spoof_of

MEASURED = Measured(6.04, 0.816, -58, 7.64, "full band", 0.0)


def detection(name: str, llrs: list[float], hop: float = 1.5) -> Detection:
    windows = [Window(hop * i, hop * i + 3.0, x, x, p_spoof_of(x)) for i, x in enumerate(llrs)]
    llr = float(np.mean(llrs))
    return Detection(name, llr, llr, p_spoof_of(llr), windows, 6.0, "cpu")


def test_a_sheet_of_three_detectors_reads_as_expected() -> None:
    detections = {
        "fake_mamba": detection("fake_mamba", [0.4, -0.2, -1.6]),
        "sls": detection("sls", [-2.0, -3.0, -5.0]),
        "allm4add": detection("allm4add", [-2.0, -2.2, -3.6]),
    }
    llr = float(np.mean([d.llr for d in detections.values()]))
    assert lines(sheet_of(detections, llr, MEASURED)) == [
        "verdict: likely machine-made, score 0.89, LLR -2.1",
        "most machine-like: SLS 0.97, machine-made",
        "in between: ALLM4ADD 0.93, machine-made",
        "least machine-like: Fake-Mamba 0.61, inconclusive",
        "agreement: Fake-Mamba stands apart by 0.34",
        "strongest part: 3.0-6.0 s, 0.97",
        "weakest part: 0.0-3.0 s, 0.77",
        "length: 6.0 s",
        "speech: 82 %",
        "noise: -58 dB, moderate",
        "band: 7.6 kHz, full",
        "clipping: none",
    ]


@pytest.mark.parametrize(
    ("llr", "words"),
    [
        (-1.80, "likely machine-made"),
        (-1.70, "leaning machine-made"),
        (-0.80, "inconclusive"),
        (0.90, "leaning human"),
        (1.74, "likely human"),
    ],
)
def test_the_verdict_line_names_the_step(llr: float, words: str) -> None:
    sheet = sheet_of({"sls": detection("sls", [llr])}, llr, MEASURED)
    assert lines(sheet)[0].startswith(f"verdict: {words}, score ")


def test_a_clip_without_a_verdict_keeps_its_score_and_says_why() -> None:
    sheet = sheet_of(
        {"sls": detection("sls", [-3.0])}, -3.0, MEASURED, abstained=("little_speech", "clipping")
    )
    assert (sheet.verdict, sheet.step, sheet.llr) == ("inconclusive", "inconclusive", -3.0)
    assert lines(sheet)[:2] == [
        "verdict: inconclusive, score 0.95, LLR -3.0",
        "abstained: the clip has less than a second of speech and heavy clipping",
    ]
    assert sheet_of({}, None, MEASURED, abstained=("no_speech",)).abstained == ()


def test_without_detectors_the_sheet_says_so() -> None:
    sheet = sheet_of({}, None, MEASURED, {"sls": "its weights are missing"})
    assert lines(sheet)[:2] == ["verdict: none, no detector ran", "did not run: SLS"]
    assert sheet.strongest is None
    assert sheet.stray is None


def test_equal_detectors_share_a_place() -> None:
    same = {name: detection(name, [-1.0, -1.0]) for name in ("sls", "fake_mamba")}
    sheet = sheet_of(same, -1.0, MEASURED)
    assert [len(place) for place in sheet.ranking] == [2]
    assert "all equal: SLS and Fake-Mamba 0.73, machine-made" in lines(sheet)


def test_two_far_detectors_differ_and_neither_is_the_stray_one() -> None:
    two = {"sls": detection("sls", [-3.0]), "fake_mamba": detection("fake_mamba", [1.0])}
    sheet = sheet_of(two, -1.0, MEASURED)
    assert sheet.stray is not None
    assert (sheet.stray.title, sheet.stray.by) == ("", 0.68)
    assert "agreement: differ by 0.68" in lines(sheet)


def test_parts_are_fused_over_detectors_whose_windows_differ() -> None:
    """The coarse one's LLRs are read between its windows: 1.0 at 1.5 s and 4.0 at 4.5 s give 2.5 at 3 s."""
    fine = detection("sls", [0.0, 0.0, 0.0])
    coarse = detection("fake_mamba", [1.0, 4.0], hop=3.0)
    strongest, weakest = extreme_parts([fine, coarse])
    assert strongest == Part(0.0, 3.0, p_spoof_of(0.5))
    assert weakest == Part(3.0, 6.0, p_spoof_of(2.0))


def test_who_does_not_count_in_the_verdict_does_not_in_the_parts() -> None:
    found = {"sls": detection("sls", [0.0, 2.0]), "allm4add": detection("allm4add", [9.0, -9.0])}
    sheet = sheet_of(found, 1.0, MEASURED, left_out=["allm4add"])
    assert sheet.strongest is not None
    assert sheet.strongest.start == 0.0
    assert {fact.name for fact in sheet.detectors} == {"sls", "allm4add"}


def test_parts_that_nobody_can_tell_apart_are_one() -> None:
    windows = [Window(0.0, 3.0, -1.0, -1.0, 0.73), Window(0.02, 3.02, 1.0, 1.0, 0.27)]
    strongest, weakest = extreme_parts([Detection("sls", 0.0, 0.0, 0.5, windows, 3.02, "cpu")])
    assert strongest == weakest == Part(0.0, 3.0, p_spoof_of(-1.0))


def test_long_clips_are_quick() -> None:
    hour = detection("sls", list(np.linspace(-2, 2, 2400)))
    strongest, weakest = extreme_parts([hour, hour, hour])
    assert strongest is not None
    assert weakest is not None
    assert (strongest.start, weakest.start) == (0.0, 3598.5)


@pytest.mark.parametrize("seed", range(8))
def test_random_sheets_hang_together(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(50):
        sheet = random_sheet(rng)
        if sheet.p_spoof is None:
            continue
        scores = [fact.p_spoof for fact in sheet.detectors]
        assert scores == sorted(scores, reverse=True)
        assert scores[-1] <= sheet.p_spoof <= scores[0]
        assert sheet.llr is not None
        assert math.isclose(p_spoof_of(sheet.llr), sheet.p_spoof, abs_tol=0.02)
        assert sheet.strongest is not None
        assert sheet.weakest is not None
        assert sheet.strongest.p_spoof >= sheet.weakest.p_spoof
        assert 0 <= sheet.strongest.start < sheet.strongest.end <= sheet.measured.seconds + 0.05


def test_all_kinds_of_sheet_come_up() -> None:
    rng = np.random.default_rng(0)
    sheets = [random_sheet(rng) for _ in range(400)]
    assert {len(sheet.detectors) for sheet in sheets} == {0, 1, 2, 3}
    assert {sheet.verdict for sheet in sheets} == {"spoof", "bonafide", "inconclusive", None}
    assert {sheet.measured.band for sheet in sheets} >= {"full band", "telephone band", "low-pass band"}
    assert any(sheet.is_short for sheet in sheets)
    assert any(len(sheet.ranking) == 1 < len(sheet.detectors) for sheet in sheets)


def test_the_prompt_stays_short() -> None:
    rng = np.random.default_rng(1)
    assert max(len(system_text(random_sheet(rng))) for _ in range(300)) < 650
