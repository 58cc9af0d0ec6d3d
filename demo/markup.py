"""HTML pieces of the page. Every text that comes from outside is escaped here."""

import base64
from collections.abc import Sequence
from html import escape
from typing import Any

from demo import markup_steps, messages, messages_maps, messages_verdict
from demo.analysis import Analysis
from demo.deletion import Found
from demo.examples import Example
from demo.workbench import ImportReport
from detectors.cards import DetectorCard
from detectors.detection import INCONCLUSIVE_LLR, Detection, Step, Verdict, p_spoof_of
from detectors.labels.agreement import Agreement
from detectors.labels.records import Tombstone
from detectors.map_test import MapTest
from detectors.robustness import StressTest
from detectors.step_rates import measured_rates


def header() -> str:
    """Name and purpose of the page."""
    return f'<header class="sl-header"><h1>{messages.TITLE}</h1><p>{messages.TAGLINE}</p></header>'


def empty_result(preset: str, device: str) -> str:
    """What stands in the verdict's place before the first analysis."""
    run = messages.WILL_RUN.format(preset=escape(preset), device=device_name(device))
    return f'<div class="sl-card sl-empty"><p>{messages.EMPTY_RESULT}</p><p class="sl-meta">{run}</p></div>'


def verdict(analysis: Analysis, titles: dict[str, str]) -> str:
    """The verdict in words and steps, its number with the direction, how often such verdicts are wrong,
    cautions, limits and the next step."""
    step, abstained = analysis.step, analysis.abstained
    headline = messages_verdict.ABSTAINED_HEADLINE if abstained else messages_verdict.HEADLINES[step]
    explained = messages_verdict.because(abstained) if abstained else messages_verdict.EXPLANATIONS[step]
    rates = "" if step is None or abstained else markup_steps.rates(_rates(analysis, step))
    cautions = "".join(
        f'<p class="sl-caution">{escape(text)}</p>' for text in messages.cautions(analysis, titles)
    )
    return (
        f'<section class="sl-card sl-verdict {_tone(analysis.verdict)}" aria-live="polite">'
        f"<h2>{headline}</h2>{_verdict_number(analysis)}<p>{escape(explained)}</p>{rates}{cautions}"
        f'<p class="sl-limits">{messages.LIMITS} {_next_step(analysis)}</p>'
        f"{_facts(analysis)}</section>"
    )


def detector_cards(analysis: Analysis, cards: Sequence[DetectorCard]) -> str:
    """One card a detector, in a row: its number, or why it has none."""
    pieces = []
    left_out = analysis.left_out
    for card in cards:
        detection = analysis.detections.get(card.name)
        body = (
            _score(detection, analysis.versions[card.name])
            if detection
            else _unavailable(analysis.unavailable[card.name])
        )
        aside = f" <strong>{messages.NOT_COUNTED}</strong>" if card.name in left_out else ""
        pieces.append(
            f'<article class="sl-card sl-detector"><h3>{escape(card.title)}</h3>'
            f'<p class="sl-kind">{escape(card.kind)}{aside}</p>{body}</article>'
        )
    return f'<div class="sl-detectors">{"".join(pieces)}</div>'


def figure(key: str, image: bytes, wide: bool = False) -> str:
    """A figure with its title, what it shows, and how not to over-read it.

    key: of messages.FIGURES or FIGURES_ON_REQUEST. image: WebP; wide: whether it is for large screens alone.
    """
    return captioned(key, (messages.FIGURES | messages.FIGURES_ON_REQUEST)[key], image, wide)


def captioned(key: str, words: tuple[str, str, str], image: bytes, wide: bool = False) -> str:
    """`figure`, with words of its own: title, what it shows, how not to over-read it."""
    title, shows, caveat = words
    return (
        f'<figure class="sl-card sl-figure{" sl-wide" if wide else ""}" id="figure-{key}">'
        f"<h3>{escape(title)}</h3>"
        f'<img src="{_data_uri(image)}" alt="{escape(title)}. {escape(shows)}">'
        f"<figcaption>{escape(shows)} <em>{escape(caveat)}</em></figcaption></figure>"
    )


