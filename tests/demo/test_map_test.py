"""The test of the maps on the page: run when asked, said in sentences and pictures, part of the evidence."""

import json
import re
import zipfile
from dataclasses import replace
from pathlib import Path

import gradio as gr
import numpy as np
import pytest

from demo import figures, map_figures, markup, messages_maps
from demo.drawings import map_drawings
from demo.pages.evidence import EvidenceHandlers
from demo.pages.map_test import MapTestHandlers
from demo.services import Services
from detectors.audio import SAMPLE_RATE
from detectors.faithfulness import STEPS, Curves, Faithfulness
from detectors.map_test import Effort, Examined, MapTest
from detectors.relevance import Relevance
from tests.demo.fake_detectors import FakeSource, fake_services, speech_like, write_clip


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("demo.services.effort_for", lambda device, preset: Effort(3.0, 0.3, 2, 2))


@pytest.fixture
def services(tmp_path: Path) -> Services:
    return fake_services(tmp_path / "data")


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip.wav", seconds=3.0)


def made_up(area: float, name: str = "attention") -> Faithfulness:
    """A map whose score moves `area` further under deletion; random orders reach 0.1."""
    flat = np.full(STEPS + 1, 0.5)
    gaps = np.array([[0.1], [-0.1]])
    return Faithfulness(name, 1.0, 0.0, Curves(flat - area, flat), Curves(flat - gaps, np.tile(flat, (2, 1))))


def test_it_is_run_when_asked_once_and_kept_with_the_analysis(services, clip) -> None:
    analysis = services.analyze(clip)
    assert services.recent(analysis.id).map_test is None
    heard: list[tuple[float, str]] = []
    test = services.map_test(analysis.id, lambda *told: heard.append(told))
    assert services.recent(analysis.id).map_test is test
    assert [of.detector for of in test.examined] == ["sls", "fake_mamba"]
    assert heard[0] == (0.0, "Testing what the maps mark")
    heard.clear()
    assert services.map_test(analysis.id, lambda *told: heard.append(told)) is test
    assert heard == []


def test_the_stress_test_of_the_same_clip_stays(services, clip) -> None:
    analysis = services.analyze(clip)
    services.stress(analysis.id)
    services.map_test(analysis.id)
    assert services.recent(analysis.id).stress is not None


def test_the_page_says_what_each_map_is_worth(services, clip) -> None:
    handlers = MapTestHandlers(services)
    analysis_id = services.analyze(clip).id
    assert handlers.open(analysis_id)[0].visible is True
    page = handlers.run(analysis_id)
    assert page.count("Yes: what it marks") + page.count("No: what it marks") == 6
    for key in ("relevance_sls", "curves_sls", "relevance_fake_mamba", "curves_fake_mamba"):
        assert f'id="figure-{key}"' in page
    assert "cut into 10 columns" in page
    assert "pass by chance in one clip of 6" in page
    assert handlers.close()[0].visible is False


def test_without_a_map_there_is_nothing_to_test(tmp_path, clip) -> None:
    missing = dict.fromkeys(("sls", "fake_mamba", "allm4add"), "weights are missing")
    services = fake_services(tmp_path / "data", FakeSource(missing=missing))
    handlers = MapTestHandlers(services)
    analysis_id = services.analyze(clip).id
    assert handlers.open(analysis_id)[0].visible is False
    with pytest.raises(gr.Error, match="no map to test"):
        handlers.run(analysis_id)
    for gone in (None, "0" * 32):
        with pytest.raises(gr.Error, match="no longer in memory"):
            handlers.run(gone)
    assert handlers.open("0" * 32)[0].visible is False


def test_a_clip_deleted_meanwhile_does_not_come_back(services, clip) -> None:
    analysis = services.analyze(clip)

    def delete(share: float, doing: str) -> None:
        services._recent.forget(analysis.sha256)

    services.map_test(analysis.id, delete)
    assert services._recent.get(analysis.id) is None


@pytest.mark.parametrize(
    ("area", "begins"),
    [
        (0.3, "Yes: what it marks matters more"),
        (0.05, "No: what it marks matters no more"),
        (-0.3, "No: what it marks matters even less"),
    ],
)
def test_one_sentence_for_every_outcome(area: float, begins: str) -> None:
    told = messages_maps.outcome(made_up(area))
    assert told.startswith(begins)
    assert "2 random orders lie between −0.10 and +0.10" in told
    assert ("does not tell where the evidence lies" in told) == (area < 0.1)


