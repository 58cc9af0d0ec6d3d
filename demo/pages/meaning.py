"""The tab that says what a score means, how often verdicts were wrong, and what is known to fail."""

import base64
from pathlib import Path

import gradio as gr

from demo import markup, messages
from detectors.errors import DetectorError
from detectors.results import read_results, table

#: What `assess` wrote about the shipped detectors, beneath assets/, and its plots of all of them together.
RESULTS = (
    "sls-mini",
    "fake_mamba-mini",
    "allm4add-mini",
    "results-of-sls-mini+fake_mamba-mini+allm4add-mini.json",
)
PLOTS = "plots/sls-mini+fake_mamba-mini+allm4add-mini-{kind}.png"


def build(assets: Path) -> None:
    """Lay out the tab; everything on it is fixed when the app starts. Call inside gr.Blocks."""
    gr.HTML(markup.section(messages.MEANING_HEADING))
    gr.Markdown(messages.MEANING_TEXT)
    gr.HTML(markup.section(messages.MEASURED_HEADING))
    gr.Markdown(f"{measured(assets)}\n\n{messages.MEASURED_TEXT}", elem_classes="sl-tables")
    plots = "".join(picture(assets, kind) for kind in messages.PLOTS)
    gr.HTML(f'<div class="sl-figures">{plots}</div>', visible=bool(plots))
    gr.HTML(markup.section(messages.PUBLISHED_HEADING))
    gr.Markdown(messages.PUBLISHED_TEXT, elem_classes="sl-tables")
    gr.HTML(markup.section(messages.FAILURES_HEADING))
    gr.Markdown(messages.FAILURES_TEXT)
    gr.HTML(markup.section(messages.RETENTION_HEADING) + markup.privacy())
    gr.Markdown(messages.RETENTION_TEXT)


def measured(assets: Path) -> str:
    """The table of results in Markdown, or that there is none here."""
    found = []
    for name in RESULTS:
        try:
            found.append(read_results(assets / name))
        except DetectorError:
            return messages.NOT_MEASURED_HERE
    return table(found)


def picture(assets: Path, kind: str) -> str:
    """One plot as HTML, "" where it was not drawn. kind: a key of messages.PLOTS."""
    file = assets / PLOTS.format(kind=kind)
    if not file.is_file():
        return ""
    data = base64.b64encode(file.read_bytes()).decode()
    return markup.plot(f"data:image/png;base64,{data}", *messages.PLOTS[kind])
