"""Every sentence that a visitor can read, and the few rules that choose between them.

"Machine-made" covers synthetic and converted speech (spoof); "human voice" is bona fide. A score
is never worded as proof.
"""

import math
from collections.abc import Sequence
from typing import Any

from demo.analysis import Analysis
from detectors.detection import VOICE_TIME, Verdict, Window, shown_probability
from detectors.labels.records import Judgement, Label, Progress
from detectors.robustness import StressTest

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
WAITING_FOR_GPU = "Waiting for a GPU"
LOADING = "Loading {title}"
LISTENING = "{title} is listening"
NOT_COUNTED = "A second opinion: on labelled clips the verdict was better without it, so it does not count."
WORST_STRETCH = "worst stretch (mean of the whole: LLR {mean_llr}) · "
SO_FAR = "{listening}. Up to {end:.0f} s, most suspicious so far: {p_spoof} at {start:.0f} s"
LOADING_LLM = "Loading the language model"
FETCHING = "{doing}: {share:.0%}"

# ---- what can go wrong

NO_CLIP = "There is no clip yet. Upload an audio file, record one, or choose an example."
ANALYSIS_GONE = "This analysis is no longer in memory. Analyse the clip again, then go on."
GPU_QUOTA = (
    "Your share of this Space’s free GPU time is used up, so this ran on the CPU: the result is the same, "
    "only slower to come. The share grows again; whoever is signed in with Hugging Face has more."
)
NO_GPU = (
    "No GPU could be had just now, so this ran on the CPU: the result is the same, only slower to come. "
    "Nothing needs to be done."
)
DETECTOR_FAILED = (
    "it stopped with an unexpected error, so it gives no score for this clip. The others are not affected."
)
NOTHING_TO_LABEL = "Analyse a clip first: a label is saved together with the clip it is about."
NO_ANSWER = "Choose one of the three answers: human voice, machine-made, or not sure."
NO_CONSENT = "Nothing was saved: tick the box to agree that the clip and your label are stored."
DATA_FOLDER = (
    "The data folder cannot be used: {reason}. Set --data or SPOOFLENS_DATA to a folder you can write to."
)
CACHE_FOLDER = (
    "The folder for uploads cannot be made: {reason}. Set TMPDIR or GRADIO_TEMP_DIR to a folder that you can "
    "write to."
)
PORT_BUSY = (
    "The app could not listen on port {port}: it is taken, or the host is not one of this machine's "
    "addresses. Choose others with --port and --host."
)

# ---- the verdict

DIRECTION = "0.00 = certainly a human voice, 1.00 = certainly machine-made"
SCALE_HUMAN, SCALE_UNDECIDED, SCALE_MACHINE = "0 human", "undecided", "1 machine-made"

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
    VOICE_TIME: (
        "SLS and Fake-Mamba: voice over time",
        "Which tenths of a second pull the scores to which side, against the rest of the clip, by what a "
        "speaker network hears of the voice: with the small weights, the larger part of both scores. Blue "
        "pulls towards a human voice, orange towards a machine-made one; the height is what the log-odds "
        "would lose without that moment.",
        "Nearly every clip has moments of both colours, whatever the verdict; a tall bar proves nothing. "
        "Taking out what it marks changed the score more than random parts did on 4 of 12 clips tried, for "
        "either detector; on the others it did not.",
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
        "Bright means the layer was listened to at that moment. It does not mean that the moment is fake. "
        "With the small weights, the larger part of the score is what a speaker network hears of the voice "
        "(see “voice over time”), which has no part in this map: on one of 12 clips tried did taking out "
        "what it marks change the score more than random parts did.",
    ),
    "attention": (
        "Fake-Mamba: attention over time",
        "How much each moment counted in Fake-Mamba’s score. 1 is what each would get if all counted "
        "the same.",
        "Attention says where the detector looked, not what it found there. With the small weights, the "
        "larger part of the score is what other networks see in the fine spectrum and hear of the voice (see "
        "“voice over time”), which has no part in this curve: on none of 12 clips tried did taking out what "
        "it marks change the score more than random parts did.",
    ),
}

# ---- the stress test

