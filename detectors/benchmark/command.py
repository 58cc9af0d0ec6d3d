"""Measure speed and memory on this device, ours and others' ways side by side, and write them down.

Measured in one run: SLS against the released implementation's way (front-end twice, fp32, one window at a
time), with batch throughput; Fake-Mamba's head against the sequential scan and against self-attention of
equal width, for clips of 1 to 6 s and 30 s; the scan alone; the whole way of a 4 s clip; how far bf16 moves
scores. Models of XLS-R 300M's size have random weights. Takes some minutes; let the machine rest meanwhile.

    python -m detectors benchmark --figures demo.pages.detect:draw_figures --json benchmark.json
"""

import argparse
import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from detectors.benchmark.analyse import Draw, drawing, measure_analyse
from detectors.benchmark.fake_mamba import measure_fake_mamba
from detectors.benchmark.report import markdown_table, plain_table
from detectors.benchmark.rows import Row
from detectors.benchmark.scan import measure_scan
from detectors.benchmark.score_change import (
    ScoreChange,
    example_clips,
    measure_score_change,
    random_models,
)
from detectors.benchmark.sizes import Sizes, sizes_of
from detectors.benchmark.sls import measure_sls
from detectors.calibration import Calibration
from detectors.cards import PRESETS
from detectors.detector import Detector
from detectors.errors import DetectorError
from detectors.precision import has_bf16
from detectors.registry import available_detectors, card_of, load_detector, resolve_device


@dataclass(frozen=True)
class Plan:
    """How much is measured. runs: of what is quick; long_runs: of what takes seconds. batches: windows at
    once. seconds: lengths of clips. shapes: of scans, (b, t, d)."""

    runs: int = 15
    long_runs: int = 3
    batches: tuple[int, ...] = (1, 8)
    seconds: tuple[float, ...] = (1, 2, 3, 4, 5, 6, 30)
    shapes: tuple[tuple[int, int, int], ...] = ((1, 201, 144), (8, 201, 144))


#: A GPU is only kept busy by larger batches.
ON_GPU = Plan(batches=(1, 8, 64))
QUICK = Plan(1, 1, (1, 2), (1,), ((1, 20, 8),))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `python -m detectors benchmark`."""
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="default: auto")
    parser.add_argument("--preset", choices=PRESETS, help="one model size only (default: both)")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="tiny models, one run each: to see that it works; no real figures",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there too")
    parser.add_argument(
        "--figures",
        metavar="MODULE:FUNCTION",
        help="what draws a clip's figures (default: they are left out)",
    )
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="measure nothing: print README's table from such a file"
    )


def run(args: argparse.Namespace) -> int:
    """Measure, print the table, write the JSON; 0. DetectorError: unusable arguments."""
    if args.markdown:
        print(markdown_table(_read(args.markdown)))
        return 0
    draw = drawing(args.figures) if args.figures else None
    if args.json and not args.json.absolute().parent.is_dir():
        raise DetectorError(f"There is no folder {args.json.parent} to write {args.json.name} into.")
    presets = ("tiny",) if args.quick else (args.preset,) if args.preset else tuple(reversed(PRESETS))
    device = resolve_device(args.device)
    plan = QUICK if args.quick else ON_GPU if device == "cuda" else Plan()
    result = measure(presets, device, plan, draw)
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(plain_table(result))
    return 0


def measure(presets: Sequence[str], device: str, plan: Plan, draw: Draw | None = None) -> dict[str, Any]:
    """Everything, for presets "full", "mini" or "tiny": JSON-ready, with the machine, rows (see rows.py),
    score_changes (see score_change.py) and left_out, what was not measured and why."""
    left_out = [] if draw else ["figures, as no function that draws them is named (--figures)"]
    if not has_bf16(device):
        left_out.append("bf16, as this device has no such arithmetic of its own")
    rows = measure_scan(device, plan.shapes, plan.runs)
    changes: list[ScoreChange] = []
    clips = example_clips()
    for preset in presets:
        sizes = sizes_of(preset)
        rows += _speed(preset, sizes, device, plan)
        detectors, missing = _detectors(preset, sizes, device)
        left_out += missing
        titles = {name: card_of(name, "mini").title for name in detectors}
        rows += measure_analyse(detectors, titles, sizes.name, draw, clips[0], device, plan.long_runs)
        weights = "trained" if preset == "mini" else "random"
        models: dict[str, Any] = {n: d.model for n, d in detectors.items() if n in ("sls", "fake_mamba")}
        changes += measure_score_change(models, sizes.name, weights, device, clips)
    return {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": _machine(device),
        "plan": asdict(plan),
        "rows": [asdict(row) for row in rows],
        "score_changes": [asdict(change) for change in changes],
        "left_out": left_out,
    }


def _speed(preset: str, sizes: Sizes, device: str, plan: Plan) -> list[Row]:
    """SLS and Fake-Mamba of one size. A batch of the large one takes long on a CPU."""
    slow = preset == "full" and device == "cpu"
    rows = measure_sls(sizes.name, sizes.sls, device, plan.batches, plan.long_runs if slow else plan.runs)
    return rows + measure_fake_mamba(sizes.name, sizes.fake_mamba, device, plan.seconds, plan.runs)


def _detectors(preset: str, sizes: Sizes, device: str) -> tuple[dict[str, Detector], list[str]]:
    """By name, the detectors to analyse with, and why others are left out.

    "mini" loads what is shipped; for other sizes, random weights do. They are as fast.
    """
    if preset != "mini":
        models = random_models({"sls": sizes.sls, "fake_mamba": sizes.fake_mamba})
        made = {
            name: Detector(card_of(name, "mini"), model, Calibration(), "random", device)
            for name, model in models.items()
        }
        return made, [f"allm4add at the size {sizes.name}: random weights would need its language model"]
    loaded, missing = {}, []
    for name in available_detectors():
        try:
            loaded[name] = load_detector(name, "mini", device=device)
        except DetectorError as error:
            missing.append(f"{name}, mini: {error}")
    return loaded, missing


def _machine(device: str) -> dict[str, Any]:
    cpu = torch.cpu.get_capabilities().get("cpu_name") or platform.processor() or platform.machine()
    return {
        "device": device,
        "name": torch.cuda.get_device_name() if device == "cuda" else cpu,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "bf16": has_bf16(device),
    }


def _read(path: Path) -> dict[str, Any]:
    try:
        result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        result["rows"], result["machine"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DetectorError(f"{path} is no file that this command wrote ({error!r}).") from error
    return result
