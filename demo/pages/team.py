"""The tab for several annotators: how far they agree, and the clips on which somebody must decide."""

from typing import Any

import gradio as gr

from demo import markup, messages, waveform
from demo.pages.admin import require_admin
from demo.pages.workbench import AT_ONCE, ClipShower, Person
from demo.services import Services
from demo.workbench import Conflict
from detectors.labels.records import LabelError, Progress


class TeamHandlers:
    """What happens on this tab. Holds nothing of a visitor."""

    def __init__(self, services: Services, cache: str) -> None:
        self.services, self.bench = services, services.workbench
        self.shower = ClipShower(services, cache)

    def figures(self) -> str:
        """Agreement between people, as HTML."""
        require_admin(self.services)
        return markup.agreement(self.bench.agreement())

    def list_conflicts(self, name: str) -> tuple[gr.Dropdown, dict[str, Any]]:
        """The disagreements, and the first of them in the widget."""
        require_admin(self.services)
        return self._first(name)

    def choose(self, sha256: str | None, name: str) -> dict[str, Any]:
        """Show one disagreement in the widget."""
        require_admin(self.services)
        conflicts = self.bench.conflicts()
        chosen = next((each for each in conflicts if each.item.sha256 == sha256), None)
        return self._message(len(conflicts), name, chosen)

    def settle(
        self, name: str, consent: bool, note: str, asked: gr.EventData
    ) -> tuple[gr.Dropdown, dict[str, Any], str]:
        """Keep an answer as the one that settles the matter, and show the next disagreement."""
        require_admin(self.services)
        try:
            label = self.bench.save(
                str(asked.sha256),
                annotator=name,
                label=asked.label,
                confidence=messages.CONFIDENCE_USUAL,
                consent=consent,
                regions=asked.regions,
                note=note,
                adjudication=True,
            )
        except LabelError as error:
            count = len(self.bench.conflicts())
            return gr.skip(), _told(count, str(error)), note
        return *self._first(name, messages.SETTLED.format(answer=messages.answer(label.label))), ""

    def reveal(self, name: str, asked: gr.EventData) -> dict[str, Any]:
        """Show the detectors' scores of the clip in the widget."""
        require_admin(self.services)
        sha256, visit = str(asked.sha256), str(asked.visit)
        conflicts = self.bench.conflicts()
        chosen = next((each for each in conflicts if each.item.sha256 == sha256), None)
        return self._message(len(conflicts), name, chosen, reveal=True, visit=visit)

    def _first(self, name: str, notice: str = "") -> tuple[gr.Dropdown, dict[str, Any]]:
        conflicts = self.bench.conflicts()
        choices = [(messages.conflict(each.item.name, each.labels), each.item.sha256) for each in conflicts]
        first = conflicts[0] if conflicts else None
        dropdown = gr.Dropdown(choices, value=first.item.sha256 if first else None, visible=bool(conflicts))
        return dropdown, self._message(len(conflicts), name, first, notice)

    def _message(
        self,
        count: int,
        name: str,
        conflict: Conflict | None,
        notice: str = "",
        reveal: bool = False,
        visit: str | None = None,
    ) -> dict[str, Any]:
        if conflict is None:
            return _told(count, f"{notice} {'' if count else messages.NO_CONFLICTS}".strip(), None)
        try:
            opened = self.bench.open(conflict.item.sha256, name, reveal)
            clip = self.shower.show(opened, visit, labels=list(conflict.labels))
        except LabelError as error:
            return _told(count, str(error), None)
        return _told(count, notice, clip)


def _told(count: int, notice: str, clip: dict[str, Any] | None = waveform.STAY) -> dict[str, Any]:
    text = messages.CONFLICT_COUNT.format(count=count)
    return waveform.message(Progress(total=count, labelled=0, skipped=0), text, notice, clip)


def build(services: Services, tab: gr.Tab, person: Person) -> None:
    """Lay out the tab and connect it. person: the fields of the workbench that say who decides."""
    gr.HTML(f'<p class="sl-help">{messages.TEAM_INTRO}</p>')
    with gr.Column(elem_classes="sl-card"):
        gr.HTML(markup.section(messages.AGREEMENT_HEADING))
        figures = gr.HTML(elem_id="agreement")
    with gr.Column(elem_classes="sl-card"):
        gr.HTML(markup.section(messages.CONFLICTS_HEADING, messages.SETTLE_INFO))
        clip = gr.Dropdown([], label=messages.CONFLICT_CHOICE, visible=False, elem_id="conflict")
        widget = waveform.widget("adjudication", ("save", "reveal"), save=messages.SETTLE_NEXT)
        note = gr.Textbox(value="", label=messages.NOTE_LABEL, max_length=2000)
    again = gr.Button(messages.REFRESH_BUTTON)

    handlers = TeamHandlers(services, widget.GRADIO_CACHE)
    gr.on([tab.select, again.click], handlers.list_conflicts, [person.name], [clip, widget], **AT_ONCE)
    gr.on([tab.select, again.click], handlers.figures, outputs=[figures], api_visibility="private")
    clip.input(handlers.choose, [clip, person.name], [widget], **AT_ONCE)
    widget.save(handlers.settle, [*person, note], [clip, widget, note], **AT_ONCE)
    widget.reveal(handlers.reveal, [person.name], [widget], **AT_ONCE)
