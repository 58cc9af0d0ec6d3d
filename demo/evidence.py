"""The evidence package of an analysis: facts and figures, handed to detectors.evidence. No Gradio here."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from demo import figures, messages
from demo.analysis import Analysis
from demo.drawings import drawings, map_drawings
from detectors.evidence import Case, Picture, write_package
from detectors.labels.records import Label


def package(
    analysis: Analysis,
    titles: dict[str, str],
    labels: list[Label],
    data: Path,
    folder: Path,
    file: Mapping[str, Any] | None = None,
) -> Path:
    """Write the zip into `folder`, which must be there, and give its path.

    titles: of the detectors, by name. labels: those that whoever asks may have. data: the data folder.
    file: what detectors.file_facts says of the upload, which is best read in another process.
    Raises DetectorError when the clip's bytes are no longer at hand.
    """
    case = Case(
        name=Path(analysis.path).name,
        path=Path(analysis.path),
        sha256=analysis.sha256,
        analysed=analysis.created,
        seconds=analysis.seconds,
        preset=analysis.preset,
        device=analysis.device,
        detections=analysis.detections,
        versions=analysis.versions,
        unavailable={titles.get(name, name): reason for name, reason in analysis.unavailable.items()},
        llr=analysis.llr,
        labels=labels,
        stress=analysis.stress,
        map_test=analysis.map_test,
        data=data,
        file=file,
    )
    return write_package(case, pictures(analysis, titles), folder)


def pictures(analysis: Analysis, titles: dict[str, str]) -> list[Picture]:
    """Every figure that there is data for, as PNG, with the words that stand beside it on the page."""
    drawn = drawings(analysis, titles)
    if analysis.stress and analysis.stress.trials:
        stress = analysis.stress
        drawn["robustness"] = lambda wide: figures.robustness(stress, wide)
    words = messages.FIGURES | messages.FIGURES_ON_REQUEST
    found = []
    for key, draw in drawn.items():
        title, shows, caveat = words[key]
        found.append(Picture(key, title, f"{shows} {caveat}", figures.png(draw(True))))
    for key, (told, draw) in map_drawings(analysis, titles).items():
        title, shows, caveat = told
        found.append(Picture(key, title, f"{shows} {caveat}", figures.png(draw(True))))
    return found
