"""Arrays in, matplotlib Figure out. No Gradio, and no pyplot: its state is shared between threads.

Figures are drawn small (NARROW inches) so that their text stays readable on a phone. However
long the clip, no figure holds more than COLUMNS columns.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from demo.canvas import (
    BOTTOM,
    FAINT,
    HEIGHT,
    INK,
    LEFT,
    NARROW,
    RIGHT,
    TOP,
    WIDE,
    axes_at,
    colour_bar,
    quiet,
    single,
)
from demo.canvas import png as png  # with the figures, for whoever draws them
from demo.canvas import webp as webp
from demo.canvas import webps as webps
from detectors.audio import SAMPLE_RATE
from detectors.detection import INCONCLUSIVE_LLR, Window, p_spoof_of
from detectors.mel_scale import mel
from detectors.robustness import StressTest

#: Most columns that a figure draws: about one for each pixel of its width on a large screen.
COLUMNS = 900
#: Spectrogram frames: 64 ms, 10 ms apart, and at most so many averaged into one column.
FRAME, HOP, FRAMES_PER_COLUMN = 1024, 160, 4
MEL_BANDS = 80
#: Spectrograms show this far below their loudest point, in dB.
RANGE_DB = 80.0

#: Log-odds either way that a figure shows at least, so that next to nothing looks like it.
LEAST_ODDS = 0.5
#: Height of the axes that show them, in inches: those of a figure with one set of axes.
PANEL = HEIGHT - TOP - BOTTOM

#: Blue (human) over grey to orange (machine-made): told apart with any common colour blindness.
VERDICT_COLOURS = LinearSegmentedColormap.from_list("verdict", ["#1f5fa8", "#d9dde3", "#c2570c"])


def timeline(wave: np.ndarray, rows: Mapping[str, Sequence[Window]], wide: bool = False) -> Figure:
    """Waveform above, and one coloured row a detector beneath: p_spoof of its windows over time.

    wave: [s], 16 kHz. rows: title -> windows. wide: for a screen that has the room.
    """
    seconds = len(wave) / SAMPLE_RATE
    figure, axis, beneath = _timeline_axes(WIDE if wide else NARROW, len(rows))
    low, high = envelope(wave)
    times = (np.arange(len(low)) + 0.5) / len(low) * seconds
    axis.fill_between(times, low, high, color="#475569", linewidth=0.4)
    peak = max(0.02, 1.05 * float(max(high.max(), -low.min())))
    axis.set(ylim=(-peak, peak), ylabel="Amplitude", xlim=(0, seconds))
    axis.locator_params(axis="y", nbins=3)
    if beneath:
        axis.tick_params(axis="x", bottom=False, labelbottom=False)
        _verdict_rows(beneath, rows, seconds)
        _verdict_key(figure)
    (beneath or axis).set_xlabel("Time (s)")
    return figure


def log_mel(wave: np.ndarray) -> Figure:
    """Log-mel spectrogram of a wave [s], 16 kHz; the frequency axis is labelled in kHz."""
    power = power_columns(wave)
    bank = mel_bank(MEL_BANDS, FRAME)
    figure, axis = single()
    _spectrogram(figure, axis, decibels(bank @ power), len(wave) / SAMPLE_RATE, top=MEL_BANDS)
    frequency_ticks(axis)
    return figure


def linear(wave: np.ndarray) -> Figure:
    """Spectrogram of a wave [s], 16 kHz, on a linear frequency axis of 0 to 8 kHz."""
    figure, axis = single()
    top = SAMPLE_RATE / 2000
    _spectrogram(figure, axis, decibels(power_columns(wave)), len(wave) / SAMPLE_RATE, top=top)
    axis.set(yticks=range(0, int(top) + 1, 2), ylabel="Frequency (kHz)")
    return figure


def gates(layer_gates: np.ndarray) -> Figure:
    """One bar a layer: its gate, 0 to 1, mean over the windows, with a line from least to most.

    layer_gates: [windows, layers]. The gates are independent sigmoids, so the axis is always 0 to 1.
    """
    layers = np.arange(1, layer_gates.shape[1] + 1)
    mean = layer_gates.mean(axis=0)
    figure, axis = single()
    axis.bar(layers, mean, width=0.7, color="#4c78a8", zorder=2)
    if len(layer_gates) > 1:
        axis.vlines(
            layers, layer_gates.min(axis=0), layer_gates.max(axis=0), color=INK, linewidth=1.4, zorder=3
        )
    axis.set(
        ylim=(0, 1), xlim=(0.4, len(layers) + 0.6), xlabel="Layer (1 is nearest the sound)", ylabel="Gate"
    )
    axis.set_xticks(layers if len(layers) <= 12 else layers[::4])
    axis.grid(axis="y", color="#e2e8f0", linewidth=0.8, zorder=0)
    return figure


def layer_time(logits: np.ndarray, seconds: float) -> Figure:
    """Heatmap of per-frame gate logits [layers, frames] over a clip of `seconds`."""
    cells = shrink(logits)
    count = len(cells)
    figure, axis = single()
    image = axis.imshow(
        cells, aspect="auto", origin="lower", cmap="cividis", extent=(0, seconds, 0.5, count + 0.5),
        interpolation="nearest",
    )  # fmt: skip
    axis.set(xlabel="Time (s)", ylabel="Layer")
    axis.set_yticks(np.arange(1, count + 1, 1 if count <= 12 else 4))
    colour_bar(figure, axis, image, "Gate logit")
    return figure


def attention(weights: np.ndarray, seconds: float, wide: bool = False) -> Figure:
    """Attention [frames], which sums to 1, over a clip of `seconds`; drawn so that 1 is the even share."""
    shares = shrink(weights[None] * len(weights))[0]
    times = (np.arange(len(shares)) + 0.5) / len(shares) * seconds
    figure, axis = single(wide)
    axis.fill_between(times, 0, shares, color="#4c78a8", alpha=0.35, linewidth=0)
    axis.plot(times, shares, color="#2f5583", linewidth=1.1)
    axis.axhline(1, color=FAINT, linewidth=0.9, linestyle=(0, (4, 3)))
    axis.set(xlim=(0, seconds), ylim=(0, None), xlabel="Time (s)", ylabel="Attention")
    return figure


def voice_time(rows: Mapping[str, np.ndarray], seconds: float, wide: bool = False) -> Figure:
    """What each moment makes of log-odds [frames] over a clip of `seconds`: blue above 0 for a human voice,
    orange below for a machine-made one. rows: title -> odds, one above the other on one scale.
    """
    values = {title: shrink(odds[None])[0] for title, odds in rows.items()}
    limit = max(LEAST_ODDS, 1.1 * max(float(np.abs(odds).max()) for odds in values.values()))
    titled = GAP if len(rows) > 1 else 0
    height = TOP + len(rows) * (titled + PANEL) + BOTTOM
    figure = Figure(figsize=(WIDE if wide else NARROW, height))
    for place, (title, odds) in enumerate(values.items(), start=1):
        below = BOTTOM + (len(rows) - place) * (titled + PANEL)
        axis = axes_at(figure, LEFT, below, RIGHT, height - below - PANEL)
        quiet(axis)
        axis.tick_params(axis="x", labelbottom=place == len(rows))
        edges = np.linspace(0, seconds, len(odds) + 1)
        axis.stairs(odds.clip(min=0), edges, fill=True, color=VERDICT_COLOURS(0.0))
        axis.stairs(odds.clip(max=0), edges, fill=True, color=VERDICT_COLOURS(1.0))
        axis.axhline(0, color=FAINT, linewidth=0.9)
        axis.set(xlim=(0, seconds), ylim=(-limit, limit), ylabel="machine   log-odds   human")
        axis.locator_params(axis="y", nbins=5)  # so that their numbers leave room for the label
        if titled:
            axis.text(0, 1.05 * limit, title, fontsize=8, color=INK)
    axis.set_xlabel("Time (s)")
    return figure


def robustness(test: StressTest, wide: bool = False) -> Figure:
    """One line a stress: p_spoof of all detectors together as a large mark, a disc where the verdict held and
    a cross where it did not; each detector as a small dot. The dashed line is the unchanged clip.
    """
    trials = test.trials
    height = 0.9 + 0.25 * max(1, len(trials))
    figure = Figure(figsize=(WIDE if wide else NARROW, height), layout="constrained")
    axis = figure.subplots()
    quiet(axis)
    axis.axvspan(p_spoof_of(INCONCLUSIVE_LLR), p_spoof_of(-INCONCLUSIVE_LLR), color="#eef1f5", zorder=0)
    axis.axvline(p_spoof_of(test.llr), color=FAINT, linewidth=1.1, linestyle=(0, (4, 3)), zorder=1)
    for row, trial in enumerate(trials):
        own = list(trial.detectors.values())
        axis.hlines(row, min(own), max(own), color="#cbd5e1", linewidth=1.2, zorder=2)
        axis.scatter(own, [row] * len(own), s=9, color="#94a3b8", zorder=3)
        marker, size = ("o", 46) if trial.held else ("X", 62)
        colour = VERDICT_COLOURS(trial.p_spoof)
        axis.scatter(
            trial.p_spoof, row, s=size, marker=marker, color=colour, edgecolor=INK, linewidth=0.7, zorder=4
        )
    axis.set_yticks(range(len(trials)), [trial.title for trial in trials])
    axis.set(ylim=(len(trials) - 0.4, -0.6), xlim=(-0.02, 1.02))
    axis.set_xticks([0, 0.5, 1], ["0 human", "undecided", "1 machine"])
    return figure


# ---- arrays: what is drawn


def envelope(wave: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest sample of each of at most COLUMNS equal stretches of a wave [s]."""
    starts = np.linspace(0, len(wave), min(COLUMNS, len(wave)), endpoint=False).astype(int)
    return np.minimum.reduceat(wave, starts), np.maximum.reduceat(wave, starts)


