"""Text of strangers in a real browser: on every tab it is shown, and never becomes part of the page."""

import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from detectors.audio import sha256_of
from detectors.errors import DetectorError
from tests.demo.browsing import CHROMIUM, open_page
from tests.demo.fake_detectors import write_clip
from tests.demo.running import RunningApp

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium or google-chrome on PATH")

#: Runs if anything takes it for HTML; short enough for a name, and fit for a file's name.
HOSTILE = "\"'><img src=x onerror=hit=1><svg onload=hit=1>{{7*7}}${hit=1}"


@pytest.fixture
def page() -> Iterator[Page]:
    with open_page(1100, 900) as page:
        yield page


@pytest.fixture
def hostile(running_app: RunningApp, tmp_path: Path) -> Path:
    """A clip with a hostile name in the queue, on which two people with hostile names disagree."""
    clip = write_clip(tmp_path / f"{HOSTILE}.wav", 2.0)
    bench = running_app.services.workbench
    about = {"source": HOSTILE, "speaker": HOSTILE, "licence": HOSTILE}
    bench.import_clips([clip], consent=True, added_by=HOSTILE, **about)
    for name, label in ((f"A{HOSTILE}", "spoof"), (f"B{HOSTILE}", "bonafide")):
        bench.save(
            sha256_of(clip),
            annotator=name,
            label=label,
            confidence=4,
            consent=True,
            note=HOSTILE,
            attack=HOSTILE,
            regions=[{"start": 0.1, "end": 0.5, "label": label}],
        )
    return clip


def check(page: Page, place: str) -> None:
    """Nothing of the hostile text has become an element, and none of its code has run."""
    assert page.evaluate("typeof hit") == "undefined", place
    assert page.locator("img[src='x'], svg[onload]").count() == 0, place


def test_hostile_text_stays_text(running_app: RunningApp, page: Page, hostile: Path, tmp_path: Path) -> None:
    page.goto(running_app.url)
    page.set_input_files("#clip input[type=file]", hostile)
    page.wait_for_selector("#clip button[aria-label=Clear], #clip #waveform", state="attached")
    page.click("#analyze")
    page.locator(".sl-verdict").wait_for()
    check(page, "the verdict")
    page.locator("#question textarea, #question input").first.fill(HOSTILE)
    page.click("#ask")
    page.locator("#conversation").get_by_text("onerror").first.wait_for()
    check(page, "the chat")
    page.get_by_label("Machine-made", exact=True).check()
    page.locator("#annotator input, #annotator textarea").first.fill(HOSTILE)
    page.locator("#consent input").check()
    page.click("#save")
    page.wait_for_selector(".sl-saved")
    check(page, "the saved label")

    page.get_by_role("tab", name="Label clips").click()
    page.locator("#who input, #who textarea").first.fill(HOSTILE)
    page.keyboard.press("Tab")
    page.locator("#workbench").get_by_text("onerror").first.wait_for()
    check(page, "the workbench")
    with zipfile.ZipFile(tmp_path / "clips.zip", "w") as archive:
        archive.writestr(f"{HOSTILE}.wav", b"no sound")
        archive.writestr(f"{HOSTILE}.exe", b"no sound")
    page.set_input_files("#import-files input[type=file]", tmp_path / "clips.zip")
    page.locator("#queue-consent input").check()
    page.locator("#import-files").get_by_text("clips").first.wait_for()
    page.click("#import-add")
    page.locator("#import-report").get_by_text("Not taken: 2").wait_for()
    check(page, "the import")

    page.get_by_role("tab", name="Team").click()
    page.locator("#adjudication").get_by_text("onerror").first.wait_for()
    page.locator("#agreement").get_by_text("onerror").first.wait_for()
    check(page, "the team's page")
    page.get_by_text("Delete a clip on request").click()
    page.locator("#delete-sha256 input, #delete-sha256 textarea").first.fill(sha256_of(hostile))
    page.click("#delete-find")
    page.locator("#delete-told").get_by_text("onerror").first.wait_for()
    check(page, "the deletion")
    page.locator("#delete-sha256 input, #delete-sha256 textarea").first.fill(HOSTILE[:80])
    page.click("#delete-find")
    page.locator("#delete-told").get_by_text("is not a SHA-256").wait_for()
    check(page, "a refusal")


def test_a_refusal_in_a_toast_is_text(
    running_app: RunningApp, page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Messages may name what a visitor typed; Gradio puts them into the page as HTML that it has cleaned."""

    def refuse(*_: object) -> None:
        raise DetectorError(f"About {HOSTILE}<a href='https://evil.example'>this</a>: it cannot be read.")

    monkeypatch.setattr(running_app.services, "analyze", refuse)
    page.goto(running_app.url)
    page.set_input_files("#clip input[type=file]", write_clip(tmp_path / "clip.wav", 1.0))
    page.wait_for_selector("#clip button[aria-label=Clear], #clip #waveform", state="attached")
    page.click("#analyze")
    page.get_by_text("it cannot be read").first.wait_for()
    check(page, "the toast")
    assert page.locator("a[href*='evil.example']").count() == 0
