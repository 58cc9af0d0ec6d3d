"""The sheet as the short plain lines that the language model reads: one fact a line, comparisons made."""

from detectors.chat.facts import DetectorFact, FactSheet, Measured
from detectors.chat.wording import ABSTAINED, CLIP_VERDICTS, SIDES, joined, percent, seconds, span

INTRODUCTION = "Answer from these facts about one voice clip (0.00 = human, 1.00 = machine-made)."


def system_text(sheet: FactSheet) -> str:
    """What the model is told before the conversation, in training as at run time."""
    return "\n".join([INTRODUCTION, *lines(sheet)])


def lines(sheet: FactSheet) -> list[str]:
    """One fact a line. Detectors are ranked and parts compared here, so that the model only copies."""
    return [*_verdict_lines(sheet), *_part_lines(sheet), *_recording_lines(sheet)]


def _verdict_lines(sheet: FactSheet) -> list[str]:
    if sheet.step is None:
        found = ["verdict: none, no detector ran"]
    else:
        found = [
            f"verdict: {CLIP_VERDICTS[sheet.step]}, score {sheet.p_spoof:.2f}, LLR {sheet.llr:.1f}",
            *_abstention_lines(sheet),
            *_ranking_lines(sheet),
        ]
    if sheet.unavailable:
        found.append(f"did not run: {joined([title for title, _ in sheet.unavailable])}")
    return found


def _abstention_lines(sheet: FactSheet) -> list[str]:
    if not sheet.abstained:
        return []
    return [f"abstained: the clip has {joined([ABSTAINED[reason] for reason in sheet.abstained])}"]


def _ranking_lines(sheet: FactSheet) -> list[str]:
    places = sheet.ranking
    if len(sheet.detectors) == 1:
        return [f"only detector: {_place(places[0])}"]
    if len(places) == 1:
        return [f"all equal: {_place(places[0])}"]
    found = [f"most machine-like: {_place(places[0])}"]
    found += [f"in between: {_place(place)}" for place in places[1:-1]]
    return [*found, f"least machine-like: {_place(places[-1])}", f"agreement: {_agreement(sheet)}"]


def _place(place: tuple[DetectorFact, ...]) -> str:
    titles = joined([fact.title for fact in place])
    return f"{titles} {place[0].p_spoof:.2f}, {SIDES[place[0].verdict]}"


def _agreement(sheet: FactSheet) -> str:
    if sheet.stray is None:
        return f"agree within {sheet.spread:.2f}"
    if not sheet.stray.title:
        return f"differ by {sheet.stray.by:.2f}"
    return f"{sheet.stray.title} stands apart by {sheet.stray.by:.2f}"


def _part_lines(sheet: FactSheet) -> list[str]:
    if sheet.strongest is None or sheet.weakest is None:
        return []
    if sheet.strongest == sheet.weakest:
        return [f"only part: {span(sheet.strongest)}, {sheet.strongest.p_spoof:.2f}"]
    return [
        f"strongest part: {span(sheet.strongest)}, {sheet.strongest.p_spoof:.2f}",
        f"weakest part: {span(sheet.weakest)}, {sheet.weakest.p_spoof:.2f}",
    ]


def _recording_lines(sheet: FactSheet) -> list[str]:
    measured = sheet.measured
    found = [
        f"length: {seconds(measured.seconds)}{', short' if sheet.is_short else ''}",
        f"speech: {percent(measured.speech)}",
        f"noise: {measured.noise_db} dB, {measured.noise}",
        f"band: {_band(measured)}",
        f"clipping: {percent(measured.clipped, 1) if measured.clipped else 'none'}",
    ]
    if sheet.robustness:
        found.append(f"stress tests: held in {sheet.robustness.held} of {sheet.robustness.tests}")
    return found


def _band(measured: Measured) -> str:
    word = measured.band.removesuffix(" band")
    return word if word == "unclear" else f"{measured.bandwidth_khz:.1f} kHz, {word}"
