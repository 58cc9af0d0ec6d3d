"""The limits: their sizes, how the environment changes them, and what one visitor may take."""

from dataclasses import asdict, fields
from threading import Event

import pytest

from demo import messages
from demo.limits import SPAN, Budget, Deadline, LimitError, Limits, TimedStop
from demo.settings import Settings, SettingsError


class Clock:
    """Time that stands still until it is moved."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_public_page_is_limited_in_everything_and_more_than_an_own_machine() -> None:
    public, own = asdict(Limits.public()), asdict(Limits())
    assert all(value > 0 for value in public.values())
    for name, value in public.items():
        if name == "min_rate":
            assert value >= own[name]
        elif own[name]:
            assert value <= own[name], name


def test_every_limit_can_be_set_from_outside() -> None:
    environ = {f"SPOOFLENS_LIMIT_{each.name.upper()}": "7" for each in fields(Limits)}
    assert set(asdict(Settings.from_env(environ).limits).values()) == {7}
    assert Settings.from_env({"SPACE_ID": "me/here"}).limits == Limits.public()
    assert Settings.from_env({"SPOOFLENS_LIMIT_ANALYSES": "0", "SPACE_ID": "me/here"}).limits.analyses == 0


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("SPOOFLENS_LIMIT_SECONDS", "ten", "SPOOFLENS_LIMIT_SECONDS is 'ten'.*whole number"),
        ("SPOOFLENS_LIMIT_SECONDS", "0", "above 0"),
        ("SPOOFLENS_LIMIT_QUEUE", "-1", "whole number"),
        ("SPOOFLENS_LIMIT_SECOND", "1", "no limit of this program. There are: .*SPOOFLENS_LIMIT_SECONDS"),
    ],
)
def test_a_wrong_limit_is_named_with_what_is_possible(name: str, value: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        Settings.from_env({name: value})


def test_a_visitor_who_had_their_share_waits_and_others_do_not() -> None:
    clock = Clock()
    budget = Budget(Limits(analyses=2), clock)
    budget.spend("analyses", "anna")
    clock.now += 60
    budget.spend("analyses", "anna")
    with pytest.raises(LimitError, match=r"more than 2 analyses in 10 minutes.* Try again in 9 minutes\."):
        budget.spend("analyses", "anna")
    budget.spend("analyses", "bert")
    clock.now += SPAN - 60  # the first one is now long enough ago
    budget.spend("analyses", "anna")
    with pytest.raises(LimitError):
        budget.spend("analyses", "anna")


def test_bytes_are_counted_too_and_0_is_no_limit() -> None:
    budget = Budget(Limits(uploaded_bytes=100))
    budget.spend("uploaded_bytes", "anna", 60)
    with pytest.raises(LimitError, match="more than 100 bytes of uploads"):
        budget.spend("uploaded_bytes", "anna", 60)
    budget.spend("uploaded_bytes", "anna", 40)
    for _ in range(1000):
        budget.spend("labels", "anna")


def test_visitors_without_number_do_not_fill_the_memory() -> None:
    budget = Budget(Limits(analyses=1), visitors=10)
    for visitor in range(1000):
        budget.spend("analyses", f"visitor {visitor}")
    assert len(budget._used) == 10


def test_a_deadline_counts_only_what_runs() -> None:
    clock = Clock()
    deadline = Deadline(100, clock)
    clock.now += 1000  # a model is fetched
    with deadline.running():
        clock.now += 60
        deadline.check()
    clock.now += 1000
    with deadline.running():
        clock.now += 39
        deadline.check()
        clock.now += 1
        with pytest.raises(LimitError, match=r"more than 2 minutes, the longest.*shorter part"):
            deadline.check()
    with pytest.raises(LimitError), deadline.running():
        pytest.fail("there is no time left")


def test_a_timed_stop_comes_by_hand_or_by_the_clock() -> None:
    clock, by_hand = Clock(), Event()
    timed = TimedStop(by_hand, 60, clock)
    assert not timed.is_set()
    clock.now += 60
    assert timed.is_set()
    assert not by_hand.is_set()
    timed = TimedStop(by_hand, 60, clock)
    by_hand.set()
    assert timed.is_set()
    assert not timed.is_late()


def test_every_rate_has_a_word() -> None:
    for kind in (*messages.RATES, "requests", "uploaded_bytes"):
        assert isinstance(getattr(Limits(), kind), int)
        assert "the most for one visitor. Try again in 1 minute." in messages.too_often(kind, 5, 60, SPAN)
