"""The export as a script asks for it, and as a visitor of the page does."""

import csv
import io
import zipfile
from pathlib import Path

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from detectors.labels.records import LabelDraft
from tests.demo.fake_detectors import write_clip
from tests.demo.running import RunningApp


def label_clips(app: RunningApp, folder: Path, count: int) -> None:
    """So many clips on which two people agree, each of a source of its own."""
    for i in range(count):
        clip = write_clip(folder / f"clip {i}.wav", seconds=0.5 + i / 10)
        item, _ = app.services.store.enqueue(clip, clip.name, source=f"page {i}")
        for annotator in ("ann", "bob"):
            draft = LabelDraft(
                audio_sha256=item.sha256,
                annotator=annotator,
                label="spoof" if i % 2 else "bonafide",
                confidence=4,
                consent=True,
            )
            app.services.store.add(draft, clip)


def test_a_script_gets_a_zip_that_holds_manifest_and_audio(running_app: RunningApp, tmp_path: Path) -> None:
    label_clips(running_app, tmp_path, 4)
    client = Client(running_app.url, verbose=False, download_files=str(tmp_path / "got"))
    path, told = client.predict(form="csv", held_back=0.5, api_name="/export")
    assert "train: 1 bona fide, 1 spoof" in told
    with zipfile.ZipFile(path) as archive:
        manifest = archive.read("spooflens-csv/manifest.csv").decode()
        rows = list(csv.DictReader(io.StringIO(manifest)))
        assert sorted(row["split"] for row in rows) == ["dev", "dev", "train", "train"]
        for row in rows:
            item = running_app.services.store.clip(row["sha256"])
            assert item is not None
            original = running_app.services.store.audio_path(item.sha256).read_bytes()
            assert archive.read(f"spooflens-csv/{row['path']}") == original
    # Nothing is left beside the labels once the zip is handed over.
    assert not list(running_app.services.settings.data.glob(".export-*"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"form": "csv"}, "no labelled clip yet"),
        ({"form": "../csv"}, "not in the list of choices"),
        ({"form": "csv", "held_back": 7}, "greater than maximum"),
        ({"form": "csv", "group_by": "page"}, "not in the list of choices"),
    ],
)
def test_what_cannot_be_exported_is_explained(
    running_app: RunningApp, arguments: dict[str, object], message: str
) -> None:
    client = Client(running_app.url, verbose=False)
    with pytest.raises(AppError, match=message):
        client.predict(**arguments, api_name="/export")
