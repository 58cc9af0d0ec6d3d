"""One thing that a text says, and whether the facts bear it out."""

from typing import Literal, NamedTuple

ClaimKind = Literal[
    "number", "count", "time", "detector", "ranking", "agreement", "verdict", "grade", "certainty",
    "recording",
]  # fmt: skip


class Claim(NamedTuple):
    """text: the words that claim it. right: borne out by the facts. why: what is wrong if it is not."""

    kind: ClaimKind
    text: str
    right: bool
    why: str
