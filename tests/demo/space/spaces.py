"""A stand-in for Hugging Face's package `spaces` on ZeroGPU, found before the real one by test_space.py.

It enforces what ZeroGPU does to a program: functions are decorated before the app is launched; what goes in
and comes out is pickled; an error that is not Gradio's becomes one without its message; each call takes the
seconds that it asks for off a quota, and is refused, as Gradio's error with ZeroGPU's title, once they are
used up. Unlike the real one it stays in this process, and says by `inside` whether there is a GPU.
"""

import inspect
import pickle
import threading
from collections.abc import Callable, Iterator
from functools import partial, wraps
from typing import Any

import gradio as gr

#: Longest time that a call may ask for, in seconds.
LONGEST = 120


class State:
    """left: seconds of the quota. asked: of each call that was let in. launched: nothing may be decorated
    from then on. decorated: how many functions were. broken: every call ends as if its process had crashed.
    """

    left = 60.0
    launched = False
    decorated = 0
    broken = False
    asked: list[float] = []  # noqa: RUF012  there is one Space


_here = threading.local()


def inside() -> bool:
    """Whether this thread has a GPU now."""
    return getattr(_here, "gpu", False)


def GPU(task: Any = None, *, duration: Any = None) -> Any:
    """The decorator. duration: seconds, or a function of the call's arguments that gives them."""
    if task is None:
        return partial(GPU, duration=duration)
    if State.launched:
        raise RuntimeError("a function was decorated after the launch: ZeroGPU does not know it")
    if inspect.iscoroutinefunction(task):
        raise NotImplementedError
    State.decorated += 1
    return (_pieces if inspect.isgeneratorfunction(task) else _whole)(task, duration)


def _whole(task: Callable[..., Any], duration: Any) -> Callable[..., Any]:
    @wraps(task)
    def handler(*args: Any) -> Any:
        args = _admit(args, duration)
        _here.gpu = True
        try:
            return pickle.loads(pickle.dumps(task(*args)))
        except Exception as error:
            raise _without_class(error) from None
        finally:
            _here.gpu = False

    return handler


def _pieces(task: Callable[..., Any], duration: Any) -> Callable[..., Iterator[Any]]:
    @wraps(task)
    def handler(*args: Any) -> Iterator[Any]:
        generator = task(*_admit(args, duration))
        while True:
            _here.gpu = True
            try:
                piece = pickle.loads(pickle.dumps(next(generator)))
            except StopIteration:
                return
            except Exception as error:
                raise _without_class(error) from None
            finally:
                _here.gpu = False
            yield piece

    return handler


def _admit(args: tuple[Any, ...], duration: Any) -> tuple[Any, ...]:
    """The arguments as the other process gets them, unless the call is refused."""
    if not State.launched:
        raise RuntimeError("a call before the launch: there is no GPU yet")
    seconds = duration(*args) if callable(duration) else 60 if duration is None else duration
    if seconds > LONGEST:
        raise _error("ZeroGPU illegal duration", "larger than the maximum allowed")
    if seconds > State.left:
        text = f"You have exceeded your ZeroGPU quota ({seconds}s requested vs. {State.left:.0f}s left)."
        raise _error("ZeroGPU quota exceeded", text)
    State.left -= seconds
    State.asked.append(seconds)
    if State.broken:
        raise _error("ZeroGPU worker error", "GPU task aborted")
    copied: tuple[Any, ...] = pickle.loads(pickle.dumps(args))
    return copied


def _without_class(error: Exception) -> Exception:
    return error if isinstance(error, gr.Error) else _error("ZeroGPU worker error", type(error).__name__)


def _error(title: str, text: str) -> gr.Error:
    return gr.Error(text, title=title, print_exception=False)
