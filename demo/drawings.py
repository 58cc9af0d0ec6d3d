"""Which figures an analysis has data for. No Gradio in here."""

from collections.abc import Callable
from functools import partial

import numpy as np
from matplotlib.figure import Figure

from demo import figures, map_figures, messages_maps
from demo.analysis import Analysis
from detectors.audio import SAMPLE_RATE
from detectors.detection import VOICE_TIME

#: The figures that have a form of their own for large screens.
WITH_WIDE = frozenset({"timeline", "attention", VOICE_TIME})

#: Draws a figure; True: for a large screen or for paper.
Draw = Callable[[bool], Figure]


def drawings(analysis: Analysis, titles: dict[str, str]) -> dict[str, Draw]:
    """By key of messages.FIGURES, in reading order. titles: of the detectors, by name."""
    wave, seconds = analysis.wave, analysis.seconds
    rows = {titles[name]: detection.windows for name, detection in analysis.detections.items()}
    maps = {key: array for detection in analysis.detections.values() for key, array in detection.maps.items()}
    found: dict[str, Draw] = {"timeline": partial(figures.timeline, wave, rows)}
    voices = _voices(analysis, titles)
    if voices:
        found[VOICE_TIME] = partial(figures.voice_time, voices, seconds)
    found["log_mel"] = lambda wide: figures.log_mel(wave)
    found["linear"] = lambda wide: figures.linear(wave)
    if "layer_gates" in maps:
        found["gates"] = lambda wide: figures.gates(maps["layer_gates"])
    if "layer_time" in maps:
        found["layer_time"] = lambda wide: figures.layer_time(maps["layer_time"], seconds)
    if "attention" in maps:
        found["attention"] = partial(figures.attention, maps["attention"], seconds)
    return found


def _voices(analysis: Analysis, titles: dict[str, str]) -> dict[str, np.ndarray]:
    """What each moment makes of what is heard of the voice, [frames], by title: once for all detectors that
    say the same, as they do until one of them is fine-tuned.
    """
    alike: list[tuple[list[str], np.ndarray]] = []
    for name, detection in analysis.detections.items():
        odds = detection.maps.get(VOICE_TIME)
        if odds is None:
            continue
        same = next((of for of, known in alike if np.allclose(known, odds, atol=1e-3)), None)
        if same is None:
            alike.append(([titles[name]], odds))
        else:
            same.append(titles[name])
    return {" and ".join(of): odds for of, odds in alike}


def map_drawings(analysis: Analysis, titles: dict[str, str]) -> dict[str, tuple[tuple[str, str, str], Draw]]:
    """By key: a figure's title, what it shows and how not to over-read it, and the figure, of the test of the
    maps; none before it was run.
    """
    test = analysis.map_test
    if test is None:
        return {}
    start = round(test.start * SAMPLE_RATE)
    part = analysis.wave[start : start + round(test.seconds * SAMPLE_RATE)]
    found: dict[str, tuple[tuple[str, str, str], Draw]] = {}
    for of in test.examined:
        title, names = titles[of.detector], [messages_maps.SHORT_NAMES[each.map] for each in of.found]
        found[f"relevance_{of.detector}"] = (
            messages_maps.words_of(messages_maps.RELEVANCE, title),
            partial(map_figures.relevance, part, test.start, of.relevance),
        )
        found[f"curves_{of.detector}"] = (
            messages_maps.words_of(messages_maps.CURVES, title, of.found[0].orders),
            partial(map_figures.curves, of.found, names),
        )
    return found
