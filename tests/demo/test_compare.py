"""Compare: several clips judged in the same way, on one scale, with what differs said in words."""

import re
from dataclasses import replace
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
import soundfile

from demo import compare_figures, comparing, markup_compare, messages_compare
from demo.comparing import Compared, differences
from demo.limits import Limits
from demo.pages.compare import CompareHandlers
from demo.services import Services
from demo.settings import Settings
from demo.visitor import Visitor
from detectors.audio import SAMPLE_RATE
from detectors.augment import low_pass
from detectors.chat.acoustics import Measured
from detectors.errors import DetectorError
from tests.demo.fake_detectors import BrokenDetector, FakeSource, fake_services, speech_like, write_clip

HOSTILE = "<img src=x onerror=alert(1)>.wav"


@pytest.fixture
def services(tmp_path: Path) -> Services:
    return fake_services(tmp_path / "data")


@pytest.fixture
def clips(tmp_path: Path) -> list[str]:
    """The questioned one quiet, which the fakes call machine-made; two known ones loud."""
    return [
        str(write_clip(tmp_path / "questioned.wav", 3.0, level=0.1)),
        str(write_clip(tmp_path / "known1.wav", 4.0, level=0.9)),
        str(write_clip(tmp_path / "known2.wav", 2.0, level=0.9)),
    ]


def clip(
    verdict: str = "bonafide", bandwidth: float = 8.0, noise: int = -60, seconds: float = 10.0
) -> Compared:
    measured = Measured(seconds, 0.8, noise, bandwidth, "full band", 0.0)
    return Compared(
        "a.wav", "", "Inconclusive", verdict, 0.3, {"sls": 0.3}, measured, np.zeros(SAMPLE_RATE, np.float32)
    )  # type: ignore[arg-type]


def test_all_clips_are_judged_in_the_same_way_and_shown_side_by_side(services, clips) -> None:
    page = CompareHandlers(services).run(clips[0], clips[1:])
    rows = re.findall(r"<tr><th scope=\"row\">(.*?)</tr>", page)
    assert [row.split("<br>")[0] for row in rows] == ["questioned.wav", "known1.wav", "known2.wav"]
    assert "questioned</span>" in rows[0]
    assert "known</span>" in rows[1]
    for path, row in zip(clips, rows, strict=True):
        analysis = services.judge(path)
        assert f"<td>{min(max(analysis.p_spoof, 0.01), 0.99):.2f}</td>" in row
        assert f"<td>{analysis.seconds:.1f} s</td>" in row
    assert "is shared by 0 of 2 clips" in page
    assert 'id="figure-compare"' in page
    assert "XLS-R + SLS" in page
    assert "ALLM4ADD" not in page  # it judged none of them


def test_nothing_stays_in_memory(services, clips) -> None:
    CompareHandlers(services).run(clips[0], clips[1:])
    assert not services._recent._items


def test_a_clip_that_cannot_be_judged_says_why_and_stops_no_other(services, clips, tmp_path) -> None:
    short = str(write_clip(tmp_path / HOSTILE, 0.2))
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"no sound")
    found = comparing.compare(clips[0], [short, str(bad), clips[1]], services.judge)
    assert "at least 0.5 s" in found[1].refusal
    assert found[2].refusal
    assert [bool(each.measured) for each in found] == [True, False, False, True]
    page = CompareHandlers(services).run(clips[0], [short])
    assert "Not judged: " in page
    assert "<img src=x" not in page
    assert messages_compare.NOTHING_TO_COMPARE in page


def test_a_bug_in_the_way_of_one_clip_is_no_end(services, clips) -> None:
    def judge(path: str, tell: object) -> object:
        if path == clips[1]:
            raise RuntimeError("a bug")
        return services.judge(path)

    found = comparing.compare(clips[0], clips[1:], judge)  # type: ignore[arg-type]
    assert [bool(each.refusal) for each in found] == [False, True, False]


def test_without_detectors_what_was_measured_is_still_shown(tmp_path, clips) -> None:
    missing = dict.fromkeys(("sls", "fake_mamba", "allm4add"), "weights are missing")
    page = CompareHandlers(fake_services(tmp_path / "data", FakeSource(missing=missing))).run(
        clips[0], clips[1:]
    )
    assert messages_compare.NO_VERDICT in page
    assert "kHz</td>" in page
    broken = FakeSource(detectors={"sls": BrokenDetector("sls"), "fake_mamba": BrokenDetector("fake_mamba")})
    assert "kHz</td>" in CompareHandlers(fake_services(tmp_path / "other", broken)).run(clips[0], clips[1:])


def test_progress_names_the_clip(services, clips) -> None:
    heard: list[tuple[float, str]] = []
    comparing.compare(clips[0], clips[1:], services.judge, lambda *told: heard.append(told))
    assert heard[0][1].startswith("Clip 1 of 3: ")
    assert heard[-1][1].startswith("Clip 3 of 3: ")
    assert [share for share, _ in heard] == sorted(share for share, _ in heard)


