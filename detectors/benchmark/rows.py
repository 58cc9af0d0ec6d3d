"""What a benchmark finds: a flat list of rows, written as JSON."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from detectors.benchmark.clock import Timing


@dataclass(frozen=True)
class Row:
    """One way of doing one thing.

    part: "sls", "fake_mamba", "scan" or "analyse". sizes: of the model. case: what is done, such as
    "8 windows". way: how. seconds: of the fastest run; times: of all runs. rtf: real-time factor, seconds
    of computing for a second of sound, less is faster. windows_per_second: throughput. peak_mb: memory
    beyond the weights, 10^6 bytes. faster: other way -> how many times as fast as it this way is.
    notes: further figures by name, each explained by that name.
    """

    part: str
    sizes: str
    case: str
    way: str
    seconds: float
    times: list[float]
    rtf: float | None = None
    windows_per_second: float | None = None
    peak_mb: float | None = None
    faster: dict[str, float] = field(default_factory=dict)
    notes: dict[str, float] = field(default_factory=dict)


def rows_of(
    part: str,
    sizes: str,
    case: str,
    timings: Mapping[str, Timing],
    against: tuple[str, ...] = (),
    sound: float | None = None,
    windows: int | None = None,
) -> list[Row]:
    """A row for each way. against: ways that all others are compared with. sound: seconds that are judged."""
    return [
        Row(
            part,
            sizes,
            case,
            way,
            timing.best,
            timing.times,
            rtf=timing.best / sound if sound else None,
            windows_per_second=windows / timing.best if windows else None,
            peak_mb=timing.peak_mb,
            faster={
                other: timings[other].best / timing.best
                for other in against
                if way not in against and other in timings
            },
        )
        for way, timing in timings.items()
    ]
