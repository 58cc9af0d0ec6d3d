"""`finetune`: make a detector better with what people labelled, and keep it only if it is.

    python -m detectors finetune --labels data --detector sls --base data/manifest.csv
    python -m detectors finetune --labels exports/csv --detector fake_mamba --train heads --versions data

--labels: the app's data folder, or an export of the form csv. --base: what the detector was trained
on; its train split is replayed against forgetting, its dev split must not get worse. Without it, the
detector is held to its old answers on the labelled clips and on the shipped examples.

A new version is kept in the data folder, and used from then on, if its EER on the held-back labelled
clips is lower than before and dev's macro EER is not more than 1 point higher. Otherwise nothing
changes and the exit code is 1. The page's About tab goes back to any version.
"""

import argparse
import shlex
import sys
import tempfile
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from detectors.calibration import Calibration, fit_calibration
from detectors.cards import PRESETS, DetectorCard
from detectors.checkpoints import load_model, read_config, save_model
from detectors.comparison import Comparison, Scores, compare
from detectors.conditions import CONDITIONS
from detectors.config import CONFIGS
from detectors.corpus import bonafide_mask
from detectors.dev_scores import score_cache, single
from detectors.errors import DetectorError
from detectors.export import add_selection_arguments, open_store
from detectors.labelled import Labelled, check, from_export, from_store
from detectors.labels.selection import Rules
from detectors.labels.store import DATABASE_FILE
from detectors.material import Material, gather, read_base
from detectors.registry import available_detectors, resolve_device, weights_in_use
from detectors.tuning import TRAINED, Model, Tuning, TuningViews, before_and_after, tune
from detectors.version_card import version_card
from detectors.versions import CARD, Version, Versions

#: Held-back clips of each class from which a calibration can be fitted when there is no dev.
MIN_TO_CALIBRATE = 50


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--labels", type=Path, required=True, metavar="FOLDER|EXPORT")
    parser.add_argument("--detector", choices=available_detectors(), required=True)
    parser.add_argument("--preset", choices=PRESETS, default="mini")
    parser.add_argument(
        "--train",
        choices=TRAINED,
        default=Tuning.train,
        help="heads: quick, but finds only what the front-end's features still hold; lora: the attention "
        "too, by low-rank additions, and the speaker network's judge (default); all: every weight but that "
        "network's own",
    )
    parser.add_argument(
        "--base", type=Path, metavar="MANIFEST|CACHE", help="a manifest CSV, or caches train/ and dev/"
    )
    parser.add_argument(
        "--cache", type=Path, default=Path("runs/cache"), help="where a manifest's decoded clips are kept"
    )
    parser.add_argument("--steps", type=int, default=Tuning.steps, help="(default: %(default)s)")
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--versions",
        type=Path,
        metavar="FOLDER",
        help="data folder for the new version (default: FOLDER or data)",
    )
    add_selection_arguments(parser)


def run(args: argparse.Namespace) -> int:
    if args.detector not in CONFIGS:
        raise DetectorError(
            f"This command fine-tunes {' and '.join(sorted(CONFIGS))}. A language model learns from an "
            "export of the labels: python -m detectors export --labels FOLDER --form messages --out EXPORT, "
            f"then python -m detectors train {args.detector} --config RECIPE.yaml, where RECIPE.yaml is "
            f"assets/recipes/{args.detector}-{args.preset}.yaml with messages: EXPORT/train.jsonl added."
        )
    device = resolve_device(args.device)
    data = args.versions or (args.labels if _is_store(args) else Path("data"))
    card, folder = weights_in_use(args.detector, args.preset, data)
    old = load_model(folder, args.detector)
    labelled = _labelled(args)
    tuning = Tuning(args.train, args.steps, seed=args.seed)
    with tempfile.TemporaryDirectory(prefix="finetune-") as scratch:
        material = gather(labelled, read_base(args.base, args.cache), Path(scratch))
        for note in material.notes:
            print(note, file=sys.stderr)
        new = fit(old, material, tuning, device, args.preset)
        comparison, scores = measure(old, new, args.detector, material, device)
        print(comparison.table())
        objections = comparison.objections()
        if objections:
            print(f"Not kept: {'; '.join(objections)}. The weights in use stay as they are.")
            return 1
        calibration, calibrated_on = calibrate(new, folder, material, scores, device)
        facts = _facts(args, labelled.origin, material, comparison, folder.name, calibrated_on)
    facts["tuning"] = asdict(tuning)
    version = keep(Versions(data), new, args, card, facts, calibration, comparison)
    print(f"Kept as version {version.name} of {card.title} ({args.preset}), in use from now on.")
    print(
        f"An app on {data} judges its next clip with it. In the terminal: python -m detectors score CLIP "
        f"--detector {args.detector} --checkpoint {version.folder}",
        file=sys.stderr,
    )
    return 0


def _is_store(args: argparse.Namespace) -> bool:
    return args.database is not None or (args.labels / DATABASE_FILE).is_file()


