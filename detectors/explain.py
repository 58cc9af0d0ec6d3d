"""`explain`: do the detectors' maps of a clip tell where the evidence lies, or would random parts do as well?

    python -m detectors explain clip.m4a --detector sls
    python -m detectors explain --manifest data/manifest.csv --per-class 20 --json > maps.jsonl

Takes out what a map marks, scores the clip again, and holds that against random orders (see faithfulness.py).
Prints a line for each map of each clip, then in how many clips each map matters more than every random order.
With --json: a JSON line for each clip, nothing else. Exit codes: 0 done, 1 some clips failed, each named on
stderr, 2 unusable arguments.
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from detectors.audio import load_audio
from detectors.cards import PRESETS
from detectors.corpus import read_manifest
from detectors.errors import DetectorError
from detectors.faithfulness import Faithfulness, beaten

if TYPE_CHECKING:
    from detectors.detector import Detector
    from detectors.map_test import MapTest

#: Those whose maps say something about time.
MAPPED = ("sls", "fake_mamba")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `python -m detectors explain`."""
    parser.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="sound files")
    parser.add_argument("--manifest", type=Path, help="instead: a CSV with path, utt_id, label and split")
    parser.add_argument("--split", default="dev", help="of the manifest (default: dev)")
    parser.add_argument(
        "--per-class", type=int, default=20, metavar="N", help="clips of each class, spread over the manifest"
    )
    parser.add_argument(
        "--detector", choices=(*MAPPED, "all"), default="all", help="default: all that have a map over time"
    )
    parser.add_argument("--preset", choices=PRESETS, default="mini", help="model size (default: mini)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="default: auto")
    parser.add_argument("--data", type=Path, help="data folder whose fine-tuned versions are to be used")
    parser.add_argument("--json", action="store_true", help="print a JSON line for each clip")


def run(args: argparse.Namespace) -> int:
    """Test and print; 0, or 1 when clips failed. DetectorError: unusable arguments."""
    files = _files(args)
    # Imported here: torch takes seconds to load, and most refusals need none of it.
    from detectors.map_test import effort_for, map_test
    from detectors.registry import load_detector, resolve_device

    device = resolve_device(args.device)
    names = MAPPED if args.detector == "all" else (args.detector,)
    detectors: dict[str, Detector] = {
        name: load_detector(name, args.preset, device=device, data=args.data) for name in names
    }
    effort = effort_for(device, args.preset)
    found: dict[str, list[Faithfulness]] = defaultdict(list)
    failed = 0
    for path, label in files:
        try:
            test = map_test(load_audio(path), detectors, effort)
        except DetectorError as error:
            failed += 1
            print(f"{path}: {error}", file=sys.stderr)
            continue
        for of in test.examined:
            for each in of.found:
                found[f"{of.detector} {each.map}"].append(each)
        print(_as_json(path, label, test) if args.json else _as_text(path, test), flush=True)
    if not args.json:
        print(summary(found))
    return 1 if failed else 0


def summary(found: dict[str, list[Faithfulness]]) -> str:
    """In how many clips each map matters more than every random order, and how many would by chance."""
    lines = []
    for name, results in found.items():
        passed, by_chance = beaten(results)
        areas = np.mean([each.area for each in results])
        lines.append(
            f"{name}: more than random in {passed} of {len(results)} clips (by chance: {by_chance:.1f}), "
            f"mean area {areas:+.3f}"
        )
    return "\n".join(lines)


def _files(args: argparse.Namespace) -> list[tuple[Path, str]]:
    """Each with its class, "" where it is not known."""
    if bool(args.paths) == bool(args.manifest):
        raise DetectorError("Name sound files, or give --manifest: one of the two.")
    if args.manifest is None:
        return [(path, "") for path in args.paths]
    if args.per_class < 1:
        raise DetectorError(f"--per-class is {args.per_class}; at least 1 clip of each class is needed.")
    clips = read_manifest(args.manifest, args.split)
    chosen: list[tuple[Path, str]] = []
    for label, wanted in (("bonafide", True), ("spoof", False)):
        of_class = [clip for clip in clips if clip.is_bonafide == wanted]
        places = np.linspace(0, len(of_class) - 1, min(args.per_class, len(of_class))).round().astype(int)
        chosen += [(Path(of_class[i].path), label) for i in places]
    return chosen


def _as_json(path: Path, label: str, test: "MapTest") -> str:
    return json.dumps({"path": str(path), "label": label or None, **test.report()})


def _as_text(path: Path, test: "MapTest") -> str:
    return "\n".join(_lines(path, test))


def _lines(path: Path, test: "MapTest") -> Iterable[str]:
    for of in test.examined:
        for each in of.found:
            low, high = each.control_range
            yield (
                f"{path}: {of.detector} {each.map}: {each.outcome} (area {each.area:+.3f}, "
                f"{each.orders} random orders {low:+.3f} to {high:+.3f})"
            )
