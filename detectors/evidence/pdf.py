"""The report as a PDF: pages of text set line by line, tables and figures, by matplotlib alone.

All lengths are in points (1/72 inch) from the top left corner of an A4 page.
"""

import io
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from matplotlib import font_manager, image
from matplotlib.backends.backend_pdf import FigureCanvasPdf, PdfPages
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font

from detectors.evidence import wording
from detectors.evidence.case import Picture
from detectors.evidence.sections import Block, Facts, Table, Text, plain, sections_of

WIDTH, HEIGHT, MARGIN = 595.0, 842.0, 48.0
COLUMN = WIDTH - 2 * MARGIN
SMALL, BODY, STRONG, HEADING, TITLE = 7.5, 8.5, 10.5, 12.5, 17.0
LEADING = 1.4
FAMILY = "DejaVu Sans"
#: Of a table of facts: how wide the names are.
NAMES = 135.0
INK, SOFT = "#1f2933", "#52606d"


def pdf_report(report: dict[str, Any], pictures: Sequence[Picture]) -> bytes:
    """The report of report.report_of. The same report gives the same bytes."""
    buffer = io.BytesIO()
    made = datetime.fromisoformat(report["created"])
    about = {"Title": wording.TITLE, "CreationDate": made, "ModDate": made, "Producer": None, "Creator": None}
    with PdfPages(buffer, metadata=about) as pages:
        sheet = _Sheet(pages, f"{wording.TITLE} · SHA-256 {report['clip']['sha256']}")
        sheet.write(wording.TITLE, TITLE, bold=True)
        sheet.write(plain(report["clip"]["name"]), STRONG)
        sheet.write(wording.INTRO)
        for section in sections_of(report, pictures):
            sheet.space(12, keep=60)
            sheet.write(section.title, HEADING, bold=True)
            for block in section.blocks:
                _lay(sheet, block)
        sheet.close()
    return buffer.getvalue()


def _lay(sheet: "_Sheet", block: Block) -> None:
    if isinstance(block, Text):
        if block.strong:
            sheet.space(4, keep=40)
        sheet.write(block.text, STRONG if block.strong else BODY, bold=block.strong)
    elif isinstance(block, Facts):
        for name, value in block.rows:
            sheet.row([name, value], [NAMES, COLUMN - NAMES])
    elif isinstance(block, Table):
        widths = _widths(block)
        sheet.row(block.header, widths, bold=True)
        for row in block.rows:
            sheet.row(row, widths)
    else:
        sheet.picture(block)


def _widths(table: Table) -> list[float]:
    """Columns as wide as their widest cell asks; all shrunk alike when the page is too narrow for that."""
    asked = [
        18 + max(_length(_drawable(cell, True), SMALL, True) for cell in column)
        for column in zip(table.header, *table.rows, strict=True)
    ]
    return [width * min(1.0, COLUMN / sum(asked)) for width in asked]


