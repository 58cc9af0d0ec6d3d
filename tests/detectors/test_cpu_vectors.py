"""The powers of 2 that all compiled loops rest on are as exact as float32 lets them be."""

import numpy as np
import pytest
from numba import njit

from detectors.ops.cpu_vectors import LANES, exp2, load, store


@njit
def _powers(x):
    for place in range(0, len(x), LANES):
        store(exp2(load(x, place)), x, place)


def powers_of_2(exponents: np.ndarray) -> np.ndarray:
    """2 ** exponents; as many as fill whole vectors."""
    x = exponents.astype(np.float32)
    _powers(x)
    return x


def test_powers_are_within_two_roundings():
    exponents = np.linspace(-126, 127, 2**16, dtype=np.float32)
    exact = np.exp2(exponents.astype(np.float64))
    assert np.abs(powers_of_2(exponents) / exact - 1).max() < 2e-7


def test_whole_powers_are_exact_so_that_a_state_that_does_not_decay_stays():
    exponents = np.arange(-126, 114)
    assert np.array_equal(powers_of_2(exponents), np.exp2(exponents).astype(np.float32))


@pytest.mark.parametrize(
    ("exponent", "power"), [(-1e30, 2.0**-126), (-np.inf, 2.0**-126), (-1e-30, 1.0), (np.nan, np.nan)]
)
def test_far_below_it_is_as_good_as_nothing_and_what_is_no_number_stays_none(exponent, power):
    assert np.array_equal(powers_of_2(np.full(LANES, exponent)), np.full(LANES, power), equal_nan=True)
