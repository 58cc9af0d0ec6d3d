"""Small label stores for tests."""

from pathlib import Path

import numpy as np
import soundfile

from detectors.labels.records import LabelDraft, QueueItem
from detectors.labels.store import LabelStore

RATE = 16_000


def add_clip(
    store: LabelStore, folder: Path, name: str, *, source: str = "", speaker: str = "", seconds: float = 0.5
) -> QueueItem:
    """Queue a noise of its own, written in the format of the name's ending."""
    folder.mkdir(exist_ok=True)
    seed = [len(name), *name.encode()]
    wave = 0.1 * np.random.default_rng(seed).standard_normal(int(seconds * RATE))
    soundfile.write(folder / name, wave, RATE)
    item, _ = store.enqueue(folder / name, name, source=source, speaker=speaker)
    return item


def label(
    store: LabelStore,
    item: QueueItem,
    answer: str,
    people: tuple[str, ...] = ("ann", "bob"),
    **fields: object,
) -> None:
    """The same answer by each of these people."""
    for annotator in people:
        draft = LabelDraft(
            audio_sha256=item.sha256,
            annotator=annotator,
            label=answer,
            confidence=4,
            consent=True,
            **fields,  # type: ignore[arg-type]
        )
        store.add(draft, store.audio_path(item.sha256))