def shrink(rows: np.ndarray) -> np.ndarray:
    """[rows, frames] averaged down to at most COLUMNS frames."""
    frames = rows.shape[1]
    if frames <= COLUMNS:
        return rows
    starts = np.linspace(0, frames, COLUMNS, endpoint=False).astype(int)
    sums: np.ndarray = np.add.reduceat(rows, starts, axis=1)
    return sums / np.diff(starts, append=frames)


def window_cells(windows: Sequence[Window], seconds: float) -> np.ndarray:
    """p_spoof over time, [cells] with at most COLUMNS cells; NaN where no window reaches.

    A moment has the mean of the windows that cover it. Where a cell holds many moments, because the
    clip is long, it shows the highest of them: a short suspicious stretch must stay visible.
    """
    moments = max(COLUMNS, 4 * len(windows))
    total, count = np.zeros(moments), np.zeros(moments)
    for window in windows:
        first = int(window.start / seconds * moments)
        cells = slice(first, max(first + 1, round(window.end / seconds * moments)))
        total[cells] += window.p_spoof
        count[cells] += 1
    means = np.divide(total, count, out=np.full(moments, np.nan), where=count > 0)
    starts = np.linspace(0, moments, COLUMNS, endpoint=False).astype(int)
    highest: np.ndarray = np.fmax.reduceat(means, starts)
    return highest


