"""The verdict on a long clip: its worst stretch counts, calibrated as such. numpy only.

In the mean over many windows a short fake part drowns. The lowest of many windows is low in any clip, though,
and the lower the more windows there are, so it needs a calibration of its own:

    llr = mean * (mean of the windows' scores) + worst * (lowest mean of `adjacent` neighbouring windows)
          + log_windows * ln(number of windows) + offset

fitted by logistic regression with no weight below 0 (see long_clips_fit.py). From how many windows on it is
used follows from where it was found better. Of scores that are log-probabilities it takes the log-odds.
Nothing longer than `measured_windows` was measured, and the lowest of thousands would be low in every
recording: in a clip of k times as many, the k lowest are averaged.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from detectors.clip_score import log_odds

#: Where a checkpoint's config.json has it.
FIELD = "long_clips"


@dataclass(frozen=True)
class LongClips:
    """How clips of `from_windows` windows or more are judged."""

    from_windows: int
    measured_windows: int
    adjacent: int
    mean: float
    worst: float
    log_windows: float
    offset: float
    # The scores are log-probabilities, and their log-odds are taken instead.
    of_log_prob: bool = False

    @classmethod
    def of_config(cls, config: dict[str, Any]) -> Self | None:
        """As a checkpoint's config.json has it; None where the mean counts however long a clip is."""
        return cls(**config[FIELD]) if config.get(FIELD) else None

    def llr(self, scores: Sequence[float]) -> float:
        """Natural-log LLR, all bona fide over some spoof, from the CM scores of a clip's windows."""
        if self.of_log_prob:
            scores = log_odds(np.asarray(scores, dtype=np.float64)).tolist()
        mean, worst, log_windows = features(scores, self.adjacent, self.measured_windows)
        return self.mean * mean + self.worst * worst + self.log_windows * log_windows + self.offset


def features(scores: Sequence[float], adjacent: int, measured_windows: int) -> tuple[float, float, float]:
    """Of a clip's windows: their mean, the lowest mean of `adjacent` neighbours (of the k lowest ones, in a
    clip of k times `measured_windows`), the log of their number, as far as it was measured."""
    values = np.asarray(scores, dtype=np.float64)
    means = np.convolve(values, np.ones(min(adjacent, len(values))), "valid") / min(adjacent, len(values))
    lowest = max(1, round(len(values) / measured_windows))
    worst = float(np.partition(means, lowest - 1)[:lowest].mean())
    return float(values.mean()), worst, float(np.log(min(len(values), measured_windows)))
