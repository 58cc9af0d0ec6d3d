"""Handlers as the page calls them, and the HTML that they answer with."""

import base64
import io
import re
from pathlib import Path

import gradio as gr
import pytest
from PIL import Image

from demo import markup, messages, messages_verdict
from demo.drawings import WITH_WIDE
from demo.examples import read_examples
from demo.pages.about import model_card
from demo.pages.detect import DetectHandlers, draw_figures
from demo.ui import EXAMPLES, build_demo, launch_options
from tests.demo.fake_detectors import NO_LLM, FakeSource, fake_card, fake_services, write_clip


@pytest.fixture
def handlers(tmp_path: Path) -> DetectHandlers:
    return DetectHandlers(fake_services(tmp_path / "data"))


@pytest.fixture
def clip(tmp_path: Path) -> str:
    return str(write_clip(tmp_path / "clip.wav", seconds=4.0))


def save(handlers: DetectHandlers, analysis_id: str | None, previous: str | None = None, **changes: object):
    fields = {
        "label": "spoof",
        "confidence": 4,
        "annotator": "Anna",
        "note": "",
        "attack": "",
        "licence": "",
        "consent": True,
    }
    return handlers.save(analysis_id, previous, **{**fields, **changes})  # type: ignore[arg-type]


def test_no_clip_is_a_friendly_error(handlers: DetectHandlers) -> None:
    with pytest.raises(gr.Error, match="no clip yet"):
        handlers.analyze(None)


def test_a_short_clip_is_a_friendly_error(handlers: DetectHandlers, tmp_path: Path) -> None:
    with pytest.raises(gr.Error, match=r"at least 0\.5 s"):
        handlers.analyze(str(write_clip(tmp_path / "short.wav", seconds=0.2)))


def test_the_verdict_states_its_direction_limits_device_and_hash(handlers: DetectHandlers, clip: str) -> None:
    report, analysis_id = handlers.analyze_here(clip)
    verdict, cards, *_ = handlers.show(analysis_id)
    for text in (
        messages_verdict.HEADLINES[report["step"]],
        'aria-current="step"',
        messages_verdict.NOT_MEASURED,
        f"<strong>{messages.number(report['p_spoof'])}</strong>",
        "0.00 = certainly a human voice, 1.00 = certainly machine-made",
        "This is not proof",
        "Ran on CPU, preset mini",
        report["sha256"],
    ):
        assert text in verdict
    assert cards.count("<article") == 3
    assert f"Not available:</strong> {NO_LLM}." in cards


def test_every_figure_is_drawn_with_a_caveat(handlers: DetectHandlers, clip: str) -> None:
    page = handlers.draw(handlers.analyze_here(clip)[1])
    for key, (title, _, caveat) in messages.FIGURES.items():
        assert f'id="figure-{key}"' in page
        assert title in page
        assert caveat in page


def test_pictures_suit_the_screen(handlers: DetectHandlers, clip: str) -> None:
    analysis_id = handlers.analyze_here(clip)[1]
    large, small = (handlers.draw(analysis_id, large_screen) for large_screen in (True, False))
    assert large.count("sl-wide") == len(WITH_WIDE)
    assert "sl-wide" not in small
    assert large.count("<figure") == small.count("<figure") == len(messages.FIGURES)
    assert [width(page, "timeline") for page in (small, large)] == [720, 1728]
    assert [width(page, "log_mel") for page in (small, large)] == [720, 720]


def width(page: str, key: str) -> int:
    """Of the picture of a figure, in pixels."""
    found = re.search(rf'id="figure-{key}".*?base64,([^"]+)"', page)
    assert found
    return int(Image.open(io.BytesIO(base64.b64decode(found[1]))).width)


