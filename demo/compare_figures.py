"""Spectrograms of several clips beneath each other, on the same scales."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from demo.canvas import INK, NARROW, WIDE, quiet
from demo.figures import RANGE_DB, power_columns
from detectors.audio import SAMPLE_RATE

#: Inches that a clip's row takes, and what is beneath the last.
ROW, REST = 1.05, 0.65
TITLE = 48


def spectrograms(waves: Sequence[np.ndarray], names: Sequence[str], wide: bool = False) -> Figure:
    """One row a clip, [s] at 16 kHz each: time from its start, 0 to 8 kHz, dB under the loudest of all."""
    powers = [power_columns(wave) for wave in waves]
    loudest = max(max(float(power.max()) for power in powers), 1e-12)
    longest = max(len(wave) for wave in waves) / SAMPLE_RATE
    figure = Figure(figsize=(WIDE if wide else NARROW, ROW * len(waves) + REST), layout="constrained")
    axes = figure.subplots(len(waves), sharex=True, squeeze=False)[:, 0]
    for axis, wave, power, name in zip(axes, waves, powers, names, strict=True):
        db = 10 * np.log10(np.maximum(power / loudest, 10 ** (-RANGE_DB / 10)))
        image = axis.imshow(
            db, aspect="auto", origin="lower", cmap="magma", vmin=-RANGE_DB, vmax=0,
            extent=(0, len(wave) / SAMPLE_RATE, 0, SAMPLE_RATE / 2000),
        )  # fmt: skip
        axis.set(xlim=(0, longest), yticks=(0, 4, 8), ylabel="kHz")
        quiet(axis)
        # A name may hold anything: no part of it is a formula.
        axis.set_title(_short(name), fontsize=8, color=INK, loc="left", pad=2, parse_math=False)
    axes[-1].set_xlabel("Time (s)")
    bar = figure.colorbar(image, ax=list(axes), aspect=18 * len(waves), pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=7.5, colors=INK, length=2)
    bar.set_label("dB under the loudest of all", fontsize=8, color=INK)
    return figure


def _short(name: str) -> str:
    """A name that fits above its row, in characters that every font can draw."""
    plain = "".join(char if char.isprintable() else "?" for char in name)
    return plain if len(plain) <= TITLE else plain[: TITLE - 1] + "…"
