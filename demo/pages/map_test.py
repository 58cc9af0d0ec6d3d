"""The test of the maps under the figures: run when somebody asks for it."""

import gradio as gr
from gradio.events import Dependency

from demo import figures, markup, messages_maps
from demo.analysis import Analysis
from demo.drawings import map_drawings
from demo.pages import on_demand
from demo.pages.chat import Closing
from demo.services import Progress, Services
from detectors.map_test import has_marks


class MapTestHandlers(on_demand.OnDemandHandlers):
    """Tests every map of the clip and says what it is worth."""

    def found(self, analysis_id: str, tell: Progress) -> str:
        """A sentence for each map, and the pictures; HTML."""
        test = self.services.map_test(analysis_id, tell)
        analysis = self.services.recent(analysis_id)
        titles = {name: self.services.detectors.card(name).title for name in analysis.detections}
        pictures = [
            markup.captioned(key, words, figures.webp(draw(False)))
            for key, (words, draw) in map_drawings(analysis, titles).items()
        ]
        return markup.map_test(test, titles, pictures)

    def can_run(self, analysis: Analysis) -> bool:
        """Whether there is a map."""
        return any(has_marks(detection) for detection in analysis.detections.values())


def lay_out() -> on_demand.Parts:
    """Put the button where the page is being filled; it is hidden until a clip was analysed."""
    with gr.Column(visible=False, elem_id="map-test", elem_classes="sl-card") as column:
        gr.HTML(markup.section(messages_maps.HEADING, messages_maps.HELP))
        button = gr.Button(messages_maps.BUTTON, elem_id="map-test-run")
        result = gr.HTML(elem_id="map-test-result", min_height=0)
    return on_demand.Parts(column, button, result)


def connect(
    parts: on_demand.Parts, services: Services, analysis_id: gr.State, analysed: Dependency
) -> Closing:
    """Connect the button; see on_demand.connect."""
    return on_demand.connect(parts, MapTestHandlers(services), analysis_id, analysed)
