"""What a person waits for: a clip is decoded, every detector judges it, and the figures are drawn."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import soundfile

from detectors.audio import SAMPLE_RATE, load_audio
from detectors.benchmark.clock import Way, race, tell
from detectors.benchmark.rows import Row, rows_of
from detectors.detection import Detection
from detectors.errors import DetectorError
from detectors.frontends.heard_once import forget_all
from detectors.windows import tile

DECODE, FIGURES, ALL = "decode", "figures", "all together"


class Analyser(Protocol):
    """The part of a detector that is needed here."""

    def analyze(self, wave: np.ndarray) -> Detection: ...


@dataclass(frozen=True)
class JudgedClip:
    """What figures are drawn from. wave: float32 [s], 16 kHz. detections: by detector."""

    wave: np.ndarray
    seconds: float
    detections: dict[str, Detection]


#: Draws all figures of a clip; the second argument has each detector's title by its name.
Draw = Callable[[Any, dict[str, str]], Sequence[Any]]


def drawing(name: str) -> Draw:
    """The function MODULE:FUNCTION. This package has no figures of its own: they belong to the page.

    Raises DetectorError when there is none of that name.
    """
    module, _, function = name.partition(":")
    try:
        found: Draw = getattr(import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise DetectorError(
            f"{name} names no function that draws figures ({error}). Write MODULE:FUNCTION."
        ) from error
    return found


def measure_analyse(
    detectors: Mapping[str, Analyser],
    titles: dict[str, str],
    sizes: str,
    draw: Draw | None,
    sound: np.ndarray,
    device: str,
    runs: int,
    seconds: float = 4.0,
) -> list[Row]:
    """Rows for one clip of `seconds`, cut or repeated from `sound` [s]: each step, and all together.

    Models are loaded before. The figures are left out when there is no `draw`.
    """
    tell(f"analysing, {sizes}, {seconds:g} s")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.wav"
        soundfile.write(path, tile(sound, round(seconds * SAMPLE_RATE)), SAMPLE_RATE)
        wave = load_audio(path)

        def judged(clip: np.ndarray) -> JudgedClip:
            found = {name: detector.analyze(clip) for name, detector in detectors.items()}
            return JudgedClip(clip, len(clip) / SAMPLE_RATE, found)

        ways: dict[str, Way] = {DECODE: partial(load_audio, path)}
        ways |= {name: _afresh(partial(detector.analyze, wave)) for name, detector in detectors.items()}
        if draw is None:
            ways[ALL] = _afresh(lambda: judged(load_audio(path)))
        else:
            before = judged(wave)
            ways[FIGURES] = partial(draw, before, titles)
            ways[ALL] = _afresh(lambda: draw(judged(load_audio(path)), titles))
        timings = race(ways, device, runs)
    case = f"{seconds:g} s clip, " + ("with figures" if draw else "without figures")
    return rows_of("analyse", sizes, case, timings, sound=seconds)


def _afresh(way: Way) -> Way:
    """The same, of a clip that no detector has heard yet."""

    def done() -> object:
        forget_all()
        return way()

    return done
