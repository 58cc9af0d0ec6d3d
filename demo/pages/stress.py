"""The stress test under the verdict: run when somebody asks for it, one picture and one sentence."""

import gradio as gr
from gradio.events import Dependency

from demo import figures, markup, messages
from demo.analysis import Analysis
from demo.pages import on_demand
from demo.pages.chat import Closing
from demo.services import Progress, Services


class StressHandlers(on_demand.OnDemandHandlers):
    """Judges the clip under every stress and says how stable the verdict is."""

    def found(self, analysis_id: str, tell: Progress) -> str:
        """The sentence and the picture; HTML."""
        test = self.services.stress(analysis_id, tell)
        seconds = self.services.recent(analysis_id).seconds
        return markup.stress_test(test, seconds, figures.webp(figures.robustness(test)))

    def can_run(self, analysis: Analysis) -> bool:
        """Whether there is a verdict."""
        return bool(analysis.detections) and not analysis.abstained


def lay_out() -> on_demand.Parts:
    """Put the button where the page is being filled; it is hidden until a clip was analysed."""
    with gr.Column(visible=False, elem_id="stress", elem_classes="sl-card") as column:
        button = gr.Button(messages.STRESS_BUTTON, elem_id="stress-run")
        gr.HTML(f'<p class="sl-help">{messages.STRESS_HELP}</p>')
        result = gr.HTML(elem_id="stress-result", min_height=0)
    return on_demand.Parts(column, button, result)


def connect(
    parts: on_demand.Parts, services: Services, analysis_id: gr.State, analysed: Dependency
) -> Closing:
    """Connect the button; see on_demand.connect."""
    return on_demand.connect(parts, StressHandlers(services), analysis_id, analysed)
