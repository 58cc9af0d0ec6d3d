"""What labels come to, on cases that can be counted by hand."""

import pytest

from detectors.labels.consensus import Consensus, disputed, opinions, settle
from detectors.labels.records import Label
from tests.labels.making import said


def votes(text: str) -> list[Label]:
    """One label a person, in order: s spoof, b bona fide, u unsure."""
    answers = {"s": "spoof", "b": "bonafide", "u": "unsure"}
    return [said(f"P{turn}", answers[letter], turn) for turn, letter in enumerate(text)]


@pytest.mark.parametrize(
    ("answers", "label", "support", "reason"),
    [
        ("", None, 0, "nobody has labelled it"),
        ("u", None, 0, "nobody has decided"),
        ("uuu", None, 0, "nobody has decided"),
        ("s", None, 1, "1 of the 2 people needed agree"),
        ("su", None, 1, "1 of the 2 people needed agree"),
        ("sb", None, 1, "split 1 to 1"),
        ("ss", "spoof", 2, "2 agree"),
        ("bb", "bonafide", 2, "2 agree"),
        ("ssuuu", "spoof", 2, "2 agree"),
        ("ssb", "spoof", 2, "2 agree, 1 against"),
        ("ssbb", None, 2, "split 2 to 2"),
        ("ssbbb", "bonafide", 3, "3 agree, 2 against"),
    ],
)
def test_two_must_agree_and_outvote_the_others(
    answers: str, label: str | None, support: int, reason: str
) -> None:
    assert settle(votes(answers)) == Consensus(label, support, reason)


def test_the_number_that_must_agree_can_be_chosen() -> None:
    assert settle(votes("s"), min_agree=1).label == "spoof"
    assert settle(votes("sb"), min_agree=1).label is None
    assert settle(votes("ss"), min_agree=3) == Consensus(None, 2, "2 of the 3 people needed agree")


def test_one_person_is_one_voice_however_often_and_however_spelt() -> None:
    labels = [said("Anna", "spoof", 1), said(" ANNA", "spoof", 2), said("anna", "bonafide", 3)]
    assert settle(labels) == Consensus(None, 1, "1 of the 2 people needed agree")
    assert {person: label.label for person, label in opinions(labels).items()} == {"anna": "bonafide"}


def test_the_newest_adjudication_decides() -> None:
    first = said("Ruth", "bonafide", 8, adjudication=True)
    assert settle([*votes("sss"), first]) == Consensus("bonafide", 1, "settled by Ruth")
    second = said("Rolf", "spoof", 9, adjudication=True)
    assert settle([*votes("sss"), first, second]) == Consensus("spoof", 4, "settled by Rolf")
    open_still = said("Ruth", "unsure", 9, adjudication=True)
    assert settle([*votes("sss"), open_still]) == Consensus(None, 0, "Ruth settled that nobody can tell")


def test_a_dispute_needs_both_answers_and_no_ruling() -> None:
    assert disputed(votes("sb"))
    assert disputed(votes("sssb"))
    assert not disputed(votes("su"))
    assert not disputed(votes("bb"))
    assert not disputed([])
    assert not disputed([*votes("sb"), said("Ruth", "unsure", 9, adjudication=True)])
    assert not disputed([said("Anna", "spoof", 1), said("anna", "bonafide", 2)])