STRESS_BUTTON = "Stress test"
STRESS_HELP = (
    "Judges the clip again as it would sound by phone, compressed, in noise, faster or cut short: does the "
    "verdict hold?"
)
STRESSING = "Stress test: {title}"
NOTHING_TO_STRESS = "No detector judged this clip, so there is no verdict to test."
VERSION_CHANGED = (
    "Another version of a detector was put in use since this clip was analysed. Analyse it again, then go on."
)
STRESS_NAMES: dict[Verdict, str] = {
    "spoof": "likely machine-made",
    "bonafide": "likely a human voice",
    "inconclusive": "inconclusive",
}
STRESS_HELD = "The verdict “{verdict}” held in {held} of {tests} tests"
STRESS_OPPOSITE = "turned into its opposite in {count} ({titles})"
STRESS_UNDECIDED = "became inconclusive in {count} ({titles})"
STRESS_DECIDED = "became a verdict in {count} ({titles})"
STRESS_NONE = "None of the tests could be done on this clip."
STRESS_PART = (
    "Tested on the {seconds:.0f} s with the most sound in them; on those alone the verdict is “{verdict}”."
)
STRESS_LEFT_OUT = "Not tested: {titles}."
#: As FIGURES; drawn when somebody asks for it.
FIGURES_ON_REQUEST: dict[str, tuple[str, str, str]] = {
    "robustness": (
        "Stress test",
        "Each line is the clip after one change: a large disc where the verdict held, a cross where it did "
        "not; small dots are the single detectors. The dashed line is the clip as it is, the grey band is "
        "“inconclusive”.",
        "That a verdict holds does not make it right: detectors can be wrong in the same way every time.",
    ),
}

# ---- the evidence package

EVIDENCE_HEADING = "Evidence package"
EVIDENCE_HELP = (
    "One zip for a case file: the report as HTML, PDF and JSON with the clip’s SHA-256, the weights’ hashes, "
    "all scores, measured error rates and limits, and the figures. The clip itself is not in it. Your saved "
    "label and the stress test are, if you make them first."
)
EVIDENCE_BUTTON = "Make evidence package"
EVIDENCE_FILE = "Evidence package (zip)"

# ---- the chat

CHAT_HEADING = "Ask about this clip"
CHAT_HELP = (
    "Answers come from what was measured above, about this clip alone. Each number, time and detector name "
    "in them is checked before an answer counts."
)
CHAT_EMPTY = "Ask in your own words, or press one of the questions below."
CHAT_LABEL = "Conversation about this clip"
QUESTION_LABEL = "Your question"
QUESTION_PLACEHOLDER = "For example: which part should I listen to?"
ASK_BUTTON, STOP_BUTTON = "Ask", "Stop"
SUGGESTIONS: tuple[str, ...] = (
    "Why this verdict?",
    "How sure is it?",
    "Do the detectors agree?",
    "Where should I listen?",
    "What do the scores mean?",
    "What should I do next?",
)
CHAT_MARKS = {
    "model": "Written by the language model, numbers checked",
    "template": "From the measured facts (template)",
    "waiting": "Waiting",
    "writing": "Being written, not checked yet",
    "stopped": "Stopped before it was checked: do not rely on it",
    "failed": "No answer",
    "late": "From the measured facts (template): the language model took too long for one answer",
}
ANSWER_TOO_LONG = (
    "it took longer than one answer may take here and was stopped. Ask again when fewer people are asking"
)
CHAT_STOPPED = "Stopped."
CHAT_FAILED = "Something went wrong while answering. The analysis above is not affected. Ask again."
CHAT_WITHOUT_LLM = (
    "The language model does not speak here: {reason}. Answers are put together from the facts."
)
LLM_FAILED = "it stopped with an unexpected error while loading"
NOTHING_TO_ASK = "Analyse a clip first: the chat answers questions about an analysis."
BAD_HISTORY = (
    'history must be a list of messages, {"role": "user" or "assistant", "content": text}: a question, its '
    "answer, and so on, the oldest first."
)

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
CONFIDENCE_USUAL = 3
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

# ---- the workbench: adding clips

