"""Every tab held against axe-core, light and dark, on a desk and on a phone; a visit by keyboard alone."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from demo import messages, messages_compare
from tests.demo.browsing import CHROMIUM, PATIENCE, open_page, open_tab
from tests.demo.fake_detectors import write_clip
from tests.demo.running import RunningApp
from tests.demo.test_workbench_browser import tab_to

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium or google-chrome on PATH")

#: axe looks at every element, and a visit has six tabs.
LONG = 4 * PATIENCE
#: WCAG 2.2 up to AA, and what axe calls best practice.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
TABS = (
    messages.DETECT_TAB, messages_compare.TAB, messages.WORKBENCH_TAB, messages.TEAM_TAB, messages.EXPORT_TAB,
    messages.MEANING_TAB, messages.ABOUT_TAB,
)  # fmt: skip


@dataclass(frozen=True)
class Excuse:
    """What axe may find without failing the test. selector: of the element, or of one that it is in."""

    rule: str
    selector: str
    reason: str


#: Of Gradio's own widgets, whose HTML is not ours to change.
EXCUSES = (
    Excuse("image-redundant-alt", "footer", "Gradio's links at the foot say the same in text and icon"),
    Excuse("aria-prohibited-attr", ".empty", "Gradio's box for a missing value has a label, but no role"),
)

#: Runs axe; gives [rule, the element, why, its HTML, the selector of an excuse or null] for each find.
LOOK = """async ([rules, excuses]) => {
  const found = await axe.run(document, {runOnly: {type: "tag", values: rules}, resultTypes: ["violations"]});
  return found.violations.flatMap((violation) => violation.nodes.map((node) => {
    const element = document.querySelector(node.target.at(-1));
    const excused = excuses.find(([rule, selector]) => rule === violation.id && element?.closest(selector));
    return [violation.id, node.target.join(" "), node.failureSummary, node.html, excused ? excused[1] : null];
  }));
}"""


def look(page: Page, used: set[Excuse]) -> list[str]:
    """What axe finds on the page as it is now and nothing excuses, one line each. used: excuses that were."""
    page.evaluate(AXE_SCRIPT)
    excuses = {(each.rule, each.selector): each for each in EXCUSES}
    found: list[list[Any]] = page.evaluate(LOOK, [RULES, list(excuses)])
    used |= {excuses[rule, selector] for rule, *_, selector in found if selector}
    return [
        f"{rule}: {target}: {' '.join(why.split())} {html[:160]}"
        for rule, target, why, html, selector in found
        if selector is None
    ]


def analyse(page: Page, clip: Path) -> None:
    page.set_input_files("#clip input[type=file]", clip)
    page.wait_for_selector("#clip button[aria-label=Clear], #clip #waveform", state="attached")
    page.click("#analyze")
    page.locator("#figures img").first.wait_for()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing_of_ours(running_app: RunningApp, tmp_path: Path, width: int, theme: str) -> None:
    clip = write_clip(tmp_path / "clip.wav", seconds=3.0)
    running_app.services.workbench.import_clips([clip], consent=True)
    found: dict[str, list[str]] = {}
    used: set[Excuse] = set()
    with open_page(width, 900, color_scheme=theme) as page:
        page.set_default_timeout(LONG)
        page.goto(f"{running_app.url}?__theme={theme}")
        page.locator("#analyze").wait_for()
        found["first sight"] = look(page, used)
        analyse(page, clip)
        for tab in TABS:
            open_tab(page, tab)
            found[tab] = look(page, used)
    left = {where: what for where, what in found.items() if what}
    assert not left, json.dumps(left, indent=1)


def test_every_excuse_has_a_reason() -> None:
    assert all(len(each.reason) > 20 for each in EXCUSES)
    assert len({(each.rule, each.selector) for each in EXCUSES}) == len(EXCUSES)


@pytest.fixture
def page() -> Iterator[Page]:
    with open_page(1280, 900) as page:
        page.set_default_timeout(LONG)
        yield page


def test_a_clip_is_chosen_and_judged_with_keys_alone(running_app: RunningApp, page: Page) -> None:
    page.goto(running_app.url)
    page.locator("#analyze").wait_for()
    tab_to(page, "#clip button")  # where a file can be chosen
    tab_to(page, "button.gallery-item, .gallery-item button")
    page.keyboard.press("Enter")
    page.wait_for_selector("#clip button[aria-label=Clear], #clip #waveform", state="attached")
    page.wait_for_timeout(2000)  # the new clip clears the page, which would stop an analysis that came before
    tab_to(page, "#analyze", key="Shift+Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle !== 'none' || "
                         "getComputedStyle(document.activeElement).boxShadow !== 'none'")  # fmt: skip
    verdict = page.locator(".sl-verdict h2")
    for _ in range(3):  # on a slow machine the clearing may come late: then one presses again
        page.keyboard.press("Enter")
        with suppress(PlaywrightTimeout):
            verdict.wait_for(timeout=PATIENCE)
            break
    assert verdict.is_visible()
    assert page.locator(".sl-verdict").get_attribute("aria-live") == "polite"  # and it is read out
