"""What a checkpoint said of labelled clips, window by window: found once by `assess`, kept, read again."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from detectors.checkpoints import load_countermeasure, read_config, weights_digest
from detectors.conditions import CONDITIONS
from detectors.corpus import Clip, ClipCache
from detectors.dev_scores import WindowScores, changed_waves, clip_scores, score_windows, single
from detectors.errors import DetectorError
from detectors.progress import in_terminal
from detectors.protocols import read_scores
from detectors.results import read_results, results_file

#: Beside a checkpoint: the scores of windows, and with which weights they were made.
WINDOWS = "windows.json"


@dataclass(frozen=True)
class Judged:
    """CM scores of one checkpoint; clips and conditions (those of CONDITIONS) are in their order.

    scores: [conditions, clips]. windows: of each condition; None where only the clips' scores were kept.
    """

    folder: Path
    detector: str
    scores: np.ndarray
    windows: list[WindowScores] | None


def judge_cache(folder: Path, cache: ClipCache, device: str) -> Judged:
    """Score every clip of a cache under every condition, with a progress bar for each, and keep it all.

    Kept beside the checkpoint: a score file for each condition, for `evaluate`, and windows.json.
    """
    detector = read_config(folder)["detector"]
    model = load_countermeasure(folder, detector, device, in_terminal())
    found = []
    for name, change in CONDITIONS.items():
        waves = changed_waves(cache, f"{folder.name}, {name}", change)
        found.append(score_windows(single(detector, model), model.config, waves, device)[detector])
    scores = np.stack([clip_scores(windows, detector) for windows in found])
    _keep(folder, cache.clips, found, scores)
    return Judged(folder, detector, scores, found)


def _keep(folder: Path, clips: Sequence[Clip], found: list[WindowScores], scores: np.ndarray) -> None:
    windows = {}
    for condition, of_windows, of_clips in zip(CONDITIONS, found, scores, strict=True):
        lines = [f"{clip.utt_id} {value:.5f}\n" for clip, value in zip(clips, of_clips, strict=True)]
        _score_file(folder, condition).write_text("".join(lines))
        windows[condition] = {
            # Nine digits are all that 32 bits hold.
            clip.utt_id: [float(f"{score:.9g}") for score in of]
            for clip, of in zip(clips, of_windows, strict=True)
        }
    kept = {"weights": weights_digest(folder), "windows": windows}
    (folder / WINDOWS).write_text(json.dumps(kept, separators=(",", ":")) + "\n")


def read_judged(folder: Path, clips: Sequence[Clip]) -> Judged:
    """What an earlier `judge_cache` kept of these clips.

    Raises DetectorError when there is nothing, it was made with other weights, or a clip is missing.
    """
    detector = read_config(folder)["detector"]
    if not (folder / WINDOWS).is_file():
        if results_file([folder]).is_file() and read_results(folder).weights != [weights_digest(folder)]:
            raise DetectorError(f"{folder} has scores of other weights. Run `assess` without --scores.")
        print(f"{folder}: no {WINDOWS}, so nothing about long clips.", file=sys.stderr)
        return Judged(folder, detector, _read_scores(folder, clips), None)
    try:
        kept = json.loads((folder / WINDOWS).read_text())
        if kept["weights"] != weights_digest(folder):
            raise DetectorError(
                f"{folder / WINDOWS} was made with other weights. Run `assess` without --scores."
            )
        windows = [[kept["windows"][name][clip.utt_id] for clip in clips] for name in CONDITIONS]
    except (ValueError, TypeError, KeyError) as error:
        raise DetectorError(
            f"{folder / WINDOWS} does not hold these clips ({error!r}). Run `assess` without --scores."
        ) from error
    return Judged(folder, detector, np.stack([clip_scores(of, detector) for of in windows]), windows)


def _read_scores(folder: Path, clips: Sequence[Clip]) -> np.ndarray:
    """[conditions, clips]"""
    rows = []
    for condition in CONDITIONS:
        file = _score_file(folder, condition)
        if not file.is_file():
            raise DetectorError(f"There is no {file}. Run `assess` without --scores.")
        table = read_scores(file)
        known = dict(zip(table.utt_ids, table.scores, strict=True))
        missing = [clip.utt_id for clip in clips if clip.utt_id not in known]
        if missing:
            raise DetectorError(
                f"{file} lacks {len(missing)} of these clips, such as {missing[0]}. "
                "Run `assess` without --scores."
            )
        rows.append([known[clip.utt_id] for clip in clips])
    return np.array(rows)


def _score_file(folder: Path, condition: str) -> Path:
    return folder / f"{condition.replace(' ', '-')}.scores"
