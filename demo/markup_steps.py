"""HTML of the verdict's five steps: a bar of five segments, and how often clips get the one that this got."""

from collections.abc import Sequence
from html import escape

from demo import messages_verdict
from detectors.detection import STEPS, Step


def bar(step: Step) -> str:
    """Five segments in a row, the clip's own filled and named; a list for those who cannot see it."""
    pieces = []
    for each in STEPS:
        current = ' aria-current="step"' if each == step else ""
        mark = f'<span class="sl-hidden">: {messages_verdict.THIS_STEP}</span>' if each == step else ""
        name = messages_verdict.STEP_NAMES[each]
        pieces.append(f'<li class="sl-step-{each.replace("_", "-")}"{current}>{name}{mark}</li>')
    return f'<ol class="sl-steps" aria-label="{messages_verdict.STEPS_LABEL}">{"".join(pieces)}</ol>'


def rates(texts: Sequence[str]) -> str:
    """How often such verdicts are wrong: the first sentence, and the others smaller."""
    first, *others = map(escape, texts)
    below = f'<br><span class="sl-meta">{" ".join(others)}</span>' if others else ""
    return f'<p class="sl-rates">{first}{below}</p>'
