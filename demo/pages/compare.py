"""The tab that puts a questioned clip beside known ones."""

from typing import Any

import gradio as gr

from demo import compare_figures, comparing, figures, markup, markup_compare, messages_compare
from demo.comparing import DRAWN_SECONDS
from demo.pages.chat import AT_ONCE
from demo.pages.refusal import refusal
from demo.pages.screen import TELL_SCREEN, unasked
from demo.services import GPU, Services
from detectors.errors import DetectorError


class CompareHandlers:
    """What happens on a click. Holds nothing of a visitor."""

    def __init__(self, services: Services) -> None:
        self.services = services

    def run(
        self,
        questioned: str | None,
        known: list[str] | None,
        large_screen: bool = True,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  Gradio finds the progress bar by this default
    ) -> str:
        """Judge all clips and show them side by side."""
        services, known = self.services, known or []
        try:
            # As much as that many analyses: that is what it is.
            services.permission.spend("analyses", min(comparing.MOST, 1 + len(known)))
            found = comparing.compare(
                questioned, known, services.judge, lambda share, doing: progress(share, desc=doing)
            )
        except DetectorError as error:
            raise refusal(error) from error
        titles = services.detectors.titles()
        waves = [clip.wave for clip in found if clip.wave is not None]
        names = [clip.name for clip in found if clip.wave is not None]
        picture = ""
        if waves:
            title, shows, caveat = messages_compare.FIGURE
            picture = markup.captioned(
                "compare",
                (title, shows.format(seconds=DRAWN_SECONDS), caveat),
                figures.webp(compare_figures.spectrograms(waves, names, large_screen)),
                large_screen,
            )
        return markup_compare.comparison(found, comparing.differences(found), titles, picture)

    def begin(self) -> str:
        """The button was pressed: there must be room for the progress."""
        return markup.stressing()

    def give_up(self) -> str:
        """It could not be done, or other clips were chosen; nothing said before stays."""
        return ""


def build(services: Services) -> None:
    """Lay out the tab and connect it. Call inside gr.Blocks."""
    handlers = CompareHandlers(services)
    gr.HTML(markup.section(messages_compare.HEADING, messages_compare.HELP))
    with gr.Row():
        questioned = gr.File(label=messages_compare.QUESTIONED, height=150, elem_id="compare-questioned")
        known = gr.File(
            file_count="multiple", label=messages_compare.KNOWN, height=150, elem_id="compare-known"
        )
    gr.HTML(f'<p class="sl-caution">{messages_compare.WARNING}</p>')
    button = gr.Button(messages_compare.BUTTON, variant="primary", elem_id="compare-run")
    result = gr.HTML(elem_id="compare-result", min_height=0)

    running = button.click(handlers.begin, outputs=[result], **AT_ONCE).success(
        handlers.run,
        [questioned, known, unasked()],
        [result],
        js=TELL_SCREEN,
        concurrency_id=GPU,
        api_visibility="private",
    )
    running.failure(handlers.give_up, outputs=[result], **AT_ONCE)
    changed: dict[str, Any] = {"outputs": [result], "cancels": [running], **AT_ONCE}
    gr.on([questioned.change, known.change], handlers.give_up, **changed)
