"""The fact sheet: everything that may be said about one clip, rounded once, in plain data."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from detectors.chat.acoustics import Measured, measure
from detectors.detection import (
    Detection,
    Reason,
    Step,
    Verdict,
    Window,
    abstained_of,
    p_spoof_of,
    shown_probability,
    step_of,
    verdict_of,
)

__all__ = [
    "TITLES",
    "DetectorFact",
    "FactSheet",
    "Measured",
    "Part",
    "Robustness",
    "Stray",
    "measure",
    "sheet_of",
]

#: What the chat calls the detectors: short names that a small model copies without slips.
TITLES = {"sls": "SLS", "fake_mamba": "Fake-Mamba", "allm4add": "ALLM4ADD"}
#: Scores less far apart than this count as agreement.
AGREES_WITHIN = 0.25
#: Under this many seconds a clip is called short.
SHORT_SECONDS = 2.0


def _round(value: float, digits: int) -> float:
    return round(float(value), digits) + 0.0  # -0.0 becomes 0.0


@dataclass(frozen=True)
class DetectorFact:
    """One detector's judgement. p_spoof: 0 to 1, 1 = certainly machine-made. llr: natural log, bona fide
    over spoof. counts: in what all detectors say together; else it is a second opinion."""

    name: str
    title: str
    p_spoof: float
    llr: float
    verdict: Verdict
    counts: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "p_spoof", shown_probability(self.p_spoof))
        object.__setattr__(self, "llr", _round(self.llr, 1))


@dataclass(frozen=True)
class Part:
    """A stretch of the clip, in seconds, and the probability of spoof that the detectors give it together."""

    start: float
    end: float
    p_spoof: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", _round(self.start, 1))
        object.__setattr__(self, "end", _round(self.end, 1))
        object.__setattr__(self, "p_spoof", shown_probability(self.p_spoof))


@dataclass(frozen=True)
class Stray:
    """The detector furthest from the mean of the others, and how far in probability. Of two detectors,
    neither is the stray one, and `title` is empty."""

    title: str
    by: float


@dataclass(frozen=True)
class Robustness:
    """In how many of the stress tests the verdict held."""

    held: int
    tests: int


@dataclass(frozen=True, kw_only=True)
class FactSheet:
    """All facts about one clip. Every number is rounded when the sheet is made: probabilities and the like
    to 2 decimals (never to a certainty, as on the page), seconds and LLRs to 1; so text and checks never
    round differently.

    verdict, step, llr and p_spoof: of all detectors together, None when none ran. step: by default what the
    LLR comes to. abstained: why the clip gets no verdict; verdict and step are "inconclusive" then, whatever
    the LLR says. detectors: those that ran, most
    machine-like first. strongest and weakest: the most machine-like and the most human-like part; the same
    one in a clip of one window. unavailable: (title, reason) of those that did not run.
    """

    verdict: Verdict | None
    llr: float | None
    p_spoof: float | None
    detectors: tuple[DetectorFact, ...]
    strongest: Part | None
    weakest: Part | None
    measured: Measured
    robustness: Robustness | None = None
    unavailable: tuple[tuple[str, str], ...] = ()
    step: Step | None = None
    abstained: tuple[Reason, ...] = ()

    def __post_init__(self) -> None:
        order = sorted(self.detectors, key=lambda fact: -fact.p_spoof)
        object.__setattr__(self, "detectors", tuple(order))
        if self.llr is not None:
            if self.step is None:
                object.__setattr__(self, "step", step_of(self.llr, self.abstained))
            object.__setattr__(self, "llr", _round(self.llr, 1))
        if self.p_spoof is not None:
            object.__setattr__(self, "p_spoof", shown_probability(self.p_spoof))

    @property
    def ranking(self) -> list[tuple[DetectorFact, ...]]:
        """Most machine-like first; detectors with the same rounded probability share a place."""
        places: list[list[DetectorFact]] = []
        for fact in self.detectors:
            if places and places[-1][0].p_spoof == fact.p_spoof:
                places[-1].append(fact)
            else:
                places.append([fact])
        return [tuple(place) for place in places]

    @property
    def spread(self) -> float:
        """Highest minus lowest probability among the detectors; 0 with fewer than two."""
        if len(self.detectors) < 2:
            return 0.0
        return _round(self.detectors[0].p_spoof - self.detectors[-1].p_spoof, 2)

    @property
    def stray(self) -> Stray | None:
        """Who stands apart, or None when the detectors agree or fewer than two ran."""
        if self.spread < AGREES_WITHIN:
            return None
        if len(self.detectors) == 2:
            return Stray("", self.spread)
        values = {fact.title: fact.p_spoof for fact in self.detectors}
        distance = {
            title: abs(value - float(np.mean([v for t, v in values.items() if t != title])))
            for title, value in values.items()
        }
        title = max(distance, key=lambda name: distance[name])
        return Stray(title, _round(distance[title], 2))

    @property
    def is_short(self) -> bool:
        return self.measured.seconds < SHORT_SECONDS

    def detector(self, title: str) -> DetectorFact | None:
        """The detector with this title, if it ran."""
        return next((fact for fact in self.detectors if fact.title == title), None)


def sheet_of(
    detections: Mapping[str, Detection],
    llr: float | None,
    measured: Measured,
    unavailable: Mapping[str, str] | None = None,
    robustness: Robustness | None = None,
    abstained: Sequence[Reason] | None = None,
    left_out: Collection[str] = (),
) -> FactSheet:
    """The sheet of one analysis.

    detections: by detector name, those that ran. llr: of all together (detectors.fusion.fused), None
    when none ran. unavailable: the reason, by detector name. abstained: why the clip gets no verdict,
    by default what the detections say. left_out: names of those that do not count in it.
    """
    strongest, weakest = extreme_parts([each for name, each in detections.items() if name not in left_out])
    if abstained is None:
        abstained = abstained_of(detections.values())
    if "no_speech" in abstained:  # what is loud is not speech, then
        measured = replace(measured, speech=0.0)
    return FactSheet(
        verdict=None if llr is None else verdict_of(llr, abstained),
        llr=llr,
        p_spoof=None if llr is None else p_spoof_of(llr),
        detectors=tuple(
            DetectorFact(name, TITLES.get(name, name), d.p_spoof, d.llr, d.verdict, name not in left_out)
            for name, d in detections.items()
        ),
        strongest=strongest,
        weakest=weakest,
        measured=measured,
        robustness=robustness,
        unavailable=tuple((TITLES.get(name, name), why) for name, why in (unavailable or {}).items()),
        abstained=tuple(abstained) if llr is not None else (),
    )


def extreme_parts(detections: Sequence[Detection]) -> tuple[Part | None, Part | None]:
    """The most machine-like and the most human-like window of these detectors together.

    The spans are those of the detector with the most windows. The others' LLRs are read at the middle of
    each span, between their own windows if those differ, and averaged.
    """
    detections = [detection for detection in detections if detection.windows]
    if not detections:
        return None, None
    spans = max(detections, key=lambda detection: len(detection.windows)).windows
    middles = [(window.start + window.end) / 2 for window in spans]
    llrs = np.mean(
        [
            np.interp(middles, [(w.start + w.end) / 2 for w in d.windows], [w.llr for w in d.windows])
            for d in detections
        ],
        axis=0,
    )
    strongest = _part(spans[int(np.argmin(llrs))], float(llrs.min()))
    weakest = _part(spans[int(np.argmax(llrs))], float(llrs.max()))
    if (strongest.start, strongest.end) == (weakest.start, weakest.end):  # told apart by no listener
        weakest = strongest
    return strongest, weakest


def _part(window: Window, llr: float) -> Part:
    return Part(window.start, window.end, p_spoof_of(llr))
