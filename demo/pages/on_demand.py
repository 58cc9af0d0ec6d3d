"""A test of the clip that is run when somebody asks for it: a button, its progress, what came out."""

from typing import NamedTuple

import gradio as gr
from gradio.events import Dependency

from demo import markup, messages
from demo.analysis import Analysis
from demo.pages.chat import AT_ONCE, Closing
from demo.pages.refusal import refusal
from demo.services import GPU, Progress, Services
from detectors.errors import DetectorError


class OnDemandHandlers:
    """What happens on a click. Holds nothing of a visitor: that is in gr.State."""

    def __init__(self, services: Services) -> None:
        self.services = services

    def found(self, analysis_id: str, tell: Progress) -> str:
        """Run the test; HTML. Raises DetectorError when it cannot be run."""
        raise NotImplementedError

    def can_run(self, analysis: Analysis) -> bool:
        """Whether there is anything to test."""
        raise NotImplementedError

    def run(
        self,
        analysis_id: str | None,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  Gradio finds the progress bar by this default
    ) -> str:
        """Test the clip and say what came out."""
        try:
            if not analysis_id:
                raise DetectorError(messages.ANALYSIS_GONE)
            self.services.permission.spend("analyses")
            return self.found(analysis_id, lambda share, doing: progress(share, desc=doing))
        except DetectorError as error:
            raise refusal(error) from error

    def begin(self) -> str:
        """The button was pressed: there must be room for the progress."""
        return markup.stressing()

    def give_up(self) -> str:
        """It could not be run; the message says why."""
        return ""

    def open(self, analysis_id: str) -> tuple[gr.Column, str]:
        """A clip was analysed: the test may be run, if there is anything to test."""
        try:
            visible = self.can_run(self.services.recent(analysis_id))
        except DetectorError:
            visible = False
        return gr.Column(visible=visible), ""

    def close(self) -> tuple[gr.Column, str]:
        """Another clip was chosen: nothing said about the one before stays."""
        return gr.Column(visible=False), ""


class Parts(NamedTuple):
    """The components of a test."""

    column: gr.Column
    button: gr.Button
    result: gr.HTML


def connect(parts: Parts, handlers: OnDemandHandlers, analysis_id: gr.State, analysed: Dependency) -> Closing:
    """Connect the button. analysed: succeeds when a clip was judged; then analysis_id names it."""
    everything: list[gr.blocks.Block] = [parts.column, parts.result]
    analysed.success(handlers.open, [analysis_id], everything, **AT_ONCE)
    running = parts.button.click(handlers.begin, outputs=[parts.result], **AT_ONCE).success(
        handlers.run, [analysis_id], [parts.result], concurrency_id=GPU, api_visibility="private"
    )
    running.failure(handlers.give_up, outputs=[parts.result], **AT_ONCE)
    return Closing(handlers.close, everything, [running])
