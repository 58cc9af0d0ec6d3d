"""Deletion on request: the two steps as the page takes them, and what is gone afterwards."""

from pathlib import Path

import gradio as gr
import pytest

from demo import markup, messages
from demo.pages.deletion import DeletionHandlers
from demo.services import Services
from detectors.audio import sha256_of
from detectors.errors import DetectorError
from detectors.labels.records import LabelError
from tests.demo.fake_detectors import fake_services, write_clip


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "interview.wav", seconds=2.0)


@pytest.fixture
def services(tmp_path: Path, clip: Path) -> Services:
    """With two clips in the queue; two people labelled the first one."""
    services = fake_services(tmp_path / "data")
    other = write_clip(tmp_path / "other.wav", seconds=1.0)
    services.workbench.import_clips([clip, other], consent=True, added_by="Anna")
    for annotator in ("Anna", "Bert"):
        services.workbench.save(
            sha256_of(clip), annotator=annotator, label="spoof", confidence=4, consent=True
        )
    return services


@pytest.fixture
def handlers(services: Services) -> DeletionHandlers:
    return DeletionHandlers(services)


@pytest.mark.parametrize("by_file", [True, False])
def test_what_goes_and_what_stays_is_said_before_anything_goes(
    handlers: DeletionHandlers, services: Services, clip: Path, by_file: bool
) -> None:
    sha256 = sha256_of(clip)
    told, chosen, confirm = handlers.find(
        "" if by_file else f" {sha256.upper()}\n", str(clip) if by_file else None
    )
    assert chosen == sha256
    assert confirm.visible is True
    assert "interview.wav, 62.5 kB" in told
    assert "2 labels by 2 people" in told
    for text in (messages.DELETE_GOES, messages.DELETE_STAYS, messages.DELETE_BEYOND):
        assert text in told
    assert services.store.clip(sha256) is not None


def test_the_clip_that_was_shown_is_deleted_and_no_other(
    handlers: DeletionHandlers, services: Services, clip: Path
) -> None:
    analysis = services.analyze(clip)
    services.workbench.wav(analysis.sha256)
    _, chosen, _ = handlers.find("", str(clip))
    told, chosen, confirm, *fields = handlers.delete(chosen, "", str(clip), " Ruth ", "the speaker asked")
    assert f"{analysis.sha256} and its 2 labels by 2 people" in told
    assert (chosen, confirm.visible, fields) == (None, False, ["", None, ""])
    assert services.store.clip(analysis.sha256) is None
    assert not services.store.audio_path(analysis.sha256).exists()
    (left,) = services.store.tombstones()
    assert (left.by, left.reason, left.labels) == ("Ruth", "the speaker asked", 2)
    assert services.workbench.next_clip("Dora", "newest") is not None  # the other one is still there
    with pytest.raises(DetectorError, match="no longer in memory"):
        services.recent(analysis.id)
    with pytest.raises(LabelError, match="cannot be decoded"):
        services.workbench.wav(analysis.sha256)  # no decoded copy is left in memory either


def test_a_deleted_clip_is_not_found_again(handlers: DeletionHandlers, clip: Path) -> None:
    handlers.delete(sha256_of(clip), "", str(clip), "Ruth", "asked")
    told, chosen, confirm = handlers.find("", str(clip))
    assert "was deleted on request on 20" in told
    assert (chosen, confirm.visible) == (None, False)


@pytest.mark.parametrize(
    ("sha256", "text"),
    [("", "Say which clip"), ("0" * 64, "No clip with SHA-256 000"), ("../../etc", "is not a SHA-256")],
)
def test_a_clip_that_is_not_there_is_explained(handlers: DeletionHandlers, sha256: str, text: str) -> None:
    told, chosen, confirm = handlers.find(sha256, None)
    assert text in told
    assert (chosen, confirm.visible) == (None, False)


@pytest.mark.parametrize(
    ("name", "reason", "text"),
    [("", "asked", "Your name is missing"), ("Ruth", " ", "Say why"), ("Ruth", "x" * 2001, "2,?000")],
)
def test_without_name_and_reason_nothing_goes(
    handlers: DeletionHandlers, services: Services, clip: Path, name: str, reason: str, text: str
) -> None:
    with pytest.raises(gr.Error, match=text):
        handlers.delete(sha256_of(clip), "", str(clip), name, reason)
    assert services.store.clip(sha256_of(clip)) is not None


def test_nothing_is_deleted_without_the_first_step_or_after_keeping(handlers: DeletionHandlers) -> None:
    with pytest.raises(gr.Error, match="Say which clip"):
        handlers.delete(None, "0" * 64, None, "Ruth", "asked")
    told, chosen, confirm = handlers.cancel()
    assert "Nothing was deleted" in told
    assert (chosen, confirm.visible) == (None, False)


@pytest.mark.parametrize("named", ["", "other", "no clip"])
def test_what_was_shown_is_not_deleted_once_another_clip_is_named(
    handlers: DeletionHandlers, services: Services, clip: Path, tmp_path: Path, named: str
) -> None:
    _, shown, _ = handlers.find(sha256_of(clip), None)
    now = sha256_of(tmp_path / "other.wav") if named == "other" else named
    with pytest.raises(gr.Error, match="Another clip is named by now"):
        handlers.delete(shown, now, None, "Ruth", "asked")
    with pytest.raises(gr.Error, match="Another clip is named by now"):
        handlers.delete(shown, sha256_of(clip), str(tmp_path / "other.wav"), "Ruth", "asked")
    assert services.store.clip(sha256_of(clip)) is not None
    handlers.delete(shown, f" {sha256_of(clip).upper()}", None, "Ruth", "asked")
    assert services.store.clip(sha256_of(clip)) is None


def test_a_clips_name_is_escaped(handlers: DeletionHandlers, services: Services, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "<img src=x>.wav", seconds=1.5)
    services.workbench.import_clips([clip], consent=True)
    told = markup.to_delete(services.deletion.find(file=clip))
    assert "&lt;img src=x&gt;" in told
    assert "<img" not in told
