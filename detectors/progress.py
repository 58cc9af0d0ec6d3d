"""Telling whoever waits how far a job is, such as the fetching of a language model."""

import sys
from collections.abc import Callable

from tqdm import tqdm

#: Hears the share that is done, 0 to 1, and what is being done, in words.
Progress = Callable[[float, str], None]


def in_terminal() -> Progress:
    """A bar on stderr, from the first word of it until the share is 1."""
    bar: tqdm | None = None

    def tell(share: float, doing: str) -> None:
        nonlocal bar
        bar = bar or tqdm(total=100, unit="%", file=sys.stderr)
        bar.set_description(doing, refresh=False)
        bar.update(round(100 * share) - bar.n)
        if share >= 1:
            bar.close()
            bar = None

    return tell
