"""`export`: what people labelled, with its audio, in the form that another tool reads.

    python -m detectors export --labels data --form csv --out exports/csv
    python -m detectors export --labels data --form dataset --out exports/dataset --held-back 0.3

A clip is exported when at least two people agree on it or somebody has settled it; the others stay
in quarantine unless --include-quarantined is given. dev is the part that is held back.
"""

import argparse
from pathlib import Path

from detectors.errors import DetectorError
from detectors.labels.consensus import MIN_AGREE
from detectors.labels.exports import write_export
from detectors.labels.forms import FORMS
from detectors.labels.records import LabelError
from detectors.labels.splits import GROUP_BY
from detectors.labels.store import DATABASE_FILE, LabelStore


def add_selection_arguments(parser: argparse.ArgumentParser) -> None:
    """Which labels count and how the clips are dealt: the same for `export` and `finetune`."""
    parser.add_argument("--database", metavar="URL", help="the store's database, where it is not in FOLDER")
    parser.add_argument(
        "--min-agree", type=int, default=MIN_AGREE, help="people who must agree (default: %(default)s)"
    )
    parser.add_argument(
        "--include-quarantined",
        action="store_true",
        help="also clips on which fewer agree, unless they are evenly split",
    )
    parser.add_argument(
        "--held-back", type=share, default=0.2, metavar="SHARE", help="for dev, 0..1 (default: %(default)s)"
    )
    parser.add_argument(
        "--group-by",
        choices=GROUP_BY,
        default="both",
        help="what train and dev must not share (default: both, source and speaker)",
    )
    parser.add_argument("--seed", type=int, default=1234, help="of all that is random (default: %(default)s)")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--labels", type=Path, required=True, metavar="FOLDER", help="the app's data folder")
    parser.add_argument("--form", choices=sorted(FORMS), required=True)
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="new or empty")
    parser.add_argument("--link", action="store_true", help="hard links to the store's audio, no copies")
    add_selection_arguments(parser)


def run(args: argparse.Namespace) -> int:
    store = open_store(args.labels, args.database)
    try:
        summary = write_export(
            store,
            args.out,
            args.form,
            min_agree=args.min_agree,
            include_quarantined=args.include_quarantined,
            group_by=args.group_by,
            held_back=args.held_back,
            seed=args.seed,
            link=args.link,
        )
    finally:
        store.close()
    print(f"{summary.clips} clips in {summary.folder}")
    print("\n".join(summary.lines()))
    return 1 if summary.missing else 0


def open_store(folder: Path, url: str | None) -> LabelStore:
    """The label store in a folder. DetectorError when there is none: opening would make an empty one."""
    if url is None and not (folder / DATABASE_FILE).is_file():
        raise DetectorError(
            f"There is no label store in {folder}: it has no {DATABASE_FILE}. Name the app's data folder, "
            "or give --database."
        )
    try:
        return LabelStore(folder, url)
    except LabelError as error:
        raise DetectorError(str(error)) from error


def share(text: str) -> float:
    """A share of the clips, at least 0 and below 1, for argparse."""
    value = float(text)
    if not 0 <= value < 1:
        raise ValueError(text)
    return value
