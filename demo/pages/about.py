"""The last tab: each detector, whether it can run here, its card and versions; credits of the examples."""

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import gradio as gr

from demo import markup, messages
from demo.examples import Example
from demo.pages import versions
from demo.services import Services


def build(services: Services, page: gr.Blocks, examples: Sequence[Example] = ()) -> list[gr.Button]:
    """Lay out the tab and give the buttons that change versions. Call inside `page`."""
    buttons = []
    gr.HTML(markup.section(messages.ABOUT_HEADING, messages.ABOUT_INTRO) + markup.privacy())
    for name in services.detectors.names():
        card = services.detectors.card(name)
        gr.HTML(markup.about_detector(card, services.detectors.status(name)))
        text = model_card(card.folder)
        if text:
            with gr.Accordion(messages.MODEL_CARD.format(title=card.title), open=False):
                gr.Markdown(text)
        buttons.append(versions.build(services, name, card.title, page, partial(model_card, card.folder)))
    if examples:
        gr.HTML(markup.example_credits(examples))
    return buttons


def model_card(folder: Path) -> str | None:
    """The text of `folder`/README.md without the YAML header that the hub reads; None when absent."""
    file = folder / "README.md"
    if not file.is_file():
        return None
    return re.sub(r"\A---\n.*?\n---\n", "", file.read_text(encoding="utf-8"), flags=re.DOTALL)
