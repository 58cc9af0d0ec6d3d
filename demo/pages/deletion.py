"""Deletion on request, on the team's tab: name the clip, read what goes and what stays, then confirm."""

from collections.abc import Callable
from typing import Any, TypeVar

import gradio as gr

from demo import markup, messages
from demo.pages.admin import require_admin
from demo.pages.refusal import refusal
from demo.pages.workbench import Person
from demo.services import Services
from detectors.labels.records import LabelError

Result = TypeVar("Result")

ASIDE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}


class DeletionHandlers:
    """What happens at each of the two steps. The hash that was looked up is in gr.State."""

    def __init__(self, services: Services) -> None:
        self.services, self.deletion = services, services.deletion

    def find(self, sha256: str, file: str | None) -> tuple[str, str | None, gr.Column]:
        """Step one: what is to be deleted, in words; the second step opens."""
        require_admin(self.services)
        try:
            found = self.deletion.find(sha256 or "", file)
        except LabelError as error:
            return markup.caution(str(error)), None, gr.Column(visible=False)
        return markup.to_delete(found), found.item.sha256, gr.Column(visible=True)

    def delete(
        self, shown: str | None, sha256: str, file: str | None, name: str, reason: str
    ) -> tuple[Any, ...]:
        """Step two: delete the clip that was shown, and nothing else. sha256, file: what names one by now."""
        require_admin(self.services)
        if not shown:
            raise refusal(messages.DELETE_WHICH)
        if self.deletion.meant(sha256 or "", file) != shown:
            raise refusal(messages.DELETE_ANOTHER)
        left = _or_shown(lambda: self.deletion.delete(shown, name or "", reason or ""))
        return markup.deleted(left), None, gr.Column(visible=False), "", None, ""

    def cancel(self) -> tuple[str, None, gr.Column]:
        """Nothing is deleted; the second step closes."""
        return markup.lines([messages.DELETE_CANCELLED]), None, gr.Column(visible=False)


def build(services: Services, person: Person) -> None:
    """Lay out both steps and connect them. person: the fields of the workbench that say who asks."""
    with gr.Accordion(messages.DELETE_HEADING, open=False, elem_id="deletion"):
        gr.HTML(f'<p class="sl-help">{messages.DELETE_INTRO}</p>')
        with gr.Row():
            file = gr.File(label=messages.DELETE_FILE, height=120, elem_id="delete-file")
            sha256 = gr.Textbox(
                value="", label=messages.DELETE_SHA256, info=messages.DELETE_SHA256_INFO, max_length=80,
                elem_id="delete-sha256",
            )  # fmt: skip
        find = gr.Button(messages.DELETE_FIND, elem_id="delete-find")
        told = gr.HTML(elem_id="delete-told")
        chosen = gr.State(None)
        with gr.Column(visible=False) as confirm:
            reason = gr.Textbox(
                value="", label=messages.DELETE_REASON, info=messages.DELETE_REASON_INFO, max_length=2000,
                elem_id="delete-reason",
            )  # fmt: skip
            with gr.Row():
                keep = gr.Button(messages.DELETE_CANCEL, elem_id="delete-cancel")
                delete = gr.Button(messages.DELETE_BUTTON, variant="stop", elem_id="delete-confirm")

    handlers = DeletionHandlers(services)
    steps = [told, chosen, confirm]
    find.click(handlers.find, [sha256, file], steps, **ASIDE)
    delete.click(
        handlers.delete, [chosen, sha256, file, person.name, reason], [*steps, sha256, file, reason],
        concurrency_limit=1, **ASIDE,
    )  # fmt: skip
    # Not when another clip is named: what comes of that may come after what was found of it.
    keep.click(handlers.cancel, outputs=steps, **ASIDE)


def _or_shown(call: Callable[[], Result]) -> Result:
    try:
        return call()
    except LabelError as error:
        raise refusal(error) from error
