"""Figures: what they show, and that an hour of audio costs no more than a minute of it."""

import time
from pathlib import Path

import numpy as np
import pytest

from demo import figures
from demo.drawings import drawings
from detectors.audio import SAMPLE_RATE
from detectors.detection import VOICE_TIME, Window
from tests.demo.fake_detectors import fake_services, speech_like, write_clip


def window(start: float, end: float, p_spoof: float) -> Window:
    return Window(start, end, 0.0, 0.0, p_spoof)


def test_gates_are_drawn_as_they_are_between_0_and_1() -> None:
    values = np.array([[0.1, 0.9, 0.8], [0.3, 0.7, 0.8]])
    axis = figures.gates(values).axes[0]
    assert axis.get_ylim() == (0, 1)
    assert [bar.get_height() for bar in axis.patches] == pytest.approx([0.2, 0.8, 0.8])


@pytest.mark.parametrize("layers", [4, 24])
def test_as_many_gates_and_rows_are_drawn_as_there_are_layers(layers: int) -> None:
    assert len(figures.gates(np.full((2, layers), 0.5)).axes[0].patches) == layers
    heatmap = figures.layer_time(np.zeros((layers, 50)), 2.0).axes[0]
    assert heatmap.images[0].get_array().shape == (layers, 50)
    assert heatmap.get_xlim() == (0, 2.0)


def test_windows_colour_the_time_they_cover() -> None:
    cells = figures.window_cells([window(0, 2, 0.2), window(1, 3, 0.8)], seconds=4.0)
    at = lambda second: cells[int(second / 4 * len(cells))]  # noqa: E731
    assert at(0.5) == pytest.approx(0.2)
    assert at(1.5) == pytest.approx(0.5)  # both windows: their mean
    assert at(2.5) == pytest.approx(0.8)
    assert np.isnan(at(3.5))


def test_one_suspicious_window_in_hours_stays_visible() -> None:
    windows = [window(s, s + 2, 0.05) for s in range(10_000)]
    windows[5000] = window(5000, 5002, 1.0)
    cells = figures.window_cells(windows, seconds=10_001)
    assert len(cells) == figures.COLUMNS
    assert cells.max() > 0.5


def test_timeline_has_a_row_for_each_detector_in_fixed_colours() -> None:
    rows = {"SLS": [window(0, 2, 0.9)], "Fake-Mamba": [window(0, 2, 0.1)]}
    figure = figures.timeline(speech_like(2), rows)
    axis = figure.axes[1]
    assert [each.get_text() for each in axis.texts] == ["SLS", "Fake-Mamba"]
    assert [image.get_clim() for image in axis.images] == [(0, 1)] * 2
    assert [image.get_array().mean() for image in axis.images] == pytest.approx([0.9, 0.1])
    heights = [axis.texts[0].get_position()[1], *axis.images[0].get_extent()[3:1:-1]]
    heights += [axis.texts[1].get_position()[1], *axis.images[1].get_extent()[3:1:-1]]
    assert heights == sorted(heights, reverse=True)  # each row beneath its own title


def test_timeline_without_any_detector_shows_the_waveform() -> None:
    assert len(figures.timeline(speech_like(1), {}).axes) == 1


def test_a_tone_appears_at_its_frequency_and_moment() -> None:
    time_axis = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    tone = (np.sin(2 * np.pi * 1000 * time_axis) * (time_axis > 1)).astype(np.float32)
    power = figures.power_columns(tone)
    assert power[:, -20].argmax() == 1000 / (SAMPLE_RATE / figures.FRAME)
    half = power.shape[1] // 2
    assert power[:, half + 10 :].sum() > 1000 * power[:, : half - 10].sum()


def test_mel_filters_peak_in_order_and_cover_the_band() -> None:
    bank = figures.mel_bank(40, 4096)
    peaks = bank.argmax(axis=1)
    assert (np.diff(peaks) > 0).all()
    assert bank[:, peaks[0] + 1 : peaks[-1]].sum(axis=0) == pytest.approx(
        1
    )  # neighbours overlap, without gaps


