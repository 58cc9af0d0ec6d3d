"""What a detector says about one clip: plain numbers, no torch and no UI."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np

Verdict = Literal["bonafide", "spoof", "inconclusive"]
#: The verdict in five steps, from bona fide to spoof: how far the evidence goes either way.
Step = Literal["likely_bonafide", "leaning_bonafide", "inconclusive", "leaning_spoof", "likely_spoof"]
STEPS: tuple[Step, ...] = get_args(Step)
#: Why a clip gets no verdict whatever its score: see detectors.abstention.
Reason = Literal["no_speech", "little_speech", "clipping", "unfamiliar"]
REASONS: tuple[Reason, ...] = get_args(Reason)

#: In Detection.maps, where a speaker network is heard: how much of what its judge says each moment makes,
#: [frames], natural log-odds, above 0 for bona fide. See SpeakerJudge.over_time.
VOICE_TIME = "voice_time"

#: |LLR| below this is called inconclusive: the odds move by less than 7:3 either way.
INCONCLUSIVE_LLR = math.log(0.7 / 0.3)
#: From here on it is "likely", below "leaning": the odds move by 85:15. On dev clips the mini detectors
#: are wrong about half as often there; where the odds move by 9:1, hardly any bona fide clip arrives.
LIKELY_LLR = math.log(0.85 / 0.15)


def verdict_of(llr: float, abstained: Sequence[Reason] = ()) -> Verdict:
    """Name the side that a calibrated natural-log likelihood ratio supports.

    `llr` is bona fide over spoof, so a positive value supports a real voice. abstained: reasons for which
    it is inconclusive all the same.
    """
    if abstained or abs(llr) < INCONCLUSIVE_LLR:
        return "inconclusive"
    return "bonafide" if llr > 0 else "spoof"


def step_of(llr: float, abstained: Sequence[Reason] = ()) -> Step:
    """`verdict_of` in five steps: each side is "leaning" up to LIKELY_LLR and "likely" from there on."""
    verdict = verdict_of(llr, abstained)
    if verdict == "bonafide":
        return "likely_bonafide" if llr >= LIKELY_LLR else "leaning_bonafide"
    if verdict == "spoof":
        return "likely_spoof" if llr <= -LIKELY_LLR else "leaning_spoof"
    return "inconclusive"


def p_spoof_of(llr: float, prior_spoof: float = 0.5) -> float:
    """Posterior probability of spoof from an LLR (bona fide over spoof) and a prior."""
    log_odds = math.log(prior_spoof / (1 - prior_spoof)) - llr
    # The two branches avoid overflow of exp for large |log_odds|.
    if log_odds >= 0:
        return 1 / (1 + math.exp(-log_odds))
    return math.exp(log_odds) / (1 + math.exp(log_odds))


def shown_probability(p_spoof: float) -> float:
    """A probability as people are told it: two decimals, and never rounded to a certainty."""
    return round(min(max(float(p_spoof), 0.01), 0.99), 2)


@dataclass(frozen=True)
class Window:
    """One scored stretch of the clip; `start` and `end` in seconds."""

    start: float
    end: float
    score: float
    llr: float
    p_spoof: float


@dataclass(frozen=True)
class Detection:
    """A detector's judgement of a whole clip.

    score: CM score, higher = bona fide. llr: calibrated natural-log likelihood ratio,
    bona fide over spoof. p_spoof: probability of spoof at prior 0.5, 1.00 = certainly
    machine-made. maps: named arrays that explain the score (see each detector). mean_llr: of a
    long clip, whose llr is that of its worst stretch (see long_clips.py), the LLR of `score`; else None.
    abstained: why the clip gets no verdict, whatever the score (see abstention.py).
    """

    detector: str
    score: float
    llr: float
    p_spoof: float
    windows: list[Window]
    seconds: float
    device: str
    maps: dict[str, np.ndarray] = field(default_factory=dict)
    mean_llr: float | None = None
    abstained: tuple[Reason, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """ "bonafide", "spoof" or, when the evidence is weak, "inconclusive"."""
        return verdict_of(self.llr, self.abstained)

    @property
    def step(self) -> Step:
        """The verdict in five steps."""
        return step_of(self.llr, self.abstained)


def abstained_of(detections: Iterable[Detection]) -> tuple[Reason, ...]:
    """Why a clip gets no verdict, by all detectors that heard it: each reason once, ordered as REASONS."""
    found = {reason for detection in detections for reason in detection.abstained}
    return tuple(reason for reason in REASONS if reason in found)
