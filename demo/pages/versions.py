"""Fine-tuned versions of one detector, on the About tab: their cards, and the way back."""

from collections.abc import Callable
from typing import Any, TypeVar

import gradio as gr

from demo import markup, messages
from demo.pages.admin import require_admin
from demo.pages.refusal import refusal
from demo.services import Services
from detectors.errors import DetectorError
from detectors.versions import Version, Versions

Result = TypeVar("Result")

#: The choice that stands for the weights that are shipped.
SHIPPED = ""


class VersionHandlers:
    """What happens in one detector's list of versions."""

    def __init__(self, services: Services, name: str, shipped_card: Callable[[], str | None]) -> None:
        self.services, self.name, self._shipped_card = services, name, shipped_card

    def refresh(self) -> tuple[Any, ...]:
        """The list as it is now (a version may have been made since), with the one in use chosen."""
        versions = self._versions.all(self.name, self._preset)
        try:
            in_use = self._in_use()
            told = markup.version_in_use(in_use)
        except DetectorError as error:
            in_use, told = SHIPPED, markup.caution(str(error))
        choices = [(messages.SHIPPED_WEIGHTS, SHIPPED), *((describe(v), v.name) for v in versions)]
        return (
            gr.Column(visible=bool(versions)),
            gr.Radio(choices=choices, value=in_use),
            told,
            self.card(in_use),
        )

    def card(self, choice: str | None) -> str:
        """The model card of a choice."""
        if not choice:
            return self._shipped_card() or ""
        return _or_shown(lambda: self._versions.get(self.name, self._preset, choice).card)

    def use(self, choice: str | None) -> str:
        """Put the choice in use for everybody, from the next clip on. For administrators."""
        require_admin(self.services)
        _or_shown(lambda: self._versions.use(self.name, self._preset, choice or None))
        return markup.version_in_use(self._in_use())

    @property
    def _versions(self) -> Versions:
        return self.services.versions

    @property
    def _preset(self) -> str:
        return self.services.settings.preset

    def _in_use(self) -> str:
        current = self._versions.current(self.name, self._preset)
        return current.name if current else SHIPPED


def describe(version: Version) -> str:
    """One line: name, day, clips learnt from and what that did to the held-back ones."""
    eer = version.facts.get("eer", {}).get("held-back labelled", {})
    return messages.VERSION.format(
        name=version.name,
        day=version.created[:10],
        clips=version.facts.get("clips", "?"),
        before=eer.get("before", float("nan")),
        after=eer.get("after", float("nan")),
    )


def build(
    services: Services, name: str, title: str, page: gr.Blocks, shipped_card: Callable[[], str | None]
) -> gr.Button:
    """Lay out one detector's versions; hidden while there are none. Call inside gr.Blocks.

    Gives the button that changes the version, which a public page hides until an administrator comes.
    """
    handlers = VersionHandlers(services, name, shipped_card)
    with gr.Column(visible=False, elem_id=f"versions-{name}") as column:
        told = gr.HTML()
        choice = gr.Radio([(messages.SHIPPED_WEIGHTS, SHIPPED)], label=messages.VERSIONS.format(title=title))
        use = gr.Button(messages.USE_VERSION, size="sm", visible=not services.settings.public)
        with gr.Accordion(messages.VERSION_CARD, open=False):
            card = gr.Markdown()
    page.load(handlers.refresh, outputs=[column, choice, told, card], api_visibility="private")
    choice.input(handlers.card, [choice], [card], api_visibility="private")
    use.click(handlers.use, [choice], [told], api_visibility="private")
    return use


def _or_shown(call: Callable[[], Result]) -> Result:
    """Turn what a person can mend into a message on the page."""
    try:
        return call()
    except DetectorError as error:
        raise refusal(error) from error
