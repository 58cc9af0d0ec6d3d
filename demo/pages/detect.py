"""The first tab: a clip in; verdict, scores, figures and a label out."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

import gradio as gr

from demo import figures, markup, messages
from demo.analysis import Analysis
from demo.drawings import WITH_WIDE, drawings
from demo.examples import Example
from demo.pages import chat, evidence, history, map_test, stress
from demo.pages.admin import annotator as name_of
from demo.pages.admin import spend
from demo.pages.refusal import refusal
from demo.pages.screen import TELL_SCREEN, unasked
from demo.services import GPU, Services
from detectors.errors import DetectorError
from detectors.labels.records import LabelError

#: On a phone the verdict and its progress bar are below the input: bring them into view.
SHOW_RESULT = """() => {
  const result = document.querySelector("#verdict");
  if (result.getBoundingClientRect().top > 0.5 * innerHeight) result.scrollIntoView({behavior: "smooth"});
}"""

Result = TypeVar("Result")


class DetectHandlers:
    """What happens on a click or an API call. Holds nothing of a visitor: that is in gr.State."""

    def __init__(self, services: Services) -> None:
        self.services = services

    def analyze(
        self,
        clip: str | None,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  Gradio finds the progress bar by this default
    ) -> dict[str, Any]:
        """Judge whether the voice in an audio file is human (bona fide) or machine-made (spoof).

        Args:
            clip: audio file in any common format, at least 0.5 s long.

        Returns:
            verdict ("bonafide", "spoof", "inconclusive", or null when no detector could run), step (the same
            in five: "likely_bonafide", "leaning_bonafide", "inconclusive", "leaning_spoof", "likely_spoof"),
            abstained (why there is no verdict whatever the scores: no_speech, little_speech, clipping,
            unfamiliar), p_spoof (1 =
            certainly machine-made), llr (natural log, bona fide over spoof), detectors (score, llr, p_spoof,
            verdict, windows and version of each), unavailable (reasons), sha256 of the original bytes,
            analysis_id (for /label), seconds, preset, device, versions, created (UTC), notes (where it ran,
            if that matters).
        """
        if not clip:
            raise _shown(messages.NO_CLIP)
        spend(self.services, "analyses")
        analysis = _or_shown(
            lambda: self.services.analyze(clip, lambda share, doing: progress(share, desc=doing))
        )
        return analysis.report()

    def analyze_here(
        self,
        clip: str | None,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> tuple[dict[str, Any], str]:
        """`analyze` for the page, which keeps the analysis id. MCP cannot do with such an output."""
        report = self.analyze(clip, progress)
        return report, report["analysis_id"]

    def label(
        self,
        analysis_id: str,
        label: str,
        confidence: int,
        annotator: str,
        consent: bool,
        note: str = "",
        attack: str = "",
        licence: str = "",
        regions: list[dict[str, Any]] | None = None,
        blind: bool = False,
        supersedes: str | None = None,
    ) -> dict[str, Any]:
        """Save what a person thinks of a clip that was just analysed. Labels are never changed.

        Args:
            analysis_id: from /analyze.
            label: "bonafide" (human voice), "spoof" (machine-made) or "unsure".
            confidence: 1 (guess) to 5 (certain).
            annotator: name or code of the person.
            consent: must be true; the clip and the label are stored on this machine.
            note: what made the person decide.
            attack: tool or method that made the clip, if known.
            licence: licence of the clip, if known.
            regions: stretches with their own label, as {"start": s, "end": s, "label": ...}.
            blind: true when the person had not seen the scores.
            supersedes: id of the label that this one corrects.

        Returns:
            The record as saved: the arguments with id, audio_sha256, scores, versions and created (UTC).
        """
        annotator = name_of(self.services, annotator)
        spend(self.services, "labels")
        saved = _or_shown(
            lambda: self.services.save_label(
                analysis_id,
                label=label,
                confidence=confidence,
                annotator=annotator,
                consent=consent,
                note=note,
                attack=attack,
                licence=licence,
                regions=regions or (),
                blind=blind,
                supersedes=supersedes,
            )
        )
        return asdict(saved)

    def reset(self) -> tuple[Any, ...]:
        """Another clip was chosen: nothing said about the one before may stay on the page."""
        empty = markup.empty_result(self.services.settings.preset, self.services.device())
        return empty, "", "", None, None, None, gr.Column(visible=False), gr.Accordion(visible=False)

    def show(self, analysis_id: str) -> tuple[Any, ...]:
        """Verdict and cards of a finished analysis; the label form opens."""
        analysis = _or_shown(lambda: self.services.recent(analysis_id))
        cards = [self.services.detectors.card(name) for name in self.services.detectors.names()]
        titles = {card.name: card.title for card in cards}
        return (
            markup.verdict(analysis, titles),
            markup.detector_cards(analysis, cards),
            gr.Column(visible=True),
            gr.Accordion(visible=True),
        )

    def draw(self, analysis_id: str, large_screen: bool = True) -> str:
        """All figures of a finished analysis."""
        analysis = _or_shown(lambda: self.services.recent(analysis_id))
        titles = {name: self.services.detectors.card(name).title for name in analysis.detections}
        return markup.figures(draw_figures(analysis, titles, large_screen))

    def save(
        self,
        analysis_id: str | None,
        previous: str | None,
        label: str | None,
        confidence: int,
        annotator: str,
        note: str,
        attack: str,
        licence: str,
        consent: bool,
    ) -> tuple[str, str]:
        """Save the form; a second save about the same clip corrects the first."""
        for missing, message in (
            (not analysis_id, messages.NOTHING_TO_LABEL),
            (not label, messages.NO_ANSWER),
            (not consent, messages.NO_CONSENT),
        ):
            if missing:
                raise _shown(message)
        saved = self.label(
            analysis_id or "", label or "", confidence, annotator, consent, note, attack, licence,
            supersedes=previous,
        )  # fmt: skip
        return markup.saved_label(saved), saved["id"]


def draw_figures(analysis: Analysis, titles: dict[str, str], large_screen: bool = True) -> list[str]:
    """The figures that this analysis has data for, as HTML, in reading order."""
    found = drawings(analysis, titles)
    images = figures.webps(draw(large_screen) for draw in found.values())
    return [
        markup.figure(key, image, large_screen and key in WITH_WIDE)
        for key, image in zip(found, images, strict=True)
    ]


def build(services: Services, examples: Sequence[Example] = ()) -> None:
    """Lay out the tab and connect it. Call inside gr.Blocks."""
    handlers = DetectHandlers(services)
    analysis_id, saved_id = gr.State(None), gr.State(None)

    with gr.Row(elem_classes="sl-top"):
        with gr.Column(elem_classes="sl-input"):
            clip = gr.Audio(
                sources=["upload", "microphone"],
                type="filepath",
                format=None,  # keeps the original bytes: they are what is hashed and stored
                editable=False,
                buttons=[],  # no share button: it would publish the clip
                label=messages.CLIP_LABEL,
                elem_id="clip",
            )
            gr.HTML(f'<p class="sl-help">{messages.INPUT_HELP}</p>')
            analyze = gr.Button(messages.ANALYZE_BUTTON, variant="primary", size="lg", elem_id="analyze")
        with gr.Column(elem_classes="sl-result"):
            verdict = gr.HTML(
                markup.empty_result(services.settings.preset, services.device()), elem_id="verdict"
            )
            stressing = stress.lay_out()
        with gr.Column(elem_classes="sl-aside"):
            if examples:
                _examples(examples, clip)
            gr.HTML(markup.privacy())
    detectors = gr.HTML(elem_id="detectors")
    plots = gr.HTML(elem_id="figures")
    mapping = map_test.lay_out()
    conversation = chat.lay_out()
    with gr.Column(visible=False, elem_id="label-form", elem_classes="sl-card") as form:
        fields, save, saved = _label_form()
    with gr.Accordion(messages.DETAILS_HEADING, open=False, visible=False) as details:
        report = gr.JSON(show_label=False, elem_id="report")
    package = evidence.lay_out()
    earlier = history.lay_out()

    analyze.click(fn=None, js=SHOW_RESULT, api_visibility="private")
    run = analyze.click(
        handlers.analyze_here,
        [clip],
        [report, analysis_id],
        api_visibility="private",
        concurrency_id=GPU,
        concurrency_limit=1,
        show_progress_on=[verdict],
    )
    # Never seen or pressed: programs call it by its name.
    gr.Button(visible=False).click(
        handlers.analyze, [clip], [report], api_name="analyze", concurrency_id=GPU, concurrency_limit=1
    )
    shown = run.success(
        handlers.show,
        [analysis_id],
        [verdict, detectors, form, details],
        api_visibility="private",
    )
    shown.success(
        handlers.draw,
        [analysis_id, unasked()],
        [plots],
        js=TELL_SCREEN,
        api_visibility="private",
        show_progress="minimal",
    )
    closings = [
        chat.connect(conversation, services, analysis_id, shown),
        stress.connect(stressing, services, analysis_id, shown),
        map_test.connect(mapping, services, analysis_id, shown),
        evidence.connect(package, services, analysis_id, saved_id, shown),
    ]
    history.connect(earlier, services, analysis_id, shown)
    clip.change(
        lambda: (*handlers.reset(), *[value for closing in closings for value in closing.handler()]),
        outputs=[
            verdict, detectors, plots, report, analysis_id, saved_id, form, details,
            *[output for closing in closings for output in closing.outputs],
        ],
        cancels=[run, *[job for closing in closings for job in closing.cancels]],
        queue=False,  # done before an analysis can be asked for
        api_visibility="private",
        show_progress="hidden",
    )  # fmt: skip
    save.click(handlers.save, [analysis_id, saved_id, *fields], [saved, saved_id], api_visibility="private")
    gr.api(handlers.label, api_name="label")


def _examples(examples: Sequence[Example], clip: gr.Audio) -> None:
    gr.Examples(
        [[str(example.path)] for example in examples],
        inputs=[clip],
        label=messages.EXAMPLES_LABEL,
        example_labels=[example.title for example in examples],
        cache_examples=False,
        api_visibility="private",
    )


def _label_form() -> tuple[list[gr.components.Component], gr.Button, gr.HTML]:
    """The form's fields in the order that DetectHandlers.save takes them, its button, its answer."""
    gr.HTML(markup.section(messages.LABEL_HEADING, messages.LABEL_HELP))
    with gr.Row():
        label = gr.Radio(list(messages.LABEL_CHOICES), label=messages.LABEL_QUESTION, elem_id="label")
        confidence = gr.Radio(
            list(messages.CONFIDENCE_CHOICES), value=3, label=messages.CONFIDENCE_LABEL, elem_id="confidence"
        )
    with gr.Row():
        annotator = gr.Textbox(label=messages.ANNOTATOR_LABEL, max_length=80, elem_id="annotator")
        attack = gr.Textbox(label=messages.ATTACK_LABEL, max_length=80)
        licence = gr.Textbox(label=messages.LICENCE_LABEL, max_length=80)
    note = gr.Textbox(
        label=messages.NOTE_LABEL, placeholder=messages.NOTE_PLACEHOLDER, lines=2, max_length=2000
    )
    consent = gr.Checkbox(label=messages.CONSENT_LABEL, elem_id="consent")
    save = gr.Button(messages.SAVE_BUTTON, variant="primary", elem_id="save")
    saved = gr.HTML(elem_id="saved")
    return [label, confidence, annotator, note, attack, licence, consent], save, saved


def _or_shown(call: Callable[[], Result]) -> Result:
    """Turn the errors that a person can mend into a message on the page; bugs pass through."""
    try:
        return call()
    except (DetectorError, LabelError) as error:
        raise _shown(str(error)) from error


def _shown(message: str) -> gr.Error:
    return refusal(message)
