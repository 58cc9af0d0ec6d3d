"""The tab that says what a score means, how often verdicts were wrong, and what is known to fail."""

import base64
from pathlib import Path

import gradio as gr

from demo import markup, messages, messages_verdict
from detectors.errors import DetectorError
from detectors.evaluate import RAW
from detectors.results import read_results, table
from detectors.step_rates import FIELD as STEPS
from detectors.step_rates import StepRates

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
    _text_with_tables(five_steps(assets), messages_verdict.STEPS_LABEL)
    _text_with_tables(f"{measured(assets)}\n\n{messages.MEASURED_TEXT}", messages.MEASURED_HEADING)
    plots = "".join(picture(assets, kind) for kind in messages.PLOTS)
    gr.HTML(f'<div class="sl-figures">{plots}</div>', visible=bool(plots))
    gr.HTML(markup.section(messages.PUBLISHED_HEADING))
    _text_with_tables(messages.PUBLISHED_TEXT, messages.PUBLISHED_HEADING)
    gr.HTML(markup.section(messages.FAILURES_HEADING))
    gr.Markdown(messages.FAILURES_TEXT)
    gr.HTML(markup.section(messages.RETENTION_HEADING) + markup.privacy())
    gr.Markdown(messages.RETENTION_TEXT)


def _text_with_tables(text: str, label: str) -> None:
    """Markdown, in which each table becomes one that keys can scroll."""
    for block in map(str.strip, text.strip().split("\n\n")):
        if block.startswith("|"):
            gr.HTML(markup.table(block, label))
        else:
            gr.Markdown(block)


def measured(assets: Path) -> str:
    """The table of results in Markdown, or that there is none here."""
    found = []
    for name in RESULTS:
        try:
            found.append(read_results(assets / name))
        except DetectorError:
            return messages.NOT_MEASURED_HERE
    return table(found)


def five_steps(assets: Path) -> str:
    """How many clips get each step from all detectors together, in Markdown; "" where nobody measured it."""
    try:
        found = read_results(assets / RESULTS[-1])
        rates = {name: StepRates.of_fields(of[STEPS]) for name, of in found.conditions.items()}
    except (DetectorError, KeyError, TypeError, ValueError):
        return ""
    raw = rates[RAW]
    calls = messages_verdict.CALLS.format(
        real_called_fake=raw.real_called_fake, fake_called_real=raw.fake_called_real
    )
    text = messages_verdict.STEPS_TEXT.format(calls=calls)
    return f"{text}\n\n{messages_verdict.steps_table(rates)}"


def picture(assets: Path, kind: str) -> str:
    """One plot as HTML, "" where it was not drawn. kind: a key of messages.PLOTS."""
    file = assets / PLOTS.format(kind=kind)
    if not file.is_file():
        return ""
    data = base64.b64encode(file.read_bytes()).decode()
    return markup.plot(f"data:image/png;base64,{data}", *messages.PLOTS[kind])