def figures(pieces: Sequence[str]) -> str:
    """All figures under one heading, in a grid that becomes one column on a phone."""
    return f'{section(messages.FIGURES_HEADING)}<div class="sl-figures">{"".join(pieces)}</div>'


def stressing() -> str:
    """Room for the progress of a stress test."""
    return '<div class="sl-stressing"></div>'


def stress_test(test: StressTest, seconds: float, image: bytes) -> str:
    """How stable the verdict is: a sentence and a picture. seconds: of the whole clip."""
    notes = "".join(f'<p class="sl-meta">{escape(note)}</p>' for note in messages.stress_notes(test, seconds))
    drawn = figure("robustness", image) if test.trials else ""
    return (
        f'<div class="sl-stress" role="status"><p><strong>{escape(messages.stress_held(test))}</strong></p>'
        f"{drawn}{notes}</div>"
    )


def map_test(test: MapTest, titles: dict[str, str], pictures: Sequence[str]) -> str:
    """What each detector's maps are worth, in a sentence each, and the pictures of it."""
    rows = "".join(
        f"<p><strong>{escape(titles[of.detector])}, {messages_maps.NAMES[found.map]}.</strong> "
        f"{escape(messages_maps.outcome(found))}</p>"
        for of in test.examined
        for found in of.found
    )
    notes = "".join(f'<p class="sl-meta">{escape(note)}</p>' for note in messages_maps.notes(test, titles))
    return (
        f'<div class="sl-stress"><div role="status">{rows}</div>'
        f'<div class="sl-figures">{"".join(pictures)}</div>{notes}</div>'
    )


def earlier(told: str, *pieces: str) -> str:
    """An analysis from earlier in the visit. told: which; pieces: HTML of its verdict, cards and figure."""
    return f'<div class="sl-earlier"><p class="sl-caution">{escape(told)}</p>{"".join(pieces)}</div>'


def section(heading: str, help_text: str = "") -> str:
    """A heading within a tab, and what may be done there; both are our own words, with their markup."""
    below = f'<p class="sl-help">{help_text}</p>' if help_text else ""
    return f'<h2 class="sl-section">{heading}</h2>{below}'


