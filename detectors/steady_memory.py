"""Memory that a long run gives back.

glibc takes blocks of up to 32 MB from its heap, once it has seen such a one freed, where a small block that
stays keeps all below it from being given back. Over hours of audio a process then grows by hundreds of
megabytes that nobody uses. To have it map such blocks one by one instead would keep a process small too, but
the kernel hands each of their pages out anew every time: where it gives 4 KB at a time, that takes a third of
all computing. So free pages are given back now and then.
"""

import ctypes
import platform
import time
from threading import Lock, Thread

#: Seconds; what is given back is soon wanted again, which takes a tenth of a second.
EVERY = 10.0

_begun = Lock()


def keep_memory_steady(every: float = EVERY) -> bool:
    """Give pages that are free back from now on, every so many seconds; False where glibc is not in use.

    Once in a process: asked again, nothing changes.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    if _begun.acquire(blocking=False):  # and never released
        Thread(target=_give_back, args=(every,), name="steady-memory", daemon=True).start()
    return True


def _give_back(every: float) -> None:
    trim = ctypes.CDLL(None).malloc_trim
    while True:
        time.sleep(every)
        trim(0)
