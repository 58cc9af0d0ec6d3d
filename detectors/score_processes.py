"""The score command in several processes, one for each GPU: `accelerate launch` starts them.

Each takes its share of the clips. The first writes the result file; each of the others writes a part
beside it, which the first adds at the end. Parts that a killed run left are added when the next one
begins, so nothing is scored twice.
"""

import os
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

Item = TypeVar("Item")

#: Between a result file's name and the number of the process that wrote a part of it.
PART = ".part-"


class Processes:
    """Those that `accelerate launch` started together, or this one alone.

    rank: this one's number, from 0. count: how many there are.
    """

    def __init__(self) -> None:
        self.rank, self.count = 0, 1
        if int(os.environ.get("WORLD_SIZE", 1)) < 2:
            return
        # Imported here: torch takes seconds to load, and a process alone needs none of it.
        import torch
        from accelerate import PartialState

        # They say little to each other, so no GPU is needed for that; but one may wait for days for another.
        state = PartialState(cpu=True, timeout=timedelta(days=30))
        self.rank, self.count = state.process_index, state.num_processes
        if torch.cuda.is_available():
            torch.cuda.set_device(state.local_process_index % torch.cuda.device_count())

    @property
    def first(self) -> bool:
        """Whether this is the one that speaks for all."""
        return self.rank == 0

    def share(self, items: Sequence[Item]) -> list[Item]:
        """This process's share: every `count`-th item."""
        return list(items[self.rank :: self.count])

    def part_of(self, out: Path | None) -> Path | None:
        """Where this process writes."""
        return out if out is None or self.first else out.with_name(f"{out.name}{PART}{self.rank}")

    def wait(self) -> None:
        """Until all are here."""
        self.sum(0)

    def sum(self, number: int) -> int:
        """All processes' numbers together, once all are here."""
        if self.count == 1:
            return number
        from accelerate.utils import gather_object

        return sum(gather_object([number]))


def parts_of(out: Path) -> list[Path]:
    """The parts that other processes, of this run or an earlier one, left beside a result file."""
    # Not by pattern: a file's name may hold brackets and stars.
    start = out.name + PART
    beside = out.parent.iterdir() if out.parent.is_dir() else ()
    return sorted(
        path for path in beside if path.name.startswith(start) and path.name[len(start) :].isdigit()
    )
