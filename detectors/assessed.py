"""What `assess` reports on: each checkpoint and each set of them, with the LLRs that their figures are of."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np

from detectors.calibration import Calibration, best_limit, fit_calibration
from detectors.checkpoints import CONFIG, read_config, weights_digest
from detectors.conditions import CONDITIONS
from detectors.corpus import Clip, bonafide_mask
from detectors.fusion import FILE as FUSION
from detectors.fusion import MEAN, Fusion, fit_fusion, read_fusion, save_fusion
from detectors.held_out import held_out_llrs, turns_of
from detectors.judged import Judged
from detectors.logistic import fit_logistic
from detectors.long_clips import FIELD as LONG_CLIPS
from detectors.long_clips_fit import LongFit, fit_long_clips
from detectors.windows import Sizes

AS_SHIPPED = "calibrated as the checkpoints say"


@dataclass(frozen=True)
class Entry:
    """What is reported as one: a checkpoint, or several together.

    scores, llrs: [conditions, clips]; EERs are of `scores`, all else of `llrs`. how: where these are from, in
    words.
    """

    folders: Sequence[Path]
    title: str
    scores: np.ndarray
    llrs: np.ndarray
    how: str
    long: LongFit | None = None


def fitted(judged: Sequence[Judged], clips: list[Clip], split: str) -> list[Entry]:
    """Fit everything, keep it in the checkpoints' folders, and judge each clip by fits without its source."""
    bonafide = bonafide_mask(clips)
    turns = turns_of([clip.group for clip in clips], bonafide)
    entries, llrs, held_out = [], {}, {}
    for each in judged:
        values = Calibration.fresh(each.detector).llr(each.scores)
        unseen = held_out_llrs(fit_logistic, values[..., None], bonafide, turns)
        labels = np.tile(bonafide, len(each.scores))
        calibration = fit_calibration(each.scores.ravel(), labels, each.detector)
        calibration = replace(calibration, limit=best_limit(unseen, bonafide))
        sizes = Sizes.of_config(read_config(each.folder))
        long = fit_long_clips(clips, each.windows, sizes, each.detector) if each.windows else None
        _save_fits(each.folder, calibration, long)
        llrs[each.detector] = calibration.llr(each.scores)
        held_out[each.detector] = calibration.limited(unseen)
        own = llrs[each.detector], held_out[each.detector]
        entries.append(Entry([each.folder], each.folder.name, *own, turns.how, long))
    if not _can_be_fused(judged):
        return entries
    folders = {each.detector: each.folder for each in judged}
    found = fit_fusion(llrs, held_out, bonafide, turns)
    digests = {name: weights_digest(folder) for name, folder in folders.items()}
    counts = int(bonafide.sum()), int((~bonafide).sum())
    weighings = [together.weighing for together in found]
    fusion = Fusion(split, *counts, list(CONDITIONS), turns.how, digests, weighings)
    save_fusion(judged[0].folder.parent / FUSION, fusion)
    for together in found:
        members = [folders[name] for name in together.weighing.weights]
        way = together.weighing.way if together.weighing.better else MEAN
        entries.append(_together(members, way, together.scores, together.llrs, turns.how))
    return entries


def as_shipped(judged: Sequence[Judged]) -> list[Entry]:
    """The LLRs that the checkpoints, and fusion.json beside them, give."""
    llrs = {each.folder: Calibration.of_config(read_config(each.folder)).llr(each.scores) for each in judged}
    entries = [Entry([folder], folder.name, values, values, AS_SHIPPED) for folder, values in llrs.items()]
    if not _can_be_fused(judged):
        return entries
    fusion = read_fusion(judged[0].folder.parent / FUSION)
    digests = {each.folder: weights_digest(each.folder) for each in judged}
    for size in range(2, len(judged) + 1):
        for members in combinations(judged, size):
            versions = {each.detector: digests[each.folder] for each in members}
            weighing = fusion.weighing(versions) if fusion else None
            own = {each.detector: llrs[each.folder] for each in members}
            values = weighing.llr(own) if weighing else np.mean(list(own.values()), axis=0)
            folders = [each.folder for each in members]
            way = weighing.way if weighing else MEAN
            entries.append(_together(folders, way, values, values, AS_SHIPPED))
    return entries


def _together(folders: Sequence[Path], way: str, scores: np.ndarray, llrs: np.ndarray, how: str) -> Entry:
    title = f"{' + '.join(folder.name for folder in folders)}, {way}"
    return Entry(folders, title, scores, llrs, f"{way}; {how}")


def _can_be_fused(judged: Sequence[Judged]) -> bool:
    names = [each.detector for each in judged]
    if len(set(names)) < len(names):
        print("Two of these checkpoints are of one detector, so none are fused.", file=sys.stderr)
        return False
    return len(names) > 1


def _save_fits(folder: Path, calibration: Calibration, long: LongFit | None) -> None:
    config = read_config(folder)
    config["calibration"] = calibration.as_config()
    if long:  # else nothing was found out about them, and what is there stays
        config.pop(LONG_CLIPS, None)
        if long.long:
            config[LONG_CLIPS] = asdict(long.long)
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n")
