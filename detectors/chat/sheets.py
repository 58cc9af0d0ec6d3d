"""Random but consistent fact sheets: what real analyses look like, to train and test the chat on."""

from dataclasses import replace

import numpy as np

from detectors.calibration import fuse
from detectors.chat.acoustics import Band, Measured
from detectors.chat.facts import TITLES, FactSheet, Robustness, sheet_of
from detectors.detection import REASONS, Detection, Reason, Window, p_spoof_of

_WINDOW, _HOP = 3.0, 1.5
#: Share of sheets of clips that get no verdict.
_ABSTAINING = 0.08


def random_sheet(rng: np.random.Generator) -> FactSheet:
    """A sheet by the same code as for a real clip, from detections that hang together: one to three
    detectors (rarely none), each a little off the clip's own strength, windows that spread around it."""
    seconds = float(np.clip(rng.lognormal(1.9, 0.8), 0.5, 600))
    names = [str(name) for name in rng.permutation(list(TITLES))]
    names = names[: rng.choice(4, p=[0.02, 0.13, 0.4, 0.45])]
    strength = rng.normal(0, rng.choice([0.7, 2.5]))
    drift = rng.normal(0, 0.8, size=_windows(seconds))
    detections = {
        name: _detection(name, rng, strength + rng.normal(0, rng.choice([0.15, 0.6, 2.0])), drift, seconds)
        for name in names
    }
    if detections and rng.random() < 0.04:  # equal scores do happen
        one = next(iter(detections.values()))
        detections = {name: one for name in detections}
    llr = fuse([d.llr for d in detections.values()]) if detections else None
    absent = [name for name in TITLES if name not in names]
    if detections and rng.random() < 0.3:
        absent = []
    measured = _measured(rng, seconds)
    abstained = _abstained(rng)
    return sheet_of(
        detections,
        llr,
        _fitting(measured, abstained, rng),
        {name: "its weights are not at hand" for name in absent},
        _robustness(rng),
        abstained,
    )


def _abstained(rng: np.random.Generator) -> tuple[Reason, ...]:
    """Mostly none; else one reason, at times two."""
    if rng.random() >= _ABSTAINING:
        return ()
    chosen = {str(reason) for reason in rng.choice(REASONS, size=1 + (rng.random() < 0.2), replace=False)}
    if "no_speech" in chosen:
        chosen.discard("little_speech")
    return tuple(reason for reason in REASONS if reason in chosen)


def _fitting(measured: Measured, abstained: tuple[Reason, ...], rng: np.random.Generator) -> Measured:
    """Measured values that such a clip would have."""
    if "no_speech" in abstained:
        measured = replace(measured, speech=0.0)
    if "little_speech" in abstained:
        measured = replace(measured, speech=rng.uniform(0.05, 0.9) / max(1.0, measured.seconds))
    if "clipping" in abstained:
        measured = replace(measured, clipped=float(rng.uniform(0.1, 0.6)))
    return measured


def _windows(seconds: float) -> int:
    return 1 if seconds <= _WINDOW else 1 + int(np.ceil((seconds - _WINDOW) / _HOP))


def _detection(
    name: str, rng: np.random.Generator, llr: float, drift: np.ndarray, seconds: float
) -> Detection:
    llrs = llr + drift - drift.mean() + rng.normal(0, 0.3, len(drift)) * (len(drift) > 1)
    llrs += llr - llrs.mean()
    starts = [min(_HOP * i, max(0.0, seconds - _WINDOW)) for i in range(len(llrs))]
    windows = [
        Window(start, min(seconds, start + _WINDOW), one, one, p_spoof_of(one))
        for start, one in zip(starts, map(float, llrs), strict=True)
    ]
    return Detection(name, llr, llr, p_spoof_of(llr), windows, seconds, "cpu")


def _measured(rng: np.random.Generator, seconds: float) -> Measured:
    bands: dict[Band, tuple[float, float]] = {
        "full band": (7.0, 8.0),
        "telephone band": (3.2, 4.6),
        "low-pass band": (4.7, 6.9),
        "unclear band": (8.0, 8.0),
    }
    band = list(bands)[rng.choice(4, p=[0.55, 0.2, 0.22, 0.03])]
    clipped = rng.choice([0.0, rng.uniform(0.001, 0.05)], p=[0.7, 0.3])
    noise_db = round(float(np.clip(rng.normal(-55, 12), -100, -18)))
    return Measured(
        seconds,
        rng.beta(6, 2),
        noise_db,
        round(rng.uniform(*bands[band]), 1),
        band,
        float(clipped),
    )


def _robustness(rng: np.random.Generator) -> Robustness | None:
    if rng.random() < 0.7:
        return None
    tests = int(rng.integers(4, 13))
    return Robustness(int(rng.binomial(tests, 0.8)), tests)
