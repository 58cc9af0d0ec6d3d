"""What the page says about its own reliability comes from files, or is said to be missing."""

from pathlib import Path

import gradio as gr

from demo import markup, messages
from demo.pages import meaning
from demo.pages.meaning import PLOTS, RESULTS, measured, picture
from demo.ui import ASSETS
from detectors.results import save_results
from tests.evidence.cases import measured as made_up
from tests.evidence.cases import tiny_weights


def test_the_table_is_made_from_what_was_measured(tmp_path: Path) -> None:
    assert measured(tmp_path) == messages.NOT_MEASURED_HERE
    folders = [tiny_weights(tmp_path / name) for name in RESULTS[:3]]
    save_results(tmp_path / RESULTS[3], made_up(folders))
    assert "26.3 [23.0, 29.0]" in measured(tmp_path)


def test_a_table_is_text_with_heads_and_can_be_reached_by_key() -> None:
    html = markup.table("| | EER <b> |\n|---|---|\n| SLS | 1.92 |\n| Fake-Mamba | 5 % |", 'Measured "here"')
    assert '<table tabindex="0" aria-label="Measured &quot;here&quot;">' in html
    assert '<tr><td></td><th scope="col">EER &lt;b&gt;</th></tr>' in html
    assert '<tr><th scope="row">Fake-Mamba</th><td>5 %</td></tr>' in html


def test_a_plot_is_shown_where_there_is_one(tmp_path: Path) -> None:
    assert picture(tmp_path, "det") == ""
    file = tmp_path / PLOTS.format(kind="det")
    file.parent.mkdir()
    file.write_bytes(b"picture")
    assert 'src="data:image/png;base64,cGljdHVyZQ=="' in picture(tmp_path, "det")
    assert messages.PLOTS["det"][0] in picture(tmp_path, "det")


def test_every_table_on_the_page_can_be_scrolled_on_a_phone() -> None:
    with gr.Blocks() as page:
        meaning.build(ASSETS)
    parts = page.blocks.values()
    assert not [part.value for part in parts if isinstance(part, gr.Markdown) and "|---|" in part.value]
    tables = [part.value for part in parts if isinstance(part, gr.HTML) and "<table" in (part.value or "")]
    assert len(tables) >= 3
    assert all("sl-tables" in table for table in tables)
