"""The tab for labelling: a queue of clips, the waveform widget, and the import of new clips."""

import uuid
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr
from gradio.processing_utils import save_bytes_to_cache

from demo import markup, messages, waveform
from demo.pages.admin import annotator, spend
from demo.pages.refusal import refusal
from demo.services import GPU, Services
from demo.workbench import OpenClip
from detectors.errors import DetectorError
from detectors.labels.records import Label, LabelError

#: Where the browser keeps the annotator's name. It is no secret, so the key need not be one either;
#: a random one would forget the name whenever the app starts.
NAME_KEY, NAME_CIPHER = "spooflens-annotator", "spooflens"

#: Seconds between two turns of the detectors in the background.
JUDGE_EVERY = 1.0

#: Labelling never waits in the queue that the detectors wait in.
AT_ONCE: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}


class Person(NamedTuple):
    """The fields that say who labels, and that they agree to what is stored: both tabs read them."""

    name: gr.Textbox
    consent: gr.Checkbox


class ClipShower:
    """Turns clips into messages for a waveform widget; the WAV goes where Gradio serves files from."""

    def __init__(self, services: Services, cache: str) -> None:
        self.bench = services.workbench
        self.titles = services.detectors.titles()
        self._cache = cache

    def show(self, opened: OpenClip, visit: str | None = None, **more: Any) -> dict[str, Any]:
        """The clip as the widget takes it; visit: of the clip on the page, None for another one."""
        sha256 = opened.item.sha256
        audio = save_bytes_to_cache(self.bench.wav(sha256), f"{sha256[:12]}.wav", self._cache)
        return waveform.clip_message(opened, Path(audio), visit or uuid.uuid4().hex, self.titles, **more)


