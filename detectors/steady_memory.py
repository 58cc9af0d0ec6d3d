"""Memory that a long run gives back.

glibc learns from what a program frees: once a block of 30 MB was freed, it takes blocks up to that size from
its heap, where a small block that stays keeps all below it from being given back. Over hours of audio a
process then grows by hundreds of megabytes that nobody uses.
"""

import ctypes
import platform

#: As in glibc's malloc.h.
_M_MMAP_THRESHOLD = -3
#: Blocks of so many bytes and more are mapped by themselves, and given back when they are freed.
APART_FROM = 4 * 2**20


def keep_memory_steady() -> bool:
    """Give large blocks back as soon as they are free, from now on; False where glibc is not in use."""
    if platform.libc_ver()[0] != "glibc":
        return False
    return bool(ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, APART_FROM))