def _labelled(args: argparse.Namespace) -> Labelled:
    if not _is_store(args):
        labelled = from_export(args.labels)
    else:
        store = open_store(args.labels, args.database)
        try:
            rules = Rules(args.min_agree, args.include_quarantined, args.group_by, args.held_back, args.seed)
            labelled = from_store(store, rules)
        finally:
            store.close()
    check(labelled)
    return labelled


def fit(old: Model, material: Material, tuning: Tuning, device: str, preset: str) -> Model:
    """The tuned model, with its weights as they will be saved."""
    views = TuningViews(material.train, material.replay, tuning, old.config.window_samples, material.hold_all)
    new = tune(old, views, tuning, device)
    if preset == "mini":
        with torch.no_grad():
            for tensor in new.state_dict().values():
                if tensor.is_floating_point():
                    tensor.copy_(tensor.half())  # what is measured is what is saved
    return new


def measure(
    old: Model, new: Model, detector: str, material: Material, device: str
) -> tuple[Comparison, dict[str, Scores]]:
    """Both models on the held-back clips and on dev; the scores by part."""
    judge = before_and_after(old, new)
    caches = {"held-back clips": material.held_back, "dev": material.dev}
    scores = {
        name: score_cache(judge, new.config, cache, device, f"scoring {name}", detector=detector)
        for name, cache in caches.items()
        if cache
    }
    dev = material.dev.clips if material.dev else []
    return compare(material.held_back.clips, scores["held-back clips"], dev, scores.get("dev")), scores


def calibrate(
    new: Model, old_folder: Path, material: Material, scores: dict[str, Scores], device: str
) -> tuple[Calibration, str]:
    """The new version's calibration, and in words what it was fitted on.

    On dev as it is and with the shortcuts removed, together with the held-back clips. Without dev, on the
    held-back clips when they are enough; else the old calibration stays.
    """
    config = read_config(old_folder)
    old = Calibration.of_config(config)
    values = [scores["held-back clips"]["after"]]
    labels = [bonafide_mask(material.held_back.clips)]
    if material.dev:
        changed = score_cache(
            single(config["detector"], new), new.config, material.dev, device,
            "scoring dev, shortcuts removed", CONDITIONS["shortcuts removed"],
        )  # fmt: skip
        values += [scores["dev"]["after"], changed[config["detector"]]]
        labels += 2 * [bonafide_mask(material.dev.clips)]
        told = "dev, raw and with the shortcuts removed, and the held-back labelled clips"
    else:
        if min(labels[0].sum(), (~labels[0]).sum()) < MIN_TO_CALIBRATE:
            told = f"not fitted anew: there are fewer than {MIN_TO_CALIBRATE} held-back clips of a class"
            return old, told
        told = "the held-back labelled clips"
    fitted = fit_calibration(np.concatenate(values), np.concatenate(labels), config["detector"])
    # How much may be claimed was found on more clips than these.
    return replace(fitted, limit=old.limit), told


def _facts(
    args: argparse.Namespace,
    origin: str,
    material: Material,
    comparison: Comparison,
    replaced: str,
    calibrated_on: str,
) -> dict[str, Any]:
    """What config.json and the card say of how this version was made."""
    caches = {
        "learnt from": material.train,
        "held back": material.held_back,
        "replayed": material.replay,
        "dev": material.dev,
    }
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "from": replaced,
        "clips": len(material.train),
        "counts": {
            name: {
                "bonafide": int(bonafide_mask(cache.clips).sum()),
                "spoof": int((~bonafide_mask(cache.clips)).sum()),
            }
            for name, cache in caches.items()
            if cache
        },
        "origin": origin,
        "command": _command(args),
        "eer": comparison.facts(),
        "completed": comparison.completed,
        "calibrated_on": calibrated_on,
        "notes": material.notes,
    }


def _command(args: argparse.Namespace) -> str:
    words = ["python", "-m", "detectors", "finetune"]
    for name in ("labels", "detector", "preset", "train", "base", "steps", "seed", "held_back", "group_by"):
        value = getattr(args, name)
        if value is not None:
            words += [f"--{name.replace('_', '-')}", str(value)]
    if args.include_quarantined:
        words.append("--include-quarantined")
    return shlex.join(words)


def keep(
    versions: Versions,
    new: Model,
    args: argparse.Namespace,
    card: DetectorCard,
    facts: dict[str, Any],
    calibration: Calibration,
    comparison: Comparison,
) -> Version:
    """Save the new version with its card, and put it in use."""
    extra = {"preset": args.preset, "calibration": calibration.as_config(), "finetuned": facts}

    def write(folder: Path) -> None:
        save_model(
            new, args.detector, folder, extra, torch.float16 if args.preset == "mini" else torch.float32
        )
        (folder / CARD).write_text(version_card(card, facts, comparison), encoding="utf-8")

    version = versions.keep(args.detector, write)
    versions.use(args.detector, args.preset, version.name)
    return version
