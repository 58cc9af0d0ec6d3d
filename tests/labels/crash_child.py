"""A process that saves labels from 200 threads until it is killed: python crash_child.py FOLDER SEED [URL].

Each save that the store has acknowledged is written to standard output as "<label id> <sha256>".
Half of the clips are new ones of about 200 kB, so that a kill can hit a copy; half are one clip.
"""

import hashlib
import os
import sys
import threading
from itertools import count
from pathlib import Path

from detectors.labels.records import LabelDraft
from detectors.labels.store import LabelStore

THREADS = 200


def save_for_ever(store: LabelStore, uploads: Path, seed: str, thread: int) -> None:
    for turn in count():
        name = f"{seed}-{thread}-{turn}" if turn % 2 else "shared"
        content = hashlib.sha512(name.encode()).digest() * 3_200
        clip = uploads / f"{seed}-{thread}-{turn}.wav"
        clip.write_bytes(content)
        draft = LabelDraft(
            audio_sha256=hashlib.sha256(content).hexdigest(),
            annotator=f"{seed}-{thread}",
            label="spoof",
            confidence=3,
            consent=True,
            note=name,
        )
        saved = store.add(draft, clip)
        # One system call: lines of several threads do not mix, and nothing waits in a buffer.
        os.write(sys.stdout.fileno(), f"{saved.id} {saved.audio_sha256}\n".encode())


def main(folder: str, seed: str, url: str | None = None) -> None:
    uploads = Path(folder) / "uploads"
    uploads.mkdir(exist_ok=True)
    store = LabelStore(Path(folder) / "data", url)
    for thread in range(THREADS):
        threading.Thread(target=save_for_ever, args=(store, uploads, seed, thread)).start()


if __name__ == "__main__":
    main(*sys.argv[1:])
