"""The waveform widget: its template, its scripts from assets/workbench, and the messages it takes."""

from dataclasses import asdict
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from demo import messages
from demo.workbench import OpenClip
from detectors.labels.records import Judgement, Label, Progress

ASSETS = Path(__file__).parent.parent / "assets" / "workbench"

#: In the order in which they need each other; joined, they are one script of one page.
SCRIPTS = (
    "sound.js",
    "player.js",
    "draft.js",
    "view.js",
    "drawing.js",
    "keys.js",
    "gestures.js",
    "widget.js",
)

#: What the widget may ask Python for: each is an event of the component.
ACTIONS = ("save", "skip", "undo", "next", "reveal", "bring_back")

#: In a message: the clip on the page stays as it is.
STAY: dict[str, Any] = {}


def widget(elem_id: str, actions: tuple[str, ...] = ACTIONS, **words: str) -> gr.HTML:
    """The widget, empty. actions: those of ACTIONS that it offers. words: sentences of
    messages.WIDGET that are to read otherwise here. Its value is a message made by `message`.
    """
    texts = {**messages.WIDGET, **words}
    events = ", ".join(f'"{action}"' for action in actions)  # Gradio looks for the quoted names
    return gr.HTML(
        value=None,
        html_template=template(texts, actions),
        js_on_load=f"new SpoofLensWorkbench(element, {{trigger, props, watch, actions: [{events}]}});",
        head=f"<script>{script()}</script>",
        apply_default_css=False,
        elem_id=elem_id,
        elem_classes="sl-wb",
        texts=texts,
    )


def script() -> str:
    """All scripts in one scope, of which the page sees only the widget's class."""
    joined = "\n".join((ASSETS / name).read_text(encoding="utf-8") for name in SCRIPTS)
    return f"(() => {{\n'use strict';\n{joined}\nwindow.SpoofLensWorkbench = Workbench;\n}})();"


def message(
    progress: Progress,
    progress_text: str,
    notice: str = "",
    clip: dict[str, Any] | None = STAY,
    gentle: bool = False,
) -> dict[str, Any]:
    """What the widget is told. clip: from `clip_message`; None: there is none to show. gentle: a clip
    about which something was already said is not replaced.
    """
    told: dict[str, Any] = {
        "progress": {**asdict(progress), "text": progress_text},
        "notice": notice,
        "gentle": gentle,
    }
    return told if clip is STAY else {**told, "clip": clip}


def clip_message(
    opened: OpenClip,
    audio: Path,
    visit: str,
    titles: dict[str, str],
    labels: list[Label] | None = None,
    saved: bool = False,
    said: Label | None = None,
) -> dict[str, Any]:
    """A clip for the widget. audio: its WAV file where Gradio serves it. visit: new for each time
    that a clip is shown. titles: by detector. labels: what others said, shown as tracks of their own.
    saved: the label is given, the clip is only looked at. said: a label to begin with.
    """
    item, shown = opened.item, opened.shown
    scores = messages.SCORES_HIDDEN if opened.hidden else "" if shown else messages.SCORES_MISSING
    facts = [f"{opened.seconds:.2f} s", item.source, item.speaker, item.licence]
    return {
        "visit": visit,
        "sha256": item.sha256,
        "name": item.name,
        "facts": " · ".join(fact for fact in facts if fact),
        "audio": {"path": str(audio), "meta": {"_type": "gradio.FileData"}},
        "tracks": [*_people_tracks(labels or []), *_score_tracks(shown, titles)],
        "scores": scores,
        "can_reveal": opened.hidden,
        "saved": saved,
        "said": {"label": said.label, "regions": _spans(said)} if said else None,
    }


def _score_tracks(judgement: Judgement | None, titles: dict[str, str]) -> list[dict[str, Any]]:
    if judgement is None:
        return []
    tracks = []
    for name, windows in judgement.windows.items():
        worst = max(windows, key=lambda window: window["p_spoof"])
        caption = messages.TRACK_CAPTION.format(
            title=titles.get(name, name),
            p_spoof=messages.number(judgement.scores[name]["p_spoof"]),
            highest=messages.number(worst["p_spoof"]),
            start=worst["start"],
            end=worst["end"],
        )
        tracks.append({"caption": caption, "spans": [dict(window) for window in windows]})
    return tracks


def _people_tracks(labels: list[Label]) -> list[dict[str, Any]]:
    return [{"caption": messages.opinion(label), "spans": _spans(label)} for label in labels]