def test_texts_are_escaped_and_what_was_left_out_is_named() -> None:
    relevance = Relevance(np.zeros((2, 10)), 1.0)
    test = MapTest(1.0, 3.0, 10, (Examined("sls", relevance, (made_up(0.3, "layer_time"),)),), {"x": "none"})
    page = markup.map_test(test, {"sls": "<b>SLS</b>", "x": "<i>X</i>"}, [])
    assert not re.search(r"<(b|i)>", page)
    assert "Tested on 1.0 to 4.0 s" in page
    assert "Not tested: &lt;i&gt;X" in page


@pytest.mark.parametrize("wide", [False, True])
def test_the_curves_show_the_map_against_the_range_of_random_orders(wide: bool) -> None:
    figure = map_figures.curves([made_up(0.3), made_up(0.0, "occlusion")], ["attention", "occlusion"], wide)
    above, beneath = figure.axes
    lines = {line.get_label(): line.get_ydata() for line in above.lines}
    assert lines["attention"][1:-1] == pytest.approx(0.8)
    assert lines["occlusion"][1:-1] == pytest.approx(0.5)
    band = above.collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == pytest.approx((0.4, 0.6))
    assert beneath.get_xlabel() == "Share of the clip"
    assert above.get_ylim()[0] == 0


def test_every_map_of_a_detector_has_a_line_of_its_own() -> None:
    names = ["layers over time", "voice over time", "occlusion"]
    above, beneath = map_figures.curves([made_up(0.1 * turn) for turn in range(3)], names).axes
    for axis in (above, beneath):
        drawn = {line.get_label(): line.get_color() for line in axis.lines}
        assert len({drawn[name] for name in names}) == 3


def test_relevance_lies_over_the_stretch_that_was_tested_and_its_scale_is_even() -> None:
    cells = np.array([[0.0, 0.5], [-0.2, 0.0]])
    axis, bar = map_figures.relevance(speech_like(2.0), 1.5, Relevance(cells, 1.0)).axes
    assert axis.get_xlim() == (1.5, 3.5)
    coloured = axis.images[1].get_array()
    np.testing.assert_allclose(coloured[..., 3], 0.85 * np.abs(cells) / 0.5)
    red, _, blue, _ = coloured[0, 1]
    assert blue > red  # above 0 speaks for a human voice, which is blue everywhere
    assert bar.get_ylim() == pytest.approx((-0.5, 0.5))
    figures.webp(map_figures.relevance(speech_like(1.0), 0.0, Relevance(np.zeros((2, 2)), 1.0)))


def test_the_evidence_package_holds_it_once_it_was_run(services, clip, tmp_path) -> None:
    handlers = EvidenceHandlers(services, tmp_path / "cache")
    analysis = services.analyze(clip)
    assert map_drawings(analysis, {}) == {}

    def package() -> dict[str, bytes]:
        with zipfile.ZipFile(str(handlers.make(analysis.id, None).value["path"])) as archive:
            return {name: archive.read(name) for name in archive.namelist()}

    before = package()
    assert json.loads(before["report.json"])["deletion_test"] is None
    assert b"Deletion test: not run." in before["report.html"]
    test = services.map_test(analysis.id)
    after = package()
    report = json.loads(after["report.json"])["deletion_test"]
    assert report == json.loads(json.dumps(test.report()))
    assert {
        f"figures/{kind}_{name}.png" for kind in ("relevance", "curves") for name in ("sls", "fake_mamba")
    } <= {*after}
    assert b"layers over time" in after["report.html"]
    assert b"Deletion test: not run." not in after["report.html"]


def test_the_wave_of_the_figure_is_the_stretch_that_was_tested(services, tmp_path) -> None:
    analysis = services.analyze(write_clip(tmp_path / "long.wav", seconds=5.0))
    test = services.map_test(analysis.id)
    analysis = replace(services.recent(analysis.id))
    drawn = map_drawings(analysis, {"sls": "SLS", "fake_mamba": "Fake-Mamba"})
    axis = drawn["relevance_sls"][1](False).axes[0]
    assert axis.get_xlim() == pytest.approx((test.start, test.start + 3.0))
    assert test.start * SAMPLE_RATE == round(test.start * SAMPLE_RATE)
