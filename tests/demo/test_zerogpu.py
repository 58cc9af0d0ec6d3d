"""On a Space that lends GPUs: models run on one while the visitor's quota lasts, then on the CPU."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from demo import markup, messages
from demo.examples import Example
from demo.pages.chat import ChatHandlers
from demo.services import Services
from demo.settings import Settings
from demo.zerogpu import LONGEST, SHORTEST, LentGpu, NoGpuError, lent_gpu
from detectors.audio import load_audio
from detectors.detection import Detection
from detectors.errors import DetectorError
from tests.demo.fake_detectors import FakeDetector, fake_services, write_clip
from tests.demo.fake_talkers import FakeTalker, speaking
from tests.demo.on_a_space import GpuDetector, GpuSource

SPACE = {"SPACE_ID": "me/spooflens", "SPACES_ZERO_GPU": "true"}
TRUE = "The detectors agree."


@pytest.fixture
def spaces(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The stand-in, in the real one's place."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "space"))
    monkeypatch.delitem(sys.modules, "spaces", raising=False)
    import spaces

    yield spaces
    sys.modules.pop("spaces", None)


class Space:
    """A launched Space with the fake detectors."""

    def __init__(self, spaces: Any, folder: Path) -> None:
        self.state, self.spaces = spaces.State, spaces
        self.source = GpuSource(spaces.inside)
        self.talker = FakeTalker([TRUE])
        settings = Settings.from_env({**SPACE, "SPOOFLENS_DATA": str(folder)})
        self.services = Services(settings, self.source.source(), load_audio, speakers=speaking(self.talker))
        self.state.launched = True


@pytest.fixture
def space(spaces: ModuleType, tmp_path: Path) -> Space:
    return Space(spaces, tmp_path / "data")


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip.wav", seconds=4.0)


def test_clips_are_judged_on_the_gpu_while_there_is_one(space: Space, clip: Path) -> None:
    analysis = space.services.analyze(clip)
    assert analysis.device == "cuda"
    assert analysis.notes == ()
    assert space.state.decorated == 2
    assert space.state.asked == [16]  # 15 s and a tenth of the clip's length, rounded up
    assert analysis.report()["versions"] == {"sls": "sls-v1", "fake_mamba": "fake_mamba-v1"}


def test_when_the_quota_ends_the_cpu_judges_and_the_page_says_so(space: Space, clip: Path) -> None:
    on_gpu = space.services.analyze(clip)
    space.state.left = 3
    analysis = space.services.analyze(clip)
    assert (analysis.device, analysis.llr) == ("cpu", on_gpu.llr)
    assert analysis.notes == (messages.GPU_QUOTA,)
    assert messages.GPU_QUOTA in markup.verdict(analysis, {"sls": "SLS", "fake_mamba": "Fake-Mamba"})
    assert analysis.report()["notes"] == [messages.GPU_QUOTA]
    space.state.left = 60
    assert space.services.analyze(clip).device == "cuda"


def test_a_gpu_that_is_taken_back_is_no_failure(space: Space, clip: Path) -> None:
    space.state.broken = True
    analysis = space.services.analyze(clip)
    assert analysis.device == "cpu"
    assert analysis.notes == (messages.NO_GPU,)


def test_a_refusal_from_there_reads_as_from_here(space: Space, tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match=r"at least 0\.5 s"):
        space.services.analyze(write_clip(tmp_path / "short.wav", seconds=0.2))
    assert space.state.asked


def test_every_model_is_loaded_before_the_launch(space: Space, clip: Path) -> None:
    loaded = [("sls", "cuda"), ("sls", "cpu"), ("fake_mamba", "cuda"), ("fake_mamba", "cpu")]
    assert space.source.placed == loaded
    space.services.analyze(clip)
    space.state.left = 0
    space.services.analyze(clip)
    assert space.source.placed == loaded


def test_the_stress_test_runs_there_too_and_on_the_cpu_without(space: Space, clip: Path) -> None:
    space.state.left = 200
    analysis = space.services.analyze(clip)
    on_gpu = space.services.stress(analysis.id)
    assert space.state.asked[-1] == 49
    space.state.left = 0
    told: list[str] = []
    again = space.services.analyze(clip)
    on_cpu = space.services.stress(again.id, lambda share, doing: told.append(doing))
    assert [trial.llr for trial in on_cpu.trials] == pytest.approx([trial.llr for trial in on_gpu.trials])
    assert messages.NO_GPU in told


def test_the_chat_writes_on_the_gpu_and_then_on_the_cpu(space: Space, clip: Path) -> None:
    space.state.left = 200
    analysis = space.services.analyze(clip)
    handlers = ChatHandlers(space.services)
    answer = handlers.ask(analysis.id, "Do they agree?")
    assert (answer["answer"], answer["speaker"], answer["note"]) == (TRUE, "model", None)
    assert space.state.asked[-1] == 20
    space.state.left = 0
    exchanges, *_ = handlers.send("Do they agree?", analysis.id, [])
    *_, (exchanges, conversation) = handlers.answer(analysis.id, exchanges)
    assert (exchanges[0]["answer"], exchanges[0]["state"]) == (TRUE, "model")
    assert conversation[-1]["content"].endswith(f"numbers checked. {messages.GPU_QUOTA}")
    assert handlers.ask(analysis.id, "Do they agree?")["note"] == messages.GPU_QUOTA


def test_an_answer_that_nobody_waits_for_frees_the_gpu(spaces: Any) -> None:
    closed: list[bool] = []

    def endless() -> Iterator[int]:
        try:
            yield from range(100)
        finally:
            closed.append(True)

    lent = LentGpu(spaces.GPU)
    lent.register("count", endless)
    spaces.State.launched = True
    pieces = lent.stream("count", 5)
    assert next(pieces) == 0
    pieces.close()
    assert closed == [True]


def test_what_is_asked_for_stays_within_what_may_be(spaces: Any) -> None:
    spaces.State.left = 1000
    lent = LentGpu(spaces.GPU)
    lent.register("length", len)
    spaces.State.launched = True
    for seconds, asked in ((0.1, SHORTEST), (33.2, 34), (9999.0, LONGEST)):
        assert lent.run("length", seconds, [1, 2]) == 2
        assert spaces.State.asked[-1] == asked
    with pytest.raises(NoGpuError):
        lent.run("length", 5, 7)  # TypeError there: a bug, which the way on the CPU will show


def test_the_stand_in_keeps_to_the_rules(spaces: Any) -> None:
    """What the other tests rely on: unlike a plain call, these fail."""
    unpicklable = spaces.GPU(duration=5)(lambda given: given)
    early = spaces.GPU(lambda: 1)
    with pytest.raises(RuntimeError, match="before the launch"):
        early()
    spaces.State.launched = True
    with pytest.raises(Exception, match=r"(?i)pickle"):
        unpicklable(lambda: 1)
    with pytest.raises(RuntimeError, match="after the launch"):
        spaces.GPU(lambda: 1)
    with pytest.raises(AssertionError, match="without a GPU"):
        GpuDetector("sls", "cuda", spaces.inside).analyze(np.zeros(16_000))


@pytest.mark.parametrize(
    "environ",
    [{}, {"SPACE_ID": "me/x"}, {"SPACES_ZERO_GPU": "true"}, {"SPACE_ID": "me/x", "SPACES_ZERO_GPU": "0"}],
)
def test_nothing_is_lent_elsewhere(spaces: Any, environ: dict[str, str]) -> None:
    assert lent_gpu(Settings.from_env(environ)) is None
    assert spaces.State.decorated == 0


def test_a_space_without_the_package_uses_the_cpu(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "spaces", None)
    assert lent_gpu(Settings.from_env(SPACE)) is None
    assert "the package spaces is missing" in caplog.text


def test_an_example_is_judged_once(tmp_path: Path, clip: Path) -> None:
    services = fake_services(tmp_path / "data")
    heard: list[int] = []
    sls = services.detectors._source.load("sls", "mini", "cpu", lambda share, doing: None)

    def counted(wave: np.ndarray, *rest: Any) -> Detection:
        heard.append(len(wave))
        return FakeDetector.analyze(sls, wave, *rest)

    sls.analyze = counted
    services.examples.know([Example(clip, "bonafide", "A voice", "CC0", "here")])
    first, second = services.analyze(clip), services.analyze(clip)
    assert len(heard) == 1
    assert first.id != second.id
    assert services.recent(second.id).report() | {"analysis_id": "", "created": ""} == first.report() | {
        "analysis_id": "", "created": ""
    }  # fmt: skip
    saved = services.save_label(second.id, label="spoof", confidence=3, annotator="Anna", consent=True)
    assert services.store.get(saved.id) == saved
    other = write_clip(tmp_path / "other.wav", seconds=2.0)
    services.analyze(other), services.analyze(other)
    assert len(heard) == 3  # what visitors bring is not kept for others
