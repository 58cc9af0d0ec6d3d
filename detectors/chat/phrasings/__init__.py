"""How people ask: phrasings by intent, those for training apart from those held out for the test."""

from functools import cache
from pathlib import Path
from typing import Literal

Split = Literal["train", "held_out"]


@cache
def phrasings(split: Split) -> dict[str, tuple[str, ...]]:
    """Intent -> questions, some with a slot ({detector}, {side}, {pct}). The two splits share no question."""
    text = (Path(__file__).parent / f"{split}.txt").read_text(encoding="utf-8")
    found: dict[str, tuple[str, ...]] = {}
    for block in text.strip().split("\n\n"):
        heading, *questions = block.splitlines()
        found[heading.strip("[]")] = tuple(questions)
    return found
