"""The test of the maps under the figures: run when somebody asks for it."""

from typing import NamedTuple

import gradio as gr
from gradio.events import Dependency

from demo import figures, markup, messages, messages_maps
from demo.drawings import map_drawings
from demo.pages.chat import AT_ONCE, Closing
from demo.pages.refusal import refusal
from demo.services import GPU, Services
from detectors.errors import DetectorError
from detectors.map_test import has_marks


class MapTestHandlers:
    """What happens on a click. Holds nothing of a visitor: that is in gr.State."""

    def __init__(self, services: Services) -> None:
        self.services = services

    def run(
        self,
        analysis_id: str | None,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  Gradio finds the progress bar by this default
    ) -> str:
        """Test every map of the clip and say what it is worth."""
        try:
            if not analysis_id:
                raise DetectorError(messages.ANALYSIS_GONE)
            self.services.permission.spend("analyses")
            test = self.services.map_test(analysis_id, lambda share, doing: progress(share, desc=doing))
            analysis = self.services.recent(analysis_id)
        except DetectorError as error:
            raise refusal(error) from error
        titles = {name: self.services.card(name).title for name in analysis.detections}
        pictures = [
            markup.captioned(key, words, figures.webp(draw(False)))
            for key, (words, draw) in map_drawings(analysis, titles).items()
        ]
        return markup.map_test(test, titles, pictures)

    def begin(self) -> str:
        """The button was pressed: there must be room for the progress."""
        return markup.stressing()

    def give_up(self) -> str:
        """It could not be run; the message says why."""
        return ""

    def open(self, analysis_id: str) -> tuple[gr.Column, str]:
        """A clip was analysed: the test may be run, if there is a map."""
        try:
            detections = self.services.recent(analysis_id).detections.values()
        except DetectorError:
            detections = {}.values()
        return gr.Column(visible=any(has_marks(detection) for detection in detections)), ""

    def close(self) -> tuple[gr.Column, str]:
        """Another clip was chosen: nothing said about the one before stays."""
        return gr.Column(visible=False), ""


class Parts(NamedTuple):
    """The components of the test."""

    column: gr.Column
    button: gr.Button
    result: gr.HTML


def lay_out() -> Parts:
    """Put the button where the page is being filled; it is hidden until a clip was analysed."""
    with gr.Column(visible=False, elem_id="map-test", elem_classes="sl-card") as column:
        gr.HTML(markup.section(messages_maps.HEADING, messages_maps.HELP))
        button = gr.Button(messages_maps.BUTTON, elem_id="map-test-run")
        result = gr.HTML(elem_id="map-test-result", min_height=0)
    return Parts(column, button, result)


def connect(parts: Parts, services: Services, analysis_id: gr.State, analysed: Dependency) -> Closing:
    """Connect the button. analysed: succeeds when a clip was judged; then analysis_id names it."""
    handlers = MapTestHandlers(services)
    everything: list[gr.blocks.Block] = [parts.column, parts.result]
    analysed.success(handlers.open, [analysis_id], everything, **AT_ONCE)
    running = parts.button.click(handlers.begin, outputs=[parts.result], **AT_ONCE).success(
        handlers.run, [analysis_id], [parts.result], concurrency_id=GPU, api_visibility="private"
    )
    running.failure(handlers.give_up, outputs=[parts.result], **AT_ONCE)
    return Closing(handlers.close, everything, [running])