WORKBENCH_INTRO = (
    "Listen, mark, answer, next: with keys if you like (? lists them). The detectors’ scores stay hidden "
    "until you have answered."
)
WORKBENCH_NAME = "Your name or a code (remembered in this browser)"
ORDER_LABEL = "Which clips come first"
ORDER_CHOICES: tuple[tuple[str, str], ...] = (
    ("Where the detectors are unsure", "uncertain"),
    ("Where the detectors disagree", "disagreement"),
    ("Newest first", "newest"),
    ("Random order", "random"),
)
QUEUE_CONSENT = (
    "I agree that the labels I give, and the clips I add, are stored on this machine, and that everyone who "
    "can open this page can hear those clips. I may share them."
)
NO_QUEUE_CONSENT = (
    "Nothing was saved: first tick the box at the top of “Label clips”, to agree to what is stored."
)
COMPARE_LABEL = "After saving, show me what the detectors say"
COMPARE_INFO = "The clip stays with its scores until you press Enter again."
CONFIDENCE_QUEUE_LABEL = "How sure are you of the answer?"
MORE_HEADING = "Say more about this clip (optional)"
IMPORT_HEADING = "Add clips to the queue"
IMPORT_FILES = "Sound files, or zips of them"
IMPORT_FOLDER = "Or a whole folder"
IMPORT_SOURCE = "Where they come from (optional)"
IMPORT_SOURCE_INFO = "Such as a programme or a data set. Test and training clips are kept apart by it."
IMPORT_SPEAKER = "Speaker, if they are all of one person (optional)"
IMPORT_SPEAKER_INFO = "A name or a code."
IMPORT_LICENCE = "Licence of these clips (optional)"
IMPORT_LICENCE_INFO = "Such as CC BY 4.0."
IMPORT_BUTTON = "Add to the queue"
IMPORTING = "Reading {name}"
FILES = "files"
NOTHING_TO_IMPORT = "There is nothing to add yet: drop sound files or a zip, or choose a folder."
JUDGING = "The detectors are listening to new clips in the background; the order follows as they go."
NOT_A_SOUND_FILE = "not a sound file, by its ending"
TOO_MANY_FILES = (
    "one import takes at most {limit:,} sound files. This one and all after it were left out: add them in a "
    "second import."
)
TOO_MUCH_UNPACKED = (
    "more than {limit} came out of the zips of this import. Split them, and add the rest later."
)
BAD_ZIP = "the zip cannot be read: it is damaged. Make it again, or add the files themselves"
BAD_MEMBER = "it cannot be unpacked: the zip is damaged, encrypted or of an unusual kind"
THE_FILE = "the file"
CLIP_TOO_LONG = "it is longer than {minutes} minutes, the longest that can be labelled. Cut it into parts"
MORE_REFUSED = "And {count:,} more."
REFUSED_SHOWN = 20

# ---- the workbench: labelling

CLIP_GONE = "This clip is no longer in the store: it was deleted. Go on with the next one (skip it with S)."
CLIP_UNREADABLE = "The clip in the store cannot be decoded any more. Skip it, and tell who runs this page."
NOTHING_TO_UNDO = "There is nothing to undo."
QUEUE_EMPTY = "There are no clips yet. Add some below."
QUEUE_DONE = "You have been through all clips. Add more below, or bring back the skipped ones."
BROUGHT_BACK = "{clips} brought back into your queue."
LABEL_SAVED_COMPARED = "Saved: {answer}. The detectors said: {scores} (0 = human, 1 = machine-made)."
LABEL_SAVED_UNJUDGED = "Saved: {answer}. There are no detector scores for this clip so far."
LABEL_WITHDRAWN = "Taken back: {answer} for {name}. Here it is again."
CLIP_SKIPPED = "Skipped. You can bring it back later."
SCORES_HIDDEN = "The detectors’ scores stay hidden until you have answered."
SCORES_MISSING = "No detector has heard this clip yet."
SCORES_REVEALED = "The scores are shown. Your label of this clip will be kept as not blind."
TRACK_CAPTION = "{title}: {p_spoof} for the clip, highest {highest} at {start:.1f}–{end:.1f} s"

KEYS_HEADING = "Keys"
KEYS: tuple[tuple[str, str], ...] = (
    ("Space", "play, pause"),
    ("← →", "move the playhead (with Shift: far)"),
    ("↑ ↓", "zoom in, zoom out; 0 shows the whole clip"),
    ("Home End", "go to the start, the end"),
    ("1", "a human voice"),
    ("2", "machine-made"),
    ("3", "not sure"),
    ("R", "begin a region at the playhead; again: close it. Then 1, 2 or 3 for the region"),
    ("P", "play the selected region"),
    ("N", "select the next region"),
    ("Delete", "remove the selected region"),
    ("Esc", "let go of the region: 1, 2 and 3 are for the clip"),
    ("W", "hear the window that looks most machine-made, then the next (once scores are shown)"),
    ("Enter", "save, and go on to the next clip"),
    ("S", "skip the clip"),
    ("V", "show the detectors’ scores before answering; the label is then kept as not blind"),
    ("U", "undo: the last change here, or else the last saved label"),
    ("?", "show or hide this list"),
)
KEYS_NOTE = (
    "Keys do nothing while you type in a field. With the mouse or a finger: drag on the sound to mark, drag "
    "an edge to move it, tap to move the playhead; two fingers or Ctrl and the wheel zoom."
)