def test_without_detectors_the_sound_is_still_drawn(tmp_path: Path, clip: str) -> None:
    source = FakeSource(missing=dict.fromkeys(("sls", "fake_mamba", "allm4add"), "weights are missing"))
    handlers = DetectHandlers(fake_services(tmp_path / "data", source))
    report, analysis_id = handlers.analyze_here(clip)
    verdict = handlers.show(analysis_id)[0]
    assert "No verdict" in verdict
    assert "No detector ran" in verdict
    assert len(draw_figures(handlers.services.recent(analysis_id), {})) == 3
    assert len(report["unavailable"]) == 3


def test_saving_twice_makes_a_correction(handlers: DetectHandlers, clip: str) -> None:
    report, analysis_id = handlers.analyze_here(clip)
    confirmation, first = save(handlers, analysis_id)
    assert "machine-made, confidence 4 of 5" in confirmation
    assert report["sha256"] in confirmation
    confirmation, second = save(handlers, analysis_id, first, label="unsure")
    assert f"It corrects label {first}" in confirmation
    assert [label.id for label in handlers.services.store.labels(current_only=True)] == [second]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": None}, "Choose one of the three answers"),
        ({"consent": False}, "Nothing was saved"),
        ({"annotator": " "}, "name is missing"),
    ],
)
def test_an_incomplete_form_says_what_is_missing(
    handlers: DetectHandlers, clip: str, change: dict[str, object], message: str
) -> None:
    _, analysis_id = handlers.analyze_here(clip)
    with pytest.raises(gr.Error, match=message):
        save(handlers, analysis_id, **change)
    assert handlers.services.store.labels() == []


def test_a_label_needs_an_analysis(handlers: DetectHandlers) -> None:
    with pytest.raises(gr.Error, match="Analyse a clip first"):
        save(handlers, None)


def test_text_from_outside_is_escaped(handlers: DetectHandlers, clip: str) -> None:
    _, analysis_id = handlers.analyze_here(clip)
    saved = handlers.label(analysis_id, "spoof", 3, "<b>Anna</b>", True)
    assert "<script>" not in markup.about_detector(fake_card("sls", "mini"), "<script>alert(1)</script>")
    assert "<b>" not in markup.saved_label({**saved, "id": "<b>"})


# ---- examples, model cards, launch


def test_examples_that_are_listed_and_there_are_offered(tmp_path: Path) -> None:
    assert read_examples(tmp_path / "none") == []
    write_clip(tmp_path / "a.wav", 1)
    (tmp_path / "examples.csv").write_text(
        'file,label,title,licence,source\na.wav,spoof,"Machine, English",MIT,here\ngone.wav,spoof,X,MIT,x\n'
    )
    (example,) = read_examples(tmp_path)
    assert (example.path, example.title) == (tmp_path / "a.wav", "Machine, English")
    assert "machine-made · here · MIT" in markup.example_credits([example])


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason="no example clips in assets/examples")
def test_the_shipped_examples_are_complete_and_of_both_kinds() -> None:
    examples = read_examples(EXAMPLES)
    lines = (EXAMPLES / "examples.csv").read_text(encoding="utf-8").strip().splitlines()
    assert len(examples) == len(lines) - 1
    assert {example.label for example in examples} == {"bonafide", "spoof"}
    assert all(example.title and example.licence and example.source for example in examples)


def test_a_model_card_is_shown_without_its_header(tmp_path: Path) -> None:
    assert model_card(tmp_path) is None
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n# A card\n\n---\nend\n")
    assert model_card(tmp_path) == "# A card\n\n---\nend\n"


def test_the_page_sends_nothing_anywhere_and_serves_little(tmp_path: Path) -> None:
    services = fake_services(tmp_path / "data")
    demo = build_demo(services, examples=tmp_path / "none")
    options = launch_options(services, tmp_path / "none")
    assert demo.analytics_enabled is False
    assert options["allowed_paths"] == []
    assert options["strict_cors"] is True
    assert options["run_history"] is False
    assert options["state_session_capacity"] == services.settings.limits.sessions
    assert "http" not in options["theme"].font
    public = {f.api_name for f in demo.fns.values() if f.api_visibility == "public"}
    assert public == {"analyze", "ask", "export", "label"}
