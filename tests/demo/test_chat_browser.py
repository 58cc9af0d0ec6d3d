"""The chat in a real browser: nothing before an analysis, questions typed and pressed, a stop, a new clip."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from demo import messages
from tests.demo.browsing import CHROMIUM, open_page
from tests.demo.fake_detectors import fake_services, write_clip
from tests.demo.fake_talkers import FakeTalker, speaking
from tests.demo.running import RunningApp, serve

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium or google-chrome on PATH")

ANSWER, UNTRUE = "Ask the speaker through a channel you trust.", "It is 0.123 for 77 reasons."
#: Whether an element lies within the part of the conversation that is scrolled to.
IN_VIEW = """element => {
  const frame = element.closest(".bubble-wrap").getBoundingClientRect();
  return element.getBoundingClientRect().bottom <= frame.bottom + 1;
}"""
EVIL = '<img src="http://evil.example/x.png" onerror="window.hacked=1"> <b>why?</b>'


@pytest.fixture
def talker() -> FakeTalker:
    return FakeTalker([ANSWER])


@pytest.fixture
def app(tmp_path: Path, talker: FakeTalker, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningApp]:
    yield from serve(fake_services(tmp_path / "data", speakers=speaking(talker)), tmp_path, monkeypatch)


@pytest.fixture
def page() -> Iterator[Page]:
    with open_page(390, 844) as page:
        yield page


def judge(page: Page, clip: Path) -> None:
    """Hand the clip over and wait until the chat about it is open."""
    page.set_input_files("#clip input[type=file]", clip)
    page.wait_for_selector("#clip button[aria-label=Clear], #clip #waveform", state="attached")
    page.click("#analyze")
    page.locator("#chat").wait_for()


def wait_for_mark(page: Page, state: str, count: int = 1) -> None:
    page.locator("#conversation .bot .message", has_text=messages.CHAT_MARKS[state]).nth(count - 1).wait_for()


def test_a_conversation(app: RunningApp, page: Page, talker: FakeTalker, tmp_path: Path) -> None:
    foreign: list[str] = []
    page.on("request", lambda request: foreign.append(request.url))
    page.goto(app.url)
    page.locator("#analyze").wait_for()
    assert not page.locator("#chat").is_visible()  # there is nothing to ask about yet
    judge(page, write_clip(tmp_path / "clip.wav", seconds=3.0))

    page.get_by_role("button", name=messages.SUGGESTIONS[2]).click()
    wait_for_mark(page, "model")
    assert page.locator("#conversation .user").inner_text() == messages.SUGGESTIONS[2]
    assert page.locator("#conversation .bot .message").first.inner_text() == ANSWER

    talker.tries = [UNTRUE]
    page.locator("#question textarea").fill(EVIL)
    page.keyboard.press("Enter")
    wait_for_mark(page, "template")
    conversation = page.locator("#conversation").inner_text()
    assert EVIL in conversation  # to be read, not to be run
    assert UNTRUE not in conversation
    assert page.locator("#conversation .message b, #conversation .message img").count() == 0
    assert page.evaluate("window.hacked") is None

    talker.tries, talker.gate = [ANSWER], threading.Event()
    page.locator("#question textarea").fill("And now?")
    page.click("#ask")
    page.locator("#stop").wait_for()
    assert not page.locator("#ask").is_visible()
    page.click("#stop")
    wait_for_mark(page, "stopped")
    shown = page.locator("#conversation .bot .message", has_text=messages.CHAT_MARKS["stopped"])
    page.wait_for_function(IN_VIEW, arg=shown.element_handle())  # the conversation scrolls to its end
    page.locator("#ask").wait_for()
    talker.gate.set()
    page.locator("#question textarea").fill("Once more?")
    page.click("#ask")
    wait_for_mark(page, "model", 2)
    assert "And now?" not in str(talker.asked[-1])  # what was stopped is no part of the conversation

    assert page.evaluate("document.documentElement.scrollWidth") <= 390  # nothing hangs over on a phone
    judge_another(page, write_clip(tmp_path / "another.wav", seconds=2.0))
    assert page.locator("#conversation .message").count() == 0
    assert [url for url in foreign if not url.startswith((app.url, "data:", "blob:"))] == []


def judge_another(page: Page, clip: Path) -> None:
    page.click("#clip button[aria-label=Clear]")
    page.locator("#chat").wait_for(state="hidden")
    judge(page, clip)
