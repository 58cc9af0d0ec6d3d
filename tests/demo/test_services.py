"""Services with fake detectors: what is judged, what is kept, and what a failure leaves standing."""

import hashlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from demo import messages
from demo.analysis import Analysis, RecentAnalyses
from demo.limits import Deadline, Limits
from demo.loaded import untold
from demo.services import Services
from demo.settings import Settings
from detectors.calibration import fuse
from detectors.detection import Detection, p_spoof_of
from detectors.errors import DetectorError
from detectors.labels.records import LabelError
from detectors.progress import Progress
from tests.demo.fake_detectors import (
    NO_LLM,
    BrokenDetector,
    FakeDetector,
    FakeSource,
    fake_services,
    speech_like,
    write_clip,
)
from tests.demo.fake_talkers import silent


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip.wav", seconds=4.0)


def test_all_detectors_are_fused_and_the_original_bytes_are_hashed(tmp_path: Path, clip: Path) -> None:
    analysis = fake_services(tmp_path / "data").analyze(clip)
    llrs = [detection.llr for detection in analysis.detections.values()]
    assert list(analysis.detections) == ["sls", "fake_mamba"]
    assert analysis.llr == fuse(llrs)
    assert analysis.p_spoof == p_spoof_of(fuse(llrs))
    assert analysis.sha256 == hashlib.sha256(clip.read_bytes()).hexdigest()
    assert analysis.unavailable == {"allm4add": NO_LLM}
    assert analysis.versions == {"sls": "sls-v1", "fake_mamba": "fake_mamba-v1"}
    assert analysis.seconds == 4.0
    assert analysis.device == "cpu"


def test_the_report_holds_everything_as_plain_values(tmp_path: Path, clip: Path) -> None:
    analysis = fake_services(tmp_path / "data").analyze(clip)
    report = analysis.report()
    assert set(report["detectors"]["sls"]) == {
        "score", "llr", "mean_llr", "p_spoof", "verdict", "step", "abstained", "version", "windows"
    }  # fmt: skip
    assert [window["start"] for window in report["detectors"]["sls"]["windows"]] == [0.0, 1.0, 2.0]
    assert report["analysis_id"] == analysis.id
    assert report["verdict"] == analysis.verdict


def test_progress_grows_from_0_to_1_and_names_the_detectors(tmp_path: Path, clip: Path) -> None:
    heard: list[tuple[float, str]] = []
    fake_services(tmp_path / "data").analyze(clip, lambda share, doing: heard.append((share, doing)))
    shares = [share for share, _ in heard]
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert shares[-1] == pytest.approx(1)
    assert "Fake-Mamba is listening" in [doing for _, doing in heard]


def test_progress_tells_what_was_found_so_far(tmp_path: Path, clip: Path) -> None:
    said: list[str] = []
    analysis = fake_services(tmp_path / "data").analyze(clip, lambda share, doing: said.append(doing))
    windows = analysis.detections["fake_mamba"].windows
    worst = max(windows, key=lambda window: window.p_spoof)
    expected = (
        f"Up to {analysis.seconds:.0f} s, most suspicious so far: {worst.p_spoof:.2f} at {worst.start:.0f} s"
    )
    assert f"Fake-Mamba is listening. {expected}" in said


def test_what_is_fetched_first_is_told(tmp_path: Path, clip: Path) -> None:
    class Fetching(FakeSource):
        def load(self, name: str, preset: str, device: str, progress: Progress) -> FakeDetector:
            if name == "fake_mamba":
                progress(0.25, "fetching the language model (93 MB, once)")
            return super().load(name, preset, device, progress)

    heard: list[tuple[float, str]] = []
    fake_services(tmp_path / "data", Fetching()).analyze(clip, lambda *told: heard.append(told))
    assert "Fetching the language model (93 MB, once): 25%" in [doing for _, doing in heard]
    shares = [share for share, _ in heard]
    assert shares == sorted(shares)


