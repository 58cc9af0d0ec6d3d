"""The evidence package from the page: made on demand, of this visit's analysis, in a place of its own."""

import json
import zipfile
from pathlib import Path

import gradio as gr
import pytest

from demo.evidence import pictures
from demo.pages.evidence import EvidenceHandlers
from demo.services import Services
from tests.demo.fake_detectors import fake_services, write_clip

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def services(tmp_path: Path) -> Services:
    return fake_services(tmp_path / "data")


@pytest.fixture
def handlers(services: Services, tmp_path: Path) -> EvidenceHandlers:
    return EvidenceHandlers(services, tmp_path / "cache")


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / f"{HOSTILE}.wav", seconds=3.0)


def save(services: Services, analysis_id: str, note: str = "") -> str:
    return services.save_label(
        analysis_id, label="spoof", confidence=4, annotator="Anna", consent=True, note=note
    ).id


def contents(file: gr.File) -> dict[str, bytes]:
    with zipfile.ZipFile(str(file.value["path"])) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_package_holds_what_the_page_shows(handlers, services, clip) -> None:
    analysis = services.analyze(clip)
    services.stress(analysis.id)
    file = handlers.make(analysis.id, save(services, analysis.id, note=HOSTILE))
    assert file.visible is True
    files = contents(file)
    report = json.loads(files["report.json"])
    assert report["clip"]["name"] == clip.name
    assert report["clip"]["sha256"] == analysis.sha256
    assert report["result"]["llr"] == analysis.llr
    assert report["labels"][0]["note"] == HOSTILE
    assert report["robustness"]["tests"] == len(services.recent(analysis.id).stress.trials)
    assert report["unavailable"]["ALLM4ADD"]
    figures = {name for name in files if name.startswith("figures/")}
    assert figures == {
        f"figures/{key}.png"
        for key in (
            "timeline",
            "voice_time",
            "log_mel",
            "linear",
            "gates",
            "layer_time",
            "attention",
            "robustness",
        )
    }
    page = files["report.html"].decode()
    assert HOSTILE not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert page.count("<img ") == len(figures)


def test_its_address_cannot_be_guessed_and_holds_no_text_of_the_visitor(handlers, services, clip) -> None:
    analysis = services.analyze(clip)
    handlers.make(analysis.id, None)
    handlers.make(analysis.id, None)
    made = list(handlers.cache.rglob("*.zip"))
    assert len({path.parent for path in made}) == 2
    assert all(len(path.parent.name) == 32 and path.parent.parent == handlers.cache for path in made)
    assert not any("img" in str(path.relative_to(handlers.cache)) for path in made)


def test_labels_of_others_stay_out(handlers, services, clip, tmp_path) -> None:
    analysis = services.analyze(clip)
    save(services, analysis.id)
    assert json.loads(contents(handlers.make(analysis.id, None))["report.json"])["labels"] == []
    other = services.analyze(write_clip(tmp_path / "other.wav", seconds=2.0))
    about_other = save(services, other.id)
    files = contents(handlers.make(analysis.id, about_other))
    assert json.loads(files["report.json"])["labels"] == []


def test_what_cannot_be_made_leaves_nothing_behind(handlers, services, clip) -> None:
    with pytest.raises(gr.Error, match="no longer in memory"):
        handlers.make(None, None)
    with pytest.raises(gr.Error, match="no longer in memory"):
        handlers.make("../../etc/passwd", None)
    analysis = services.analyze(clip)
    clip.unlink()
    with pytest.raises(gr.Error, match="no longer at hand"):
        handlers.make(analysis.id, None)
    assert not handlers.cache.exists() or list(handlers.cache.iterdir()) == []


def test_pictures_stand_with_the_words_of_the_page(services, clip) -> None:
    analysis = services.analyze(clip)
    titles = {name: services.detectors.card(name).title for name in analysis.detections}
    found = {picture.key: picture for picture in pictures(analysis, titles)}
    assert "robustness" not in found
    assert "need not add up to 1" in found["gates"].caption
    assert all(picture.png.startswith(b"\x89PNG") for picture in found.values())