#: What the widget itself says; assets/workbench fills the places in braces.
WIDGET = {
    "play": "▶ Play",
    "pause": "❚❚ Pause",
    "zoom_in": "Zoom in",
    "zoom_out": "Zoom out",
    "whole": "Whole clip",
    "mark": "Mark (R)",
    "help": "Keys (?)",
    "close": "Close",
    "save": "Save and next (Enter)",
    "next": "Next clip (Enter)",
    "skip": "Skip (S)",
    "undo": "Undo (U)",
    "bring_back": "Bring back skipped clips",
    "reveal": "Show the scores now (V)",
    "playhead": "Playhead: waveform and spectrogram of the clip",
    "overview": "The whole clip; drag to scroll",
    "regions": "Regions",
    "labels": {"bonafide": "A human voice", "spoof": "Machine-made", "unsure": "Not sure"},
    "short_labels": {"bonafide": "human", "spoof": "machine", "unsure": "not sure"},
    "unlabelled": "?",
    "about_clip": "The whole clip is:",
    "about_region": "{start}–{end} s is:",
    "region_open": "Region begun at {start} s. Press R again where it ends.",
    "region_made": "Region {start}–{end} s. What is it? Press 1, 2 or 3.",
    "region_selected": "Region {start}–{end} s selected.",
    "region_labelled": "{label}: {start}–{end} s.",
    "region_removed": "Region {start}–{end} s removed.",
    "region_unlabelled": "Region {start}–{end} s has no answer yet: press 1, 2 or 3, or Delete.",
    "region_still_open": "A region is still open: press R where it ends, or Esc to drop it.",
    "region_heard": "{start}–{end} s: {label}.",
    "clip_labelled": "{label}: the whole clip. Enter saves.",
    "too_short": "That is too short for a region: at least 0.02 s are needed.",
    "no_region": "No region is selected, and none is under the playhead.",
    "no_answer": "First say what the clip is: press 1, 2 or 3.",
    "no_windows": "There are no detector scores to hear here yet.",
    "no_sound": "The sound of this clip could not be fetched. Skip it, or load the page again.",
    "no_reply": "The server did not answer. Your work on this clip is still here: try again.",
    "locked": "This label is saved. Press U to take it back, or Enter to go on.",
    "undone": "Undone.",
    "window": "{start}–{end} s, where the detector gives {p_spoof}.",
    "play_region": "Play {start}–{end} s",
    "remove_region": "Remove {start}–{end} s",
}

# ---- the team's page

TEAM_INTRO = "How far the people who label here agree, and the clips on which they do not."
AGREEMENT_HEADING = "Agreement"
AGREEMENT_NONE = "No clip has been labelled by two people so far. Figures appear once that is so."
AGREEMENT_BASE = "{clips} labelled by at least two of {people} people."
AGREEMENT_SCALE = (
    "1 = full agreement, 0 = what chance would give. Each person counts with their newest answer; “not sure” "
    "is an answer of its own. Labels that settled a disagreement are left out. A figure is not defined while "
    "only one answer was ever given."
)
KRIPPENDORFF = "Krippendorff’s alpha (all of these clips)"
FLEISS = "Fleiss’ kappa ({clips} with {people} people each)"
COHEN = "Cohen’s kappa, {first} and {second} ({clips}, {same:.0%} the same)"
UNDEFINED = "not defined"
MORE_PAIRS = "And {count:,} more pairs."
PAIRS_SHOWN = 30
CONFLICTS_HEADING = "Disagreements to settle"
NO_CONFLICTS = "Nobody contradicts anybody right now: there is nothing to settle."
CONFLICT_CHOICE = "Clip"
CONFLICT_COUNT = "{count} to settle"
REFRESH_BUTTON = "Look again"
SETTLE_INFO = (
    "Listen to the clip and to what each person marked, then answer. Your answer settles the matter and is "
    "kept as such, with your name; the others’ labels stay in the record. Your name and your consent are "
    "those of “Label clips”."
)
NOT_BLIND = ", having seen the scores"
SETTLED = "Settled: {answer}."
SETTLE_NEXT = "Settle and next (Enter)"

# ---- deletion on request

