"""The evidence package at the end of an analysis: made when somebody asks for it."""

import shutil
import uuid
from pathlib import Path
from typing import NamedTuple

import gradio as gr
from gradio.events import Dependency

from demo import evidence, markup, messages
from demo.pages.chat import AT_ONCE, Closing
from demo.pages.refusal import refusal
from demo.services import Services
from detectors.errors import DetectorError


class EvidenceHandlers:
    """What happens on a click. cache: Gradio's own folder, which it serves and clears."""

    def __init__(self, services: Services, cache: Path) -> None:
        self.services, self.cache = services, cache

    def make(self, analysis_id: str | None, saved_id: str | None) -> gr.File:
        """Make the package of this visit's analysis, with the label that this visit saved of it."""
        folder = self.cache / uuid.uuid4().hex  # nobody can guess the file's address
        try:
            if not analysis_id:
                raise DetectorError(messages.ANALYSIS_GONE)
            self.services.permission.spend("analyses")
            analysis = self.services.recent(analysis_id)
            label = self.services.store.get(saved_id) if saved_id else None
            # Others' labels of the same sound are theirs: whoever uploads it must not be given their names.
            labels = [label] if label and label.audio_sha256 == analysis.sha256 else []
            titles = self.services.detectors.titles()
            folder.mkdir(parents=True)
            facts = self.services.file_facts(analysis.path)
            made = evidence.package(analysis, titles, labels, self.services.settings.data, folder, facts)
        except BaseException as error:
            shutil.rmtree(folder, ignore_errors=True)
            if isinstance(error, DetectorError):
                raise refusal(error) from error
            raise
        return gr.File(str(made), visible=True)

    def open(self) -> tuple[gr.Column, gr.File]:
        """A clip was analysed: its package may be asked for."""
        return gr.Column(visible=True), gr.File(None, visible=False)

    def close(self) -> tuple[gr.Column, gr.File]:
        """Another clip was chosen: the package of the one before goes."""
        return gr.Column(visible=False), gr.File(None, visible=False)


class Parts(NamedTuple):
    """The components of the evidence package."""

    column: gr.Column
    button: gr.Button
    file: gr.File


def lay_out() -> Parts:
    """Put the button where the page is being filled; it is hidden until a clip was analysed."""
    with gr.Column(visible=False, elem_id="evidence", elem_classes="sl-card") as column:
        gr.HTML(markup.section(messages.EVIDENCE_HEADING, messages.EVIDENCE_HELP))
        button = gr.Button(messages.EVIDENCE_BUTTON, elem_id="evidence-make")
        file = gr.File(
            label=messages.EVIDENCE_FILE, interactive=False, visible=False, elem_id="evidence-file"
        )
    return Parts(column, button, file)


def connect(
    parts: Parts, services: Services, analysis_id: gr.State, saved_id: gr.State, analysed: Dependency
) -> Closing:
    """Connect the button. analysed: succeeds when a clip was judged; saved_id: the visit's label of it."""
    handlers = EvidenceHandlers(services, Path(parts.file.GRADIO_CACHE))
    everything: list[gr.blocks.Block] = [parts.column, parts.file]
    analysed.success(handlers.open, outputs=everything, **AT_ONCE)
    making = parts.button.click(
        handlers.make,
        [analysis_id, saved_id],
        [parts.file],
        concurrency_limit=1,
        api_visibility="private",
        trigger_mode="once",
    )
    return Closing(handlers.close, everything, [making])
