"""The sentences about the verdict: its five steps, how often they were wrong, why there may be none."""

from collections.abc import Mapping, Sequence

from detectors.detection import Reason, Step
from detectors.evaluate import RAW, WITHOUT_SHORTCUTS
from detectors.step_rates import StepRates

HEADLINES: dict[Step | None, str] = {
    "likely_spoof": "Likely machine-made",
    "leaning_spoof": "Leaning machine-made",
    "inconclusive": "Inconclusive",
    "leaning_bonafide": "Leaning human",
    "likely_bonafide": "Likely a human voice",
    None: "No verdict",
}
EXPLANATIONS: dict[Step | None, str] = {
    "likely_spoof": "Taken together, the detectors hear traces more usual in synthetic or converted speech.",
    "leaning_spoof": (
        "Taken together, the detectors hear somewhat more traces of synthetic or converted speech than is "
        "usual in recordings of people. The evidence is weak."
    ),
    "inconclusive": (
        "The evidence is too weak to lean either way. This is an honest outcome, not a failure: "
        "noise, music, compression or a very short clip can cause it."
    ),
    "leaning_bonafide": (
        "Taken together, the detectors hear a little more of what is usual in recordings of people. The "
        "evidence is weak."
    ),
    "likely_bonafide": "Taken together, the detectors hear what is more usual in recordings of people.",
    None: "No detector could judge this clip. The figures below still show what is in the recording.",
}

STEPS_LABEL = "The verdict in five steps"
#: From human to machine-made, as the bar shows them.
STEP_NAMES: dict[Step, str] = {
    "likely_bonafide": "likely human",
    "leaning_bonafide": "leaning human",
    "inconclusive": "undecided",
    "leaning_spoof": "leaning machine",
    "likely_spoof": "likely machine",
}
THIS_STEP = "this clip"

ABSTAINED_HEADLINE = "No verdict"
ABSTAINED = "The detectors gave a score, but it would mean nothing here: {reasons}."
REASONS: dict[Reason, str] = {
    "no_speech": "no speech was found in the clip",
    "little_speech": "the clip holds less than 1 second of speech",
    "clipping": "the recording is heavily clipped (too loud, cut off at full scale)",
    "unfamiliar": "the sound is unlike anything that the detectors learnt from",
}
ABSTAINED_NEXT: dict[Reason, str] = {
    "no_speech": "find a stretch in which somebody speaks.",
    "little_speech": "find a longer recording, 2 seconds of speech or more.",
    "clipping": "find a copy that was not recorded or edited so loud.",
    "unfamiliar": (
        "find a copy with the voice alone, without music, effects or other sounds, as near to the original "
        "as you can get."
    ),
}
NEXT = "What to do next: {what}"

STEP_SHARES = (
    "How often that happens: on our test clips, {human:.0f} % of human and {machine:.0f} % of machine-made "
    "clips got this step."
)
CALLS = (
    "At these thresholds, {real_called_fake:.0f} % of the human clips were called machine-made and "
    "{fake_called_real:.0f} % of the machine-made clips human."
)
MEASURED_ON = (
    "Measured on {bonafide} human and {spoof} machine-made clips from generators that were not trained on; "
    "with shortcuts removed: {human:.0f} % and {machine:.0f} %."
)
NOT_MEASURED = "How often these detectors are wrong was not measured."

STEPS_TEXT = """
A verdict leans to one side from an LLR of 0.85 on (odds of 7 to 3), and is "likely" from 1.73 on (85 to
15). {calls}
"""


def headline(step: Step | None, abstained: bool) -> str:
    """The verdict in a few words. step: None when no detector could judge the clip."""
    return ABSTAINED_HEADLINE if abstained else HEADLINES[step]


def because(reasons: Sequence[Reason]) -> str:
    """Why a clip gets no verdict, in one sentence."""
    return ABSTAINED.format(reasons="; and ".join(REASONS[reason] for reason in reasons))


def step_rates(step: Step, rates: Mapping[str, StepRates]) -> list[str]:
    """How often clips of each class get this step, in sentences. rates: by condition; empty where nobody
    measured them."""
    if not rates:
        return [NOT_MEASURED]
    raw = rates[RAW]
    human, machine = raw.shares(step)
    told = [
        STEP_SHARES.format(human=human, machine=machine),
        CALLS.format(real_called_fake=raw.real_called_fake, fake_called_real=raw.fake_called_real),
    ]
    if WITHOUT_SHORTCUTS in rates:
        human, machine = rates[WITHOUT_SHORTCUTS].shares(step)
        told.append(MEASURED_ON.format(**raw.clips._asdict(), human=human, machine=machine))
    return told


def steps_table(rates: Mapping[str, StepRates]) -> str:
    """Markdown: a line for each step, with the shares of both kinds of clips under each condition."""
    heading = " | ".join(f"human clips, {name} | machine-made clips, {name}" for name in rates)
    lines = [f"| step | {heading} |", "|---|" + "---|" * 2 * len(rates)]
    for step in reversed(STEP_NAMES):
        cells = [f"{share:.1f} %" for of in rates.values() for share in of.shares(step)]
        lines.append(f"| {HEADLINES[step]} | {' | '.join(cells)} |")
    return "\n".join(lines)