DELETE_HEADING = "Delete a clip on request"
DELETE_INTRO = (
    "For when the speaker, or whoever gave a clip, wants it gone. Name the clip by its sound file or its "
    "SHA-256; the name that is kept with the request is yours, from “Label clips”."
)
DELETE_FILE = "The same sound file"
DELETE_SHA256 = "Or its SHA-256"
DELETE_SHA256_INFO = "64 digits, as shown with the verdict and with every saved label."
DELETE_FIND = "Find the clip"
DELETE_WHICH = "Say which clip is meant: give its sound file or its SHA-256, and press “Find the clip”."
DELETE_ANOTHER = "Another clip is named by now than the one that was shown. Press “Find the clip” again."
DELETE_UNKNOWN = (
    "No clip with SHA-256 {sha256} is kept here. One changed byte makes it another file: try the original."
)
DELETED_BEFORE = "This clip was deleted on request on {day} already. Nothing of it is kept but that note."
DELETE_FOUND = "Found: {name}, {size}, added {day}, {labels}."
DELETE_GOES = (
    "Deleted for good: the sound, its labels, regions and notes, the detectors’ scores, and the names in its "
    "history. Nobody can bring it back."
)
DELETE_STAYS = (
    "What remains: a note with its SHA-256 and size, how many labels it had from how many people, your name, "
    "your reason and the time. The same file is refused from then on."
)
DELETE_BEYOND = (
    "Not reached from here: exports and backups that were made before, detectors that were fine-tuned on it, "
    "old revisions of a data set repository. Temporary copies on this machine go within a few hours."
)
DELETE_REASON = "Why it is deleted"
DELETE_REASON_INFO = "Kept with the note; name nobody who should be forgotten."
DELETE_CANCEL = "Keep it"
DELETE_BUTTON = "Delete it for good"
DELETE_CANCELLED = "Nothing was deleted."
DELETED = "Deleted on {created} (UTC): the clip with SHA-256 {sha256} and its {labels}."

# ---- about

DETECT_TAB, WORKBENCH_TAB, TEAM_TAB, ABOUT_TAB = "Check a clip", "Label clips", "Team", "About"
MEANING_TAB = "What scores mean"

MEANING_HEADING = "What the scores mean"
MEANING_TEXT = """
- **Score**, from 0.00 (certainly a human voice) to 1.00 (certainly machine-made): how probable it is
  that the voice is machine-made if, before listening, both were equally likely. Where fakes are rare,
  it is less probable than the score says; where many are expected, more.
- **LLR** (log-likelihood ratio, natural logarithm): how many times more usual the clip's traces are in
  recordings of people than in machine-made speech. 0 says nothing; +2.3 is ten times more usual in
  recordings, −2.3 ten times more usual in machine-made speech.
- **As sure as it can be**: `mini` claims no more than the clips bear out on which it was measured, so its
  scores end short of 0.00 and 1.00.
- **Inconclusive**: an LLR between −0.85 and 0.85, which moves the odds by less than 7 to 3. It is an
  honest outcome. From there on the verdict is **leaning**, from 1.73 on (85 to 15) **likely**.
- **No verdict**: the clip holds less than 1 second of speech or none, is heavily clipped, or sounds unlike
  anything that the detectors learnt from. They still give scores, but these mean nothing then.
- Several detectors: the verdict is the weighted sum of their LLRs that proved best on generators which its
  weights were not fitted on, or, where none proved better, their mean. One without which it was better
  does not count: its card says so. Where they disagree, trust it less.
- **Long clips**: where it says "worst stretch", a detector's LLR is that of the clip's most suspicious
  stretch, and tells whether any of the clip is machine-made; a short fake part would drown in the mean.
- A verdict is about the sound. It does not say who spoke, what was meant, or whether words were cut and
  rearranged.
"""
MEASURED_HEADING = "How often they are wrong"
MEASURED_TEXT = """
EER (equal error rate): the share of clips judged wrongly at the threshold where as many human voices
are called fake as fakes human; 50 % is guessing. "Macro": each generator counts alike. "Shortcuts
removed": silence trimmed, bandwidth 4 kHz, one level for all. The small detectors were measured on
generators that their training never saw, each by a calibration that had not seen its source either.
"""
NOT_MEASURED_HERE = "These weights were not measured; `python -m detectors assess` does it."
PLOTS = {
    "det": (
        "Human voices called fake against fakes called human, at every threshold",
        "Two curves, raw and with shortcuts removed; nearer the lower left corner is better.",
    ),
    "reliability": (
        "Calibration: of clips with a given score, how many were machine-made",
        "Two curves, raw and with shortcuts removed; on the diagonal, scores mean what they say.",
    ),
}
PUBLISHED_HEADING = "Published figures"
PUBLISHED_TEXT = """
Of the large models, which the `full` preset runs; **none of these figures apply to the small detectors
above**. EER in %:

| | ASVspoof 2021 DF | ASVspoof 2021 LA | In-the-Wild |
|---|---|---|---|
| SLS, paper | 1.92 | 2.87 | 7.46 |
| SLS, reproduced v1 | 2.14 | 3.51 | 7.84 |
| SLS, reproduced v2 | 3.75 | 3.47 | 12.67 |
| Fake-Mamba, paper | 1.74 | 0.97 | 5.85 |

A public re-run of Fake-Mamba found 5.83 % on In-the-Wild, but 31.1 % on DeepVoice and 20.1 % on XMAD.
Over 14 test sets, detectors like AASIST average 34.5 % and XLS-R with SLS 13.8 %: figures from one test
set say little about another.
"""
FAILURES_HEADING = "Known failures"
FAILURES_TEXT = """
- New generators: what a detector never heard it may call human. Of those measured, TranSpeech and
  festival's unit selection come out near chance, WavTokenizer little better.
- Real voices called fake: heavy effects, music behind the voice, old or strongly compressed recordings,
  speech far from the microphone.
- Phone calls and messengers remove much of what the detectors listen for. The stress test shows how far
  a verdict depends on it.
- Less than 2 seconds of speech is little evidence.
- Splices: a fake word within a real recording is seen at best in the windows, not in the verdict.
- Mostly English was learnt from; other languages are judged less surely.
"""
RETENTION_HEADING = "Privacy and retention"
RETENTION_TEXT = """
Uploads and figures are deleted after two hours, and when the app stops. Clips with a saved label, and
clips added to the labelling queue, stay in the data folder until somebody asks for their deletion on
the Team tab. Labels are never changed; a correction is a new label beside the old one.
"""

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
    "base": "Language model beneath",
    "licence": "Licence of the weights",
    "sha256": "SHA-256 of the weights",
}
DETAILS_HEADING = "Technical details (JSON)"


