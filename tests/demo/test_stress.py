"""The stress test on the page: run when asked, shown in one sentence and one picture, told to the chat."""

import re
from dataclasses import replace
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from matplotlib.collections import PathCollection

from demo import figures, markup, messages
from demo.pages.stress import StressHandlers
from demo.services import Services
from detectors.robustness import STRESSES, StressTest, Trial
from tests.demo.fake_detectors import FakeDetector, FakeSource, fake_services, write_clip


@pytest.fixture
def services(tmp_path: Path) -> Services:
    return fake_services(tmp_path / "data")


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip.wav", seconds=3.0)


def trial(title: str, verdict: str, held: bool, p_spoof: float = 0.8) -> Trial:
    return Trial(title, title, 0.0, p_spoof, {"sls": 0.7, "fake_mamba": 0.9}, verdict, held)  # type: ignore[arg-type]


def made_up(verdict: str, *trials: Trial, seconds: float = 4.0) -> StressTest:
    return StressTest(seconds, verdict, -1.4, trials, {})  # type: ignore[arg-type]


def test_it_is_not_run_unprompted_and_only_once(services, clip) -> None:
    analysis = services.analyze(clip)
    assert services.recent(analysis.id).stress is None
    heard: list[tuple[float, str]] = []
    test = services.stress(analysis.id, lambda share, doing: heard.append((share, doing)))
    assert services.recent(analysis.id).stress is test
    assert heard[0][1] == messages.STRESSING.format(title=STRESSES[0].title)
    heard.clear()
    assert services.stress(analysis.id, lambda *told: heard.append(told)) is test
    assert heard == []


def test_the_page_says_how_stable_the_verdict_is(services, clip) -> None:
    handlers = StressHandlers(services)
    analysis_id = services.analyze(clip).id
    column, text = handlers.open(analysis_id)
    assert (column.visible, text) == (True, "")
    page = handlers.run(analysis_id)
    test = services.recent(analysis_id).stress
    assert f"held in {test.held} of {len(test.trials)} tests" in page or "stayed" in page
    assert 'id="figure-robustness"' in page
    assert messages.FIGURES_ON_REQUEST["robustness"][2] in page
    assert "Not tested: Only 4 s of it (the clip is not longer than 4 s)" in page
    assert handlers.close()[0].visible is False


def test_the_chat_is_told_once_it_was_run(services, clip) -> None:
    analysis = services.analyze(clip)
    assert services.chat._sheet(services.recent(analysis.id)).robustness is None
    test = services.stress(analysis.id)
    fact = services.chat._sheet(services.recent(analysis.id)).robustness
    assert (fact.held, fact.tests) == (test.held, len(test.trials))
    *_, said = services.chat.ask(analysis.id, "Is the verdict robust?")
    assert f"held in {test.held} of {len(test.trials)} stress tests" in said.text


def test_without_a_verdict_there_is_nothing_to_test(tmp_path, clip) -> None:
    missing = dict.fromkeys(("sls", "fake_mamba", "allm4add"), "weights are missing")
    services = fake_services(tmp_path / "data", FakeSource(missing=missing))
    handlers = StressHandlers(services)
    analysis_id = services.analyze(clip).id
    assert handlers.open(analysis_id)[0].visible is False
    with pytest.raises(gr.Error, match="no verdict to test"):
        handlers.run(analysis_id)
    with pytest.raises(gr.Error, match="no longer in memory"):
        handlers.run(None)


def test_another_version_than_the_one_that_judged_is_refused(tmp_path, clip) -> None:
    source = FakeSource()
    services = fake_services(tmp_path / "data", source)
    analysis = services.analyze(clip)
    services.detectors._loaded["sls", "cpu"] = "", FakeDetector("sls")
    services.detectors._loaded["sls", "cpu"][1].version = "another"
    with pytest.raises(gr.Error, match="Another version"):
        StressHandlers(services).run(analysis.id)


def test_a_clip_deleted_meanwhile_does_not_come_back(services, clip) -> None:
    analysis = services.analyze(clip)

    def delete(share: float, doing: str) -> None:
        services._recent.forget(analysis.sha256)

    services.stress(analysis.id, delete)
    assert services._recent.get(analysis.id) is None


@pytest.mark.parametrize(
    ("test", "sentence"),
    [
        (made_up("spoof"), "None of the tests could be done on this clip."),
        (
            made_up("spoof", trial("A", "spoof", True), trial("B", "spoof", True)),
            "The verdict “likely machine-made” held in 2 of 2 tests.",
        ),
        (
            made_up("spoof", trial("A", "bonafide", False), trial("B", "inconclusive", False)),
            "The verdict “likely machine-made” held in 0 of 2 tests; it turned into its opposite in 1 (A); "
            "it became inconclusive in 1 (B).",
        ),
        (
            made_up("inconclusive", trial("A", "spoof", False), trial("B", "inconclusive", True)),
            "The verdict “inconclusive” held in 1 of 2 tests; it became a verdict in 1 (A).",
        ),
    ],
)
def test_one_sentence_for_every_outcome(test: StressTest, sentence: str) -> None:
    assert messages.stress_held(test) == sentence


def test_the_part_that_was_tested_is_named() -> None:
    (note,) = messages.stress_notes(made_up("spoof", seconds=60.0), seconds=600.0)
    assert "the 60 s with the most sound" in note


def test_texts_are_escaped() -> None:
    hostile = replace(made_up("spoof", trial("<b>A</b>", "bonafide", False)), left_out={"<i>x</i>": "<u>"})
    page = markup.stress_test(hostile, 4.0, b"")
    assert not re.search(r"<(b|i|u)>", page)


@pytest.mark.parametrize("wide", [False, True])
def test_the_picture_has_a_line_a_stress_and_the_whole_scale(wide: bool) -> None:
    test = made_up("spoof", trial("A", "spoof", True, 0.9), trial("B", "bonafide", False, 0.1))
    (axis,) = figures.robustness(test, wide).axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["A", "B"]
    low, high = axis.get_xlim()
    assert low < 0 < 1 < high
    marks = [each for each in axis.collections if isinstance(each, PathCollection)]
    fused = [each.get_offsets() for each in marks if each.get_sizes()[0] > 20]
    assert np.concatenate(fused).tolist() == [[0.9, 0.0], [0.1, 1.0]]


def test_a_png_is_the_same_bytes_every_time() -> None:
    test = made_up("spoof", trial("A", "spoof", True))
    image = figures.png(figures.robustness(test))
    assert image.startswith(b"\x89PNG")
    assert figures.png(figures.robustness(test)) == image