@pytest.mark.parametrize(
    ("questioned", "known", "message"),
    [
        (None, ["a.wav"], "no questioned clip"),
        ("a.wav", [], "nothing to compare with"),
        ("a.wav", ["b.wav"] * 6, "At most 6 clips"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_anything_is_read(
    services, questioned: str | None, known: list[str], message: str
) -> None:
    with pytest.raises(gr.Error, match=message):
        CompareHandlers(services).run(questioned, known)
    with pytest.raises(DetectorError, match=message):
        comparing.compare(questioned, known, lambda path, tell: pytest.fail("it was read"))


def test_it_counts_as_that_many_analyses(tmp_path, clips) -> None:
    settings = Settings(data=tmp_path / "data", limits=replace(Limits(), analyses=4))
    services = fake_services(tmp_path / "data", settings=settings)
    services.permission._who = lambda settings: Visitor("1.2.3.4", "visit")
    handlers = CompareHandlers(services)
    handlers.run(clips[0], clips[1:])
    with pytest.raises(gr.Error, match="more than 4 analyses"):
        handlers.run(clips[0], clips[1:2])


@pytest.mark.parametrize(
    ("questioned", "known", "expected"),
    [
        (clip(), [clip(), clip()], "All clips have the same verdict: human voice."),
        (clip("spoof"), [clip(), clip()], "machine-made, is shared by 0 of 2 clips"),
        (clip(bandwidth=3.6), [clip(bandwidth=8.0)], "It ends lower than all known clips: at 3.6 kHz"),
        (clip(bandwidth=8.0), [clip(bandwidth=3.6)], "It reaches higher than all known clips: 8.0 kHz"),
        (clip(noise=-40), [clip(noise=-60)], "noise floor is higher than in all known clips: -40 dB"),
        (clip(noise=-80), [clip(noise=-60)], "noise floor is lower than in all known clips: -80 dB"),
        (clip(seconds=1.0), [clip()], "only 0.8 s of speech"),
        (
            clip(seconds=3.0),
            [clip(seconds=60)],
            "2.4 s of speech, far less than the known clips (about 48.0 s)",
        ),
    ],
)
def test_what_differs_is_said_in_words(questioned: Compared, known: list[Compared], expected: str) -> None:
    assert expected in " ".join(differences([questioned, *known]))


def test_one_known_clip_like_the_questioned_one_is_enough_for_its_channel() -> None:
    told = differences([clip(bandwidth=3.6), clip(bandwidth=8.0), clip(bandwidth=3.7)])
    assert messages_compare.LIKE_CHANNEL in told
    assert messages_compare.OTHER_CHANNEL in differences([clip(bandwidth=3.6), clip()])


def test_a_real_difference_of_bandwidth_is_found(services, clips, tmp_path) -> None:
    narrow = tmp_path / "narrow.wav"
    rng = np.random.default_rng(0)
    wide = speech_like(3.0, 0.9) + rng.normal(0, 0.01, 3 * SAMPLE_RATE)
    soundfile.write(tmp_path / "wide.wav", wide, SAMPLE_RATE)
    soundfile.write(narrow, low_pass(wide.astype(np.float32), 3_400.0), SAMPLE_RATE)
    page = CompareHandlers(services).run(str(narrow), [str(tmp_path / "wide.wav")])
    assert "It ends lower than all known clips" in page


def test_spectrograms_share_their_scales() -> None:
    waves = [speech_like(1.0, 0.9), speech_like(3.0, 0.009)]
    figure = compare_figures.spectrograms(waves, ["a $x_2$.wav", "b" * 100], wide=True)
    loud, quiet, _ = figure.axes
    assert loud.get_xlim() == quiet.get_xlim() == (0, 3)
    assert loud.images[0].get_extent()[1] == 1
    assert loud.images[0].get_clim() == quiet.images[0].get_clim()
    gap = loud.images[0].get_array().max() - quiet.images[0].get_array().max()
    assert gap == pytest.approx(40, abs=2)  # 100 times quieter stays so
    assert loud.get_title(loc="left") == "a $x_2$.wav"
    assert len(quiet.get_title(loc="left")) == compare_figures.TITLE


def test_a_long_clip_is_drawn_from_its_start_only(services, tmp_path) -> None:
    long = str(write_clip(tmp_path / "long.wav", 20.0, level=0.9))
    found = comparing.compare(long, [long], services.judge)
    assert len(found[0].wave) == comparing.DRAWN_SECONDS * SAMPLE_RATE
    assert found[0].wave.base is None  # the rest of the clip is let go
    assert found[0].measured.seconds == 20.0


def test_texts_are_escaped() -> None:
    hostile = replace(clip(), name="<b>x</b>")
    page = markup_compare.comparison([hostile, hostile], ["<i>told</i>"], {"sls": "<u>SLS</u>"}, "")
    assert not re.search(r"<(b|i|u)>", page)