def fetching(share: float, doing: str) -> str:
    """What has to be fetched before a detector can begin, and how much of it is there, 0 to 1."""
    return FETCHING.format(doing=doing[:1].upper() + doing[1:], share=share)


def listening(title: str, so_far: Sequence[Window]) -> str:
    """What a detector is doing, and what it found in the windows that it has judged."""
    doing = LISTENING.format(title=title)
    if not so_far:
        return doing
    worst = max(so_far, key=lambda window: window.p_spoof)
    return SO_FAR.format(
        listening=doing, end=so_far[-1].end, p_spoof=number(worst.p_spoof), start=worst.start
    )


def saved(label: dict[str, Any]) -> str:
    """Confirms a saved label in one or two sentences."""
    text = SAVED.format(
        id=label["id"],
        created=label["created"],
        answer=answer(label["label"]),
        confidence=label["confidence"],
        sha256=label["audio_sha256"],
    )
    return text + (SAVED_CORRECTION.format(supersedes=label["supersedes"]) if label["supersedes"] else "")


def number(p_spoof: float) -> str:
    """A probability as shown everywhere on the page."""
    return f"{shown_probability(p_spoof):.2f}"


def coefficient(value: float | None) -> str:
    """A measure of agreement, which may be below 0."""
    return UNDEFINED if value is None else f"{value:.2f}".replace("-", "−")


def worst_stretch(mean_llr: float | None) -> str:
    """Of a long clip that was judged by its worst stretch, that it was; of others nothing."""
    return "" if mean_llr is None else WORST_STRETCH.format(mean_llr=signed(mean_llr))


def signed(llr: float) -> str:
    """A log-likelihood ratio with its sign, positive for a human voice."""
    return f"{llr:+.2f}".replace("-", "−")


def stress_held(test: StressTest) -> str:
    """One sentence on how stable the verdict is."""
    if not test.trials:
        return STRESS_NONE
    parts = [STRESS_HELD.format(verdict=STRESS_NAMES[test.verdict], held=test.held, tests=len(test.trials))]
    changed = [trial for trial in test.trials if not trial.held and trial not in test.opposite]
    other = STRESS_DECIDED if test.verdict == "inconclusive" else STRESS_UNDECIDED
    for text, trials in ((STRESS_OPPOSITE, test.opposite), (other, changed)):
        if trials:
            parts.append(text.format(count=len(trials), titles=", ".join(trial.title for trial in trials)))
    return "; it ".join(parts) + "."


def stress_notes(test: StressTest, seconds: float) -> list[str]:
    """What a careful reader must know of a stress test: what was and was not tested. seconds: the clip's."""
    notes = []
    if test.seconds < seconds:
        notes.append(STRESS_PART.format(seconds=test.seconds, verdict=STRESS_NAMES[test.verdict]))
    if test.left_out:
        told = "; ".join(f"{title} ({reason.rstrip('.')})" for title, reason in test.left_out.items())
        notes.append(STRESS_LEFT_OUT.format(titles=told))
    return notes


def cautions(analysis: Analysis, title_of: dict[str, str]) -> list[str]:
    """What a careful reader must know besides the verdict: where it ran, a short clip, a stretch that stands
    out."""
    found = list(analysis.notes)
    if analysis.seconds < SHORT_SECONDS:
        found.append(SHORT_CLIP.format(seconds=analysis.seconds))
    worst = None if analysis.abstained else analysis.worst_window()
    if worst and analysis.verdict != "spoof" and worst[1].p_spoof >= STANDS_OUT_P:
        found.append(_stands_out(title_of[worst[0]], worst[1]))
    return found


