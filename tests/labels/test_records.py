"""What makes a label invalid, and how a judgement orders the queue."""

import math
from typing import Any

import pytest

from detectors.labels.records import LabelError, person_of, regions_from, storable
from tests.labels.making import draft, judgement


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("label", "fake", "'fake' is not a label. Choose one of: bonafide, spoof, unsure"),
        ("confidence", 0, "whole number from 1 to 5"),
        ("confidence", 6, "whole number from 1 to 5"),
        ("confidence", 2.5, "whole number from 1 to 5"),
        ("annotator", "  ", "name is missing"),
        ("note", "x" * 2001, "note has 2001 characters; at most 2000"),
        ("attack", "x" * 81, "attack or tool has 81 characters; at most 80"),
        ("note", "a\0b", "note has characters that are no text"),
        ("licence", "\ud800", "licence has characters that are no text"),
        ("audio_sha256", "../../etc/passwd", "not a SHA-256"),
    ],
)
def test_wrong_fields_are_refused_with_the_reason(field: str, value: Any, message: str) -> None:
    with pytest.raises(LabelError, match=message):
        draft(**{field: value})


@pytest.mark.parametrize(
    "region",
    [
        {"start": 2, "end": 1, "label": "spoof"},
        {"start": -1, "end": 1, "label": "spoof"},
        {"start": 0, "end": 1, "label": "fake"},
        {"start": 0, "label": "spoof"},
        {"start": "soon", "end": 1, "label": "spoof"},
        {"start": float("nan"), "end": 1, "label": "spoof"},
    ],
)
def test_wrong_regions_are_refused(region: dict[str, Any]) -> None:
    with pytest.raises(LabelError):
        regions_from([region])


def test_uncertainty_is_1_at_even_odds_and_0_when_sure() -> None:
    assert judgement(0.0).uncertainty == 1
    assert judgement(3.0, -3.0).uncertainty == 1, "detectors that cancel out leave it open"
    assert judgement(math.log(3)).uncertainty == pytest.approx(0.5)  # odds 3:1 are p = 0.25
    assert judgement(60.0).uncertainty == pytest.approx(0)
    assert judgement().uncertainty == 1
    assert judgement(math.nan).uncertainty == 1


def test_disagreement_is_the_spread_of_the_llrs() -> None:
    assert judgement(2.0, -1.5, 0.0).disagreement == 3.5
    assert judgement(2.0).disagreement == 0
    assert judgement().disagreement == 0


def test_spellings_of_a_name_are_one_person() -> None:
    assert {person_of(name) for name in ("Anna B", " anna  b ", "ANNA B", "\uff21nna B")} == {"anna b"}
    assert person_of("Anna") != person_of("Anne")


def test_file_names_become_text_that_every_database_holds() -> None:
    assert storable("caf\udce9\0.wav") == "caf?.wav"
