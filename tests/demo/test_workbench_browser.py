"""The workbench in a real browser: ten clips labelled with keys alone; mouse; a phone; two people."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page

from demo import waveform
from detectors.labels.records import Label
from tests.demo.browsing import CHROMIUM, open_page, open_tab
from tests.demo.fake_detectors import speech_like, write_clip
from tests.demo.running import RunningApp

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium or google-chrome on PATH")

ANSWERS = {"1": "bonafide", "2": "spoof", "3": "unsure"}
BENCH = "#workbench"


@pytest.fixture
def page() -> Iterator[Page]:
    with open_page(1280, 1000) as page:
        yield page


def part(page: Page, name: str, widget: str = BENCH) -> str:
    """The text of one part of the widget."""
    return page.locator(f'{widget} [data-part="{name}"]').inner_text()


def wait_for(page: Page, name: str, text: str, widget: str = BENCH) -> None:
    """Until that part of the widget contains a text."""
    page.locator(f'{widget} [data-part="{name}"]', has_text=text).wait_for()


def tab_to(page: Page, selector: str, text: str = "", key: str = "Tab") -> None:
    """Press the Tab key (or Shift+Tab) until the focus is on an element that matches and has the text."""
    there = (
        "([selector, text]) => document.activeElement.matches(selector) "
        "&& document.activeElement.textContent.includes(text)"
    )
    for _ in range(80):
        page.keyboard.press(key)
        if page.evaluate(there, [selector, text]):
            return
    raise AssertionError(f"the Tab key does not lead to {selector}")


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def import_clips(page: Page, clips: list[Path]) -> None:
    """Hand the files over (the system's own file dialog cannot be driven) and press the button by key."""
    page.set_input_files("#import-files input[type=file]", clips)
    page.locator("#import-files", has_text=clips[-1].stem).wait_for()
    tab_to(page, "#import-add")
    press(page, "Enter")
    page.locator("#import-report .sl-saved").wait_for()


def shown_region(page: Page) -> tuple[float, float]:
    found = re.match(r"([\d.]+)–([\d.]+) s", page.locator(f"{BENCH} .sl-wb-region").inner_text())
    assert found
    return float(found[1]), float(found[2])


def test_ten_clips_are_labelled_with_keys_alone(running_app: RunningApp, page: Page, tmp_path: Path) -> None:
    clips = [write_clip(tmp_path / f"clip{n}.wav", 1.5 + 0.1 * n, 0.1 + 0.07 * n) for n in range(10)]
    foreign: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: foreign.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))

    page.goto(running_app.url)
    page.get_by_role("tab", name="Label clips").wait_for()
    tab_to(page, "[role=tab]", "Label clips")
    press(page, "Enter")
    wait_for(page, "status", "There are no clips yet")
    tab_to(page, "#queue-consent input")
    press(page, "Space")
    import_clips(page, clips)
    wait_for(page, "name", "clip")
    tab_to(page, "#who input, #who textarea", key="Shift+Tab")
    page.keyboard.type("Ursus 213")  # letters and digits that are keys of the workbench elsewhere
    tab_to(page, f'{BENCH} [data-part="stage"]')
    assert part(page, "progress-text") == "0 of 10 labelled"
    assert page.locator(f"{BENCH} [aria-pressed=true]").count() == 0

    given: dict[str, tuple[str, tuple[float, float], str]] = {}
    for turn in range(10):
        name, (inside, answer) = part(page, "name"), (str(turn % 3 + 1), str((turn + 1) % 3 + 1))
        press(page, *["ArrowRight"] * (turn + 1), "r", *["ArrowRight"] * (20 - turn), "r", inside, answer)
        page.locator(f"{BENCH} [data-ask=answer][aria-pressed=true]").wait_for()
        given[name] = (ANSWERS[answer], shown_region(page), ANSWERS[inside])
        assert page.locator(f"{BENCH} .sl-wb-track").count() == 0  # blind
        press(page, "Enter")
        wait_for(page, "progress-text", f"{turn + 1} of 10 labelled")
        if turn < 9:
            page.wait_for_function(
                "([selector, name]) => document.querySelector(selector).textContent !== name",
                arg=[f'{BENCH} [data-part="name"]', name],
            )
            wait_for(page, "clock", "0.000 /")
    wait_for(page, "status", "You have been through all clips")

    labels = running_app.services.store.labels()
    assert {row.label: None for row in labels}.keys() == set(ANSWERS.values())
    assert {_name(running_app, row): _said(row) for row in labels} == given
    assert len(given) == len(labels) == 10
    assert {(row.annotator, row.blind, row.consent, row.supersedes) for row in labels} == {
        ("Ursus 213", True, True, None)
    }
    for row in labels:
        kept = running_app.services.store.audio_path(row.audio_sha256).read_bytes()
        assert kept in [clip.read_bytes() for clip in clips]
    assert errors == []
    assert [url for url in foreign if not url.startswith((running_app.url, "data:", "blob:"))] == []


