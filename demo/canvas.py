"""What figures are drawn on: size, margins, axes, colour bars. No Gradio, and no pyplot: its state is shared.

Margins are in inches, because matplotlib's own layouts take as long as the drawing.
"""

import io
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from PIL import Image

NARROW, WIDE, HEIGHT = 4.0, 9.6, 2.4
DPI = 180
INK, FAINT = "#1f2933", "#64748b"

LEFT, RIGHT, BOTTOM, TOP = 0.55, 0.14, 0.46, 0.1
#: A colour bar: from the axes, its own width, and room for its numbers and its label.
BAR_GAP, BAR, BAR_TEXT = 0.08, 0.09, 0.55


def single(wide: bool = False, height: float = HEIGHT) -> tuple[Figure, Axes]:
    """A figure with one set of axes; height in inches."""
    figure = Figure(figsize=(WIDE if wide else NARROW, height))
    axis = axes_at(figure, LEFT, BOTTOM, RIGHT, TOP)
    quiet(axis)
    return figure, axis


def axes_at(figure: Figure, left: float, bottom: float, right: float, top: float, **how: Any) -> Axes:
    """New axes, each side so many inches from the figure's."""
    width, height = figure.get_size_inches()
    place = (left / width, bottom / height, (width - left - right) / width, (height - bottom - top) / height)
    return figure.add_axes(place, **how)


def quiet(axis: Axes, spines: Collection[str] = ("left", "bottom")) -> None:
    """Small, plain ticks and labels, and few of them along the time; lines on the left and beneath only.

    A title stays where it is put: looking for room above it means laying every tick out once more.
    """
    axis.set_title("", y=1)
    axis.locator_params(axis="x", nbins=6)
    axis.tick_params(labelsize=8, colors=INK, length=3)
    axis.xaxis.label.set(fontsize=8.5, color=INK)
    axis.yaxis.label.set(fontsize=8.5, color=INK)
    for side, spine in axis.spines.items():
        spine.set(visible=side in spines, color="#94a3b8")


def colour_bar(figure: Figure, axis: Axes, image: ScalarMappable, label: str) -> None:
    """A colour bar to the right of a figure's only axes, which make room for it."""
    width, height = figure.get_size_inches()
    inner = RIGHT / 2 + BAR_TEXT
    outer = inner + BAR + BAR_GAP
    axis.set_position(
        (LEFT / width, BOTTOM / height, (width - LEFT - outer) / width, (height - BOTTOM - TOP) / height)
    )
    low, high = image.get_clim()
    bar = axes_at(figure, width - inner - BAR, BOTTOM, inner, TOP)
    # As figure.colorbar draws it, in two thirds of its time.
    bar.imshow(
        np.linspace(low, high, 256)[:, None], aspect="auto", origin="lower", cmap=image.cmap,
        extent=(0, 1, low, high),
    )  # fmt: skip
    quiet(bar, spines=())
    bar.yaxis.tick_right()
    bar.yaxis.set_label_position("right")
    bar.tick_params(labelsize=7.5, length=2)
    bar.set(xticks=[])
    bar.locator_params(axis="y", nbins=6)
    bar.set_ylabel(label, fontsize=8, color=INK)


def webp(figure: Figure) -> bytes:
    """The figure as a WebP image."""
    return _as_webp(_drawn(figure))


def webps(figures: Iterable[Figure]) -> list[bytes]:
    """Each figure as a WebP image; while one is drawn, the one before it is compressed on another core."""
    with ThreadPoolExecutor(1) as beside:
        images = [beside.submit(_as_webp, _drawn(figure)) for figure in figures]
        return [image.result() for image in images]


def png(figure: Figure) -> bytes:
    """The figure as a PNG image, the same bytes every time: for records that are kept."""
    return _packed(_drawn(figure), format="png", dpi=(DPI, DPI))


def _drawn(figure: Figure) -> Image.Image:
    figure.set_dpi(DPI)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # figure.savefig would draw twice, the first time to measure
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def _as_webp(image: Image.Image) -> bytes:
    # Method 2 of 6: half the time of the usual 4 for 3 % more bytes.
    return _packed(image, format="webp", quality=88, method=2)


def _packed(image: Image.Image, **how: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, **how)
    return buffer.getvalue()
