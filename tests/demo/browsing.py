"""A real browser for tests: Debian's Chromium or Google Chrome, if one is on PATH."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Page, sync_playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]

#: Milliseconds to wait for anything on the page: machines that run tests may be slow.
PATIENCE = 60_000


@contextmanager
def open_page(width: int, height: int, **options: object) -> Iterator[Page]:
    """A page of this size in CSS pixels. options: as of Playwright's new_page."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": width, "height": height}, **options)  # type: ignore[arg-type]
        page.set_default_timeout(PATIENCE)
        yield page
        browser.close()


def open_tab(page: Page, name: str) -> None:
    """On a narrow page some tabs are behind a button, once the page has measured them."""
    page.locator("[role=tab][aria-selected=true]").first.wait_for()
    page.wait_for_timeout(500)
    tab = page.get_by_role("tab", name=name, exact=True)
    if tab.count() == 0 or not tab.first.is_visible():
        page.locator(".overflow-menu > button").click()
        page.locator(".overflow-dropdown button", has_text=name).click()
    else:
        tab.first.click()
    page.wait_for_timeout(500)  # colours fade in
