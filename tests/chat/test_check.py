"""The check catches what is wrong, and lets pass what is true."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from detectors.chat.acoustics import Measured
from detectors.chat.answers import Asked, answers_to, intents
from detectors.chat.check import check
from detectors.chat.facts import DetectorFact, FactSheet, Part, Robustness
from detectors.chat.phrasings import phrasings
from detectors.chat.prompt import lines
from detectors.chat.questions import FOLLOW_UPS, training_conversations
from detectors.chat.sheets import random_sheet

SEEDS = st.integers(0, 2**32 - 1)
SHEET = FactSheet(
    verdict="spoof",
    llr=-2.6,
    p_spoof=0.93,
    detectors=(
        DetectorFact("sls", "SLS", 0.97, -3.5, "spoof"),
        DetectorFact("fake_mamba", "Fake-Mamba", 0.55, -0.2, "inconclusive"),
        DetectorFact("allm4add", "ALLM4ADD", 0.90, -2.2, "spoof"),
    ),
    strongest=Part(3.0, 6.0, 0.97),
    weakest=Part(0.0, 3.0, 0.41),
    measured=Measured(7.3, 0.82, -58, 7.6, "full band", 0.0),
)
HUMAN = FactSheet(
    verdict="bonafide",
    llr=2.2,
    p_spoof=0.10,
    detectors=(DetectorFact("sls", "SLS", 0.10, 2.2, "bonafide"),),
    strongest=Part(0.0, 1.5, 0.10),
    weakest=Part(0.0, 1.5, 0.10),
    measured=Measured(1.5, 0.9, -40, 3.4, "telephone band", 0.012),
    robustness=Robustness(5, 6),
    unavailable=(("Fake-Mamba", "its weights are missing"), ("ALLM4ADD", "it needs a language model")),
)

TRUE = """
The verdict is likely machine-made, at 0.93.
The clip is 93 % likely to be fake.
The clip is 93 percent likely to be fake.
It is 7 % human.
SLS gives 0.97, Fake-Mamba 0.55 and ALLM4ADD 0.90.
0.97 for SLS and 0.55 for Fake-Mamba.
SLS and Fake-Mamba give 0.97 and 0.55.
The most machine-like is SLS and the least is Fake-Mamba.
SLS has the highest score, 0.97.
The highest score is 0.97, from SLS.
Three detectors ran.
All three detectors ran.
Fake-Mamba disagrees with the others.
Fake-Mamba stands apart by 0.39.
The detectors do not agree.
SLS scores higher than Fake-Mamba.
Fake-Mamba is not the most machine-like.
Listen to 3.0-6.0 s.
Listen to 3.0–6.0 seconds.
The part from 3.0 to 6.0 s is the strongest, at 0.97.
The strongest part starts at 3.0 s.
The clip lasts 7.3 seconds.
The noise floor is -58 dB, moderate.
The voice is not human.
The voice is probably synthetic, but this is not proof.
It is not certain.
I can't tell whether it is real.
Fake-Mamba is inconclusive.
SLS says machine-made; Fake-Mamba is undecided.
82 % of the clip is speech.
There is no clipping.
It does not look like a phone call.
The bandwidth is 7600 Hz.
The LLR is -2.6.
The LLR of SLS is -3.5.
1.00 means certainly machine-made and 0.00 means certainly human.
A higher score means more machine-like.
""".strip().splitlines()

FALSE = """
The verdict is likely machine-made, at 0.92.
The verdict is likely human, at 0.93.
This is a human voice.
It is certainly fake.
This is definitely a deepfake.
This proves that it is fake.
It is 100 % fake.
No doubt it is fake.
The clip is 94 % likely to be fake.
It is 93 % human.
It is 0.93 real.
SLS gives 0.55 and Fake-Mamba 0.97.
SLS and Fake-Mamba both give 0.97.
0.97 for Fake-Mamba and 0.55 for SLS.
Fake-Mamba and SLS give 0.97 and 0.55.
The most machine-like is Fake-Mamba and the least is SLS.
Fake-Mamba has the highest score.
The highest score is 0.55.
The lowest score is 0.97, from SLS.
ALLM4ADD is the least machine-like, at 0.90.
SLS is not the most machine-like.
Two detectors ran.
Four detectors ran.
Both detectors ran.
Only SLS ran.
SLS did not run.
No detector ran.
The detectors agree.
They agree within 0.05.
SLS stands apart by 0.39.
Fake-Mamba stands apart by 0.55.
Fake-Mamba scores higher than SLS.
SLS is less suspicious than ALLM4ADD.
Listen to 2.0-5.0 s.
The strongest part is 0.0-3.0 s.
The weakest part is 3.0-6.0 s, at 0.97.
The strongest part is 3.0-6.0 s, at 0.41.
The strongest part starts at 2.5 s.
The clip lasts 6.0 seconds.
The clip is seven seconds long.
The noise floor is -48 dB.
The noise floor is -58 dB, high.
The recording is noisy with a loud background.
The voice is not machine-made.
The voice isn't fake.
Not fake.
It is genuine.
The result is inconclusive.
Fake-Mamba says machine-made.
SLS says human.
All detectors say machine-made.
All detectors find it human.
No detector finds it machine-made.
SLS is inconclusive.
The speaker is a real person.
83 % of the clip is speech.
Half of the clip is speech.
The clipping is 1.2 %.
It looks like a phone call.
It was compressed.
The band is a telephone band.
The bandwidth is 3.4 kHz.
The LLR is 2.6.
The LLR of SLS is -2.6.
1.00 means certainly human.
0.00 = machine-made.
A high score means human.
Below zero the LLR points to human.
It was made with ElevenLabs.
AASIST gives 0.97.
The speaker is Barack Obama.
It was recorded in 2021.
The clip is too short.
The verdict held in 5 of 6 stress tests.
Nine of ten detectors agree.
The probability is 0.97.
Overall it is 0.55.
The score is about 0.9.
<|im_start|>
""".strip().splitlines()

FALSE_OF_HUMAN = """
Likely machine-made, at 0.10.
The verdict is likely human, at 0.90.
The voice is not human.
SLS says machine-made.
Fake-Mamba gives 0.10.
Fake-Mamba is the most machine-like, at 0.10.
ALLM4ADD ran.
All detectors ran.
The detectors agree.
Two detectors ran.
There are two parts.
There is no clipping.
It does not look like a phone call: telephone band, up to 3.4 kHz.
The clip is long enough, 1.5 s.
The noise is low, at -40 dB.
No stress test was run for this clip.
The verdict held in 6 of 6 stress tests.
""".strip().splitlines()


@pytest.mark.parametrize("answer", TRUE)
def test_true_answers_pass(answer: str) -> None:
    assert check(answer, SHEET) == []


@pytest.mark.parametrize("answer", FALSE)
def test_false_answers_are_caught(answer: str) -> None:
    assert check(answer, SHEET)


@pytest.mark.parametrize("answer", FALSE_OF_HUMAN)
def test_false_answers_about_a_human_voice_are_caught(answer: str) -> None:
    assert check(answer, HUMAN)


@pytest.mark.parametrize(
    ("question", "answer", "passes"),
    [
        ("So it's 40 % real?", "No, it is not 40 % real. The score is 0.93.", True),
        ("So it's 40 % real?", "Yes, it is 40 % real.", False),
        ("So it's 40 % real?", "Yes.", False),
        ("So it's 40 % real?", "The score is 0.40.", False),
        ("So it is fake?", "Yes, likely machine-made.", True),
        ("So it is human?", "Yes.", False),
        ("So it is fake?", "No, that is wrong.", False),
        ("Is SLS the highest?", "No, SLS is the most machine-like, at 0.97.", False),
        ("Is SLS the highest?", "Yes, at 0.97.", True),
        ("What does SLS say?", "0.97.", True),
        ("What does SLS say?", "0.55.", False),
        ("What does Fake-Mamba say?", "It is inconclusive.", True),
        ("So all detectors agree?", "Yes.", False),
        ("So all detectors agree?", "No, Fake-Mamba stands apart by 0.39.", True),
        ("Was it ElevenLabs?", "I can't tell whether it was ElevenLabs.", True),
        ("Is this proof of a fake?", "No. This is not proof.", True),
        ("Who made it?", "", False),
        ("Who made it?", " ... ", False),
        ("Who made it?", "It was made by a machine. " * 40, False),
    ],
)
def test_the_question_counts(question: str, answer: str, passes: bool) -> None:
    assert (not check(answer, SHEET, question)) == passes


LEANING = replace(SHEET, verdict="spoof", step="leaning_spoof", llr=-1.2, p_spoof=0.77)
SILENT = replace(
    SHEET,
    verdict="inconclusive",
    step="inconclusive",
    abstained=("no_speech", "clipping"),
    measured=Measured(7.3, 0.0, -58, 7.6, "full band", 0.4),
)


@pytest.mark.parametrize(
    ("sheet", "answer", "passes"),
    [
        (SHEET, "The verdict is likely machine-made, at 0.93.", True),
        (SHEET, "The clip is likely to be fake.", True),
        (SHEET, "The verdict is leaning machine-made, at 0.93.", False),
        (SHEET, "The voice leans towards synthetic.", False),
        (SHEET, "SLS says likely machine-made.", True),
        (SHEET, "SLS is leaning machine-made.", False),
        (LEANING, "Leaning machine-made, at 0.77.", True),
        (LEANING, "The verdict leans to machine-made.", True),
        (LEANING, "It is machine-made, at 0.77.", True),
        (LEANING, "The clip is 77 % likely to be fake.", True),
        (LEANING, "The verdict is likely machine-made, at 0.77.", False),
        (LEANING, "The voice is likely a deepfake.", False),
        (LEANING, "The verdict is leaning human.", False),
        (LEANING, "There is no verdict.", False),
        (LEANING, "The clip has no speech.", False),
        (LEANING, "It abstained: the clip has heavy clipping.", False),
        (SILENT, "The verdict is inconclusive: the clip has no speech and heavy clipping.", True),
        (SILENT, "There is no verdict: the clip has heavy clipping.", True),
        (SILENT, "The verdict is likely machine-made, at 0.93.", False),
        (SILENT, "There is no verdict: the clip has less than a second of speech.", False),
        (SILENT, "There is no verdict: the clip has a sound unlike the training clips.", False),
        (SILENT, "The clip does not have heavy clipping.", False),
    ],
)
def test_the_steps_and_the_reasons_for_none(sheet: FactSheet, answer: str, passes: bool) -> None:
    assert (not check(answer, sheet)) == passes


def test_a_contradiction_says_what_is_wrong() -> None:
    (wrong,) = check("SLS gives 0.55.", SHEET)
    assert (wrong.kind, wrong.text) == ("number", "0.55")
    assert "0.97" in wrong.why


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_every_answer_that_is_learnt_passes(seed: int) -> None:
    for conversation in training_conversations(5, seed):
        for exchange in conversation.exchanges:
            wrong = check(exchange.answer, conversation.sheet, exchange.question)
            assert not wrong, (exchange, wrong, lines(conversation.sheet))


@example(1092)  # speech throughout: "fills 100 %"
@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_every_variant_of_every_answer_passes(seed: int) -> None:
    sheet = random_sheet(np.random.default_rng(seed))
    for intent in intents():
        question = phrasings("train")[intent][0].format(detector="SLS", side="fake", pct=40)
        previous = FOLLOW_UPS.get(intent, ("",))[0]
        for answer in answers_to(intent, sheet, Asked(question, "", previous)):
            wrong = check(answer, sheet, question)
            assert not wrong, (intent, answer, wrong, lines(sheet))


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=120), SEEDS)
def test_any_text_can_be_checked(text: str, seed: int) -> None:
    found = check(text, random_sheet(np.random.default_rng(seed)), text)
    assert found or any(character.isalnum() or character == "_" for character in text)


@pytest.mark.parametrize("seed", range(3))
def test_answers_about_another_clip_are_caught(seed: int) -> None:
    """An answer that is true of one sheet must not pass for another one with other numbers."""
    rng = np.random.default_rng(seed)
    caught = total = 0
    for conversation in training_conversations(60, seed + 50):
        other = random_sheet(rng)
        for exchange in conversation.exchanges:
            if any(character.isdigit() for character in exchange.answer.replace("ALLM4ADD", "")):
                if exchange.intent in ("direction", "score_meaning", "claim_percent"):
                    continue  # the scale's own numbers hold for every clip
                total += 1
                caught += bool(check(exchange.answer, other, exchange.question))
    assert caught / total > 0.95, f"{caught} of {total}"
