"""DET and reliability plots as PNG files. What is drawn is computed by functions of its own.

No pyplot: its state is shared between threads. Curves differ in dash as well as in colour.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, StrMethodFormatter
from scipy.special import expit, logit, ndtr, ndtri

from detectors.errors import DetectorError
from detectors.metrics import Scores, compute_eer, operating_points
from detectors.protocols import ScoreTable

#: Most points of a curve: more than a plot of this size can show.
POINTS = 1_000
BINS = 10
SIZE_INCHES, DPI = 5.0, 150
INK, FAINT, GRID = "#1f2933", "#64748b", "#e2e8f0"
#: (colour, dash) of the first curve and so on: told apart in grey and with any colour blindness.
STYLES = (("#1f5fa8", "-"), ("#c2570c", "--"), ("#475569", ":"))
#: Rates in percent that a DET plot may have marks at.
RATES = (0.01, 0.1, 1, 5, 10, 20, 40, 60, 80, 90)


@dataclass(frozen=True)
class DetCurve:
    """Operating points from "accept all" to "reject all", [k], k about 2 * POINTS at most, as fractions.

    miss_rates rise from 0 to 1, false_alarm_rates fall from 1 to 0. eer: a fraction too.
    """

    false_alarm_rates: np.ndarray
    miss_rates: np.ndarray
    eer: float
    bonafide: int
    spoof: int


@dataclass(frozen=True)
class Reliability:
    """What was forecast against what came true, in bins of P(spoof) at `prior`; all arrays are [bins].

    forecast: mean P(spoof) of the trials in a bin; observed: share of spoof among them, both as if spoofs
    were as frequent as the prior says. NaN where a bin is empty. bonafide, spoof: trials in the bin.
    """

    prior: float
    forecast: np.ndarray
    observed: np.ndarray
    bonafide: np.ndarray
    spoof: np.ndarray


def det_curve(bonafide_scores: Scores, spoof_scores: Scores) -> DetCurve:
    """The detection error trade-off (Martin et al. 1997) of scores [n] and [m], higher = bona fide.

    Long curves are thinned evenly on the probit scale on which they are drawn; every point that is left is
    a true operating point. Raises DetectorError for an empty class and scores that are not finite.
    """
    points = operating_points(bonafide_scores, spoof_scores)
    misses, false_alarms = points.miss_rates, points.false_alarm_rates
    if len(misses) > POINTS:
        grid = ndtr(np.linspace(-4.5, 4.5, POINTS))
        # The first point whose miss rate, and the last whose false-alarm rate, reaches each step.
        kept = np.concatenate(
            [
                np.searchsorted(misses, grid),
                np.searchsorted(-false_alarms, -grid, side="right") - 1,
                [0, len(misses) - 1],
            ]
        )
        kept = np.unique(np.clip(kept, 0, len(misses) - 1))
        misses, false_alarms = misses[kept], false_alarms[kept]
    eer, _ = compute_eer(bonafide_scores, spoof_scores)
    return DetCurve(false_alarms, misses, eer, points.n_bonafide, points.n_spoof)


def reliability(
    bonafide_llrs: Scores, spoof_llrs: Scores, prior_spoof: float = 0.5, bins: int = BINS
) -> Reliability:
    """Reliability diagram (DeGroot and Fienberg 1983) of natural-log LLRs [n] and [m], bona fide over spoof.

    Bins of P(spoof) are equally wide. Each class weighs as the prior says, however many trials it has.
    Raises DetectorError for an empty class and values that are not finite.
    """
    points = operating_points(bonafide_llrs, spoof_llrs)  # for its checks
    llrs = (np.asarray(bonafide_llrs, dtype=float), np.asarray(spoof_llrs, dtype=float))
    p_spoof = [expit(logit(prior_spoof) - values) for values in llrs]
    places = [np.minimum((p * bins).astype(int), bins - 1) for p in p_spoof]
    counts = [np.bincount(place, minlength=bins) for place in places]
    sums = [np.bincount(place, p, minlength=bins) for place, p in zip(places, p_spoof, strict=True)]
    weights = ((1 - prior_spoof) / points.n_bonafide, prior_spoof / points.n_spoof)
    mass = weights[0] * counts[0] + weights[1] * counts[1]
    with np.errstate(invalid="ignore"):  # 0 / 0 in an empty bin
        forecast = (weights[0] * sums[0] + weights[1] * sums[1]) / mass
        observed = weights[1] * counts[1] / mass
    return Reliability(prior_spoof, forecast, observed, *counts)


def save_plots(
    folder: Path,
    conditions: Mapping[str, ScoreTable],
    is_bonafide: np.ndarray,
    llrs_are: str = "LLRs",
    name: str = "",
) -> list[Path]:
    """Write det.png and reliability.png (after `name` and a dash, if given) and return their paths.

    conditions: title of a curve -> scores in the order of is_bonafide, bool [n]; where a table has no LLRs,
    its scores are read as such. llrs_are: what was read, in words. Raises DetectorError when the folder
    cannot be written.
    """
    det = {title: det_curve(*_classes(table.scores, is_bonafide)) for title, table in conditions.items()}
    calibration = {
        title: reliability(*_classes(table.scores if table.llrs is None else table.llrs, is_bonafide))
        for title, table in conditions.items()
    }
    prefix = f"{name}-" if name else ""
    files = {
        folder / f"{prefix}det.png": det_figure(det),
        folder / f"{prefix}reliability.png": reliability_figure(calibration, llrs_are),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, figure in files.items():
            path.write_bytes(png(figure))
    except OSError as error:
        raise DetectorError(f"The plots cannot be written to {folder}: {error.strerror}.") from error
    return list(files)


def _classes(values: np.ndarray, is_bonafide: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return values[is_bonafide], values[~is_bonafide]


# ---- how it is drawn


def det_figure(curves: Mapping[str, DetCurve]) -> Figure:
    """False alarms across and misses upwards, both on a probit scale; the EERs are marked on the diagonal."""
    figure, axis = _figure()
    ticks = _shown_rates(curves)
    low, high = ndtri(ticks[0] / 100), ndtri(ticks[-1] / 100)
    axis.plot([low, high], [low, high], color=FAINT, linewidth=0.9)
    for (colour, dash), (title, curve) in zip(_styles(len(curves)), curves.items(), strict=True):
        label = f"{title}: EER {100 * curve.eer:.1f} %, {curve.bonafide:,} bona fide, {curve.spoof:,} spoof"
        # Rates of 0 and 1 lie at infinity on this scale: they are drawn just outside the frame.
        across, upwards = (
            np.clip(ndtri(rates), low - 1, high + 1) for rates in (curve.false_alarm_rates, curve.miss_rates)
        )
        axis.plot(across, upwards, color=colour, linestyle=dash, linewidth=1.8, label=label)
        eer = np.clip(ndtri(curve.eer), low, high)
        axis.plot(eer, eer, "o", color=colour, markersize=5, clip_on=False)
    labels = [f"{rate:g}" for rate in ticks]
    axis.set(xlim=(low, high), ylim=(low, high), xlabel="Spoof accepted (%)", ylabel="Bona fide rejected (%)")
    axis.set_xticks(ndtri(np.array(ticks) / 100), labels)
    axis.set_yticks(ndtri(np.array(ticks) / 100), labels)
    _legend(axis)
    return figure


def _shown_rates(curves: Mapping[str, DetCurve]) -> list[float]:
    """Marks in percent: from 1 down to what the larger class can resolve, up to 90 or 60 and so on."""
    finest = min(100 / max(curve.bonafide, curve.spoof) for curve in curves.values())
    first = max((rate for rate in RATES if rate <= finest), default=RATES[0])
    return [rate for rate in RATES if rate >= min(first, 1)]


def reliability_figure(curves: Mapping[str, Reliability], llrs_are: str = "LLRs") -> Figure:
    """Share of spoofs against forecast P(spoof), on the diagonal when calibrated; trials a bin beneath."""
    figure = Figure(figsize=(SIZE_INCHES, 1.3 * SIZE_INCHES), layout="constrained")
    axis, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    axis.plot([0, 1], [0, 1], color=FAINT, linewidth=0.9)
    prior = next(iter(curves.values())).prior
    for (colour, dash), (title, curve) in zip(_styles(len(curves)), curves.items(), strict=True):
        label = f"{title}: {curve.bonafide.sum():,} bona fide, {curve.spoof.sum():,} spoof"
        held = ~np.isnan(curve.forecast)
        axis.plot(
            curve.forecast[held], curve.observed[held], "o", color=colour, linestyle=dash, label=label,
            linewidth=1.6, markersize=4.5,
        )  # fmt: skip
        edges = np.linspace(0, 1, len(curve.forecast) + 1)
        trials = curve.bonafide + curve.spoof
        below.stairs(trials, edges, baseline=None, color=colour, linestyle=dash, linewidth=1.6)
    axis.set(xlim=(0, 1), ylim=(0, 1), ylabel=f"Share of spoof, at a prior of {prior:g}")
    below.set(yscale="log", ylim=(0.8, None), ylabel="Trials", xlabel=f"P(spoof) from {llrs_are}")
    below.yaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    below.yaxis.set_minor_formatter(NullFormatter())
    for each in (axis, below):
        _quiet(each)
    _legend(axis)
    return figure


def png(figure: Figure) -> bytes:
    """The figure as a PNG image."""
    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    return buffer.getvalue()


def _figure() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(SIZE_INCHES, SIZE_INCHES), layout="constrained")
    axis = figure.subplots()
    _quiet(axis)
    return figure, axis


def _styles(count: int) -> list[tuple[str, str]]:
    return [STYLES[i % len(STYLES)] for i in range(count)]


def _quiet(axis: Axes) -> None:
    axis.tick_params(labelsize=8, colors=INK, length=3)
    axis.xaxis.label.set(fontsize=9, color=INK)
    axis.yaxis.label.set(fontsize=9, color=INK)
    axis.grid(color=GRID, linewidth=0.8)
    axis.set_axisbelow(True)
    for side, spine in axis.spines.items():
        spine.set(visible=side in ("left", "bottom"), color="#94a3b8")


def _legend(axis: Axes) -> None:
    """Above the axes, where it hides no curve."""
    axis.legend(loc="lower left", bbox_to_anchor=(0, 1.0), fontsize=8, frameon=False, borderaxespad=0.2)