def table(markdown: str, label: str) -> str:
    """A Markdown table as HTML that keys can scroll, too, where it is wider than a phone. label: what is in
    it, for those who cannot see it.
    """
    lines = [[escape(cell.strip()) for cell in row.strip()[1:-1].split("|")] for row in markdown.splitlines()]
    head = "".join(f'<th scope="col">{cell}</th>' if cell else "<td></td>" for cell in lines[0])
    rows = "".join(
        f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in rest)}</tr>'
        for first, *rest in lines[2:]
    )
    return (
        f'<div class="sl-tables"><table tabindex="0" aria-label="{escape(label)}">'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def plot(source: str, title: str, described: str) -> str:
    """A picture with its title; described: for those who cannot see it."""
    return (
        f'<figure class="sl-figure"><figcaption>{escape(title)}</figcaption>'
        f'<img src="{escape(source)}" alt="{escape(described)}"></figure>'
    )


def privacy() -> str:
    """Where the audio goes."""
    return f'<p class="sl-privacy">{messages.PRIVACY}</p>'


def saved_label(label: dict[str, Any]) -> str:
    """Confirmation that a label was stored."""
    return f'<p class="sl-saved" role="status">{escape(messages.saved(label))}</p>'


def import_report(report: ImportReport) -> str:
    """What came of an import, with the reasons for files that were not taken."""
    rows = "".join(
        f"<li>{escape(name)}: {escape(reason.rstrip('.'))}.</li>"
        for name, reason in report.refused[: messages.REFUSED_SHOWN]
    )
    more = len(report.refused) - messages.REFUSED_SHOWN
    rows += f"<li>{messages.MORE_REFUSED.format(count=more)}</li>" if more > 0 else ""
    text = messages.imported(report.new, report.known, len(report.refused))
    return f'<div class="sl-saved" role="status">{text}{f"<ul>{rows}</ul>" if rows else ""}</div>'


def judging() -> str:
    """The detectors are at work in the background."""
    return f'<p class="sl-meta" role="status">{messages.JUDGING}</p>'


def agreement(found: Agreement) -> str:
    """How far annotators agree: one figure a line, each with what it was taken on."""
    if not found.clips:
        return f'<p class="sl-help">{messages.AGREEMENT_NONE}</p>'
    base = messages.AGREEMENT_BASE.format(clips=messages.clips(found.clips), people=len(found.people))
    fleiss = messages.FLEISS.format(clips=messages.clips(found.fleiss_clips), people=found.fleiss_people)
    figures = [(messages.KRIPPENDORFF, found.krippendorff), (fleiss, found.fleiss)]
    for pair in found.pairs[: messages.PAIRS_SHOWN]:
        clips = messages.clips(pair.clips)
        text = messages.COHEN.format(first=pair.first, second=pair.second, clips=clips, same=pair.same)
        figures.append((text, pair.kappa))
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{messages.coefficient(value)}</td></tr>'
        for name, value in figures
    )
    more = len(found.pairs) - messages.PAIRS_SHOWN
    rest = f'<p class="sl-help">{messages.MORE_PAIRS.format(count=more)}</p>' if more > 0 else ""
    return (
        f'<p>{base}</p><table class="sl-agreement"><tbody>{rows}</tbody></table>{rest}'
        f'<p class="sl-help">{messages.AGREEMENT_SCALE}</p>'
    )


def to_delete(found: Found) -> str:
    """The clip that is to be deleted, what goes and what stays."""
    item = found.item
    title = messages.DELETE_FOUND.format(
        name=item.name,
        size=messages.size(item.bytes),
        day=item.added[:10],
        labels=messages.labels_of(found.labels, found.people),
    )
    texts = (messages.DELETE_GOES, messages.DELETE_STAYS, messages.DELETE_BEYOND)
    return (
        f'<div class="sl-caution" role="alert"><strong>{escape(title)}</strong>'
        f"{''.join(f'<p>{escape(text)}</p>' for text in texts)}</div>"
    )


def deleted(left: Tombstone) -> str:
    """Confirmation that a clip was deleted."""
    text = messages.DELETED.format(
        created=left.created, sha256=left.sha256, labels=messages.labels_of(left.labels, left.annotators)
    )
    return f'<p class="sl-saved" role="status">{escape(text)}</p>'


def about_detector(card: DetectorCard, status: str | None) -> str:
    """A detector's facts; status: None when it can run here, else why not."""
    state = f'<p class="sl-ready">{messages.READY}</p>' if status is None else _unavailable(status)
    facts = "".join(
        f"<dt>{name}</dt><dd>{escape(str(value))}</dd>"
        for field, name in messages.FACTS.items()
        if (value := getattr(card, field))
    )
    return (
        f'<article class="sl-card sl-about"><h3>{escape(card.title)}</h3><p>{escape(card.kind)}</p>'
        f"{state}<dl>{facts}</dl></article>"
    )


def version_in_use(name: str) -> str:
    """Which version of a detector is in use; "" is the shipped weights."""
    told = messages.VERSION_IN_USE.format(name=escape(name)) if name else messages.SHIPPED_IN_USE
    return f'<p class="sl-ready" role="status">{told}</p>'


def caution(text: str) -> str:
    """Something that is wrong and that a person can mend."""
    return f'<p class="sl-caution" role="alert">{escape(text)}</p>'