def test_a_detector_that_takes_long_to_load_does_not_hold_up_the_others(tmp_path: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()

    class Slow(FakeSource):
        def load(self, name: str, preset: str, device: str, progress: Progress) -> FakeDetector:
            if name == "fake_mamba":
                begun.set()
                assert go_on.wait(10)
            return super().load(name, preset, device, progress)

    services = fake_services(tmp_path / "data", Slow())
    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(services.detectors.get, "fake_mamba", "cpu", untold)
        assert begun.wait(10)
        quick = pool.submit(services.detectors.get, "sls", "cpu", untold)
        try:
            assert quick.result(timeout=10).name == "sls"
        finally:
            go_on.set()
        assert slow.result(timeout=10).name == "fake_mamba"


def test_a_detector_with_a_bug_does_not_stop_the_others(tmp_path: Path, clip: Path) -> None:
    source = FakeSource({"sls": BrokenDetector("sls"), "fake_mamba": FakeDetector("fake_mamba")})
    analysis = fake_services(tmp_path / "data", source).analyze(clip)
    assert list(analysis.detections) == ["fake_mamba"]
    assert analysis.unavailable == {"sls": messages.DETECTOR_FAILED, "allm4add": NO_LLM}
    assert analysis.llr == analysis.detections["fake_mamba"].llr


def test_a_detector_that_cannot_be_loaded_is_unavailable_with_the_reason(tmp_path: Path, clip: Path) -> None:
    source = FakeSource()

    def load(name: str, preset: str, device: str, progress: Progress) -> FakeDetector:
        raise DetectorError(f"{name} has damaged weights.")

    source.load = load  # type: ignore[method-assign]
    analysis = fake_services(tmp_path / "data", source).analyze(clip)
    assert analysis.detections == {}
    assert analysis.unavailable["sls"] == "sls has damaged weights."
    assert analysis.verdict is analysis.p_spoof is analysis.device is analysis.worst_window() is None


def test_no_detector_at_all_still_gives_an_analysis(tmp_path: Path, clip: Path) -> None:
    source = FakeSource(missing=dict.fromkeys(("sls", "fake_mamba", "allm4add"), "weights are missing"))
    analysis = fake_services(tmp_path / "data", source).analyze(clip)
    assert analysis.verdict is None
    assert len(analysis.unavailable) == 3


def test_a_clip_that_every_detector_refuses_is_an_error(tmp_path: Path) -> None:
    short = write_clip(tmp_path / "short.wav", seconds=0.3)
    with pytest.raises(DetectorError, match=r"0.30 s long; at least 0.5 s"):
        fake_services(tmp_path / "data").analyze(short)


def test_a_file_that_is_not_audio_is_an_error(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a sound")
    with pytest.raises(DetectorError, match="not a sound file"):
        fake_services(tmp_path / "data").analyze(text)


def test_each_detector_is_loaded_once_even_by_many_threads(tmp_path: Path, clip: Path) -> None:
    source = FakeSource()
    services = fake_services(tmp_path / "data", source)
    assert source.loads == []  # nothing is loaded before it is needed
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda turn: services.analyze(clip), range(8)))
    assert sorted(source.loads) == ["fake_mamba", "sls"]


def test_a_device_that_is_not_here_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match="no device 'abacus'"):
        Services(_settings_with_device(tmp_path, "abacus"))


def _settings_with_device(folder: Path, device: str) -> Settings:
    settings = Settings(data=folder)
    object.__setattr__(settings, "device", device)  # past the check of Settings, to reach the registry's
    return settings


# ---- labels


def test_a_label_keeps_the_clip_and_what_was_shown(tmp_path: Path, clip: Path) -> None:
    services = fake_services(tmp_path / "data")
    analysis = services.analyze(clip)
    saved = services.save_label(
        analysis.id, label="bonafide", confidence=5, annotator=" Anna ", consent=True, note="my own voice "
    )
    assert services.store.get(saved.id) == saved
    assert (saved.annotator, saved.note) == ("Anna", "my own voice")
    assert saved.scores["sls"]["llr"] == analysis.detections["sls"].llr
    assert saved.versions == analysis.versions
    assert services.store.audio_path(analysis.sha256).read_bytes() == clip.read_bytes()


def test_a_region_beyond_the_clip_is_refused(tmp_path: Path, clip: Path) -> None:
    services = fake_services(tmp_path / "data")
    region = {"start": 3.0, "end": 5.0, "label": "spoof"}
    with pytest.raises(LabelError, match=r"ends after the clip, which is 4.00 s"):
        services.save_label(
            services.analyze(clip).id,
            label="spoof",
            confidence=3,
            annotator="A",
            consent=True,
            regions=[region],
        )
    assert services.store.labels() == []