def test_silence_can_be_drawn() -> None:
    silence = np.zeros(SAMPLE_RATE, np.float32)
    assert (figures.decibels(figures.power_columns(silence)) == -figures.RANGE_DB).all()
    figures.webp(figures.timeline(silence, {}))


def test_attention_is_drawn_against_the_even_share() -> None:
    axis = figures.attention(np.full(100, 0.01), 2.0).axes[0]
    assert axis.lines[0].get_ydata() == pytest.approx(np.ones(100))


def test_moments_are_blue_above_for_a_human_voice_and_orange_beneath() -> None:
    axis = figures.voice_time({"SLS": np.array([0.0, 2.0, -1.0, 0.1])}, 0.4).axes[0]
    human, machine = axis.patches
    assert human.get_data().values.tolist() == pytest.approx([0, 2, 0, 0.1])
    assert machine.get_data().values.tolist() == pytest.approx([0, 0, -1, 0])
    assert human.get_data().edges.tolist() == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    blue, orange = human.get_facecolor(), machine.get_facecolor()
    assert blue[2] > blue[0]
    assert orange[0] > orange[2]
    assert axis.get_ylim() == pytest.approx((-2.2, 2.2))
    faint = figures.voice_time({"SLS": np.full(10, 0.01)}, 1.0).axes[0]
    assert faint.get_ylim() == (-figures.LEAST_ODDS, figures.LEAST_ODDS)
    assert not faint.texts


def test_detectors_that_hear_a_voice_alike_share_a_panel_and_others_have_their_own(tmp_path: Path) -> None:
    services = fake_services(tmp_path / "data")
    analysis = services.analyze(write_clip(tmp_path / "clip.wav"))
    titles = {"sls": "SLS", "fake_mamba": "Fake-Mamba"}
    (alike,) = drawings(analysis, titles)[VOICE_TIME](True).axes
    assert not alike.texts
    maps = analysis.detections["fake_mamba"].maps
    maps[VOICE_TIME] = 2 * maps[VOICE_TIME]
    panels = drawings(analysis, titles)[VOICE_TIME](False).axes
    assert [panel.texts[0].get_text() for panel in panels] == ["SLS", "Fake-Mamba"]
    assert panels[0].get_ylim() == panels[1].get_ylim()
    del maps[VOICE_TIME]
    assert len(drawings(analysis, titles)[VOICE_TIME](False).axes) == 1
    del analysis.detections["sls"].maps[VOICE_TIME]
    assert VOICE_TIME not in drawings(analysis, titles)


def test_an_image_is_webp() -> None:
    image = figures.webp(figures.linear(speech_like(1)))
    assert (image[:4], image[8:12]) == (b"RIFF", b"WEBP")


def test_an_hour_is_drawn_from_few_columns_and_in_seconds() -> None:
    rng = np.random.default_rng(1)
    wave = np.tile(rng.normal(0, 0.1, 60 * SAMPLE_RATE).astype(np.float32), 60)
    rows = {"SLS": [window(s, s + 2, 0.1) for s in range(3599)]}
    started = time.process_time()
    images = [
        figures.webp(figure)
        for figure in (
            figures.timeline(wave, rows, wide=True),
            figures.log_mel(wave),
            figures.linear(wave),
            figures.layer_time(np.zeros((24, 6000)), 3600),
            figures.attention(np.full(6000, 1 / 6000), 3600),
            figures.voice_time({"SLS": np.ones(6000)}, 3600),
        )
    ]
    assert time.process_time() - started < 10
    assert max(map(len, images)) < 400_000
    assert figures.power_columns(wave).shape == (figures.FRAME // 2 + 1, figures.COLUMNS)
    assert len(figures.envelope(wave)[0]) == figures.COLUMNS
    assert figures.shrink(np.ones((2, 6000))).shape == (2, figures.COLUMNS)