def _spans(label: Label) -> list[dict[str, Any]]:
    return [asdict(region) for region in label.regions]


def template(texts: dict[str, Any], actions: tuple[str, ...]) -> str:
    """The widget's elements. What is filled in later is named by data-part, what can be asked by data-ask."""
    return f"""
<div class="sl-wb-bar">
  <progress data-part="progress-bar" max="1" value="0" aria-hidden="true"></progress>
  <span data-part="progress-text" class="sl-wb-progress"></span>
  <button type="button" data-ask="bring_back" data-part="bring_back" hidden>
    {escape(texts["bring_back"])}
  </button>
</div>
<p data-part="status" class="sl-wb-status" role="status" aria-live="polite"></p>
<div data-part="desk" hidden>
  <h2 data-part="name" class="sl-wb-name"></h2>
  <p data-part="facts" class="sl-meta"></p>
  {_tools(texts)}
  {_stage(texts)}
  <p class="sl-wb-scores"><span data-part="hidden"></span>
    <button type="button" data-ask="reveal" data-part="reveal">{escape(texts["reveal"])}</button></p>
  <div data-part="tracks"></div>
  <ul data-part="regions" class="sl-wb-regions" aria-label="{escape(texts["regions"])}"></ul>
  {_answers(texts)}
  {_actions(texts, actions)}
</div>
{_help(texts)}
"""


def _tools(texts: dict[str, Any]) -> str:
    return f"""<div class="sl-wb-tools">
    <button type="button" data-ask="togglePlay" data-part="play" class="sl-wb-play">
      {escape(texts["play"])}
    </button>
    <span data-part="clock" class="sl-wb-clock"></span>
    <button type="button" data-ask="mark">{escape(texts["mark"])}</button>
    <button type="button" data-ask="zoom" data-with="0.5" aria-label="{escape(texts["zoom_in"])}">+</button>
    <button type="button" data-ask="zoom" data-with="2" aria-label="{escape(texts["zoom_out"])}">−</button>
    <button type="button" data-ask="zoomOut">{escape(texts["whole"])}</button>
    <button type="button" data-ask="toggleHelp">{escape(texts["help"])}</button>
  </div>"""


def _stage(texts: dict[str, Any]) -> str:
    return f"""<div data-part="stage" class="sl-wb-stage" tabindex="0" role="slider"
    aria-label="{escape(texts["playhead"])}" aria-valuemin="0" aria-valuemax="1" aria-valuenow="0">
    <canvas data-part="wave" class="sl-wb-wave"></canvas>
    <canvas data-part="spectrogram" class="sl-wb-spectrogram"></canvas>
    <canvas data-part="marks" class="sl-wb-marks"></canvas>
  </div>
  <canvas data-part="overview" class="sl-wb-overview" title="{escape(texts["overview"])}"
    aria-hidden="true"></canvas>"""


def _answers(texts: dict[str, Any]) -> str:
    buttons = "".join(
        f'<button type="button" data-ask="answer" data-label="{label}" aria-pressed="false">'
        f"<kbd>{key}</kbd> {escape(words)}</button>"
        for key, (label, words) in enumerate(texts["labels"].items(), start=1)
    )
    return (
        f'<p data-part="about" class="sl-wb-about">{escape(texts["about_clip"])}</p>'
        f'<div class="sl-wb-answers">{buttons}</div>'
    )


def _actions(texts: dict[str, Any], actions: tuple[str, ...]) -> str:
    buttons = "".join(
        f'<button type="button" data-ask="{action}" data-part="{action}">{escape(texts[action])}</button>'
        for action in ("undo", "skip", "save")
        if action in actions
    )
    return f'<div class="sl-wb-actions">{buttons}</div>'


def _help(texts: dict[str, Any]) -> str:
    rows = "".join(
        f"<dt>{''.join(f'<kbd>{escape(key)}</kbd> ' for key in keys.split())}</dt><dd>{escape(what)}</dd>"
        for keys, what in messages.KEYS
    )
    return f"""<dialog data-part="help" class="sl-wb-help" aria-label="{escape(messages.KEYS_HEADING)}">
  <h3>{escape(messages.KEYS_HEADING)}</h3><dl>{rows}</dl><p>{escape(messages.KEYS_NOTE)}</p>
  <button type="button" data-ask="toggleHelp">{escape(texts["close"])}</button>
</dialog>"""