def lines(texts: Sequence[str]) -> str:
    """Short lines of text, one under the other."""
    return f'<p class="sl-help" role="status">{"<br>".join(escape(text) for text in texts)}</p>'


def example_credits(examples: Sequence[Example]) -> str:
    """What each example clip is, where it comes from, and its licence."""
    rows = "".join(
        f"<dt>{escape(e.title)}</dt>"
        f"<dd>{messages.EXAMPLE_KINDS[e.label]} · {escape(e.source)} · {escape(e.licence)}</dd>"
        for e in examples
    )
    return f'<article class="sl-card sl-about"><h3>{messages.CREDITS_HEADING}</h3><dl>{rows}</dl></article>'


def device_name(device: str) -> str:
    """A device as people write it: CPU, CUDA GPU."""
    names = {"cpu": "CPU", "cuda": "CUDA GPU"}
    return " + ".join(names.get(part, part) for part in device.split(" + "))


def _verdict_number(analysis: Analysis) -> str:
    if analysis.p_spoof is None or analysis.step is None:
        return ""
    return (
        f'<p class="sl-number"><strong>{messages.number(analysis.p_spoof)}</strong> '
        f"<span>{messages.DIRECTION}</span></p>{markup_steps.bar(analysis.step)}"
    )


def _rates(analysis: Analysis, step: Step) -> list[str]:
    return messages_verdict.step_rates(step, measured_rates(tuple(sorted(analysis.versions.items()))))


def _next_step(analysis: Analysis) -> str:
    if analysis.abstained:
        what = messages_verdict.ABSTAINED_NEXT[analysis.abstained[0]]
        return messages_verdict.NEXT.format(what=what)
    return messages.NEXT_STEPS[analysis.verdict]


def _score(detection: Detection, version: str) -> str:
    return (
        f'<div class="{_tone(detection.verdict)}"><p class="sl-number">'
        f"<strong>{messages.number(detection.p_spoof)}</strong> "
        f"<span>{messages.SHORT_VERDICTS[detection.verdict]}</span></p>{_scale(detection.p_spoof)}</div>"
        f'<p class="sl-meta">LLR {messages.signed(detection.llr)} · '
        f"{messages.worst_stretch(detection.mean_llr)}{len(detection.windows)} "
        f"window{'s' if len(detection.windows) != 1 else ''} · version {escape(version)}</p>"
    )


def _unavailable(reason: str) -> str:
    sentence = escape(reason.rstrip("."))
    return f'<p class="sl-unavailable"><strong>{messages.UNAVAILABLE}:</strong> {sentence}.</p>'


def _scale(p_spoof: float) -> str:
    low, high = (100 * p_spoof_of(llr) for llr in (INCONCLUSIVE_LLR, -INCONCLUSIVE_LLR))
    return (
        '<div class="sl-scale" aria-hidden="true">'
        f'<i class="sl-band" style="left:{low:.0f}%;width:{high - low:.0f}%"></i>'
        f'<i class="sl-mark" style="left:{100 * p_spoof:.1f}%"></i></div>'
        f'<p class="sl-ends"><span>{messages.SCALE_HUMAN}</span><span>{messages.SCALE_UNDECIDED}</span>'
        f"<span>{messages.SCALE_MACHINE}</span></p>"
    )


def _facts(analysis: Analysis) -> str:
    ran = messages.RAN_ON if analysis.device else messages.NONE_RAN
    run = ran.format(device=device_name(analysis.device or ""), preset=escape(analysis.preset))
    return (
        f'<p class="sl-meta">{run} · {analysis.seconds:.1f} s of audio · {escape(analysis.created)}<br>'
        f"SHA-256 <code>{escape(analysis.sha256)}</code></p>"
    )


def _tone(verdict: Verdict | None) -> str:
    return f"sl-{verdict or 'none'}"


def _data_uri(image: bytes) -> str:
    return "data:image/webp;base64," + base64.b64encode(image).decode("ascii")
