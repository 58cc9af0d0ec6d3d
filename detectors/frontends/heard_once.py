"""What a frozen network made of the latest waves, so that several detectors before one clip hear it once."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import torch
from torch import Tensor, nn

#: Of answers that one memory holds: what four Whisper layers make of 16 windows, the speaker network of 800.
MOST_BYTES = 20_000_000


class HeardOnce:
    """Answers by the wave that was asked about, the latest ones. Thread-safe.

    Two that ask for the same at the same time both compute it, which is no slower than without.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most, self._lock = most_bytes, threading.Lock()
        self._known: OrderedDict[bytes, Tensor] = OrderedDict()

    def recall(self, waveform: Tensor, listen: Callable[[Tensor], Tensor]) -> Tensor:
        """listen(waveform), or what it was when the same was last asked. The answer is not to be changed."""
        # What was heard in inference mode is of no use to gradients.
        told = f"{waveform.device} {torch.is_inference_mode_enabled()}".encode()
        key = sha256(waveform.detach().cpu().numpy().tobytes()).digest() + told
        with self._lock:
            found = self._known.get(key)
        if found is None:
            found = listen(waveform)
        with self._lock:
            self._known[key] = found
            self._known.move_to_end(key)
            while sum(known.nbytes for known in self._known.values()) > self._most:
                self._known.popitem(last=False)
        return found

    def forget(self) -> None:
        """As if nothing had been asked yet."""
        with self._lock:
            self._known.clear()


_MEMORIES: dict[str, HeardOnce] = {}


def forget_all() -> None:
    """Empty every memory of this process, for whoever measures how long hearing takes."""
    for memory in _MEMORIES.values():
        memory.forget()


def memory_of(network: nn.Module) -> HeardOnce:
    """The memory that all frozen networks with these weights share in this process."""
    digest = sha256(type(network).__name__.encode())
    for name, value in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().float().cpu().numpy().tobytes())
    return _MEMORIES.setdefault(digest.hexdigest(), HeardOnce())


def remember_together(model: object) -> None:
    """Let every part of a loaded model that can remember what it heard do so with its likes elsewhere."""
    if isinstance(model, nn.Module):
        for part in model.modules():
            if isinstance(part, Remembering):
                part.memory = memory_of(part.hearing)


class Remembering(nn.Module):
    """A network that may be asked the same by several detectors: what it answers is a function of the
    waveform [b, s] and of the weights of `hearing`.

    Without a memory it listens each time; outside inference mode too, unless nothing in it ever learns.
    """

    memory: HeardOnce | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Of a copy: it has no memory, as it may learn or be rounded, and then hears otherwise."""
        return {**self.__dict__, "memory": None}

    @property
    def hearing(self) -> nn.Module:
        """The part whose weights decide the answer."""
        return self

    def recalled(
        self, waveform: Tensor, listen: Callable[[Tensor], Tensor], always_frozen: bool = False
    ) -> Tensor:
        """listen(waveform), from memory where it is there. always_frozen: no gradient ever passes it."""
        if self.memory is None or not (always_frozen or torch.is_inference_mode_enabled()):
            return listen(waveform)
        return self.memory.recall(waveform, listen)
