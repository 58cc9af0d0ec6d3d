"""The report as one HTML file: figures inline, no script, and every word escaped."""

import base64
from collections.abc import Sequence
from html import escape
from typing import Any

from detectors.evidence import wording
from detectors.evidence.case import Picture
from detectors.evidence.sections import Block, Facts, Section, Table, Text, plain, sections_of

# Should anything ever slip through unescaped, the browser still may neither run nor fetch it.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_STYLE = """
body { max-width: 52rem; margin: 2rem auto; padding: 0 1rem; font: 15px/1.5 system-ui, sans-serif;
  color: #1f2933; background: #fff; }
h1 { margin: 0; font-size: 1.6rem; }
h2 { margin: 2rem 0 .5rem; padding-top: .8rem; border-top: 1px solid #d8dee6; font-size: 1.2rem; }
p.strong { margin: 1rem 0 .2rem; font-size: 1.1rem; font-weight: 650; }
table { width: 100%; margin: .5rem 0; border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .6rem .25rem 0; border-bottom: 1px solid #e6eaf0; text-align: left;
  vertical-align: top; overflow-wrap: anywhere; unicode-bidi: isolate; }
table.facts th { width: 14rem; color: #52606d; font-weight: 500; }
figure { margin: 1.2rem 0; break-inside: avoid; }
figure img { max-width: 100%; }
figcaption { color: #52606d; font-size: .9rem; }
@media print { body { margin: 0; } }
"""


def html_report(report: dict[str, Any], pictures: Sequence[Picture]) -> str:
    """The report of report.report_of, with the pictures as data."""
    body = "".join(_section(section) for section in sections_of(report, pictures))
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{wording.TITLE}: {escape(plain(report['clip']['name']))}</title>"
        f"<style>{_STYLE}</style></head>"
        f"<body><h1>{wording.TITLE}</h1><p>{wording.INTRO}</p>{body}</body></html>\n"
    )


def _section(section: Section) -> str:
    return f"<h2>{escape(section.title)}</h2>{''.join(_block(block) for block in section.blocks)}"


def _block(block: Block) -> str:
    if isinstance(block, Text):
        return (
            f'<p class="strong">{escape(block.text)}</p>' if block.strong else f"<p>{escape(block.text)}</p>"
        )
    if isinstance(block, Facts):
        rows = (
            f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>'
            for name, value in block.rows
        )
        return f'<table class="facts"><tbody>{"".join(rows)}</tbody></table>'
    if isinstance(block, Table):
        return _table(block)
    return _figure(block)


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in table.header)
    rows = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in table.rows)
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _figure(picture: Picture) -> str:
    data = base64.b64encode(picture.png).decode("ascii")
    title = escape(picture.title)
    return (
        f'<figure><img alt="{title}" src="data:image/png;base64,{data}">'
        f"<figcaption><strong>{title}.</strong> {escape(picture.caption)}</figcaption></figure>"
    )
