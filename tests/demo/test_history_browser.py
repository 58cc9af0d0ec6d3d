"""Two visitors at once in real browsers: each sees the analyses of their own visit only; and Compare."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from demo import messages
from tests.demo.browsing import ARGUMENTS, CHROMIUM, PATIENCE
from tests.demo.fake_detectors import write_clip
from tests.demo.running import RunningApp

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium or google-chrome on PATH")


def analyse(page: Page, url: str, clip: Path) -> None:
    page.goto(url)
    page.set_input_files("#clip input[type=file]", clip)
    page.wait_for_selector("#clip button[aria-label=Clear], #clip #waveform", state="attached")
    page.click("#analyze")
    page.locator(".sl-verdict").wait_for()
    page.locator("#history").wait_for()


def test_two_visitors_and_a_comparison(running_app: RunningApp, tmp_path: Path) -> None:
    mine = write_clip(tmp_path / "mine.wav", seconds=2.0)
    yours = write_clip(tmp_path / "yours.wav", seconds=2.0, level=0.9)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        pages = [browser.new_context(viewport={"width": 390, "height": 844}).new_page() for _ in range(2)]
        for page, clip in zip(pages, (mine, yours), strict=True):
            page.set_default_timeout(PATIENCE)
            analyse(page, running_app.url, clip)
        first, second = pages
        for page, own, other in ((first, "mine.wav", "yours.wav"), (second, "yours.wav", "mine.wav")):
            page.get_by_role("button", name="Earlier in this visit (1)").click()
            page.locator("#history-list input").first.wait_for()
            assert own in page.locator("#history").inner_text()
            assert other not in page.content()

        first.locator("#history-list input").first.check()
        first.click("#history-show")
        first.locator(".sl-earlier .sl-verdict").wait_for()
        assert "mine.wav, as it was analysed at" in first.locator(".sl-earlier").inner_text()
        assert picture_width(first, "earlier") < 1000
        assert first.evaluate("document.documentElement.scrollWidth") <= 390
        first.locator("#history-list input").first.check()
        first.click("#history-remove")
        first.locator("#history").wait_for(state="hidden")

        second.get_by_role("tab", name="Compare").click()
        second.set_input_files("#compare-questioned input[type=file]", mine)
        second.set_input_files("#compare-known input[type=file]", [yours])
        second.locator("#compare-known .file-preview").wait_for()
        second.click("#compare-run")
        second.locator("#figure-compare img").wait_for()
        table = second.locator(".sl-comparison table").inner_text()
        assert "mine.wav" in table
        assert "yours.wav" in table
        assert second.evaluate("document.documentElement.scrollWidth") <= 390
        assert picture_width(second, "compare") < 1000

        second.set_viewport_size({"width": 1280, "height": 900})
        second.click("#compare-run")
        second.locator("#figure-compare.sl-wide img").wait_for()
        assert picture_width(second, "compare") > 1500
        second.get_by_role("tab", name=messages.DETECT_TAB).click()
        second.locator("#history-list input").first.check()
        second.click("#history-show")
        second.locator("#figure-earlier.sl-wide img").wait_for()
        assert picture_width(second, "earlier") > 1500
        browser.close()


def picture_width(page: Page, figure: str) -> int:
    """In the picture's own pixels."""
    width: int = page.locator(f"#figure-{figure} img").evaluate("image => image.naturalWidth")
    return width
