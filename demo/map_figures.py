"""Figures of the test of the maps: relevance over the spectrogram, deletion and insertion curves."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from demo.canvas import FAINT, NARROW, WIDE, colour_bar, quiet, single
from demo.figures import (
    FRAME,
    MEL_BANDS,
    RANGE_DB,
    VERDICT_COLOURS,
    decibels,
    frequency_ticks,
    mel_bank,
    power_columns,
)
from detectors.audio import SAMPLE_RATE
from detectors.faithfulness import SHARES, Faithfulness
from detectors.relevance import Relevance

#: As many as a detector has maps over time, and the occlusion. Neither blue nor orange, which stand for
#: human and machine-made; told apart by their dashes too.
LINES = (("#6d3fa8", "-", "o"), ("#0f766e", "--", "s"), ("#9d174d", "-.", "^"))


def relevance(wave: np.ndarray, start: float, found: Relevance, wide: bool = False) -> Figure:
    """Relevance of each cell over the log-mel spectrogram, in grey, of a wave [s], 16 kHz, that begins at
    `start` seconds. Blue speaks for a human voice, orange for a machine, the stronger the more.
    """
    end = start + len(wave) / SAMPLE_RATE
    figure, axis = single(wide)
    spectrogram = decibels(mel_bank(MEL_BANDS, FRAME) @ power_columns(wave))
    place = (start, end, 0, MEL_BANDS)
    axis.imshow(
        spectrogram, aspect="auto", origin="lower", cmap="Greys", vmin=-RANGE_DB, vmax=20, extent=place
    )
    limit = max(float(np.abs(found.cells).max()), 1e-6)
    scale = ScalarMappable(Normalize(-limit, limit), VERDICT_COLOURS.reversed())
    coloured = scale.to_rgba(found.cells)
    coloured[..., 3] = 0.85 * np.abs(found.cells) / limit
    axis.imshow(coloured, aspect="auto", origin="lower", extent=place, interpolation="nearest")
    frequency_ticks(axis)
    axis.set(xlabel="Time (s)")
    colour_bar(figure, axis, scale, "machine   score   human")
    return figure


def curves(found: Sequence[Faithfulness], names: Sequence[str], wide: bool = False) -> Figure:
    """How far the score moves as columns are removed (above) and put back (beneath), with the random control.

    found: of one detector, with the same control; names: theirs, for the key.
    """
    figure = Figure(figsize=(WIDE if wide else NARROW, 4.2), layout="constrained")
    above, beneath = figure.subplots(2, sharex=True)
    for axis, part, title in (
        (above, "deletion", "Removed, the most marked first"),
        (beneath, "insertion", "Put back, the most marked first"),
    ):
        _control(axis, found[0], getattr(found[0].control, part))
        for (colour, dash, marker), each, name in zip(LINES, found, names, strict=False):
            axis.plot(
                SHARES, each.moved(getattr(each.curves, part)), color=colour, linestyle=dash, marker=marker,
                markersize=3, linewidth=1.3, label=name,
            )  # fmt: skip
        axis.set(xlim=(0, 1), ylim=(0, None), ylabel="Score moved by")
        quiet(axis)
        axis.set_title(title, fontsize=8, loc="left", pad=3)
    beneath.set_xlabel("Share of the clip")
    beneath.xaxis.set_major_formatter(PercentFormatter(1))
    figure.legend(
        *above.get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=7.5, frameon=False
    )
    return figure


def _control(axis: Axes, found: Faithfulness, scores: np.ndarray) -> None:
    """The range and the mean of the random orders, [orders, steps]."""
    moved = found.moved(scores)
    axis.fill_between(
        SHARES, moved.min(axis=0), moved.max(axis=0), color="#cbd5e1", alpha=0.7, linewidth=0,
        label=f"{found.orders} random orders",
    )  # fmt: skip
    axis.plot(SHARES, moved.mean(axis=0), color=FAINT, linewidth=1.1, linestyle=":", label="their mean")
