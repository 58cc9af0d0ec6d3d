"""Every sentence that a visitor can read, and the few rules that choose between them.

"Machine-made" covers synthetic and converted speech (spoof); "human voice" is bona fide. A score
is never worded as proof.
"""

from typing import Any

from demo.analysis import Analysis
from detectors.detection import Verdict, Window

TITLE = "SpoofLens"
TAGLINE = "Is this voice human or machine-made? Several detectors listen, and show what they went by."

# ---- the input

CLIP_LABEL = "Voice clip"
ANALYZE_BUTTON = "Analyse clip"
EXAMPLES_LABEL = "Or try an example"
INPUT_HELP = (
    "Any common audio file or a recording. At least half a second of speech is needed; "
    "3 to 10 seconds of one speaker is best."
)
PRIVACY = (
    "<strong>Where your audio goes.</strong> To the machine that runs this page, and nowhere "
    "else. If you started SpoofLens on your own computer, it does not leave it. Temporary copies "
    "are deleted within a few hours. A clip is kept only if you save a label and agree to it."
)
EMPTY_RESULT = "Add a clip and press “Analyse clip”. The verdict will appear here."

# ---- while it runs

READING = "Reading the clip"
LOADING = "Loading {title}"
LISTENING = "{title} is listening"

# ---- what can go wrong

NO_CLIP = "There is no clip yet. Upload an audio file, record one, or choose an example."
ANALYSIS_GONE = "This analysis is no longer in memory. Analyse the clip again, then go on."
DETECTOR_FAILED = (
    "it stopped with an unexpected error, so it gives no score for this clip. The others are not affected."
)
NOTHING_TO_LABEL = "Analyse a clip first: a label is saved together with the clip it is about."
NO_ANSWER = "Choose one of the three answers: human voice, machine-made, or not sure."
NO_CONSENT = "Nothing was saved: tick the box to agree that the clip and your label are stored."
DATA_FOLDER = (
    "The data folder cannot be used: {reason}. Set --data or SPOOFLENS_DATA to a folder you can write to."
)
PORT_BUSY = (
    "The app could not listen on port {port}: it is taken, or the host is not one of this machine's "
    "addresses. Choose others with --port and --host."
)

# ---- the verdict

DIRECTION = "0.00 = certainly a human voice, 1.00 = certainly machine-made"
SCALE_HUMAN, SCALE_UNDECIDED, SCALE_MACHINE = "0 human", "undecided", "1 machine-made"

HEADLINES: dict[Verdict | None, str] = {
    "spoof": "Likely machine-made",
    "bonafide": "Likely a human voice",
    "inconclusive": "Inconclusive",
    None: "No verdict",
}
EXPLANATIONS: dict[Verdict | None, str] = {
    "spoof": "Taken together, the detectors hear traces more usual in synthetic or converted speech.",
    "bonafide": "Taken together, the detectors hear what is more usual in recordings of people.",
    "inconclusive": (
        "The evidence is too weak to lean either way. This is an honest outcome, not a failure: "
        "noise, music, compression or a very short clip can cause it."
    ),
    None: "No detector could judge this clip. The figures below still show what is in the recording.",
}
LIMITS = (
    "<strong>This is not proof.</strong> Detectors miss new voice generators, and can be wrong about phone "
    "calls, compressed, noisy or edited recordings."
)
NEXT_STEPS: dict[Verdict | None, str] = {
    "spoof": (
        "What to do next: look for the original recording and where it first appeared, and ask the "
        "person through a channel you already trust. Do not accuse anyone on this score alone."
    ),
    "bonafide": (
        "What to do next: if much depends on it, still confirm with the speaker through a channel you "
        "already trust. A good fake can pass."
    ),
    "inconclusive": (
        "What to do next: try a longer or cleaner copy, as near to the original as you can get, and "
        "confirm with the speaker through a channel you already trust."
    ),
    None: "What to do next: read the reasons given for each detector below.",
}
SHORT_VERDICTS: dict[Verdict, str] = {
    "spoof": "machine-made",
    "bonafide": "human voice",
    "inconclusive": "inconclusive",
}
STANDS_OUT = (
    "One stretch stands out: {start:.1f}–{end:.1f} s, where {title} gives {p_spoof} on the same scale. "
    "A clip can be fake in part: listen there first."
)
UNAVAILABLE = "Not available"
RAN_ON = "Ran on {device}, preset {preset}"
NONE_RAN = "No detector ran, preset {preset}"
WILL_RUN = "Preset {preset}, device {device}"
SHORT_CLIP = (
    "The clip is only {seconds:.1f} s long. Clips under 2 s are judged on very little speech: "
    "be careful with this verdict."
)
SHORT_SECONDS = 2.0
#: A window this far above the clip's verdict is pointed out.
STANDS_OUT_P = 0.9

# ---- figures: title, what it shows, how not to over-read it