def _stands_out(title: str, window: Window) -> str:
    return STANDS_OUT.format(start=window.start, end=window.end, title=title, p_spoof=number(window.p_spoof))


def without_llm(reason: str) -> str:
    """Why only the facts answer. reason: a sentence or a part of one."""
    return CHAT_WITHOUT_LLM.format(reason=reason.rstrip("."))


def imported(new: int, known: int, refused: int) -> str:
    """What came of an import, in one or two sentences."""
    text = f"{clips(new + known)}: {new:,} new, {known:,} already here."
    return text + (f" Not taken: {refused:,}." if refused else "")


def answer(label: str) -> str:
    """One of the three answers, in words, within a sentence."""
    return {value: words for words, value in LABEL_CHOICES}[label].lower()


def opinion(label: Label) -> str:
    """What one person said of a clip, above the regions that they marked."""
    text = f"{label.annotator}: {answer(label.label)}, confidence {label.confidence} of 5"
    text += "" if label.blind else NOT_BLIND
    return text + (f" · “{label.note}”" if label.note else "")


def scores(judgement: Judgement, title_of: dict[str, str]) -> str:
    """Each detector's number, in one line."""
    return ", ".join(
        f"{title_of.get(name, name)} {number(shown['p_spoof'])}" for name, shown in judgement.scores.items()
    )


def conflict(name: str, labels: Sequence[Label]) -> str:
    """A disagreement in one line: the clip, and who said what."""
    return f"{name}: " + ", ".join(f"{label.annotator} {answer(label.label)}" for label in labels)


def label_saved(label: Label, judgement: Judgement | None, title_of: dict[str, str]) -> str:
    """Confirms a label of the queue, and says what the detectors had to say."""
    if judgement and judgement.scores:
        return LABEL_SAVED_COMPARED.format(answer=answer(label.label), scores=scores(judgement, title_of))
    return LABEL_SAVED_UNJUDGED.format(answer=answer(label.label))


def clips(count: int) -> str:
    """A number of clips in words."""
    return f"{count:,} clip" if count == 1 else f"{count:,} clips"


def labels_of(count: int, people: int) -> str:
    """A number of labels and of the people who gave them, in words."""
    if not count:
        return "no labels"
    return f"{count:,} label{'s' if count != 1 else ''} by {people:,} {'person' if people == 1 else 'people'}"


def progress(progress: Progress) -> str:
    """How far an annotator is."""
    text = f"{progress.labelled:,} of {progress.total:,} labelled"
    return text + (f", {progress.skipped:,} skipped" if progress.skipped else "")


def size(count: int) -> str:
    """A number of bytes as people read it."""
    for unit, power in (("GB", 30), ("MB", 20), ("kB", 10)):
        if count >= 1 << power:
            return f"{count / (1 << power):.3g} {unit}"
    return f"{count} bytes"


# Export tab and versions

EXPORT_TAB = "Export"
EXPORT_HEADING = "Take the labelled clips with you"
EXPORT_INTRO = (
    "A zip with the clips on which at least two people agree, or which somebody has settled, split into "
    "a part to learn from (train) and one that is held back (dev)."
)
EXPORT_FORM = "Form"
EXPORT_FORMS = {
    "messages": "Messages, JSON lines (ALLM4ADD)",
    "audio_llm": "JSON lists (AudioLLM)",
    "protocol": "Protocol and keys (ASVspoof)",
    "csv": "CSV (this program’s train, finetune, evaluate)",
    "dataset": "Hugging Face data set",
}
EXPORT_GROUP_BY = "The two parts do not share a"
EXPORT_GROUPS = {
    "both": "source or speaker",
    "source": "source",
    "speaker": "speaker",
    "clip": "clip (they may share all else)",
}
EXPORT_HELD_BACK = "Share that is held back"
EXPORT_QUARANTINED = "Also clips on which fewer than two people agree"
EXPORT_BUTTON = "Make the zip"
EXPORT_FILE = "Export"
EXPORTED = "Ready:"

VERSIONS = "Versions of {title}"
SHIPPED_WEIGHTS = "Shipped weights"
VERSION = "{name}, {day}: {clips} labelled clips, EER on the held-back ones {before:.1f} % → {after:.1f} %"
VERSION_IN_USE = "In use: version {name}."
SHIPPED_IN_USE = "In use: the shipped weights."
USE_VERSION = "Use the chosen one from now on"
VERSION_CARD = "Model card of the chosen one"

# Limits, permissions and what is refused for them

