"""Labelled clips for fine-tuning, from the label store or from an export of it."""

from dataclasses import dataclass
from pathlib import Path

from detectors.corpus import Clip, read_manifest
from detectors.errors import DetectorError
from detectors.labels.exports import Store
from detectors.labels.forms import MANIFEST
from detectors.labels.selection import Rules, Selection


@dataclass(frozen=True)
class Labelled:
    """Clips to learn from and clips that are held back, with what is to be said of their origin."""

    train: list[Clip]
    held_back: list[Clip]
    origin: str


def from_store(store: Store, rules: Rules) -> Labelled:
    """The settled clips of a store whose audio is still there, dealt by `rules`."""
    parts: dict[str, list[Clip]] = {"train": [], "dev": []}
    with Selection(store, rules) as selection:
        for chosen in selection:
            path = store.audio_path(chosen.sha256)
            if path.is_file():
                group = chosen.tool or chosen.source
                parts[chosen.part].append(Clip(chosen.utt_id, str(path), chosen.label == "bonafide", group))
        quarantined = selection.counts.quarantined.total()
    agreed = (
        "quarantined clips too" if rules.include_quarantined else f"{rules.min_agree} people agree on each"
    )
    origin = f"the label store ({agreed}; {quarantined} left out; grouped by {rules.group_by})"
    return Labelled(parts["train"], parts["dev"], origin)


def from_export(path: Path) -> Labelled:
    """The clips of a CSV with path, label and split (train, dev), or of the csv export in a folder.

    Raises DetectorError when there is no such file or it lacks what is needed.
    """
    file = path / MANIFEST if path.is_dir() else path
    if not file.is_file():
        raise DetectorError(
            f"{path} is neither a label store nor an export of the form csv. Make one with: "
            "python -m detectors export --form csv --labels FOLDER --out FOLDER"
        )
    return Labelled(read_manifest(file, "train"), read_manifest(file, "dev"), "an export")


def check(labelled: Labelled) -> None:
    """DetectorError unless there is something to learn from and something held back."""
    if not labelled.train and not labelled.held_back:
        raise DetectorError(
            "No labelled clip can be used: none is settled. Two people must agree on a clip, or one must "
            "settle it; --include-quarantined uses the others as well."
        )
    if not labelled.held_back or not labelled.train:
        raise DetectorError(
            f"{len(labelled.train)} clips would be learnt from and {len(labelled.held_back)} held back: both "
            "parts need some. The clips share one source or speaker, or are too few: label clips of other "
            "sources, or split them all the same with --group-by clip."
        )
