"""`familiar`: measure what clips detectors learnt from are like, so that they can tell others.

    python -m detectors familiar assets/sls-mini assets/fake_mamba-mini \\
        --features runs/mini/features/whole --manifest data/manifest.csv

FEATURES: the frozen front-end's features of training views that `train` kept (see head_start.py). The
threshold is the distance that one dev clip in a hundred exceeds, as it is or with the shortcuts removed. Kept
as familiar.stats in each folder whose front-end is the first one's.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from detectors.checkpoints import load_countermeasure, read_config
from detectors.conditions import CONDITIONS
from detectors.corpus import ClipCache, bonafide_mask, build_cache, read_manifest
from detectors.dev_scores import changed_waves
from detectors.errors import DetectorError
from detectors.familiar import FILE, Familiar, fit, front_end_digest, save, summary
from detectors.head_start import KeptFeatures
from detectors.registry import resolve_device
from detectors.windows import cut, spans

_AT_ONCE = 64  # training views


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `familiar`."""
    parser.add_argument("folders", nargs="+", type=Path, help="checkpoint folders with one front-end")
    parser.add_argument(
        "--features", type=Path, required=True, metavar="FEATURES", help="folder with layers.npy"
    )
    parser.add_argument(
        "--manifest", type=Path, required=True, help="CSV with path, utt_id, label, split, source"
    )
    parser.add_argument("--split", default="dev")
    parser.add_argument("--clips", type=int, help="take so many random clips of the split (default: all)")
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"), help="where decoded clips are kept")
    parser.add_argument("--exceed", type=float, default=0.01, help="share of these clips above the threshold")
    parser.add_argument("--device", default="auto")


def run(args: argparse.Namespace) -> int:
    """Measure, keep and print; DetectorError for an unusable manifest, clip, checkpoint or feature file."""
    if not (args.features / "layers.npy").is_file():
        raise DetectorError(f"There is no {args.features / 'layers.npy'}: `train` keeps it in its cache.")
    device = resolve_device(args.device)
    models = [load_countermeasure(each, read_config(each)["detector"], device, None) for each in args.folders]
    first: Any = models[0]
    cache = build_cache(args.cache / args.split, read_manifest(args.manifest, args.split), 0, 0)
    known = fit(_summaries_kept(KeptFeatures(args.features)))
    chosen = np.sort(np.random.default_rng(0).permutation(len(cache))[: args.clips])
    distances = np.array(
        [
            [known.distance(clip) for clip in _summaries(first, _Some(cache, chosen), device, name)]
            for name in CONDITIONS
        ]
    )
    known = replace(known, threshold=float(np.quantile(distances, 1 - args.exceed)))
    _tell(known, distances, bonafide_mask(cache.clips)[chosen])
    facts = {"threshold_from": f"{len(chosen)} {args.split} clips, {' and '.join(CONDITIONS)}"}
    for folder, model in zip(args.folders, models, strict=True):
        _keep(folder, model, first, known, facts)
    return 0


class _Some:
    """Some clips of a cache, which changed_waves reads as it reads a whole one."""

    def __init__(self, cache: ClipCache, chosen: np.ndarray) -> None:
        self._cache, self._chosen = cache, chosen

    def __len__(self) -> int:
        return len(self._chosen)

    def wave(self, i: int) -> np.ndarray:
        return self._cache.wave(int(self._chosen[i]))


def _summaries_kept(kept: KeptFeatures) -> np.ndarray:
    """Of the training views, from the last layer: [views, 2 d]."""
    found = [
        summary(torch.from_numpy(np.array(kept.layers[start : start + _AT_ONCE, -1])))
        for start in range(0, len(kept.labels), _AT_ONCE)
    ]
    return torch.cat(found).double().numpy()


@torch.inference_mode()
def _summaries(model: Any, cache: Any, device: str, condition: str) -> list[np.ndarray]:
    """Of each clip under a condition [2 d], the mean over its windows, as Checks takes it."""
    sizes, found = model.config, []
    for wave in changed_waves(cache, condition, CONDITIONS[condition]):
        windows = [
            cut(wave, span, sizes.window_samples)
            for span in spans(len(wave), sizes.window_samples, sizes.hop_samples)
        ]
        features = model.front_end(torch.from_numpy(np.stack(windows)).to(device))
        found.append(summary(features.layers[-1]).mean(dim=0).cpu().numpy())
    return found


def _tell(known: Familiar, distances: np.ndarray, bonafide: np.ndarray) -> None:
    print(f"Distance above {known.threshold:.3f} is unfamiliar.")
    for name, of in zip(CONDITIONS, distances, strict=True):
        above = of > known.threshold
        print(
            f"{name}: median {np.median(of):.3f}, highest {of.max():.3f}; above: "
            f"{100 * above[bonafide].mean():.1f} % of {bonafide.sum()} bona fide, "
            f"{100 * above[~bonafide].mean():.1f} % of {(~bonafide).sum()} spoof"
        )


def _keep(folder: Path, model: Any, first: Any, known: Familiar, facts: dict[str, str]) -> None:
    if front_end_digest(model.front_end) != front_end_digest(first.front_end):
        print(f"{folder}: another front-end, so nothing is kept there.", file=sys.stderr)
        return
    save(folder, known, model.front_end, facts)
    print(f"Kept: {folder / FILE}")