def power_columns(wave: np.ndarray) -> np.ndarray:
    """Power spectra [FRAME / 2 + 1, columns] of a wave [s], columns evenly spread over it.

    Short clips have a column every HOP samples. In long ones each column is the mean of
    FRAMES_PER_COLUMN frames out of its stretch, so that the cost has a limit.
    """
    every = max(1, len(wave) // HOP)
    columns = min(COLUMNS, every)
    each = min(FRAMES_PER_COLUMN, -(-every // columns))
    centres = ((np.arange(columns * each) + 0.5) / (columns * each) * len(wave)).astype(int)
    # Zeros beyond both ends. Only these frames are copied: an hour's wave must not be held twice.
    places = centres[:, None] + np.arange(FRAME) - FRAME // 2
    inside = (places >= 0) & (places < len(wave))
    frames = np.where(inside, wave[places.clip(0, len(wave) - 1)], np.float32(0))
    spectra = np.fft.rfft(frames * np.hanning(FRAME).astype(np.float32), axis=1)
    power: np.ndarray = (np.abs(spectra) ** 2).reshape(columns, each, -1).mean(axis=1).T
    return power


def decibels(power: np.ndarray) -> np.ndarray:
    """Power in dB under its own maximum, cut at -RANGE_DB. Silence is -RANGE_DB throughout."""
    top = power.max()
    if top <= 0:
        return np.full(power.shape, -RANGE_DB)
    db: np.ndarray = np.maximum(10 * np.log10(np.maximum(power / top, 1e-12)), -RANGE_DB)
    return db


def mel_bank(bands: int, frame: int) -> np.ndarray:
    """Triangular mel filters [bands, frame / 2 + 1] from 0 Hz to half the sample rate (HTK scale)."""
    edges = np.linspace(0, mel(SAMPLE_RATE / 2), bands + 2)
    bins = mel(np.fft.rfftfreq(frame, 1 / SAMPLE_RATE))[None]
    rise = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    bank: np.ndarray = np.maximum(0, np.minimum(rise, fall))
    return bank


# ---- how it is drawn

#: The timeline: its left margin, as quiet clips have long amplitudes; heights of the waveform and of a
#: detector's row, the gap with the row's title, the key.
AMPLITUDES, WAVEFORM, ROW, GAP, KEY = 0.72, 0.95, 0.2, 0.24, 0.36


def _timeline_axes(width: float, count: int) -> tuple[Figure, Axes, Axes | None]:
    """A figure with axes for a waveform and, where there are rows, axes for all of them beneath it.

    One set of axes for all rows: axes, with their ticks, are what takes matplotlib long.
    """
    below = BOTTOM + (KEY if count else 0)
    height = TOP + WAVEFORM + count * (GAP + ROW) + below
    figure = Figure(figsize=(width, height))
    axis = axes_at(figure, AMPLITUDES, height - TOP - WAVEFORM, RIGHT, TOP)
    quiet(axis)
    if not count:
        return figure, axis, None
    beneath = axes_at(figure, AMPLITUDES, below, RIGHT, TOP + WAVEFORM, sharex=axis)
    quiet(beneath)
    return figure, axis, beneath


def _verdict_rows(axis: Axes, rows: Mapping[str, Sequence[Window]], seconds: float) -> None:
    """The rows from the top down, each beneath its title; heights are inches."""
    top = len(rows) * (GAP + ROW)
    for place, (title, windows) in enumerate(rows.items(), start=1):
        bottom = top - place * (GAP + ROW)
        axis.imshow(
            window_cells(windows, seconds)[None], aspect="auto", cmap=VERDICT_COLOURS, vmin=0, vmax=1,
            extent=(0, seconds, bottom, bottom + ROW),
        )  # fmt: skip
        axis.text(0, bottom + ROW + 0.03, title, fontsize=8, color=INK)
    axis.set(ylim=(0, top), yticks=[])
    axis.spines["left"].set_visible(False)


def frequency_ticks(axis: Axes) -> None:
    """Label an axis of MEL_BANDS, from 0 to half the sample rate, in kHz."""
    ticks_hz = np.array([250, 500, 1000, 2000, 4000, 8000])
    axis.set(yticks=mel(ticks_hz) / mel(SAMPLE_RATE / 2) * MEL_BANDS, ylabel="Frequency (kHz)")
    axis.set_yticklabels([f"{hz / 1000:g}" for hz in ticks_hz])


def _spectrogram(figure: Figure, axis: Axes, db: np.ndarray, seconds: float, top: float) -> None:
    image = axis.imshow(
        db, aspect="auto", origin="lower", cmap="magma", vmin=-RANGE_DB, vmax=0, extent=(0, seconds, 0, top)
    )
    axis.set(xlabel="Time (s)")
    colour_bar(figure, axis, image, "dB under the loudest")


def _verdict_key(figure: Figure) -> None:
    """What the colours mean, at the foot of the figure."""
    width, height = figure.get_size_inches()
    axis = axes_at(figure, 0.15 * width, 0.24, 0.15 * width, height - 0.31)
    axis.imshow(np.linspace(0, 1, 256)[None], aspect="auto", cmap=VERDICT_COLOURS, extent=(0, 1, 0, 1))
    quiet(axis, spines=())
    axis.set(xticks=[0, 0.5, 1], xticklabels=["0 human voice", "0.5", "1 machine-made"], yticks=[])