def test_a_forgotten_analysis_cannot_be_labelled(tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match="no longer in memory"):
        fake_services(tmp_path / "data").save_label(
            "0" * 32, label="spoof", confidence=3, annotator="A", consent=True
        )


# ---- the short memory


def analysis_of(name: str, seconds: float) -> Analysis:
    return Analysis(
        id=name,
        created="2026-01-01T00:00:00Z",
        path="clip.wav",
        sha256="0" * 64,
        wave=np.zeros(1, np.float32),
        seconds=seconds,
        preset="mini",
        detections={},
        versions={},
        unavailable={},
        llr=None,
    )


def test_memory_forgets_the_least_recently_used() -> None:
    recent = RecentAnalyses(count=2)
    for name in "ab":
        recent.add(analysis_of(name, 1))
    assert recent.get("a") is not None
    recent.add(analysis_of("c", 1))
    assert recent.get("b") is None
    assert recent.get("a") is not None


def test_memory_is_bounded_in_seconds_but_keeps_the_newest() -> None:
    recent = RecentAnalyses(count=9, seconds=10)
    recent.add(analysis_of("a", 6))
    recent.add(analysis_of("b", 6))
    assert recent.get("a") is None
    recent.add(analysis_of("hours", 9000))
    assert recent.get("hours") is not None


# ---- words


def test_a_stretch_that_stands_out_is_pointed_out(tmp_path: Path) -> None:
    """Loud throughout (human to the fake) but for two near-silent seconds."""
    wave = np.concatenate([speech_like(6, 0.9), speech_like(2, 0.005), speech_like(6, 0.9)])
    soundfile.write(tmp_path / "part.wav", wave, 16000)
    analysis = fake_services(tmp_path / "data").analyze(tmp_path / "part.wav")
    assert analysis.verdict == "bonafide"
    (caution,) = messages.cautions(analysis, {"sls": "SLS", "fake_mamba": "Fake-Mamba"})
    assert "6.0–8.0 s, where SLS gives 0.98" in caution


def test_numbers_are_never_rounded_to_a_certainty() -> None:
    assert [messages.number(p) for p in (0.0, 0.0001, 0.5, 0.93, 0.9999, 1.0)] == [
        "0.01", "0.01", "0.50", "0.93", "0.99", "0.99",
    ]  # fmt: skip


# ---- limits


def test_a_clip_is_read_in_another_process_unless_told_otherwise(tmp_path: Path, clip: Path) -> None:
    limits = replace(Limits.public(), seconds=3)
    services = Services(
        Settings(data=tmp_path / "data", limits=limits), FakeSource().source(), speakers=silent()
    )
    with pytest.raises(DetectorError, match="longer than 3 seconds"):
        services.analyze(clip)
    assert services.analyze(write_clip(tmp_path / "short.wav", 2.0)).seconds == 2.0
    services.close()


class SlowDetector(FakeDetector):
    """Takes a minute of the given clock for each share of the clip that it reports."""

    def __init__(self, name: str, clock: list[float]) -> None:
        super().__init__(name)
        self.clock = clock

    def analyze(
        self, wave: np.ndarray, progress: Callable[[float], None] | None = None, *more: Any
    ) -> Detection:
        for share in (0.25, 0.5, 0.75):
            self.clock[0] += 60
            if progress:
                progress(share)
        return super().analyze(wave, progress, *more)


@pytest.mark.parametrize(("seconds", "judged"), [(150, []), (200, ["sls"]), (1000, ["sls", "fake_mamba"])])
def test_a_job_that_takes_too_long_is_stopped_and_keeps_what_it_has(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch, seconds: int, judged: list[str]
) -> None:
    clock = [0.0]
    monkeypatch.setattr("demo.services.Deadline", lambda limit: Deadline(limit, lambda: clock[0]))
    source = FakeSource({name: SlowDetector(name, clock) for name in ("sls", "fake_mamba")})
    settings = Settings(data=tmp_path / "data", limits=replace(Limits(), job_seconds=seconds))
    services = fake_services(tmp_path, source, settings=settings)
    if not judged:
        with pytest.raises(DetectorError, match=r"more than 3 minutes, the longest .* shorter part"):
            services.analyze(clip)
        return
    analysis = services.analyze(clip)
    assert list(analysis.detections) == judged
    assert "more than" in analysis.unavailable.get("fake_mamba", "more than")
