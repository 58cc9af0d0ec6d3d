"""A GPU that is lent for the length of one call: Hugging Face's ZeroGPU. No Gradio in here.

On such a Space the app's own process has no GPU: torch only acts as if. A function that was given to
`spaces.GPU` before the app is launched runs in a copy of the process, with one. What goes in and what comes
out is pickled; an error that is not Gradio's loses its class on the way; and each visitor has a few minutes a
day. So every caller has another way, on the CPU, for when no GPU is lent.
"""

import logging
import math
from collections.abc import Callable, Iterator
from typing import Any

from demo import messages
from demo.settings import Settings
from detectors.errors import DetectorError

logger = logging.getLogger(__name__)

#: Seconds that may be asked for: a visitor's quota must hold them all, whatever the call then takes.
SHORTEST, LONGEST = 5, 120


class NoGpuError(Exception):
    """No GPU is lent to this visitor now, or it was taken back. The message is fit to show."""


class LentGpu:
    """Functions by name that run on a lent GPU. gpu: `spaces.GPU`, or in tests what acts like it.

    Make it, and register the functions, before the app is launched.
    """

    def __init__(self, gpu: Callable[..., Any]) -> None:
        self._tasks: dict[str, Callable[..., Any]] = {}
        self._call = gpu(duration=_duration)(self._inside)
        self._pieces = gpu(duration=_duration)(self._inside_piece_by_piece)

    def register(self, name: str, function: Callable[..., Any]) -> None:
        """`run` or `stream` calls this function then, in another process: it must change nothing here."""
        self._tasks[name] = function

    def run(self, name: str, seconds: float, *args: Any) -> Any:
        """What the function returns. seconds: that it will probably take; args: plain values.

        Raises DetectorError as the function does, NoGpuError when it did not come to an end on a GPU.
        """
        try:
            done, value = self._call(name, seconds, *args)
        except Exception as error:
            raise _no_gpu(error) from error
        return value if done else _refuse(value)

    def stream(self, name: str, seconds: float, *args: Any) -> Iterator[Any]:
        """What the generator function yields. As `run`; NoGpuError may come after the first pieces."""
        pieces = self._pieces(name, seconds, *args)
        try:
            while True:
                try:
                    done, value = next(pieces)
                except StopIteration:
                    return
                except Exception as error:
                    raise _no_gpu(error) from error
                yield value if done else _refuse(value)
        finally:
            pieces.close()  # whoever listens has gone: the GPU is free for others

    # ---- in the other process

    def _inside(self, name: str, seconds: float, *args: Any) -> tuple[bool, Any]:
        try:
            return True, self._tasks[name](*args)
        except DetectorError as error:
            return False, str(error)

    def _inside_piece_by_piece(self, name: str, seconds: float, *args: Any) -> Iterator[tuple[bool, Any]]:
        try:
            for piece in self._tasks[name](*args):
                yield True, piece
        except DetectorError as error:
            yield False, str(error)


def lent_gpu(settings: Settings) -> LentGpu | None:
    """The way to lent GPUs on a Space that has them, None elsewhere. To be called before CUDA is touched."""
    if not settings.zero_gpu:
        return None
    try:
        import spaces
    except ImportError:
        logger.warning("this Space is to lend GPUs, but the package spaces is missing: all runs on the CPU")
        return None
    return LentGpu(spaces.GPU)


def _duration(name: str, seconds: float, *args: Any) -> int:
    """Called by ZeroGPU with the arguments of the call that it is about."""
    return max(SHORTEST, min(LONGEST, math.ceil(seconds)))


def _refuse(reason: str) -> Any:
    raise DetectorError(reason)


def _no_gpu(error: Exception) -> NoGpuError:
    """ZeroGPU tells what is the matter in the title of Gradio's error. Whatever it is, the CPU can do it."""
    title = str(getattr(error, "title", ""))
    if "quota" in title or "credits" in title:
        return NoGpuError(messages.GPU_QUOTA)
    logger.warning("no GPU was lent: %s %s", title, error)
    return NoGpuError(messages.NO_GPU)
