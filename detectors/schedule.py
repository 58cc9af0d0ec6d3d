"""How fast a model learns as training goes on."""

import math


def warm_cosine(step: int, steps: int, warmup: int, floor: float = 0.02) -> float:
    """Factor of the learning rate: a linear rise over `warmup` steps, then half a cosine down to `floor`."""
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
