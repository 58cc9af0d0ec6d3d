"""What a frozen network made of the latest waves, so that several detectors before one clip hear it once."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256

import torch
from torch import Tensor, nn

#: Batches that are remembered: a clip of five minutes, in batches of 8 windows that begin every 1.5 s.
MOST = 25


class HeardOnce:
    """Answers by the wave that was asked about, the latest ones. Thread-safe.

    Two that ask for the same at the same time both compute it, which is no slower than without.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most, self._lock = most, threading.Lock()
        self._known: OrderedDict[bytes, Tensor] = OrderedDict()

    def recall(self, waveform: Tensor, listen: Callable[[Tensor], Tensor]) -> Tensor:
        """listen(waveform), or what it was when the same was last asked. The answer is not to be changed."""
        key = sha256(waveform.detach().cpu().numpy().tobytes()).digest() + str(waveform.device).encode()
        with self._lock:
            found = self._known.get(key)
        if found is None:
            found = listen(waveform)
        with self._lock:
            self._known[key] = found
            self._known.move_to_end(key)
            while len(self._known) > self._most:
                self._known.popitem(last=False)
        return found


_MEMORIES: dict[str, HeardOnce] = {}


def memory_of(network: nn.Module) -> HeardOnce:
    """The memory that all frozen networks with these weights share in this process."""
    digest = sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().float().cpu().numpy().tobytes())
    return _MEMORIES.setdefault(digest.hexdigest(), HeardOnce())


def remember_together(model: object) -> None:
    """Let every part of a loaded model that can remember what it heard do so with its likes elsewhere."""
    if isinstance(model, nn.Module):
        for part in model.modules():
            if isinstance(part, Remembering):
                part.memory = memory_of(part)


class Remembering(nn.Module):
    """A frozen network, waveform [b, s] -> [b, d], that may be asked the same by several detectors.

    Without a memory, as while anything is trained, it listens each time.
    """

    memory: HeardOnce | None = None

    def forward(self, waveform: Tensor) -> Tensor:
        # What was heard in inference mode is of no use to gradients, and the other way round.
        if self.memory is None or not torch.is_inference_mode_enabled():
            return self.listen(waveform)
        return self.memory.recall(waveform, self.listen)

    def listen(self, waveform: Tensor) -> Tensor:
        """What `forward` answers, computed anew."""
        raise NotImplementedError
