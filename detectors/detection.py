"""What a detector says about one clip: plain numbers, no torch and no UI."""

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

Verdict = Literal["bonafide", "spoof", "inconclusive"]

#: |LLR| below this is called inconclusive: the odds move by less than 7:3 either way.
INCONCLUSIVE_LLR = math.log(0.7 / 0.3)


def verdict_of(llr: float) -> Verdict:
    """Name the side that a calibrated natural-log likelihood ratio supports.

    `llr` is bona fide over spoof, so a positive value supports a real voice.
    """
    if abs(llr) < INCONCLUSIVE_LLR:
        return "inconclusive"
    return "bonafide" if llr > 0 else "spoof"


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
    machine-made. maps: named arrays that explain the score (see each detector).
    """

    detector: str
    score: float
    llr: float
    p_spoof: float
    windows: list[Window]
    seconds: float
    device: str
    maps: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def verdict(self) -> Verdict:
        """ "bonafide", "spoof" or, when the evidence is weak, "inconclusive"."""
        return verdict_of(self.llr)
