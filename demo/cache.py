"""The folder for uploads and drawings: private to this program and its user, and emptied on time."""

import logging
import os
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, MutableMapping
from pathlib import Path
from types import TracebackType

logger = logging.getLogger(__name__)

#: Seconds after which nothing uploaded is left, and between two looks.
AGE, EVERY = 2 * 3600, 600
#: How Gradio is told where to put its files.
VARIABLE = "GRADIO_TEMP_DIR"
PREFIX = "spooflens-cache-"


class Cache:
    """A new folder for as long as the `with` block lasts. The page must be built within it.

    Without it Gradio would use a folder that other programs share and other users of the machine can read,
    and that keeps its files when the program is killed. environ: where Gradio reads the folder's name; a
    folder that is named there already gets ours inside. tidy: called at each look, for what else is to be
    forgotten.
    """

    def __init__(
        self, environ: MutableMapping[str, str], age: float = AGE, tidy: Callable[[], None] = lambda: None
    ) -> None:
        self._environ, self._age, self.tidy = environ, age, tidy
        self._kept: set[Path] = set()
        self._stop = threading.Event()

    def __enter__(self) -> "Cache":
        """Make the folder, after removing those of programs that were killed."""
        base = Path(self._environ.get(VARIABLE) or tempfile.gettempdir())
        base.mkdir(parents=True, exist_ok=True)
        _remove_left(base)
        self.folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=base))  # mode 0700
        self._before, self._environ[VARIABLE] = self._environ.get(VARIABLE), str(self.folder)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the folder with all that is in it."""
        self._stop.set()
        if self._before is None:
            self._environ.pop(VARIABLE, None)
        else:
            self._environ[VARIABLE] = self._before
        shutil.rmtree(self.folder, ignore_errors=True)

    def watch(self) -> None:
        """From now on, look every few minutes. What lies there now stays: the example clips."""
        self._kept = set(self.folder.rglob("*"))
        threading.Thread(target=self._watch, name="cache", daemon=True).start()

    def sweep(self) -> None:
        """Remove every file that is too old. Gradio removes those that it remembers; this is for the rest,
        such as uploads that broke off.
        """
        oldest = time.time() - self._age
        for path in sorted(self.folder.rglob("*"), reverse=True):  # files before the folders they are in
            if path in self._kept:
                continue
            try:
                if path.is_dir() and not path.is_symlink():
                    if path.stat().st_mtime < oldest and not any(path.iterdir()):
                        path.rmdir()
                elif path.lstat().st_mtime < oldest:
                    path.unlink()
            except OSError:  # gone meanwhile, or just written into
                continue

    def _watch(self) -> None:
        while not self._stop.wait(min(EVERY, self._age)):
            try:
                self.sweep()
                self.tidy()
            except Exception:  # it must go on for as long as the app does
                logger.exception("old files could not be removed")


def _remove_left(base: Path) -> None:
    for folder in base.glob(PREFIX + "*"):
        found = re.match(rf"{PREFIX}(\d+)-", folder.name)
        if found and not folder.is_symlink() and not _is_running(int(found[1])):
            shutil.rmtree(folder, ignore_errors=True)  # others' folders refuse


def _is_running(process: int) -> bool:
    if os.name == "nt":  # there the signal below would end the process
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True
