"""The list of a visit's own analyses: nobody else's, and nothing of what was deleted."""

from pathlib import Path

import gradio as gr
import pytest

from demo.history import MOST, NAME, line, with_new
from demo.pages.history import HistoryHandlers
from demo.services import Services
from tests.demo.fake_detectors import FakeSource, fake_services, write_clip

HOSTILE = "<img src=x onerror=alert(1)>\u202egpj.wav"


@pytest.fixture
def services(tmp_path: Path) -> Services:
    return fake_services(tmp_path / "data")


@pytest.fixture
def handlers(services: Services) -> HistoryHandlers:
    return HistoryHandlers(services)


def analyse(services: Services, folder: Path, name: str = "clip.wav", level: float = 0.3) -> str:
    return services.analyze(write_clip(folder / name, seconds=2.0, level=level)).id


def choices(radio: gr.Radio) -> list[tuple[str, str]]:
    return [tuple(choice) for choice in radio.choices]


def test_each_analysis_is_listed_with_time_name_verdict_and_number(handlers, services, tmp_path) -> None:
    first, second = analyse(services, tmp_path, "a.wav"), analyse(services, tmp_path, "b.wav", level=0.9)
    entries, accordion, _ = handlers.add(first, [])
    entries, accordion, radio = handlers.add(second, entries)
    assert (accordion.visible, accordion.label) == (True, "Earlier in this visit (2)")
    (_, late_id), (early, early_id) = choices(radio)
    assert (late_id, early_id) == (second, first)
    analysis = services.recent(first)
    assert early.split(" · ")[:2] == [f"{analysis.created[11:16]} UTC", "a.wav"]
    assert early.endswith(f" · {min(max(analysis.p_spoof, 0.01), 0.99):.2f}")
    assert handlers.add(second, entries)[0] == entries  # listed once


def test_an_earlier_analysis_is_shown_as_it_was(handlers, services, tmp_path) -> None:
    analysis_id = analyse(services, tmp_path, "a.wav")
    entries = handlers.add(analysis_id, [])[0]
    page = handlers.show(analysis_id, entries)
    assert "a.wav, as it was analysed at" in page
    assert services.recent(analysis_id).sha256 in page
    assert "XLS-R + SLS" in page
    assert 'id="figure-earlier"' in page
    assert 'id="figure-timeline"' not in page  # that one is of the clip at the top


def test_without_any_detector_it_is_listed_and_shown_too(tmp_path) -> None:
    missing = dict.fromkeys(("sls", "fake_mamba", "allm4add"), "weights are missing")
    services = fake_services(tmp_path / "data", FakeSource(missing=missing))
    handlers = HistoryHandlers(services)
    analysis_id = analyse(services, tmp_path)
    entries, _, radio = handlers.add(analysis_id, [])
    assert choices(radio)[0][0].endswith("clip.wav · No verdict")
    assert "No verdict" in handlers.show(analysis_id, entries)


def test_a_visitor_never_sees_anothers(handlers, services, tmp_path) -> None:
    mine, yours = analyse(services, tmp_path, "mine.wav"), analyse(services, tmp_path, "yours.wav")
    my_list, your_list = handlers.add(mine, [])[0], handlers.add(yours, [])[0]
    assert [entry.name for entry in my_list] == ["mine.wav"]
    for call in (handlers.show, lambda *args: handlers.remove(*args, None)):
        with pytest.raises(gr.Error, match="not in the list of this visit"):
            call(yours, my_list)  # even who knows its id
    assert services.is_kept(yours)
    assert handlers.show(yours, your_list)


def test_what_was_forgotten_is_said_to_be(handlers, services, tmp_path) -> None:
    analysis_id = analyse(services, tmp_path)
    entries = handlers.add(analysis_id, [])[0]
    services._recent.drop(analysis_id)
    entries, _, radio = handlers.refresh(entries)
    assert choices(radio)[0][0].endswith("no longer kept")
    with pytest.raises(gr.Error, match="no longer kept"):
        handlers.show(analysis_id, entries)


def test_to_list_an_analysis_does_not_keep_it(handlers, services, tmp_path) -> None:
    now = [0.0]
    services._recent._clock = lambda: now[0]
    analysis_id = analyse(services, tmp_path)
    entries = handlers.add(analysis_id, [])[0]
    for _ in range(3):
        now[0] += 0.4 * services._recent.age
        handlers.refresh(entries)
    assert not services.is_kept(analysis_id)


def test_a_clip_deleted_on_request_leaves_no_name_behind(handlers, services, tmp_path) -> None:
    gone, stays = analyse(services, tmp_path, "gone.wav"), analyse(services, tmp_path, "stays.wav", 0.9)
    sha256 = services.recent(gone).sha256
    entries = handlers.add(stays, handlers.add(gone, [])[0])[0]
    services._forget(sha256)
    entries, _, radio = handlers.refresh(entries)
    assert [entry.name for entry in entries] == ["stays.wav"]
    assert "gone.wav" not in str(radio.choices)
    again = analyse(services, tmp_path, "gone.wav")  # whoever brings it again sees it again
    assert [entry.id for entry in handlers.add(again, entries)[0]] == [again, stays]


def test_removing_forgets_the_analysis_unless_it_is_on_the_page(handlers, services, tmp_path) -> None:
    old, shown = analyse(services, tmp_path, "old.wav"), analyse(services, tmp_path, "new.wav", 0.9)
    entries = handlers.add(shown, handlers.add(old, [])[0])[0]
    entries, accordion, radio, told = handlers.remove(old, entries, shown)
    assert [value for _, value in choices(radio)] == [shown]
    assert not services.is_kept(old)
    assert "Removed" in told
    entries, accordion, _, _ = handlers.remove(shown, entries, shown)
    assert (entries, accordion.visible) == ([], False)
    assert services.is_kept(shown)


def test_a_choice_is_needed(handlers) -> None:
    for call in (handlers.show, lambda *args: handlers.remove(*args, None)):
        with pytest.raises(gr.Error, match="Choose one"):
            call(None, [])


def test_an_analysis_that_is_gone_already_is_not_listed(handlers) -> None:
    assert handlers.add("0" * 32, [])[0] == []


def test_the_list_is_short_and_names_cannot_hide_anything(handlers, services, tmp_path) -> None:
    analysis = services.analyze(write_clip(tmp_path / HOSTILE, 2.0))
    (entry,) = with_new([], analysis)
    assert "\u202e" not in line(entry, True)
    page = handlers.show(analysis.id, [entry])
    assert "<img src=x" not in page
    many = [entry]
    for turn in range(MOST + 5):
        many = with_new(many, _named(analysis, f"{turn}" + "x" * 100))
    assert len(many) == MOST
    assert len(many[0].name) == NAME


def _named(analysis, name: str):
    from dataclasses import replace

    return replace(analysis, id=name, path=f"/somewhere/{name}.wav")
