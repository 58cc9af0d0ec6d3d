"""The list of what this visit has analysed, at the end of the first tab."""

from contextlib import suppress
from typing import Any, NamedTuple

import gradio as gr
from gradio.events import Dependency

from demo import figures, markup, messages, messages_history
from demo.drawings import drawings
from demo.history import Entry, line, with_new, without_deleted
from demo.pages.chat import AT_ONCE
from demo.pages.refusal import refusal
from demo.pages.screen import TELL_SCREEN, unasked
from demo.services import Services
from detectors.errors import DetectorError


class HistoryHandlers:
    """What happens on a click. Holds nothing of a visitor: the list is in gr.State."""

    def __init__(self, services: Services) -> None:
        self.services = services

    def add(self, analysis_id: str, entries: list[Entry]) -> tuple[Any, ...]:
        """A clip was analysed: it is listed."""
        with suppress(DetectorError):  # deleted or forgotten meanwhile
            entries = with_new(entries, self.services.recent(analysis_id))
        return self.refresh(entries)

    def refresh(self, entries: list[Entry]) -> tuple[Any, ...]:
        """The list as it is now: without what was deleted, with a word on what is no longer kept."""
        entries = without_deleted(entries, self.services.is_deleted)
        choices = [(line(entry, self.services.is_kept(entry.id)), entry.id) for entry in entries]
        heading = messages_history.HEADING.format(count=len(entries))
        return entries, gr.Accordion(heading, visible=bool(entries)), gr.Radio(choices, value=None)

    def show(self, chosen: str | None, entries: list[Entry], large_screen: bool = True) -> str:
        """An earlier analysis of this visit: its verdict, its detectors and where it lies in the clip."""
        try:
            entry = self._entry(chosen, entries)
            if not self.services.is_kept(entry.id):
                raise DetectorError(messages_history.GONE)
            analysis = self.services.recent(entry.id)
        except DetectorError as error:
            raise refusal(error) from error
        cards = [self.services.detectors.card(name) for name in self.services.detectors.names()]
        titles = {card.name: card.title for card in cards}
        picture = figures.webp(drawings(analysis, titles)["timeline"](large_screen))
        return markup.earlier(
            messages_history.SHOWN.format(name=entry.name, time=f"{entry.created[11:16]} UTC"),
            markup.verdict(analysis, titles),
            markup.detector_cards(analysis, cards),
            markup.captioned("earlier", messages.FIGURES["timeline"], picture, large_screen),
        )

    def remove(self, chosen: str | None, entries: list[Entry], analysis_id: str | None) -> tuple[Any, ...]:
        """Take an entry off the list, and forget its analysis unless it is the one on the page."""
        try:
            entry = self._entry(chosen, entries)
        except DetectorError as error:
            raise refusal(error) from error
        if entry.id != analysis_id:
            self.services.drop(entry.id)
        left = [each for each in entries if each.id != entry.id]
        return *self.refresh(left), markup.lines([messages_history.REMOVED])

    def _entry(self, chosen: str | None, entries: list[Entry]) -> Entry:
        """One of this visit's own. DetectorError for any other, whatever a program sends."""
        if not chosen:
            raise DetectorError(messages_history.CHOOSE)
        for entry in entries:
            if entry.id == chosen:
                return entry
        raise DetectorError(messages_history.NOT_LISTED)


class Parts(NamedTuple):
    """The components of the list. entries: gr.State, the visit's own list."""

    entries: gr.State
    accordion: gr.Accordion
    choice: gr.Radio
    show: gr.Button
    remove: gr.Button
    shown: gr.HTML


def lay_out() -> Parts:
    """Put the list where the page is being filled; it is hidden until a clip was analysed."""
    heading = messages_history.HEADING.format(count=0)
    with gr.Accordion(heading, open=False, visible=False, elem_id="history") as accordion:
        gr.HTML(f'<p class="sl-help">{messages_history.HELP}</p>')
        choice = gr.Radio([], label=messages_history.LIST, elem_id="history-list")
        with gr.Row():
            show = gr.Button(messages_history.SHOW, size="sm", elem_id="history-show")
            remove = gr.Button(messages_history.REMOVE, size="sm", elem_id="history-remove")
        shown = gr.HTML(elem_id="history-shown", min_height=0)
    return Parts(gr.State([]), accordion, choice, show, remove, shown)


def connect(parts: Parts, services: Services, analysis_id: gr.State, analysed: Dependency) -> None:
    """Connect the list. analysed: succeeds when a clip was judged; then analysis_id names it."""
    handlers = HistoryHandlers(services)
    entries, listed = parts.entries, [parts.entries, parts.accordion, parts.choice]
    analysed.success(handlers.add, [analysis_id, entries], listed, **AT_ONCE)
    parts.accordion.expand(handlers.refresh, [entries], listed, **AT_ONCE)
    parts.show.click(
        handlers.show,
        [parts.choice, entries, unasked()],
        [parts.shown],
        js=TELL_SCREEN,
        api_visibility="private",
        concurrency_limit=1,
    )
    parts.remove.click(
        handlers.remove, [parts.choice, entries, analysis_id], [*listed, parts.shown], **AT_ONCE
    )
