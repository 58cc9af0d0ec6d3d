"""The stress test under the verdict: run when somebody asks for it, one picture and one sentence."""

from typing import NamedTuple

import gradio as gr
from gradio.events import Dependency

from demo import figures, markup, messages
from demo.pages.chat import AT_ONCE, Closing
from demo.pages.refusal import refusal
from demo.services import GPU, Services
from detectors.errors import DetectorError


class StressHandlers:
    """What happens on a click. Holds nothing of a visitor: that is in gr.State."""

    def __init__(self, services: Services) -> None:
        self.services = services

    def run(
        self,
        analysis_id: str | None,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  Gradio finds the progress bar by this default
    ) -> str:
        """Judge the clip under every stress and say how stable the verdict is."""
        try:
            if not analysis_id:
                raise DetectorError(messages.ANALYSIS_GONE)
            self.services.permission.spend("analyses")
            test = self.services.stress(analysis_id, lambda share, doing: progress(share, desc=doing))
            seconds = self.services.recent(analysis_id).seconds
        except DetectorError as error:
            raise refusal(error) from error
        return markup.stress_test(test, seconds, figures.webp(figures.robustness(test)))

    def begin(self) -> str:
        """The button was pressed: there must be room for the progress."""
        return markup.stressing()

    def give_up(self) -> str:
        """It could not be run; the message says why."""
        return ""

    def open(self, analysis_id: str) -> tuple[gr.Column, str]:
        """A clip was analysed: the test may be run, if there is a verdict."""
        try:
            analysis = self.services.recent(analysis_id)
            has_verdict = bool(analysis.detections) and not analysis.abstained
        except DetectorError:
            has_verdict = False
        return gr.Column(visible=has_verdict), ""

    def close(self) -> tuple[gr.Column, str]:
        """Another clip was chosen: nothing said about the one before stays."""
        return gr.Column(visible=False), ""


class Parts(NamedTuple):
    """The stress test's components."""

    column: gr.Column
    button: gr.Button
    result: gr.HTML


def lay_out() -> Parts:
    """Put the button where the page is being filled; it is hidden until a clip was analysed."""
    with gr.Column(visible=False, elem_id="stress", elem_classes="sl-card") as column:
        button = gr.Button(messages.STRESS_BUTTON, elem_id="stress-run")
        gr.HTML(f'<p class="sl-help">{messages.STRESS_HELP}</p>')
        result = gr.HTML(elem_id="stress-result", min_height=0)
    return Parts(column, button, result)


def connect(parts: Parts, services: Services, analysis_id: gr.State, analysed: Dependency) -> Closing:
    """Connect the button. analysed: succeeds when a clip was judged; then analysis_id names it."""
    handlers = StressHandlers(services)
    everything: list[gr.blocks.Block] = [parts.column, parts.result]
    analysed.success(handlers.open, [analysis_id], everything, **AT_ONCE)
    running = parts.button.click(handlers.begin, outputs=[parts.result], **AT_ONCE).success(
        handlers.run, [analysis_id], [parts.result], concurrency_id=GPU, api_visibility="private"
    )
    running.failure(handlers.give_up, outputs=[parts.result], **AT_ONCE)
    return Closing(handlers.close, everything, [running])
