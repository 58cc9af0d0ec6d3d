"""How much of a recording was cut off at full scale."""

import numpy as np

#: Samples this near to full scale, at least so many in a row, were cut off.
_CLIPPED_AT = 0.99
_CLIPPED_RUN = 3


def clipped_samples(wave: np.ndarray) -> int:
    """Samples in runs at full scale, of float32 [s] in [-1, 1]; single peaks that just reach it are none."""
    at_limit = np.abs(wave) >= _CLIPPED_AT
    edges = np.flatnonzero(np.diff(np.concatenate([[False], at_limit, [False]]).astype(int)))
    runs = edges[1::2] - edges[::2]
    return int(runs[runs >= _CLIPPED_RUN].sum())