class WorkbenchHandlers:
    """What happens at a key, a click or a tick. Holds nothing of a visitor: that is in gr.State."""

    def __init__(self, services: Services, cache: str) -> None:
        self.services, self.bench = services, services.workbench
        self.shower = ClipShower(services, cache)

    # ---- labelling: each answers with a message for the widget

    def show(self, name: str, order: str) -> dict[str, Any]:
        """The next clip, unless somebody is at work on one already."""
        name = self._looking(name)
        return self._answering(name, lambda: self._next(name, order, gentle=True))

    def enter(self, name: str, order: str, remembered: str) -> tuple[Any, dict[str, Any]]:
        """The tab was opened: who labels, if only the browser knows that so far, and the next clip."""
        known = remembered if remembered and not name else gr.skip()  # a name that is typed now stays
        return known, self.show(name or remembered, order)

    def go_on(self, name: str, order: str) -> dict[str, Any]:
        """The next clip, after a look at the scores of the last one."""
        name = self._looking(name)
        return self._answering(name, lambda: self._next(name, order))

    def save(
        self,
        name: str,
        order: str,
        consent: bool,
        compare: bool,
        confidence: int,
        attack: str,
        note: str,
        saved: list[str],
        asked: gr.EventData,
    ) -> tuple[Any, ...]:
        """Save the answer and go on; with `compare`, stay and show what the detectors say."""
        name = annotator(self.services, name)
        spend(self.services, "labels")
        try:
            label = self.bench.save(
                str(asked.sha256),
                annotator=name,
                label=asked.label,
                confidence=confidence,
                consent=consent,
                regions=asked.regions,
                note=note,
                attack=attack,
            )
        except LabelError as error:
            return self._message(name, str(error)), *[gr.skip()] * 4
        told = self._answering(name, lambda: self._after(label, order, asked.visit if compare else None))
        return told, [*saved, label.id], messages.CONFIDENCE_USUAL, "", ""

    def skip(self, name: str, order: str, asked: gr.EventData) -> dict[str, Any]:
        """Put the clip aside and go on."""
        name = annotator(self.services, name)

        def skip() -> dict[str, Any]:
            self.bench.skip(str(asked.sha256), name)
            return self._next(name, order, messages.CLIP_SKIPPED)

        return self._answering(name, skip)

    def undo(self, name: str, saved: list[str]) -> tuple[dict[str, Any], list[str]]:
        """Take back the last label that was saved since the page was opened, and show its clip again."""
        name = annotator(self.services, name)
        if not saved:
            return self._message(name, messages.NOTHING_TO_UNDO), saved

        def undo() -> dict[str, Any]:
            label = self.bench.undo(saved[-1], name)
            opened = self.bench.open(label.audio_sha256, name, reveal=True)
            text = messages.LABEL_WITHDRAWN.format(answer=messages.answer(label.label), name=opened.item.name)
            return self._message(name, text, self.shower.show(opened, said=label))

        return self._answering(name, undo), saved[:-1]

    def reveal(self, name: str, asked: gr.EventData) -> dict[str, Any]:
        """Show the scores of the clip on the page before it is answered."""
        name = annotator(self.services, name)

        def reveal() -> dict[str, Any]:
            opened = self.bench.open(str(asked.sha256), name, reveal=True)
            notice = messages.SCORES_REVEALED if opened.shown else messages.SCORES_MISSING
            return self._message(name, notice, self.shower.show(opened, str(asked.visit)))

        return self._answering(name, reveal)

    def bring_back(self, name: str, order: str) -> dict[str, Any]:
        """Everything that was skipped comes into the queue again."""
        name = annotator(self.services, name)

        def bring_back() -> dict[str, Any]:
            notice = messages.BROUGHT_BACK.format(clips=messages.clips(self.bench.bring_back_skipped(name)))
            return self._next(name, order, notice, gentle=True)

        return self._answering(name, bring_back)

    # ---- new clips

    def import_clips(
        self,
        files: list[str] | None,
        folder: list[str] | None,
        source: str,
        speaker: str,
        licence: str,
        name: str,
        consent: bool,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  Gradio finds the progress bar by this default
    ) -> tuple[Any, ...]:
        """Put what was dropped into the queue. Answers with the report and two empty fields for files."""
        paths, turns = [*(files or []), *(folder or [])], count(1)
        if not paths:
            raise refusal(messages.NOTHING_TO_IMPORT)
        name = annotator(self.services, name)
        spend(self.services, "imports")
        try:
            report = self.bench.import_clips(
                paths,
                consent=consent,
                source=source,
                speaker=speaker,
                licence=licence,
                added_by=name,
                tell=lambda file: progress(
                    (next(turns), None), desc=messages.IMPORTING.format(name=file), unit=messages.FILES
                ),
            )
        except LabelError as error:
            raise refusal(error) from error
        return markup.import_report(report), None, None

    def wake(self) -> tuple[gr.Timer, str]:
        """Set the detectors to work if clips wait for them."""
        waiting = self.bench.waiting_for_judgement()
        return gr.Timer(active=waiting), markup.judging() if waiting else ""

    def judge(self) -> tuple[gr.Timer, str]:
        """One turn of the detectors: one clip, so that a visitor's own clip waits no longer than that."""
        self.bench.judge_next()
        return self.wake()

    # ---- inside

    def _looking(self, typed: str) -> str:
        """The name to look under: whoever would have to sign in to label may look all the same."""
        try:
            return self.services.permission.annotator(typed)
        except DetectorError:
            return typed

    def _answering(self, name: str, call: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What the call answers, or else the sentence that says why it could not."""
        try:
            return call()
        except LabelError as error:
            return self._message(name, str(error))

    def _after(self, label: Label, order: str, visit: str | None) -> dict[str, Any]:
        """After a save: the same clip with its scores when `visit` names it, else the next one."""
        opened = self.bench.open(label.audio_sha256, label.annotator, reveal=True)
        notice = messages.label_saved(label, opened.shown, self.shower.titles)
        if visit is None:
            return self._next(label.annotator, order, notice)
        return self._message(label.annotator, notice, self.shower.show(opened, str(visit), saved=True))

    def _next(self, name: str, order: str, notice: str = "", gentle: bool = False) -> dict[str, Any]:
        item = self.bench.next_clip(name, order)
        if item is not None:
            opened = self.bench.open(item.sha256, name, reveal=False)
            return self._message(name, notice, self.shower.show(opened), gentle)
        empty = messages.QUEUE_DONE if self.bench.progress(name).total else messages.QUEUE_EMPTY
        return self._message(name, f"{notice} {empty}".strip(), None, gentle)

    def _message(
        self, name: str, notice: str = "", clip: dict[str, Any] | None = waveform.STAY, gentle: bool = False
    ) -> dict[str, Any]:
        progress = self.bench.progress(name)
        return waveform.message(progress, messages.progress(progress), notice, clip, gentle)


def build(services: Services, demo: gr.Blocks, tab: gr.Tab) -> Person:
    """Lay out the tab and connect it. Call inside gr.Blocks; demo: those, tab: the one being filled."""
    gr.HTML(f'<p class="sl-help">{messages.WORKBENCH_INTRO}</p>')
    remembered = gr.BrowserState("", storage_key=NAME_KEY, secret=NAME_CIPHER)
    person, order = _who_and_what()
    with gr.Column(elem_classes="sl-card"):
        widget = waveform.widget("workbench")
    compare, about = _about_clip()
    fields, add, report, judging = _import_form()
    saved, timer = gr.State([]), gr.Timer(JUDGE_EVERY, active=False)

    handlers = WorkbenchHandlers(services, widget.GRADIO_CACHE)
    who = [person.name, order]
    # On a slow line somebody may type a name before this arrives: nothing remembered must not erase it.
    demo.load(lambda name: name or gr.skip(), [remembered], [person.name], **AT_ONCE)
    gr.on([person.name.blur, person.name.submit], lambda name: name, [person.name], [remembered], **AT_ONCE)
    tab.select(handlers.enter, [*who, remembered], [person.name, widget], **AT_ONCE)
    gr.on(
        [person.name.blur, person.name.submit, order.change], handlers.show, who, [widget], **AT_ONCE
    )  # fmt: skip
    tab.select(handlers.wake, outputs=[timer, judging], **AT_ONCE)

    widget.save(
        handlers.save,
        [*who, person.consent, compare, *about, saved],
        [widget, saved, *about],
        **AT_ONCE,
    )
    widget.skip(handlers.skip, who, [widget], **AT_ONCE)
    widget.undo(handlers.undo, [person.name, saved], [widget, saved], **AT_ONCE)
    widget.next(handlers.go_on, who, [widget], **AT_ONCE)
    widget.reveal(handlers.reveal, [person.name], [widget], **AT_ONCE)
    widget.bring_back(handlers.bring_back, who, [widget], **AT_ONCE)

    add.click(
        handlers.import_clips, [*fields, *person], [report, *fields[:2]],
        api_visibility="private", show_progress_on=[report],
    ).success(handlers.show, who, [widget], **AT_ONCE).then(
        handlers.wake, outputs=[timer, judging], **AT_ONCE
    )  # fmt: skip
    timer.tick(
        handlers.judge, outputs=[timer, judging],
        concurrency_id=GPU, show_progress="hidden", api_visibility="private",
    )  # fmt: skip
    return person


def _who_and_what() -> tuple[Person, gr.Dropdown]:
    with gr.Row():
        name = gr.Textbox(
            value="", label=messages.WORKBENCH_NAME, max_length=80, min_width=260, elem_id="who"
        )
        order = gr.Dropdown(
            list(messages.ORDER_CHOICES),
            value="uncertain",
            label=messages.ORDER_LABEL,
            filterable=False,
            min_width=260,
            elem_id="order",
        )
    consent = gr.Checkbox(label=messages.QUEUE_CONSENT, elem_id="queue-consent")
    return Person(name, consent), order


def _about_clip() -> tuple[gr.Checkbox, list[gr.components.Component]]:
    """Whether to stay and compare, and what more can be said of a clip: confidence, tool, note."""
    compare = gr.Checkbox(label=messages.COMPARE_LABEL, info=messages.COMPARE_INFO, elem_id="compare")
    with gr.Accordion(messages.MORE_HEADING, open=False):
        with gr.Row():
            confidence = gr.Radio(
                list(messages.CONFIDENCE_CHOICES),
                value=messages.CONFIDENCE_USUAL,
                label=messages.CONFIDENCE_QUEUE_LABEL,
            )
            attack = gr.Textbox(value="", label=messages.ATTACK_LABEL, max_length=80)
        note = gr.Textbox(
            value="", label=messages.NOTE_LABEL, placeholder=messages.NOTE_PLACEHOLDER, max_length=2000
        )
    return compare, [confidence, attack, note]


def _import_form() -> tuple[list[gr.components.Component], gr.Button, gr.HTML, gr.HTML]:
    """The fields in the order that import_clips takes them, the button, its answer, the detectors' state."""
    judging = gr.HTML(elem_id="judging")
    with gr.Accordion(messages.IMPORT_HEADING, open=True, elem_id="import"):
        with gr.Row():
            files = gr.File(
                file_count="multiple", label=messages.IMPORT_FILES, height=150, elem_id="import-files"
            )
            folder = gr.File(
                file_count="directory", label=messages.IMPORT_FOLDER, height=150, elem_id="import-folder"
            )
        with gr.Row():
            source = gr.Textbox(
                value="", label=messages.IMPORT_SOURCE, info=messages.IMPORT_SOURCE_INFO, max_length=80
            )
            speaker = gr.Textbox(
                value="", label=messages.IMPORT_SPEAKER, info=messages.IMPORT_SPEAKER_INFO, max_length=80
            )
            licence = gr.Textbox(
                value="", label=messages.IMPORT_LICENCE, info=messages.IMPORT_LICENCE_INFO, max_length=80
            )
        add = gr.Button(messages.IMPORT_BUTTON, variant="primary", elem_id="import-add")
        report = gr.HTML(elem_id="import-report")
    return [files, folder, source, speaker, licence], add, report, judging
