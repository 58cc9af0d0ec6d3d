"""A benchmark's result in words: a table for the terminal, and a short one for README."""

from typing import Any

HEADINGS = {
    "sls": "SLS against the released implementation's way",
    "fake_mamba": "Fake-Mamba's head against the sequential scan and self-attention",
    "scan": "The selective scan",
    "analyse": "The whole way of a clip",
}
_COLUMNS = ("case", "way", "time", "RTF", "RTF, whole", "windows/s", "MB", "times as fast as")


def plain_table(result: dict[str, Any]) -> str:
    """Everything in a result of `command.measure`, as aligned text."""
    lines = [_machine(result)]
    for part, heading in HEADINGS.items():
        for sizes in dict.fromkeys(row["sizes"] for row in result["rows"] if row["part"] == part):
            rows = [row for row in result["rows"] if (row["part"], row["sizes"]) == (part, sizes)]
            lines += ["", f"{heading} ({sizes})", *_aligned([_COLUMNS, *map(_cells, rows)])]
    if result["score_changes"]:
        lines += ["", "How far bf16 moves CM scores"]
    lines += [_change(change) for change in result["score_changes"]]
    lines += ["", *(f"Left out: {reason}" for reason in result["left_out"])]
    lines.append(
        "Times are of the fastest run. RTF: seconds of computing for a second of sound. "
        "MB: memory beyond the weights."
    )
    return "\n".join(lines)


def markdown_table(result: dict[str, Any]) -> str:
    """README's table: our ways with how many times as fast they are, at the lengths that matter most."""
    lines = [f"| {_machine(result)} | Time | Times as fast as |", "|---|---|---|"]
    for row in result["rows"]:
        brief = row["part"] != "fake_mamba" or row["case"].split()[0] in ("4", "30")
        if brief and (row["faster"] or row["way"] == "all together"):
            name = (
                f"{HEADINGS[row['part']].split(' against')[0]}, {row['sizes']}, {row['way']}: {row['case']}"
            )
            lines.append(f"| {name} | {_time(row['seconds'])} | {_faster(row)} |")
    return "\n".join(lines)


def _machine(result: dict[str, Any]) -> str:
    machine = result["machine"]
    return f"{machine['name']}, {machine['threads']} threads, torch {machine['torch']}"


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        row["case"],
        row["way"],
        _time(row["seconds"]),
        _number(row["rtf"], 4),
        _number(row["notes"].get("rtf_with_front_end"), 4),
        _number(row["windows_per_second"], 2),
        _number(row["peak_mb"], 0),
        _faster(row),
    )


def _faster(row: dict[str, Any]) -> str:
    return ", ".join(f"{other}: {ratio:.2f}" for other, ratio in row["faster"].items())


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.1f} ms"


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _aligned(table: list[tuple[str, ...]]) -> list[str]:
    """Rows of cells as lines; a column that is empty throughout is left out."""
    columns = [column for column in zip(*table, strict=True) if any(column[1:])]
    widths = [max(map(len, column)) for column in columns]
    rows = zip(*columns, strict=True)
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def _change(change: dict[str, Any]) -> str:
    return (
        f"{change['detector']} ({change['sizes']}, {change['weights']} weights, "
        f"{change['windows']} windows): "
        f"at most {change['largest']:.4f}, {change['mean']:.4f} on average; "
        f"scores spread by {change['spread']:.4f}"
    )
