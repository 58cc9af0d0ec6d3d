"""`results`: the tables of what was measured, for a README, from the files that the commands wrote.

    python -m detectors results assets/sls-mini assets/fake_mamba-mini \\
        assets/results-of-sls-mini+fake_mamba-mini.json
    python -m detectors results --update README.md

A file to be updated names its sources itself, relative to its own folder, and what stands between the two
lines is replaced, for what `assess` wrote and for what `robustness --out` wrote:

    <!-- results of: assets/sls-mini assets/fake_mamba-mini -->
    <!-- end of results -->
    <!-- robustness of: assets/robustness.json -->
    <!-- end of robustness -->
"""

import argparse
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from detectors.errors import DetectorError
from detectors.evaluate import RAW, WITHOUT_SHORTCUTS
from detectors.protocols.tables import read_text

FILE = "results.json"
#: All detectors together, among those of a robustness report; the clips unchanged, among its conditions.
TOGETHER, UNCHANGED = "all", "as it is"
RATES_HEADING = (
    "| | EER % pooled | EER % macro | Cllr | real called fake % | fake called real % |",
    "|---|---|---|---|---|---|",
)
_MARKED = re.compile(r"(<!-- (results|robustness) of: ([^\n]+?) -->\n).*?(<!-- end of \2 -->)", re.DOTALL)


@dataclass(frozen=True)
class Results:
    """What one detector, or several together, reached on labelled clips.

    names: of the checkpoint folders. weights: sha256 of each one's weights (checkpoints.weights_digest).
    conditions: condition (see conditions.CONDITIONS) -> evaluate.as_fields of its LLRs. llrs: where these
    are from, in words. long_clips: rows of long_clips_fit.Row, where they were measured.
    """

    split: str
    names: list[str]
    weights: list[str]
    conditions: dict[str, dict[str, Any]]
    llrs: str = ""
    long_clips: list[dict[str, Any]] = field(default_factory=list)

    @property
    def title(self) -> str:
        return " + ".join(self.names)


def save_results(file: Path, results: Results) -> None:
    """Write results as JSON. An earlier file is replaced."""
    file.write_text(json.dumps(asdict(results), indent=2) + "\n")


def results_file(folders: Sequence[Path]) -> Path:
    """Where `assess` keeps them: in a checkpoint's own folder, or for several beside the first of them."""
    if len(folders) == 1:
        return folders[0] / FILE
    return folders[0].parent / f"results-of-{'+'.join(folder.name for folder in folders)}.json"


