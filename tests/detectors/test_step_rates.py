"""The five steps, and how often clips get each: counted, kept, and read only for the very same weights."""

import json
from pathlib import Path

import numpy as np
import pytest

from detectors.detection import INCONCLUSIVE_LLR, LIKELY_LLR, STEPS, step_of, verdict_of
from detectors.step_rates import FIELD, StepRates, measured_rates

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("llr", "step", "verdict"),
    [
        (LIKELY_LLR, "likely_bonafide", "bonafide"),
        (LIKELY_LLR - 0.01, "leaning_bonafide", "bonafide"),
        (INCONCLUSIVE_LLR, "leaning_bonafide", "bonafide"),
        (0.0, "inconclusive", "inconclusive"),
        (-INCONCLUSIVE_LLR, "leaning_spoof", "spoof"),
        (-LIKELY_LLR + 0.01, "leaning_spoof", "spoof"),
        (-LIKELY_LLR, "likely_spoof", "spoof"),
    ],
)
def test_steps_agree_with_the_verdict(llr: float, step: str, verdict: str) -> None:
    assert (step_of(llr), verdict_of(llr)) == (step, verdict)
    assert step_of(llr, ("clipping",)) == verdict_of(llr, ("clipping",)) == "inconclusive"


def test_counts_are_those_of_the_steps_one_by_one() -> None:
    bonafide, spoof = RNG.normal(1, 2, 300), RNG.normal(-1, 2, 200)
    edges = np.array([LIKELY_LLR, INCONCLUSIVE_LLR, -INCONCLUSIVE_LLR, -LIKELY_LLR])
    rates = StepRates.of_llrs(np.concatenate([bonafide, edges]), spoof)
    for step in STEPS:
        wanted = [sum(step_of(x) == step for x in llrs) for llrs in ([*bonafide, *edges], spoof)]
        assert list(rates.counts[step]) == wanted
        assert rates.shares(step) == (100 * wanted[0] / 304, 100 * wanted[1] / 200)
    assert rates.clips == (304, 200)
    assert rates.real_called_fake == pytest.approx(
        100 * np.mean([verdict_of(x) == "spoof" for x in [*bonafide, *edges]])
    )
    assert rates.fake_called_real == pytest.approx(
        100 * np.mean([verdict_of(x) == "bonafide" for x in spoof])
    )
    assert StepRates.of_fields(json.loads(json.dumps(rates.as_fields()))) == rates


def test_counts_at_other_thresholds_are_refused() -> None:
    fields = StepRates.of_llrs(np.ones(2), -np.ones(2)).as_fields()
    with pytest.raises(ValueError, match="other thresholds"):
        StepRates.of_fields({**fields, "likely_from_llr": 2.0})


def test_rates_are_read_for_the_very_same_weights_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates = StepRates.of_llrs(np.array([2.0, 0.0]), np.array([-2.0, -1.0]))

    class Kept:
        weights = ("b" * 64, "a" * 64)
        conditions = {"raw": {FIELD: rates.as_fields()}}  # noqa: RUF012

    (tmp_path / "results-of-x+y.json").touch()
    monkeypatch.setattr("detectors.results.read_results", lambda file: Kept())
    assert measured_rates((("sls", "a" * 12), ("fake_mamba", "b" * 12)), tmp_path) == {"raw": rates}
    assert measured_rates((("sls", "a" * 12),), tmp_path) == {}
    assert measured_rates((("sls", "a" * 12), ("fake_mamba", "c" * 12)), tmp_path) == {}
    assert measured_rates((("sls", "a"), ("fake_mamba", "b")), tmp_path) == {}