class _Sheet:
    """The page being filled, from the top. A new one begins when something does not fit."""

    def __init__(self, pages: PdfPages, foot: str) -> None:
        self._pages, self._foot = pages, foot
        self._number = 0
        self._begin()

    def write(self, text: str, size: float = BODY, bold: bool = False) -> None:
        """A paragraph over the whole width."""
        for line in lines_of(text, size, COLUMN, bold):
            self._fit(size * LEADING)
            self._put(MARGIN, line, size, bold)
            self._y += size * LEADING
        self._y += 2

    def row(self, cells: Sequence[str], widths: Sequence[float], bold: bool = False) -> None:
        """Cells side by side, each wrapped within its width."""
        texts = [lines_of(cell, SMALL, width - 6, bold) for cell, width in zip(cells, widths, strict=True)]
        for line in range(max(map(len, texts))):
            self._fit(SMALL * LEADING)
            x = MARGIN
            for column, (text, width) in enumerate(zip(texts, widths, strict=True)):
                if line < len(text):
                    faint = column == 0 and len(cells) == 2
                    self._put(x, text[line], SMALL, bold, SOFT if faint else INK)
                x += width
            self._y += SMALL * LEADING
        self._y += 1.5

    def picture(self, picture: Picture) -> None:
        """A figure as wide as the text allows, with its caption; both on one page."""
        pixels = image.imread(io.BytesIO(picture.png), format="png")
        height, width = pixels.shape[:2]
        scale = min(COLUMN / width, 0.55 * HEIGHT / height)
        caption = lines_of(f"{picture.title}. {picture.caption}", SMALL, COLUMN, False)
        self.space(8)
        self._fit(height * scale + (len(caption) + 1) * SMALL * LEADING)
        bottom = HEIGHT - self._y - height * scale
        box = (MARGIN / WIDTH, bottom / HEIGHT, width * scale / WIDTH, height * scale / HEIGHT)
        axis = self._figure.add_axes(box)
        axis.imshow(pixels, aspect="auto", interpolation="none")
        axis.set_axis_off()
        self._y += height * scale + 3
        for line in caption:
            self._put(MARGIN, line, SMALL, False, SOFT)
            self._y += SMALL * LEADING

    def space(self, height: float, keep: float = 0.0) -> None:
        """An empty stretch; a new page when less than `keep` would remain below it."""
        self._y += height
        if keep:
            self._fit(keep)

    def close(self) -> None:
        """Finish the last page."""
        self._put(MARGIN, f"{self._foot} · page {self._number}", 6.5, False, SOFT, y=HEIGHT - MARGIN / 2)
        # Text stays text: it can be searched and copied.
        FigureCanvasPdf(self._figure)
        self._pages.savefig(self._figure)

    def _begin(self) -> None:
        self._figure = Figure(figsize=(WIDTH / 72, HEIGHT / 72))
        self._number += 1
        self._y = MARGIN

    def _fit(self, height: float) -> None:
        if self._y + height > HEIGHT - MARGIN:
            self.close()
            self._begin()

    def _put(
        self, x: float, text: str, size: float, bold: bool, colour: str = INK, y: float | None = None
    ) -> None:
        self._figure.text(
            x / WIDTH,
            1 - ((self._y if y is None else y) + size) / HEIGHT,
            text,
            fontsize=size,
            family=FAMILY,
            weight="bold" if bold else "normal",
            color=colour,
            # A "$" in a file name is a "$", not the start of a formula.
            parse_math=False,
        )


def lines_of(text: str, size: float, width: float, bold: bool = False) -> list[str]:
    """The text broken into lines of at most `width` points; a longer word is broken anywhere."""
    found = [""]
    for word in _pieces(_drawable(text, bold), size, width, bold):
        longer = f"{found[-1]} {word}" if found[-1] else word
        if _length(longer, size, bold) <= width:
            found[-1] = longer
        else:
            found.append(word)
    return found


def _pieces(text: str, size: float, width: float, bold: bool) -> Iterator[str]:
    for word in text.split():
        while _length(word, size, bold) > width and len(word) > 1:
            fits = next(
                n for n in range(len(word) - 1, 0, -1) if n == 1 or _length(word[:n], size, bold) <= width
            )
            yield word[:fits]
            word = word[fits:]
        yield word


def _drawable(text: str, bold: bool) -> str:
    """With a mark in place of every character that the font lacks; report.json has them all."""
    return "".join(char if char.isspace() or _font(bold).get_char_index(ord(char)) else "?" for char in text)


def _length(text: str, size: float, bold: bool) -> float:
    return sum(_advance(char, bold) for char in text) * size


@lru_cache(4096)
def _advance(char: str, bold: bool) -> float:
    """Width of a character at a font size of 1."""
    font = _font(bold)
    font.set_size(100, 72)
    return float(font.load_char(ord(char)).linearHoriAdvance) / 65536 / 100


@lru_cache(2)
def _font(bold: bool) -> FT2Font:
    named = font_manager.FontProperties(family=FAMILY, weight="bold" if bold else "normal")
    return FT2Font(font_manager.findfont(named))
