"""A process that kept small blocks among large ones gives the large ones back."""

import platform
import subprocess
import sys

import pytest

from detectors.steady_memory import keep_memory_steady

#: Frees a large block, from which glibc learns; then many with a small one between each, and keeps these.
GROWS = """
import time
import numpy as np
if {steady}:
    from detectors.steady_memory import keep_memory_steady
    assert keep_memory_steady(every=0.05)
    assert keep_memory_steady(every=0.05)
np.ones(25_000_000, np.uint8)
large, small = [], []
for _ in range(20):
    large.append(np.ones(10_000_000, np.uint8))
    small.append(np.ones(2_000, np.uint8))
del large
time.sleep(0.5)
print(next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1])
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_large_blocks_are_given_back() -> None:
    held = [
        int(subprocess.check_output([sys.executable, "-c", GROWS.format(steady=steady)], text=True)) / 1000
        for steady in (False, True)
    ]
    assert held[0] > held[1] + 100  # megabytes


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert not keep_memory_steady()