FIGURES_HEADING = "What the detectors heard"
FIGURES: dict[str, tuple[str, str, str]] = {
    "timeline": (
        "Waveform and windows",
        "Each detector scores the clip in windows. Blue leans to a human voice, orange to machine-made, "
        "grey is undecided.",
        "Windows overlap; the colour is the mean of those that cover a moment. A single coloured window "
        "is a weak hint.",
    ),
    "log_mel": (
        "Log-mel spectrogram",
        "Energy by pitch as the ear spaces it: voiced speech shows as stacked stripes.",
        "Good fakes look natural here. Judge nothing by this picture alone.",
    ),
    "linear": (
        "Linear spectrogram",
        "Energy by frequency in even steps: a hard upper edge shows a missing band.",
        "Phones, messengers and MP3 also cut the upper band. A cut is not a sign of a fake.",
    ),
    "gates": (
        "SLS: how open each layer’s gate is",
        "SLS reads every layer of its speech model through its own gate, from 0 (shut) to 1 (open). "
        "The line shows the range over the windows.",
        "Gates are independent and are not shares: they need not add up to 1. An open gate means "
        "“listened to”, not “sounds fake”.",
    ),
    "layer_time": (
        "SLS: layers over time",
        "What opened each gate, moment by moment. The mean of a row over a window is that layer’s gate "
        "before it is squashed to 0–1.",
        "Bright means the layer was listened to at that moment. It does not mean that the moment is fake.",
    ),
    "attention": (
        "Fake-Mamba: attention over time",
        "How much each moment counted in Fake-Mamba’s score. 1 is what each would get if all counted "
        "the same.",
        "Attention says where the detector looked, not what it found there.",
    ),
}

# ---- labels

LABEL_HEADING = "What do you think?"
LABEL_HELP = (
    "Your answer helps to check and improve the detectors. It is kept with the clip, its SHA-256 and the "
    "scores shown above. Labels are never changed: saving again adds a correction."
)
LABEL_QUESTION = "This clip is"
LABEL_CHOICES: tuple[tuple[str, str], ...] = (
    ("A human voice", "bonafide"),
    ("Machine-made", "spoof"),
    ("Not sure", "unsure"),
)
CONFIDENCE_LABEL = "How sure are you?"
CONFIDENCE_CHOICES: tuple[tuple[str, int], ...] = (
    ("1 – guess", 1),
    ("2", 2),
    ("3 – fairly", 3),
    ("4", 4),
    ("5 – certain", 5),
)
ANNOTATOR_LABEL = "Your name or a code"
NOTE_LABEL = "Note (optional)"
NOTE_PLACEHOLDER = "What made you decide?"
ATTACK_LABEL = "Tool that made it, if known (optional)"
LICENCE_LABEL = "Licence of the clip, if known (optional)"
CONSENT_LABEL = "I may share this clip, and I agree that the clip and my label are stored on this machine."
SAVE_BUTTON = "Save label"
SAVED = (
    "Saved as label {id} on {created} (UTC): {answer}, confidence {confidence} of 5. Clip SHA-256 {sha256}."
)
SAVED_CORRECTION = " It corrects label {supersedes}."

# ---- about

DETECT_TAB, ABOUT_TAB = "Check a clip", "About"

ABOUT_HEADING = "About the detectors"
ABOUT_INTRO = (
    "Each detector is a countermeasure from a published paper. Scores say how usual a clip’s traces are "
    "in each kind of recording; they are calibrated on held-out clips, and are only as good as those "
    "resemble yours."
)
MODEL_CARD = "Model card of {title}"
CREDITS_HEADING = "Example clips"
EXAMPLE_KINDS = {"bonafide": "a human voice", "spoof": "machine-made"}
READY = "Ready"
FACTS = {
    "paper": "Paper",
    "trained_on": "Trained on",
    "weights": "Weights",
    "licence": "Licence of the weights",
    "sha256": "SHA-256 of the weights",
}
DETAILS_HEADING = "Technical details (JSON)"


def saved(label: dict[str, Any]) -> str:
    """Confirms a saved label in one or two sentences."""
    answers = {value: words for words, value in LABEL_CHOICES}
    text = SAVED.format(
        id=label["id"],
        created=label["created"],
        answer=answers[label["label"]].lower(),
        confidence=label["confidence"],
        sha256=label["audio_sha256"],
    )
    return text + (SAVED_CORRECTION.format(supersedes=label["supersedes"]) if label["supersedes"] else "")


def number(p_spoof: float) -> str:
    """A probability as shown everywhere: two digits, and never rounded to a certainty."""
    return f"{min(max(p_spoof, 0.01), 0.99):.2f}"


def signed(llr: float) -> str:
    """A log-likelihood ratio with its sign, positive for a human voice."""
    return f"{llr:+.2f}".replace("-", "−")


def cautions(analysis: Analysis, title_of: dict[str, str]) -> list[str]:
    """What a careful reader must know besides the verdict: a short clip, a stretch that stands out."""
    found = []
    if analysis.seconds < SHORT_SECONDS:
        found.append(SHORT_CLIP.format(seconds=analysis.seconds))
    worst = analysis.worst_window()
    if worst and analysis.verdict != "spoof" and worst[1].p_spoof >= STANDS_OUT_P:
        found.append(_stands_out(title_of[worst[0]], worst[1]))
    return found


def _stands_out(title: str, window: Window) -> str:
    return STANDS_OUT.format(start=window.start, end=window.end, title=title, p_spoof=number(window.p_spoof))
