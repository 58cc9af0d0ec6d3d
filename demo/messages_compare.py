"""What a visitor reads on the Compare tab."""

TAB = "Compare"
HEADING = "Compare with known recordings"
HELP = (
    "Put a questioned clip beside up to five that are known to be real, of the same speaker if you can. All "
    "are judged in the same way. Nothing is kept."
)
WARNING = (
    "Known recordings should come through the same channel: the same phone, app, room and file format. Else "
    "what differs may be the channel and not the voice. Whether it is the same speaker is not examined."
)
QUESTIONED = "The questioned clip"
KNOWN = "Known clips, at most five"
BUTTON = "Compare"
DOING = "Clip {number} of {count}: {doing}"

NO_QUESTIONED = "There is no questioned clip yet: choose the one that is in doubt."
NO_KNOWN = "There is nothing to compare with yet: add at least one known clip."
TOO_MANY = "At most {most} clips are compared at once, and these are {count}. Remove some of the known ones."

DIFFERENCES = "What differs"
NOTHING_TO_COMPARE = "There is nothing to compare: the questioned clip or all known ones could not be judged."
NO_VERDICT = "No detector could judge the questioned clip; what was measured still stands below."
SAME_VERDICT = "All clips have the same verdict: {verdict}."
OTHER_VERDICT = "The questioned clip’s verdict, {verdict}, is shared by {same} of {known}."
BANDWIDTH = {
    1: "It reaches higher than all known clips: {mine:.1f} kHz, where they end at about {known:.1f} kHz.",
    -1: "It ends lower than all known clips: at {mine:.1f} kHz, where they reach about {known:.1f} kHz.",
}
NOISE = {
    1: "Its noise floor is higher than in all known clips: {mine:.0f} dB, theirs about {known:.0f} dB.",
    -1: "Its noise floor is lower than in all known clips: {mine:.0f} dB, theirs about {known:.0f} dB.",
}
OTHER_CHANNEL = "So it probably came another way than they did; look for known clips of its own channel."
LIKE_CHANNEL = "Bandwidth and noise floor are within the range of the known clips."
LITTLE_SPEECH = "It holds only {seconds:.1f} s of speech, which is little to judge."
LESS_SPEECH = "It holds {seconds:.1f} s of speech, far less than the known clips (about {known:.1f} s)."

TABLE = "Side by side"
ROLES = ("questioned", "known")
HEADER_CLIP, HEADER_VERDICT, HEADER_TOGETHER = "Clip", "Verdict", "All together"
MEASURED = ("Speech", "Duration", "Bandwidth", "Noise floor")
SCALE = "0.00 = certainly a human voice, 1.00 = certainly machine-made."
NOT_JUDGED = "Not judged: {reason}"
NO_NUMBER = "–"

FIGURE = (
    "Spectrograms on one scale",
    "All clips from their start, with the same time, frequency and level scale; the questioned one on top. "
    "At most {seconds:.0f} s of each are drawn.",
    "A difference here may come from the microphone, the room or the format. It is no sign of a fake.",
)
