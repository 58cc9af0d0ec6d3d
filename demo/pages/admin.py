"""What a public page keeps for the people who run it: the field that opens it, and the check on the server.

To hide a control keeps nobody out: every handler can be reached over HTTP, so each one asks here.
"""

from collections.abc import Sequence
from typing import Any

import gradio as gr

from demo import markup, messages
from demo.pages.refusal import refusal
from demo.services import Services
from detectors.errors import DetectorError


def require_admin(services: Services) -> None:
    """A message on the page, and no more, unless an administrator asks."""
    try:
        services.permission.require_admin()
    except DetectorError as error:
        raise refusal(error) from error


def spend(services: Services, kind: str) -> None:
    """Count something that a visitor asks for; a message on the page when they have had their share.

    kind: a rate of demo.limits.Limits.
    """
    try:
        services.permission.spend(kind)
    except DetectorError as error:
        raise refusal(error) from error


def annotator(services: Services, typed: str) -> str:
    """The name that whoever asks has as an annotator; a message on the page when they must sign in first."""
    try:
        return services.permission.annotator(typed)
    except DetectorError as error:
        raise refusal(error) from error


class AdminHandlers:
    """What happens at the token. count: of the tabs and buttons that are shown to administrators alone."""

    def __init__(self, services: Services, count: int) -> None:
        self.services, self.count = services, count

    def open(self, token: str) -> tuple[Any, ...]:
        """Show everything to whoever gives the token; the field is emptied either way."""
        try:
            is_right = self.services.permission.open(token)
        except DetectorError as error:
            return markup.caution(str(error)), "", *[gr.skip()] * self.count
        if not is_right:
            return markup.caution(messages.ADMIN_WRONG), "", *[gr.skip()] * self.count
        return markup.lines([messages.ADMIN_RIGHT]), "", *self._shown()

    def enter(self) -> list[Any]:
        """The page was opened: an administrator who is signed in need not give a token."""
        return self._shown() if self.services.permission.is_admin() else [gr.skip()] * self.count

    def _shown(self) -> list[Any]:
        return [gr.update(visible=True)] * self.count


def build(services: Services, page: gr.Blocks, hidden: Sequence[gr.blocks.Block]) -> None:
    """Lay out the field, and sign-in where there is one. hidden: what an administrator is shown."""
    settings = services.settings
    handlers = AdminHandlers(services, len(hidden))
    if settings.sign_in:
        gr.LoginButton(elem_id="sign-in")
        page.load(handlers.enter, outputs=list(hidden), api_visibility="private", show_progress="hidden")
    if not settings.admin_token:
        return
    with gr.Accordion(messages.ADMIN_HEADING, open=False, elem_id="admin"):
        gr.HTML(f'<p class="sl-help">{messages.ADMIN_HELP}</p>')
        token = gr.Textbox(
            value="", label=messages.ADMIN_TOKEN_LABEL, type="password", max_length=200, elem_id="admin-token"
        )
        give = gr.Button(messages.ADMIN_BUTTON, elem_id="admin-open")
        told = gr.HTML(elem_id="admin-told")
    gr.on(
        [give.click, token.submit], handlers.open, [token], [told, token, *hidden],
        api_visibility="private", show_progress="hidden",
    )  # fmt: skip
