"""The words of the HTML and PDF reports."""

from detectors.detection import VOICE_TIME, Reason, Step, Verdict

TITLE = "SpoofLens evidence report"
INTRO = (
    "What automatic detectors found in one recording, and what is needed to check it. A likelihood ratio "
    "weighs two propositions against each other; it does not say how probable either is. That depends on "
    "everything else that is known about the case."
)
VERDICTS: dict[Verdict, str] = {
    "spoof": "Likely machine-made",
    "bonafide": "Likely a human voice",
    "inconclusive": "Inconclusive",
}
STEPS: dict[Step, str] = {
    "likely_spoof": "Likely machine-made",
    "leaning_spoof": "Leaning machine-made",
    "inconclusive": "Inconclusive",
    "leaning_bonafide": "Leaning human",
    "likely_bonafide": "Likely a human voice",
}
STEPS_HELP = (
    "The verdict in five steps: “leaning” from an LLR of {leaning:.2f} on either side, “likely” from "
    "{likely:.2f}. At these fixed thresholds, {fake_called_real:.1f} % of machine-made clips were called "
    "human and {real_called_fake:.1f} % of human clips machine-made, {condition}:"
)
ABSTAINED = "No verdict is given, whatever the scores: {reasons}."
REASONS: dict[Reason, str] = {
    "no_speech": "no speech was found",
    "little_speech": "less than 1 s of speech was found",
    "clipping": "the recording is heavily clipped",
    "unfamiliar": "the sound is unlike the clips that the detectors learnt from",
}
NO_VERDICT = "No verdict: no detector could judge the clip."
NOT_MEASURED = "not measured"
NOT_KNOWN = "not known"
LONG_CLIP = "judged by its worst stretch, calibrated as such; the mean over all windows has LLR {mean_llr}"
NOT_STATED = "not stated"
NONE_SAVED = "No label was saved with this analysis."
NOT_RUN = "not run"
LIMITS = (
    "A score is not proof. Detectors miss voice generators that are unlike those they were trained on, and "
    "they can call real voices fake, above all after phone calls, compression, noise or editing.",
    "The likelihood ratio is calibrated on other recordings. It holds only as far as those resemble this "
    "one, and a large one rests on few of them.",
    "The detectors hear the same clip and are not independent; their LLRs are averaged, not added.",
    "Figures show what detectors went by. They do not show that a moment is fake.",
    "The file's headers and tags are quoted as they stand. Anybody can change them.",
    "Who is speaking was not examined, nor whether the recording was cut or staged.",
)
WORST_WINDOWS = (
    "The {count} windows of {total} that look most machine-made, in order of time; all are in report.json."
)
RATES = (
    "Measured on {bonafide} human and {spoof} machine-made clips of sources that were not trained on, at the "
    "fixed threshold LLR = 0. This clip may be unlike them."
)
VERIFY = "python -m detectors verify report.json CLIP"
VERIFY_HELP = (
    "checks that the clip has these bytes and the detectors these weights, judges it again and compares all "
    "scores. On the same kind of device they agree to within rounding."
)
HELD = "The verdict held in {held} of {tests} tests; unchanged, the tested {seconds:.1f} s have LLR {llr}."
DELETION = (
    "Tested on {start:.1f} to {end:.1f} s, cut into {columns} columns of time. These were removed in the "
    "order in which a map marks them, and put back likewise, and the detector scored the clip each time. "
    "Area: how much more the score moved, in CM score, than with random orders, which reach 0 on average. A "
    "map that does not beat them does not tell where the evidence lies."
)
MAPS = {
    "layer_time": "layers over time",
    "attention": "attention over time",
    VOICE_TIME: "voice over time",
    "occlusion": "relevance by occlusion",
}
OUTCOMES = {
    "more": "more than random ones",
    "same": "no more than random ones",
    "less": "less than random ones",
}
ANSWERS = {"bonafide": "a human voice", "spoof": "machine-made", "unsure": "not sure"}
