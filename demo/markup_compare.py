"""HTML of the Compare tab. Every text that comes from outside is escaped here."""

from collections.abc import Sequence
from html import escape

from demo import messages, messages_compare
from demo.comparing import Compared


def comparison(
    found: Sequence[Compared], differences: Sequence[str], titles: dict[str, str], picture: str
) -> str:
    """What differs, in sentences; the table; the picture. titles: of the detectors, by name."""
    told = "".join(f"<li>{escape(text)}</li>" for text in differences)
    names = [name for name in titles if any(name in (clip.detectors or {}) for clip in found)]
    heads = [
        messages_compare.HEADER_CLIP, messages_compare.HEADER_VERDICT, messages_compare.HEADER_TOGETHER,
        *(titles[name] for name in names), *messages_compare.MEASURED,
    ]  # fmt: skip
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in heads)
    rows = "".join(_row(clip, turn, names, len(heads)) for turn, clip in enumerate(found))
    return (
        f'<div class="sl-comparison"><section class="sl-card" role="status">'
        f"<h3>{messages_compare.DIFFERENCES}</h3><ul>{told}</ul></section>"
        f'<section class="sl-card sl-tables"><h3>{messages_compare.TABLE}</h3>'
        f'<table tabindex="0" aria-label="{messages_compare.TABLE}"><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table>"
        f'<p class="sl-meta">{messages_compare.SCALE}</p></section>{picture}</div>'
    )


def _row(clip: Compared, turn: int, names: Sequence[str], width: int) -> str:
    role = messages_compare.ROLES[min(turn, 1)]
    first = f'<th scope="row">{escape(clip.name)}<br><span class="sl-meta">{role}</span></th>'
    if clip.measured is None:
        reason = messages_compare.NOT_JUDGED.format(reason=clip.refusal)
        return f'<tr>{first}<td colspan="{width - 1}">{escape(reason)}</td></tr>'
    own = [(clip.detectors or {}).get(name) for name in names]
    measured = clip.measured
    cells = [
        clip.headline,
        *(messages_compare.NO_NUMBER if p is None else messages.number(p) for p in [clip.p_spoof, *own]),
        f"{clip.speech:.1f} s",
        f"{measured.seconds:.1f} s",
        f"{measured.bandwidth_khz:.1f} kHz",
        f"{measured.noise_db} dB".replace("-", "−"),
    ]
    return f"<tr>{first}{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"
