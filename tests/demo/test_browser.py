"""One visit in a real browser: a clip in, a verdict and a heatmap out, a label in the store."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from demo.services import Services
from demo.settings import Settings
from detectors.registry import detector_status
from tests.demo.browsing import CHROMIUM, open_page
from tests.demo.fake_detectors import fake_services, write_clip
from tests.demo.running import RunningApp, serve

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium or google-chrome on PATH")


@pytest.fixture
def real_app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningApp]:
    """With the shipped mini detectors where their weights are here, else with fakes."""
    ready = all(detector_status(name, "mini") is None for name in ("sls", "fake_mamba"))
    data = tmp_path / "data"
    services = Services(Settings(device="cpu", data=data)) if ready else fake_services(data)
    yield from serve(services, tmp_path, monkeypatch)


@pytest.fixture
def page() -> Iterator[Page]:
    with open_page(390, 844) as page:
        yield page


def test_a_visit(real_app: RunningApp, page: Page, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.wav", seconds=3.0)
    foreign: list[str] = []
    page.on("request", lambda request: foreign.append(request.url))

    page.goto(real_app.url)
    page.set_input_files("#clip input[type=file]", clip)
    page.wait_for_selector("#clip button[aria-label=Clear], #clip #waveform", state="attached")
    page.click("#analyze")
    verdict = page.locator(".sl-verdict")
    verdict.wait_for()
    assert "1.00 = certainly machine-made" in verdict.inner_text()
    page.locator("#figure-layer_time img").scroll_into_view_if_needed()
    assert page.locator("#figure-layer_time img").evaluate("image => image.naturalWidth") > 300
    assert page.locator("#figure-timeline img").evaluate("image => image.naturalWidth") < 1000
    services = real_app.services
    missing = [name for name in services.detectors.names() if services.detectors.status(name) is not None]
    assert page.locator(".sl-detector").count() == len(services.detectors.names())
    assert page.locator("#detectors .sl-unavailable").count() == len(missing)

    page.get_by_label("Machine-made", exact=True).check()
    page.get_by_label("Your name or a code").fill("Anna")
    page.locator("#consent input").check()
    page.click("#save")
    page.wait_for_selector(".sl-saved")

    (label,) = real_app.services.store.labels()
    assert label.audio_sha256 == hashlib.sha256(clip.read_bytes()).hexdigest()
    assert (label.label, label.annotator) == ("spoof", "Anna")
    assert real_app.services.store.audio_path(label.audio_sha256).read_bytes() == clip.read_bytes()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390  # nothing hangs over on a phone
    assert [url for url in foreign if not url.startswith((real_app.url, "data:", "blob:"))] == []


def test_a_large_screen_gets_wide_pictures(real_app: RunningApp, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.wav", seconds=2.0)
    with open_page(1280, 900) as page:
        page.goto(real_app.url)
        page.set_input_files("#clip input[type=file]", clip)
        page.wait_for_selector("#clip button[aria-label=Clear], #clip #waveform", state="attached")
        page.click("#analyze")
        for key in ("timeline", "voice_time", "attention"):
            page.wait_for_selector(f"#figure-{key}.sl-wide img")
            assert page.locator(f"#figure-{key} img").evaluate("image => image.naturalWidth") > 1500