def read_results(path: Path) -> Results:
    """Read what `save_results` wrote; `path` may be the checkpoint folder it lies in.

    Raises DetectorError when there is no such file or it holds something else.
    """
    file = path / FILE if path.is_dir() else path
    if not file.is_file():
        raise DetectorError(f"There is no {file}: `python -m detectors assess` writes it.")
    try:
        found = Results(**json.loads(read_text(file)))
        for condition in (RAW, WITHOUT_SHORTCUTS):
            _row_cells(found.conditions[condition])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DetectorError(f"{file} is not what `python -m detectors assess` writes: {error!r}.") from error
    return found


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `results`."""
    parser.add_argument(
        "paths", nargs="*", type=Path, metavar="PATH", help="results JSON, or checkpoint folder with one"
    )
    parser.add_argument("--update", type=Path, metavar="FILE", help="renew the tables in this Markdown file")


def run(args: argparse.Namespace) -> int:
    """Print the table, or write it into a file; DetectorError when there is nothing to do or to read."""
    if bool(args.paths) == (args.update is not None):
        raise DetectorError("Name either results to print or, with --update, the file to renew.")
    if args.update is None:
        print(table([read_results(path) for path in args.paths]))
        return 0
    text = read_text(args.update)
    args.update.write_text(updated(text, args.update.parent), encoding="utf-8", errors="surrogateescape")
    return 0


def updated(text: str, folder: Path) -> str:
    """A Markdown text with its marked tables made anew from the results that the marks name.

    folder: what these paths are relative to. Raises DetectorError without a mark, or when a file is missing.
    """

    def renewed(mark: re.Match[str]) -> str:
        paths = [folder / name for name in mark[3].split()]
        if mark[2] == "robustness":
            made = "\n\n".join(robustness_summary(read_robustness(path)) for path in paths)
        else:
            made = table([read_results(path) for path in paths])
        return f"{mark[1]}{made}\n{mark[4]}"

    text, marks = _MARKED.subn(renewed, text)
    if not marks:
        raise DetectorError(
            'There is no table to renew: put "<!-- results of: PATH ... -->" and, on a line below it, '
            '"<!-- end of results -->" where it belongs.'
        )
    return text


def table(results: Sequence[Results]) -> str:
    """Markdown: a row for each detector or group, EERs with their intervals in %, then what they are over."""
    heading = f"EER % pooled, {RAW} | macro, {RAW} | pooled, {WITHOUT_SHORTCUTS} | macro, {WITHOUT_SHORTCUTS}"
    lines = [f"| | clips | {heading} | Cllr, {RAW} | Cllr, {WITHOUT_SHORTCUTS} |", "|---|" + "---|" * 7]
    for each in results:
        raw, without = each.conditions[RAW], each.conditions[WITHOUT_SHORTCUTS]
        clips = f"{each.split}: {raw['bonafide']} bona fide, {raw['spoof']} spoof of {len(raw['per_source'])}"
        cells = [clips, *_row_cells(raw), *_row_cells(without)]
        cells += [f"{of['cllr']:.3f}" for of in (raw, without)]
        lines.append(f"| {each.title} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", _caption(results)])


def _row_cells(condition: dict[str, Any]) -> list[str]:
    """The pooled and the macro EER of one condition."""
    return [
        eer_cell(condition["eer"], condition["eer_interval"]),
        eer_cell(condition["macro_eer"], condition["macro_eer_interval"]),
    ]


def eer_cell(eer: float | None, interval: Sequence[float] | None) -> str:
    """An EER and its interval, in percent, as a table shows them; a dash where there is none."""
    if eer is None or interval is None:
        return "-"
    return f"{eer:.1f} [{interval[0]:.1f}, {interval[1]:.1f}]"


def _caption(results: Sequence[Results]) -> str:
    first = results[0].conditions[RAW]
    resamples = sorted({each.conditions[RAW]["interval_resamples"] for each in results})
    return (
        f"In brackets: {first['interval_percent']} % intervals, {' or '.join(map(str, resamples))} bootstrap "
        'resamples of the clips and, for "macro" (the mean over spoof sources), of the sources.'
    )


def rates_row(title: str, eers: Sequence[str], cllr: float, miss: float, false_alarm: float) -> str:
    """A line under RATES_HEADING. eers: the cells of the pooled and the macro EER; rates in %."""
    return f"| {title} | {' | '.join(eers)} | {cllr:.3f} | {miss:.1f} | {false_alarm:.1f} |"


# ---- what `robustness` measured


def read_robustness(file: Path) -> dict[str, Any]:
    """Read what `robustness --out` wrote. Raises DetectorError when it is something else or not there."""
    if not file.is_file():
        raise DetectorError(f"There is no {file}: `python -m detectors robustness --out {file}` writes it.")
    try:
        report: dict[str, Any] = json.loads(read_text(file))
        robustness_summary(report)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DetectorError(f"{file} is not what `robustness --out` writes: {error!r}.") from error
    return report


def robustness_tables(report: dict[str, Any]) -> str:
    """Markdown: a table of rates for each detector and for all together."""
    lines = [f"{report['bonafide']} bona fide and {report['spoof']} spoof clips."]
    for name, conditions in report["detectors"].items():
        heading = f"all, {report['fusion']}" if name == TOGETHER else name
        lines += ["", f"### {heading}", "", *RATES_HEADING]
        for title, of in conditions.items():
            eers = [f"{of[key]:.1f}" for key in ("eer_pooled", "eer_macro")]
            lines.append(rates_row(title, eers, of["cllr"], of["real_called_fake"], of["fake_called_real"]))
    lines += [f"\nNot measured: {title} ({reason})." for title, reason in report["left_out"].items()]
    return "\n".join(lines)


def robustness_summary(report: dict[str, Any]) -> str:
    """Markdown: the macro EER of each detector under each condition, and how far it rises."""
    detectors: dict[str, dict[str, Any]] = report["detectors"]
    lines = [f"| macro EER % | {' | '.join(detectors)} |", "|---|" + "---|" * len(detectors)]
    for title in next(iter(detectors.values())):
        cells = []
        for of in detectors.values():
            eer, before = of[title]["eer_macro"], of[UNCHANGED]["eer_macro"]
            rise = f" ({100 * (eer / before - 1):+.0f} %)" if title != UNCHANGED and before else ""
            cells.append(f"{eer:.1f}{rise}")
        lines.append(f"| {title} | {' | '.join(cells)} |")
    counts = f"{report['bonafide']} bona fide and {report['spoof']} spoof clips"
    caption = f"{report['split']}: {counts}. In brackets: the change against the clips as they are."
    if TOGETHER in detectors:
        caption += f" {TOGETHER}: {report['fusion']}."
    return "\n".join([*lines, "", caption])