#: The rates that one visitor has, by their field of demo.limits.Limits: what is counted.
RATES = {
    "analyses": "analyses",
    "questions": "questions",
    "labels": "labels",
    "imports": "imports",
    "guesses": "tries at the token",
}
UNKNOWN_LIMIT = "{name} is no limit of this program. There are: {names}."
BAD_LIMIT = (
    "{name} is '{value}', but must be a whole number above 0; for a visitor's rate, 0 switches it off."
)
FILE_TOO_BIG = (
    "The file has {size}; at most {limit} can be read here. Cut it into parts, or save it as mp3, m4a or "
    "opus."
)
FILE_REFUSED = (
    "The file has more than {limit}, the most that can be uploaded here. Cut it into parts, or save it as "
    "mp3, m4a or opus."
)
BAD_BODY = "The request cannot be understood: it is no JSON, or is nested too deeply. Send plain JSON."
BODY_TOO_BIG = "The request has more than {limit}, the most that is taken. Send less at once."
NO_LENGTH = "The upload does not say how long it is, so it is not taken. Send a Content-Length."
DECODING_TOO_LONG = (
    "Decoding took more than {seconds} s, the longest that is waited, so it was stopped. The file may be "
    "damaged, or made to keep a program busy: export it again, or cut it into parts."
)
DECODING_TOO_BIG = (
    "Decoding took more than {limit} of memory, the most that is given, so it was stopped. The file may be "
    "damaged, or made to fill a machine: export it again, or cut it into parts."
)
DECODER_CRASHED = (
    "The decoder could not cope with this file, and was restarted. The file is damaged or was made to break "
    "programs: export it again as wav, flac or mp3."
)
JOB_TOO_LONG = (
    "The analysis took more than {limit}, the longest that one may take here, so it was stopped. Try a "
    "shorter part of the clip."
)
QUEUE_FULL = "The queue is full: {limit} jobs are waiting. Try again in a minute; nothing of yours is lost."
TOO_OFTEN = "That is more than {limit:,} {what} in {minutes} minutes, the most for one visitor. {wait}"
TOO_MANY_BYTES = "That is more than {limit} of uploads in {minutes} minutes, the most for one visitor. {wait}"
WAIT = "Try again in {minutes}."
NO_ADDRESSES = (
    "Addresses are not fetched from here. Download the file, then upload it: only what is uploaded is read."
)
OTHER_HOST = (
    "This app was started for one machine only, but was reached as “{host}”. If strangers may reach it, "
    "whoever runs it must set SPOOFLENS_PUBLIC=1, which brings limits and permissions; or open "
    "http://127.0.0.1 instead."
)
NOT_SERVED = "This page does not offer that."

ADMIN_ONLY = (
    "Only the people who run this page may do that. Sign in as one of them, or give the administrator’s "
    "token on the About tab."
)
NO_ADMIN = (
    "Nobody may do that here: this page can be reached by strangers, and no administrator is named. Whoever "
    "runs it can set SPOOFLENS_ADMIN to Hugging Face user names, or SPOOFLENS_ADMIN_TOKEN to a long secret."
)
NOT_YOUR_LABEL = "Only the person who gave a label can correct it. Save your own without naming another."
SIGN_IN_TO_LABEL = (
    "Sign in with Hugging Face (on the About tab), then save: here a label carries your user name."
)
ADMIN_HEADING = "For the people who run this page"
ADMIN_HELP = (
    "Exports, disagreements, deletion and versions are theirs alone. The token is forgotten after two hours."
)
ADMIN_TOKEN_LABEL = "Administrator’s token"
ADMIN_BUTTON = "Show their tabs"
ADMIN_WRONG = "That is not the token. Nothing was opened."
ADMIN_RIGHT = "The tabs are open, for this page and until it is loaded again."
GUEST = " (guest {code})"


def duration(seconds: float) -> str:
    """A length of time in words, rounded up."""
    for unit, length in (("hour", 3600), ("minute", 60), ("second", 1)):
        if seconds >= length or unit == "second":
            count = max(1, math.ceil(seconds / length))
            return f"{count} {unit}{'s' if count != 1 else ''}"
    raise AssertionError("seconds come last")


def too_often(kind: str, limit: int, wait: float, span: float) -> str:
    """A visitor has used up a rate: which, and when to try again. kind: a field of demo.limits.Limits."""
    again, minutes = WAIT.format(minutes=duration(wait)), round(span / 60)
    if kind == "uploaded_bytes":
        return TOO_MANY_BYTES.format(limit=size(limit), minutes=minutes, wait=again)
    return TOO_OFTEN.format(limit=limit, what=RATES.get(kind, kind), minutes=minutes, wait=again)


def file_too_big(bytes_of_file: int, limit: int) -> str:
    """A file beyond the limit of bytes."""
    return FILE_TOO_BIG.format(size=size(bytes_of_file), limit=size(limit))
