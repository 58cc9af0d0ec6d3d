"""What several people's labels of one clip come to, and when they come to nothing yet.

A person counts once, with the newest of their labels. "unsure" is no vote for either side.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from detectors.labels.records import DECIDED, Label, person_of

#: People who must agree before a label is used for training.
MIN_AGREE = 2


@dataclass(frozen=True)
class Consensus:
    """label: "bonafide", "spoof", or None when the clip is quarantined. support: people for it
    (for the leading answer when quarantined). reason: why, in words fit to show.
    """

    label: str | None
    support: int
    reason: str


def settle(labels: Sequence[Label], min_agree: int = MIN_AGREE) -> Consensus:
    """What current labels of one clip, oldest first, come to.

    The newest adjudication decides. Else `min_agree` people must give the same decided answer, and
    fewer people the opposite one.
    """
    votes = opinions(labels)
    support = Counter(vote.label for vote in votes.values() if vote.label in DECIDED)
    rulings = [each for each in labels if each.adjudication]
    if rulings:
        ruling = rulings[-1]
        if ruling.label in DECIDED:
            return Consensus(ruling.label, support[ruling.label], f"settled by {ruling.annotator}")
        return Consensus(None, 0, f"{ruling.annotator} settled that nobody can tell")
    if not support:
        return Consensus(None, 0, "nobody has decided" if votes else "nobody has labelled it")
    (leader, most), *others = support.most_common()
    against = others[0][1] if others else 0
    if most == against:
        return Consensus(None, most, f"split {most} to {against}")
    if most < min_agree:
        return Consensus(None, most, f"{most} of the {min_agree} people needed agree")
    return Consensus(leader, most, f"{most} agree" + (f", {against} against" if against else ""))


def opinions(labels: Sequence[Label]) -> dict[str, Label]:
    """Each person's newest label, by the person's key; `labels` oldest first."""
    return {person_of(each.annotator): each for each in labels}


def disputed(labels: Sequence[Label]) -> bool:
    """True when people contradict each other, one says bona fide and one spoof, and nobody has ruled."""
    answers = {each.label for each in opinions(labels).values()}
    return answers.issuperset(DECIDED) and not any(each.adjudication for each in labels)
