"""Agreement on tables whose coefficients can be worked out by hand."""

import pytest

from detectors.labels.agreement import agreement
from detectors.labels.records import Label
from tests.labels.making import said

ANSWERS = {"s": "spoof", "b": "bonafide", "u": "unsure"}


def table(**answers: str) -> list[list[Label]]:
    """Clips from columns: Anna="ssb" answers spoof, spoof, bona fide; "." is no label."""
    length = len(next(iter(answers.values())))
    return [
        [
            said(person, ANSWERS[column[turn]], turn)
            for person, column in answers.items()
            if column[turn] != "."
        ]
        for turn in range(length)
    ]


def test_full_agreement_is_1() -> None:
    found = agreement(table(Anna="ssbu", Bert="ssbu", Carl="ssbu"))
    assert (found.krippendorff, found.fleiss) == (1, 1)
    assert [pair.kappa for pair in found.pairs] == [1, 1, 1]
    assert (found.clips, found.people) == (4, ("anna", "bert", "carl"))


def test_two_people_by_hand() -> None:
    """Equal on 3 of 4 clips. Anna says spoof 2 times, Bert 3 times of 4.

    Cohen: chance 1/2 * 3/4 + 1/2 * 1/4 = 1/2; (3/4 - 1/2) / (1 - 1/2) = 1/2.
    Fleiss: shares 5/8 and 3/8, chance 34/64; (3/4 - 34/64) / (1 - 34/64) = 14/30.
    Krippendorff: 8 answers, 5 and 3; 2 of 8 in unequal pairs; expected 2 * 5 * 3 / (8 * 7);
    1 - (2/8) / (30/56) = 8/15.
    """
    found = agreement(table(Anna="ssbb", Bert="sssb"))
    (pair,) = found.pairs
    assert (pair.first, pair.second, pair.clips, pair.same) == ("anna", "bert", 4, 0.75)
    assert pair.kappa == pytest.approx(1 / 2)
    assert found.fleiss == pytest.approx(14 / 30)
    assert found.krippendorff == pytest.approx(8 / 15)


def test_gaps_count_where_a_coefficient_allows_them() -> None:
    found = agreement(table(Anna="ssbb.", Bert="sssb.", Carl="s...s"))
    assert found.clips == 4, "the last clip has one label only"
    assert (found.fleiss_people, found.fleiss_clips) == (2, 3), "three clips have two labels, one has three"
    assert [(pair.first, pair.second, pair.clips) for pair in found.pairs] == [
        ("anna", "bert", 4),
        ("anna", "carl", 1),
        ("bert", "carl", 1),
    ]
    # Krippendorff by hand: pairable answers 5 + 4 = 9, spoof 6, bona fide 3; clip 3 gives 2 unequal pairs.
    assert found.krippendorff == pytest.approx(1 - (2 / 9) / (2 * 6 * 3 / (9 * 8)))


def test_what_is_not_defined_is_none() -> None:
    nothing = agreement([])
    assert (nothing.clips, nothing.people, nothing.pairs) == (0, (), ())
    assert (nothing.krippendorff, nothing.fleiss) == (None, None)
    alone = agreement(table(Anna="ssb"))
    assert (alone.clips, alone.krippendorff, alone.fleiss) == (0, None, None)
    one_answer = agreement(table(Anna="sss", Bert="sss"))
    assert (one_answer.krippendorff, one_answer.fleiss, one_answer.pairs[0].kappa) == (None, None, None)
    assert one_answer.pairs[0].same == 1


def test_a_persons_newest_label_is_compared() -> None:
    clips = [[said("Anna", "bonafide", 1), said("Bert", "spoof", 2), said("anna", "spoof", 3)]]
    assert agreement(clips).pairs[0].same == 1
