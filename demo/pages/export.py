"""The tab that hands out labelled clips as a zip, for other tools, and the `/export` endpoint."""

import shutil
import tempfile
import uuid
import zipfile
from pathlib import Path

import gradio as gr

from demo import markup, messages
from demo.pages.admin import require_admin
from demo.pages.refusal import refusal
from demo.services import Services
from detectors.errors import DetectorError
from detectors.labels.exports import ExportSummary, write_export
from detectors.labels.forms import FORMS
from detectors.labels.records import LabelError
from detectors.labels.splits import GROUP_BY, GroupBy


class ExportHandlers:
    """What happens when somebody asks for an export. cache: Gradio's own folder, which it clears."""

    def __init__(self, services: Services, cache: Path) -> None:
        self.services, self.cache = services, cache

    def export(
        self,
        form: str = "csv",
        group_by: GroupBy = "both",
        held_back: float = 0.2,
        include_quarantined: bool = False,
    ) -> tuple[str, str]:
        """Pack the labelled clips and their labels into a zip, split into train and held-back parts.

        Args:
            form: "messages" (ALLM4ADD's JSON lines), "audio_llm" (AudioLLM's JSON lists), "protocol"
                (ASVspoof protocol and keys), "csv", or "dataset" (a Hugging Face data set folder).
            group_by: what both parts must not share: "both" (source and speaker), "source", "speaker",
                "clip".
            held_back: share of the clips that is held back, 0 to 0.9.
            include_quarantined: also clips on which fewer than two people agree, unless they are
                evenly split.

        Returns:
            The zip file, and in words what is in it.
        """
        require_admin(self.services)
        with tempfile.TemporaryDirectory(dir=self.services.settings.data, prefix=".export-") as folder:
            try:
                summary = write_export(
                    self.services.store,
                    Path(folder) / f"spooflens-{form}",
                    form,
                    group_by=group_by,
                    held_back=held_back,
                    include_quarantined=bool(include_quarantined),
                    link=True,  # only until they are packed
                )
            except (DetectorError, LabelError) as error:
                raise refusal(error) from error
            return str(_packed(summary, self.cache)), markup.lines([messages.EXPORTED, *summary.lines()])


def _packed(summary: ExportSummary, cache: Path) -> Path:
    """A zip of the export under a name nobody can guess; audio is compressed already, so it is stored."""
    folder = cache / uuid.uuid4().hex
    folder.mkdir(parents=True)
    target = folder / f"{summary.folder.name}.zip"
    try:
        with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
            for path in sorted(summary.folder.rglob("*")):
                if path.is_file():
                    archive.write(path, path.relative_to(summary.folder.parent))
    except BaseException:
        shutil.rmtree(folder)
        raise
    return target


def build(services: Services) -> None:
    """Lay out the tab. Call inside gr.Blocks."""
    gr.HTML(markup.section(messages.EXPORT_HEADING, messages.EXPORT_INTRO))
    form = gr.Radio(
        [(messages.EXPORT_FORMS[name], name) for name in FORMS],
        value="csv",
        label=messages.EXPORT_FORM,
        elem_id="export-form",
    )
    with gr.Row():
        group_by = gr.Radio(
            [(messages.EXPORT_GROUPS[name], name) for name in GROUP_BY],
            value="both",
            label=messages.EXPORT_GROUP_BY,
        )
        held_back = gr.Slider(0, 0.9, value=0.2, step=0.05, label=messages.EXPORT_HELD_BACK)
    quarantined = gr.Checkbox(label=messages.EXPORT_QUARANTINED)
    button = gr.Button(messages.EXPORT_BUTTON, variant="primary", elem_id="export")
    packed = gr.File(label=messages.EXPORT_FILE, interactive=False, elem_id="export-file")
    told = gr.HTML(elem_id="export-told")
    handlers = ExportHandlers(services, Path(packed.GRADIO_CACHE))
    button.click(
        handlers.export,
        [form, group_by, held_back, quarantined],
        [packed, told],
        api_name="export",
        concurrency_limit=1,
    )
