"""Fine-tuned versions in the app: listed with their cards, put in use at once, and gone back from."""

from dataclasses import replace
from pathlib import Path

import gradio as gr
import pytest
import torch

from demo.loaded import DetectorSource
from demo.pages.versions import VersionHandlers
from demo.services import Services
from demo.settings import Settings
from detectors.audio import sha256_of
from detectors.cards import CARDS
from detectors.checkpoints import WEIGHTS, save_model
from detectors.config import FrontEndConfig, SlsConfig
from detectors.models import build_model
from detectors.versions import CARD, Version, Versions
from tests.demo.fake_detectors import write_clip

TINY = SlsConfig(
    FrontEndConfig(2, 16, 2, 24, extractor_channels=8, position_kernel=8, position_groups=2),
    window_samples=8_000,
    hop_samples=4_000,
    fc_hidden=6,
)


def made(versions: Versions, seed: int) -> Version:
    """A tiny version with a card and the facts that the list shows."""
    torch.manual_seed(seed)
    eer = {"held-back labelled": {"before": 45.0, "after": 12.5}}
    facts = {"created": f"2026-01-0{seed}T00:00:00Z", "clips": 60, "eer": eer}

    def write(folder: Path) -> None:
        save_model(build_model(TINY), "sls", folder, {"preset": "mini", "finetuned": facts})
        (folder / CARD).write_text(f"# Version {seed}")

    return versions.keep("sls", write)


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Services:
    """The app on the real registry, with a tiny shipped sls and no other detector."""
    folder = tmp_path / "sls-mini"
    torch.manual_seed(0)
    save_model(build_model(TINY), "sls", folder, {})
    card = replace(CARDS["sls", "mini"], folder=folder, sha256=sha256_of(folder / WEIGHTS))
    monkeypatch.setitem(CARDS, ("sls", "mini"), card)
    settings = Settings(data=tmp_path / "data", device="cpu")
    source = DetectorSource.of(Versions(settings.data))
    return Services(settings, replace(source, names=lambda: ["sls"]))


@pytest.fixture
def handlers(services: Services) -> VersionHandlers:
    return VersionHandlers(services, "sls", lambda: "# Shipped")


def test_without_versions_there_is_nothing_to_choose(handlers: VersionHandlers) -> None:
    column, radio, told, card = handlers.refresh()
    assert column.visible is False
    assert [value for _, value in radio.choices] == [""]
    assert "the shipped weights" in told
    assert card == "# Shipped"


def test_versions_stand_beside_the_shipped_weights(services: Services, handlers: VersionHandlers) -> None:
    first, second = made(services.versions, 1), made(services.versions, 2)
    services.versions.use("sls", "mini", first.name)
    column, radio, told, card = handlers.refresh()
    assert column.visible is True
    assert [value for _, value in radio.choices] == ["", second.name, first.name]
    assert radio.choices[2][0] == (
        f"{first.name}, 2026-01-01: 60 labelled clips, EER on the held-back ones 45.0 % → 12.5 %"
    )
    assert radio.value == first.name
    assert first.name in told
    assert card == "# Version 1"
    assert handlers.card(second.name) == "# Version 2"
    assert handlers.card("") == "# Shipped"


def test_the_next_clip_is_judged_by_what_was_chosen(
    services: Services, handlers: VersionHandlers, tmp_path: Path
) -> None:
    clip = write_clip(tmp_path / "clip.wav", seconds=1.0)
    shipped = services.analyze(clip).versions["sls"]
    version = made(services.versions, 1)
    assert services.analyze(clip).versions["sls"] == shipped  # made, but not in use
    assert version.name in handlers.use(version.name)
    assert services.analyze(clip).versions["sls"] == version.name
    assert "the shipped weights" in handlers.use("")
    assert services.analyze(clip).versions["sls"] == shipped


def test_a_choice_that_is_not_there_is_explained(services: Services, handlers: VersionHandlers) -> None:
    made(services.versions, 1)
    with pytest.raises(gr.Error, match="no version"):
        handlers.use("../../etc")
    assert services.versions.current("sls", "mini") is None


def test_a_damaged_choice_is_told_and_the_page_still_opens(
    services: Services, handlers: VersionHandlers, tmp_path: Path
) -> None:
    made(services.versions, 1)
    (services.versions.folder / "sls" / "current.json").write_text("{")
    column, _, told, _ = handlers.refresh()
    assert column.visible is True
    assert "damaged" in told
    analysis = services.analyze(write_clip(tmp_path / "clip.wav", seconds=1.0))
    assert "damaged" in analysis.unavailable["sls"]
