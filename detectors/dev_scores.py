"""Scores and per-source error rates of a model on labelled clips, for training and model cards."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor
from tqdm import tqdm

from detectors.clip_score import LOG_PROBS, clip_score
from detectors.conditions import as_is
from detectors.corpus import Clip, ClipCache, bonafide_mask
from detectors.metrics import compute_eer
from detectors.models import Countermeasure, WindowSizes
from detectors.windows import cut, spans

#: Judges a batch of windows [b, s]: per detector the CM scores [b], or class logits [b, 2], of which
#: the second is the score.
Judge = Callable[[Tensor], dict[str, Tensor]]
#: Of each clip the CM scores of its windows, in order.
WindowScores = list[list[float]]


def single(name: str, model: Countermeasure) -> Judge:
    """One whole model as a judge."""
    return lambda windows: {name: model(windows).cm_scores}


@torch.inference_mode()
def score_windows(
    judge: Judge, config: WindowSizes, waves: Iterable[np.ndarray], device: torch.device | str
) -> dict[str, WindowScores]:
    """CM scores of the windows of each clip, per detector.

    Windows of neighbouring clips share a batch; `config` tells their length and hop.
    """
    found: dict[str, WindowScores] = {}
    for group in _batches(waves, config):
        batch = torch.from_numpy(np.stack([window for _, window in group])).to(device)
        for name, answers in judge(batch).items():
            scores = answers if answers.dim() == 1 else answers[:, 1]
            of_detector = found.setdefault(name, [])
            for (clip, _), score in zip(group, scores.tolist(), strict=True):
                if clip == len(of_detector):  # they come in order, and each has a window
                    of_detector.append([])
                of_detector[clip].append(score)
    return found


def score_clips(
    judge: Judge,
    config: WindowSizes,
    waves: Iterable[np.ndarray],
    device: torch.device | str,
    detector: str = "",
) -> dict[str, np.ndarray]:
    """CM score of each clip, per detector [clips], from its windows as `analyze` makes it.

    detector: what all of the judge's are, where their names do not tell.
    """
    found = score_windows(judge, config, waves, device)
    return {name: clip_scores(windows, detector or name) for name, windows in found.items()}


def clip_scores(windows: WindowScores, detector: str) -> np.ndarray:
    """CM scores [clips], of each clip from those of its windows by this detector."""
    return np.array([clip_score(scores, detector in LOG_PROBS) for scores in windows])


def score_cache(
    judge: Judge,
    config: WindowSizes,
    cache: ClipCache,
    device: torch.device | str,
    doing: str,
    change: Callable[[np.ndarray], np.ndarray] = as_is,
    detector: str = "",
) -> dict[str, np.ndarray]:
    """`score_clips` of every clip of a cache, each changed first, with a progress bar named `doing`."""
    return score_clips(judge, config, changed_waves(cache, doing, change), device, detector)


def changed_waves(
    cache: ClipCache, doing: str, change: Callable[[np.ndarray], np.ndarray] = as_is
) -> Iterable[np.ndarray]:
    """float32 [s] of every clip of a cache, each changed as it is asked for; with a progress bar."""
    waves = (change(cache.wave(i)) for i in range(len(cache)))
    shown: Iterable[np.ndarray] = tqdm(waves, total=len(cache), desc=doing, unit="clip")
    return shown


def score_cache_together(
    judge: Judge, config: WindowSizes, cache: ClipCache, accelerator: Accelerator
) -> dict[str, np.ndarray]:
    """`score_clips` of every clip of a cache, shared among the processes of a training run; all of them get
    the scores of all clips."""
    mine = range(accelerator.process_index, len(cache), accelerator.num_processes)
    shown = tqdm(mine, desc="dev", unit="clip", disable=not accelerator.is_main_process)
    found = score_clips(judge, config, (cache.wave(i) for i in shown), accelerator.device)
    numbered = [(name, i, score) for name, of in found.items() for i, score in zip(mine, of, strict=True)]
    scores: dict[str, np.ndarray] = {}
    for name, i, score in gather_object(numbered):
        scores.setdefault(name, np.zeros(len(cache)))[i] = score
    return scores


def weighted_loss(log_odds: np.ndarray, bonafide: np.ndarray, weights: tuple[float, float]) -> float:
    """Cross-entropy in nats, as in training: each clip counts by the weight of its class, [spoof, bona fide].

    log_odds: [clips], natural log of P(bona fide) over P(spoof). bonafide: bool [clips].
    """
    losses = np.logaddexp(0, np.where(bonafide, -log_odds, log_odds))
    return float(np.average(losses, weights=np.where(bonafide, weights[1], weights[0])))


def _batches(
    waves: Iterable[np.ndarray], config: WindowSizes, size: int = 16
) -> Iterator[list[tuple[int, np.ndarray]]]:
    """(clip number, window [window_samples]) of all clips in order, `size` at a time."""
    group: list[tuple[int, np.ndarray]] = []
    for clip, wave in enumerate(waves):
        for span in spans(len(wave), config.window_samples, config.hop_samples):
            group.append((clip, cut(wave, span, config.window_samples)))
            if len(group) == size:
                yield group
                group = []
    if group:
        yield group


def eer_by_source(clips: list[Clip], scores: np.ndarray) -> dict[str, Any]:
    """EERs in %: pooled; per spoof source against all bona fide; macro, the mean of those."""
    bonafide = bonafide_mask(clips)
    groups = np.array([clip.group for clip in clips])
    sources = {}
    for group in sorted(set(groups[~bonafide])):
        of_group = scores[~bonafide & (groups == group)]
        sources[group] = {
            "eer": 100 * compute_eer(scores[bonafide], of_group)[0],
            "spoof": len(of_group),
        }
    return {
        "pooled": 100 * compute_eer(scores[bonafide], scores[~bonafide])[0],
        "macro": float(np.mean([s["eer"] for s in sources.values()])),
        "bonafide": int(bonafide.sum()),
        "spoof": int((~bonafide).sum()),
        "sources": sources,
    }