def _name(app: RunningApp, row: Label) -> str:
    item = app.services.store.clip(row.audio_sha256)
    assert item
    return item.name


def _said(row: Label) -> tuple[str, tuple[float, float], str]:
    (region,) = row.regions
    return row.label, (region.start, region.end), region.label


def test_the_spectrum_is_that_of_numpy(page: Page) -> None:
    wave = speech_like(0.2)
    scripts = "\n".join((waveform.ASSETS / name).read_text(encoding="utf-8") for name in waveform.SCRIPTS)
    ask = "return Array.from(new Sound(Float32Array.from(samples), 16000).spectrum(0.1));"
    found = page.evaluate(f"samples => {{ {scripts}\n{ask} }}", wave.tolist())
    frame = wave[1600 - 256 : 1600 + 256] * (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(512) / 512))
    expected = 10 * np.log10(np.abs(np.fft.rfft(frame)[:256]) ** 2 / 128**2 + 1e-12)
    np.testing.assert_allclose(found, expected, atol=0.05)


def test_undo_takes_back_one_change_at_a_time(page: Page) -> None:
    scripts = "\n".join((waveform.ASSETS / name).read_text(encoding="utf-8") for name in waveform.SCRIPTS)
    steps = """
      const draft = new Draft(3.00049), seen = [];
      const plain = (r) => [r.start, r.end, r.label];
      const look = () => seen.push([draft.label, draft.regions.map(plain), draft.open]);
      draft.answer("unsure"); look();
      draft.mark(2.0004); look();
      draft.mark(1); look();               // closed backwards, selected
      draft.answer("spoof"); look();       // for the region
      draft.add(2.5, 9); look();           // cut off at the clip's end
      draft.drag(draft.regions[1], "end", 0); look();   // not past its own start
      draft.selectNext(); draft.remove(draft.selected); look();
      const made = draft.add(1, 1.001);    // too short
      while (draft.undo()) look();
      return {seen, made};
    """
    found = page.evaluate(f"() => {{ {scripts}\n{steps} }}")
    first = [1, 2, "spoof"]
    assert found["seen"] == [
        ["unsure", [], None],
        ["unsure", [], 2],
        ["unsure", [[1, 2, None]], None],
        ["unsure", [first], None],
        ["unsure", [first, [2.5, 3, None]], None],
        ["unsure", [first, [2.5, 2.52, None]], None],
        ["unsure", [[2.5, 2.52, None]], None],
        ["unsure", [first, [2.5, 2.52, None]], None],
        ["unsure", [first], None],
        ["unsure", [[1, 2, None]], None],
        ["unsure", [], 2],
        ["unsure", [], None],
        [None, [], None],
    ]
    assert found["made"] is None


def start(app: RunningApp, page: Page, clips: list[Path], name: str = "Anna") -> None:
    """Fill the queue behind the page's back, let the detectors hear it, and open the workbench."""
    bench = app.services.workbench
    bench.import_clips(clips, consent=True)
    while bench.judge_next():
        pass
    page.goto(app.url)
    open_tab(page, "Label clips")
    wait_for(page, "clock", "0.000 /")
    page.locator("#who input, #who textarea").fill(name)
    page.locator("#queue-consent input").check()
    page.locator(f'{BENCH} [data-part="stage"]').focus()


def test_undo_skip_compare_and_reveal(running_app: RunningApp, page: Page, tmp_path: Path) -> None:
    clips = [write_clip(tmp_path / f"{n}.wav", 3.0 + n, 0.1 + 0.3 * n) for n in range(3)]
    start(running_app, page, clips)
    store = running_app.services.store

    press(page, "r", "End", "r", "Enter")
    wait_for(page, "status", "has no answer yet")
    press(page, "u", "u", "1", "u", "Enter")
    wait_for(page, "status", "First say what the clip is")
    first = part(page, "name")
    press(page, "2", "Enter")
    wait_for(page, "status", "Saved: machine-made. The detectors said:")
    wait_for(page, "progress-text", "1 of 3 labelled")
    press(page, "u")
    wait_for(page, "status", f"Taken back: machine-made for {first}")
    wait_for(page, "clock", "0.000 /")
    assert page.locator(f"{BENCH} .sl-wb-track").count() == 2  # seen once, they need not be hidden again
    assert page.locator(f"{BENCH} [data-label=spoof][aria-pressed=true]").count() == 1  # as it was
    press(page, "s")
    wait_for(page, "progress-text", "0 of 3 labelled, 1 skipped")
    wait_for(page, "clock", "0.000 /")

    press(page, "v")
    wait_for(page, "status", "kept as not blind")
    page.locator(f"{BENCH} .sl-wb-track canvas").first.click(position={"x": 5, "y": 5})
    wait_for(page, "status", "where the detector gives")  # a click on a window lets one hear it
    page.locator("#compare input").check()
    page.locator(f'{BENCH} [data-part="stage"]').focus()
    press(page, "1", "Enter")
    wait_for(page, "save", "Next clip")
    press(page, "3", "r")
    wait_for(page, "status", "This label is saved")
    press(page, "Enter")
    wait_for(page, "save", "Save and next")
    wait_for(page, "clock", "0.000 /")
    press(page, "1", "Enter")
    wait_for(page, "save", "Next clip")

    assert [(row.kind, row.label, row.blind) for row in store.labels()] == [
        ("label", "spoof", True),
        ("withdrawn", "spoof", True),
        ("label", "bonafide", False),
        ("label", "bonafide", True),
    ]
    page.get_by_role("button", name="Bring back skipped clips").click()
    wait_for(page, "status", "1 clip brought back")
    page.reload()
    open_tab(page, "Label clips")
    wait_for(page, "progress-text", "2 of 3 labelled")  # the browser remembers who labels


def test_a_phone_marks_by_dragging(running_app: RunningApp, tmp_path: Path) -> None:
    with open_page(390, 844, has_touch=True) as page:
        start(running_app, page, [write_clip(tmp_path / "a.wav", 4.0)])
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        box = _box(page, f'{BENCH} [data-part="stage"]')
        _drag(page, box, 0.25, 0.5)
        start_shown, end_shown = shown_region(page)
        assert (start_shown, end_shown) == (pytest.approx(1.0, abs=0.05), pytest.approx(2.0, abs=0.05))
        spoof, bonafide = (
            page.locator(f"{BENCH} [data-ask=answer][data-label={x}]") for x in ("spoof", "bonafide")
        )
        spoof.tap()
        _drag(page, box, 0.5, 0.75)  # its edge
        assert shown_region(page) == (start_shown, pytest.approx(3.0, abs=0.05))
        page.wait_for_timeout(500)  # as slow as a thumb: taps in one instant count as one gesture
        spoof.tap()  # the region again: it was grabbed
        page.wait_for_timeout(500)
        bonafide.tap()
        page.wait_for_timeout(500)
        before = shown_region(page)
        page.locator(f"{BENCH} [data-ask=save]").tap()
        wait_for(page, "progress-text", "1 of 1 labelled")
        (row,) = running_app.services.store.labels()
        assert _said(row) == ("bonafide", before, "spoof")


def _box(page: Page, selector: str) -> Any:
    page.locator(selector).scroll_into_view_if_needed()
    return page.locator(selector).bounding_box()


def _drag(page: Page, box: Any, start: float, end: float) -> None:
    """One finger's way, as the browser would tell of it."""
    events = page.context.new_cdp_session(page)
    y = box["y"] + 60
    for kind, share in (("touchStart", start), ("touchMove", (start + end) / 2), ("touchMove", end)):
        point = {"x": box["x"] + share * box["width"], "y": y}
        events.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
    events.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    page.wait_for_timeout(200)


def test_two_people_disagree_and_one_settles_it(running_app: RunningApp, page: Page, tmp_path: Path) -> None:
    bench = running_app.services.workbench
    clip = write_clip(tmp_path / "<b>loud.wav", 3.0)
    bench.import_clips([clip], consent=True)
    (item,) = bench.store.queue("Anna", "newest")
    for name, answer in (("Anna", "spoof"), ("<i>Ben</i>", "bonafide")):
        region = {"start": 0.5, "end": 1.25, "label": answer}
        bench.save(item.sha256, annotator=name, label=answer, confidence=3, consent=True, regions=[region])

    page.goto(running_app.url)
    open_tab(page, "Label clips")
    page.locator("#who input, #who textarea").fill("Cleo")
    page.locator("#queue-consent input").check()
    open_tab(page, "Team")
    team = "#adjudication"
    wait_for(page, "clock", "0.000 / 3.000", team)
    assert part(page, "progress-text", team) == "1 to settle"
    assert part(page, "name", team) == "<b>loud.wav"  # text, not markup
    captions = page.locator(f"{team} .sl-wb-caption").all_inner_texts()
    assert captions == [
        "Anna: machine-made, confidence 3 of 5",
        "<i>Ben</i>: a human voice, confidence 3 of 5",
    ]
    page.locator("#agreement table").wait_for()
    assert page.locator("#agreement i, #conflict b").count() == 0
    page.locator(f'{team} [data-part="stage"]').focus()
    press(page, "2", "Enter")
    wait_for(page, "status", "Settled: machine-made. Nobody contradicts anybody", team)
    ruling = bench.store.labels()[-1]
    assert (ruling.annotator, ruling.label, ruling.adjudication) == ("Cleo", "spoof", True)
