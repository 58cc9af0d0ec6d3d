"""Removing, relevance and the test of maps, on detectors whose evidence lies where the tests put it."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from detectors import explain
from detectors.__main__ import main
from detectors.audio import SAMPLE_RATE
from detectors.checkpoints import save_model
from detectors.config import FakeMambaConfig, FrontEndConfig
from detectors.detection import VOICE_TIME, Detection, Window
from detectors.errors import DetectorError
from detectors.faithfulness import STEPS, Curves, Faithfulness, Trials, beaten, order_of
from detectors.map_test import OCCLUSION, Effort, effort_for, has_marks, map_test
from detectors.mel_scale import mel, mel_edges
from detectors.models import FakeMamba
from detectors.relevance import AT_ONCE, Rescore, occlusion
from detectors.removal import Removable

SMALL = Effort(seconds=3.0, column=0.25, bands=2, pairs=6)


def voice(seconds: float = 3.0) -> np.ndarray:
    """Noise in bursts over a faint floor: every stretch holds something to remove."""
    rng = np.random.default_rng(3)
    wave = rng.normal(0, 1, round(seconds * SAMPLE_RATE))
    bursts = 0.02 + 0.2 * (np.sin(2 * np.pi * 3.1 * np.arange(len(wave)) / SAMPLE_RATE) > 0)
    return (wave * bursts).astype(np.float32)


def level(wave: np.ndarray, low: float, high: float) -> float:
    """Power in a band of Hz."""
    power = np.abs(np.fft.rfft(wave)) ** 2
    hz = np.fft.rfftfreq(len(wave), 1 / SAMPLE_RATE)
    return float(power[(hz >= low) & (hz < high)].sum())


class Ear:
    """Its CM score is linear in the RMS between 1 and 1.5 s. Its attention is there too, or elsewhere."""

    device = "cpu"

    def __init__(self, honest: bool = True, slope: float = 10.0, offset: float = 0.0) -> None:
        self.honest, self.slope, self.offset, self.heard = honest, slope, offset, 0

    def analyze(self, wave: np.ndarray) -> Detection:
        score = float(self.scores([wave])[0])
        seconds = len(wave) / SAMPLE_RATE
        times = (np.arange(100) + 0.5) / 100 * seconds
        there = ((times >= 1) & (times < 1.5)).astype(float)
        attention = there if self.honest else 1 - there
        window = Window(0.0, seconds, score, score, 0.5)
        maps = {"attention": attention / attention.sum()}
        return Detection("fake_mamba", score, score, 0.5, [window], seconds, "cpu", maps)

    def scores(self, waves: Sequence[np.ndarray]) -> np.ndarray:
        self.heard = max(self.heard, len(waves))
        parts = [wave[SAMPLE_RATE : 3 * SAMPLE_RATE // 2] for wave in waves]
        return np.array([self.slope * float(np.sqrt(np.mean(part**2))) + self.offset for part in parts])


def alone(ear: Ear) -> Rescore:
    """One detector, asked as several are."""
    return lambda waves: ear.scores(waves)[:, None]


def test_bands_are_equally_wide_in_mel_and_cover_the_spectrum() -> None:
    edges = mel_edges(8)
    assert edges[[0, -1]] == pytest.approx([0, SAMPLE_RATE / 2], abs=1e-6)
    assert np.diff(mel(edges)) == pytest.approx(np.diff(mel(edges))[0])


def test_nothing_removed_is_the_clip_itself() -> None:
    wave = voice()
    clip = Removable(wave, 12, 4)
    assert clip.without(np.zeros((4, 12), dtype=bool)) == pytest.approx(wave, abs=1e-6)
    assert clip.seconds == 3.0


def test_a_removed_stretch_sinks_to_the_floor_and_the_rest_stays() -> None:
    wave = voice()
    gone = np.zeros(12, dtype=bool)
    gone[4:6] = True  # 1.0 to 1.5 s
    left = Removable(wave, 12).without(gone)
    inside = slice(int(1.05 * SAMPLE_RATE), int(1.45 * SAMPLE_RATE))
    assert np.sqrt(np.mean(wave[inside] ** 2)) > 0.1
    assert np.sqrt(np.mean(left[inside] ** 2)) < 0.03  # the floor between the bursts is 0.02
    outside = np.r_[0 : int(0.95 * SAMPLE_RATE), int(1.55 * SAMPLE_RATE) : len(wave)]
    assert left[outside] == pytest.approx(wave[outside], abs=1e-5)


def test_a_removed_band_leaves_the_others() -> None:
    wave = voice()
    cells = np.zeros((4, 12), dtype=bool)
    cells[2] = True
    left = Removable(wave, 12, 4).without(cells)
    edges = mel_edges(4)
    assert level(left, edges[2] + 60, edges[3] - 60) < 0.1 * level(wave, edges[2] + 60, edges[3] - 60)
    for band in (0, 1, 3):
        low, high = edges[band] + 60, edges[band + 1] - 60
        assert level(left, low, high) == pytest.approx(level(wave, low, high), rel=0.02)


def test_no_removal_ends_in_digital_silence_or_adds_sound() -> None:
    wave = voice()
    wave[: len(wave) // 2] = 0  # the floor of more than a tenth of the frames is nothing at all
    left = Removable(wave, 12).without(np.ones(12, dtype=bool))
    assert np.abs(left[-SAMPLE_RATE:]).max() > 1e-5
    assert np.sqrt(np.mean(left**2)) < 0.01 * np.sqrt(np.mean(wave**2))
    assert np.abs(left[: SAMPLE_RATE // 2]).max() < 1e-5


@pytest.mark.parametrize(("samples", "columns", "bands"), [(100, 4, 1), (16_000, 0, 1), (16_000, 4, 0)])
def test_a_grid_that_cannot_be_is_refused(samples: int, columns: int, bands: int) -> None:
    with pytest.raises(ValueError, match=r"needed|at least 1 column"):
        Removable(np.ones(samples, np.float32), columns, bands)


def test_relevance_is_where_the_evidence_is_and_has_its_sign() -> None:
    wave, ear = voice(), Ear()
    heard: list[float] = []
    (found,) = occlusion(Removable(wave, 12, 2), ear.scores([wave]), alone(ear), heard.append)
    assert found.cells.shape == (2, 12)
    assert set(np.argsort(found.over_time())[-2:]) == {4, 5}
    assert (found.cells[:, 4:6] > 0).all()  # sound there makes the score higher: it speaks for a human voice
    assert np.abs(found.cells[:, [0, 1, 8, 11]]).max() < 1e-3
    assert heard[-1] == 1
    assert ear.heard <= AT_ONCE


def test_the_most_marked_columns_come_first() -> None:
    assert order_of(np.array([0, 0, 5, 5, 1, 1]), 3).tolist() == [1, 2, 0]
    assert order_of(np.array([1.0, 2.0]), 4).tolist() == [2, 3, 0, 1]  # fewer frames than columns
    assert order_of(np.zeros(30), 5).tolist() == [0, 1, 2, 3, 4]


def test_curves_begin_and_end_where_they_must_and_mirror_each_other() -> None:
    wave, ear = voice(), Ear()
    score = float(ear.scores([wave])[0])
    trials = Trials(Removable(wave, 12), np.array([score]), alone(ear))
    (empty,) = trials.empty
    order = np.array([4, 5, *range(4), *range(6, 12)])
    found = trials.curves(order).of(0)
    assert found.deletion[[0, -1]].tolist() == [score, empty]
    assert found.insertion[[0, -1]].tolist() == [empty, score]
    assert found.deletion[2] < 0.5 * score  # both columns that matter are gone after 20 %
    assert found.insertion[2] > 0.9 * score
    reverse = trials.curves(order[::-1]).of(0)
    assert reverse.insertion == pytest.approx(found.deletion[::-1])


def test_the_control_is_the_same_every_time_and_even() -> None:
    wave, ear = voice(), Ear()
    score = ear.scores([wave])
    trials = Trials(Removable(wave, 12), score, alone(ear))
    first, second = trials.control(3).of(0), trials.control(3).of(0)
    assert first.deletion.shape == (6, STEPS + 1)
    assert (first.deletion == second.deletion).all()
    own = trials.curves(np.arange(12)).of(0)
    found = Faithfulness("attention", float(score[0]), float(trials.empty[0]), own, first)
    low, high = found.control_range
    assert low == pytest.approx(-high)  # with every order its reverse


def made_up(area: float) -> Faithfulness:
    """A map whose score is `area` further away under deletion than under insertion; random: 0.1 at most."""

    def curves(*gaps: float) -> Curves:
        flat = np.ones((len(gaps), STEPS + 1))
        return Curves(1 - flat * (0.5 + np.array(gaps)[:, None]), 1 - flat * 0.5)

    own = curves(area)
    control = curves(0.1, -0.1, 0.05, -0.05)
    return Faithfulness("attention", 1.0, 0.0, Curves(own.deletion[0], own.insertion[0]), control)


@pytest.mark.parametrize(
    ("area", "outcome"), [(0.3, "more"), (0.05, "same"), (-0.05, "same"), (-0.3, "less")]
)
def test_only_what_beats_every_random_order_counts(area: float, outcome: str) -> None:
    found = made_up(area)
    assert found.area == pytest.approx(area)
    assert found.control_range == pytest.approx((-0.1, 0.1))
    assert found.outcome == found.report()["outcome"] == outcome
    passed, by_chance = beaten([found, made_up(0.3)])
    assert passed == 1 + (outcome == "more")
    assert by_chance == pytest.approx(2 / 6)


def test_an_honest_map_passes_and_one_that_looks_away_does_not() -> None:
    wave = voice()
    test = map_test(wave, {"fake_mamba": Ear(), "liar": Ear(honest=False)}, SMALL)
    honest, liar = test.examined
    assert [found.map for found in honest.found] == ["attention", OCCLUSION]
    assert [found.outcome for found in honest.found] == ["more", "more"]
    assert [found.outcome for found in liar.found] == ["less", "more"]  # occlusion asks the detector itself
    assert test.columns == 12
    json.dumps(test.report())


def test_several_detectors_are_asked_together_and_each_has_its_own_answer() -> None:
    asked: list[tuple[str, bytes]] = []

    class Noted(Ear):
        def __init__(self, name: str, **kinds: float) -> None:
            super().__init__(**kinds)
            self.name = name

        def scores(self, waves: Sequence[np.ndarray]) -> np.ndarray:
            asked.append((self.name, b"".join(wave.tobytes() for wave in waves)))
            return super().scores(waves)

    wave = voice()
    pair = map_test(wave, {"a": Noted("a"), "b": Noted("b", slope=-3.0)}, SMALL)
    after_analysis = asked[2:]
    shared = -(-SMALL.bands * 12 // AT_ONCE) + 1 + 2 * SMALL.pairs * 2  # cells, nothing left, random orders
    for first, second in zip(
        after_analysis[: 2 * shared : 2], after_analysis[1 : 2 * shared : 2], strict=True
    ):
        assert (first[0], second[0]) == ("a", "b")
        assert first[1] == second[1]
    for name, ear in (("a", Ear()), ("b", Ear(slope=-3.0))):
        (by_itself,) = map_test(wave, {name: ear}, SMALL).examined
        (together,) = (of for of in pair.examined if of.detector == name)
        assert together.relevance.cells == pytest.approx(by_itself.relevance.cells)
        assert [each.report() for each in together.found] == [each.report() for each in by_itself.found]


@pytest.mark.parametrize(("slope", "offset"), [(10.0, -50.0), (-10.0, 50.0), (-10.0, 0.0)])
def test_occlusion_passes_whichever_way_sound_moves_the_score(slope: float, offset: float) -> None:
    (found,) = map_test(voice(), {"fake_mamba": Ear(slope=slope, offset=offset)}, SMALL).examined
    assert [each.outcome for each in found.found] == ["more", "more"]


@pytest.mark.parametrize("slope", [10.0, -10.0])
def test_of_a_map_with_two_sides_what_speaks_for_the_scores_side_goes_first(slope: float) -> None:
    class Listener(Ear):
        """Its map tells to which side the evidence speaks, in truth or the other way round."""

        truth = 1

        def analyze(self, wave: np.ndarray) -> Detection:
            found = super().analyze(wave)
            there = found.maps["attention"] > 0
            return replace(found, maps={VOICE_TIME: self.truth * np.sign(self.slope) * there})

    class Liar(Listener):
        truth = -1

    tests = map_test(voice(), {"true": Listener(slope=slope), "liar": Liar(slope=slope)}, SMALL).examined
    assert [[each.map for each in of.found] for of in tests] == [[VOICE_TIME, OCCLUSION]] * 2
    assert [of.found[0].outcome for of in tests] == ["more", "less"]


def test_no_order_is_tried_twice() -> None:
    wave, ear = voice(), Ear()
    trials = Trials(Removable(wave, 12), ear.scores([wave]), alone(ear))
    order = np.arange(12)
    first = trials.curves(order)
    ear.heard = 0
    assert trials.curves(order.copy()) is first
    assert ear.heard == 0
    trials.curves(order[::-1].copy())
    assert ear.heard > 0


def test_a_detector_without_a_map_over_time_is_left_out_and_progress_is_told() -> None:
    class Deaf(Ear):
        def analyze(self, wave: np.ndarray) -> Detection:
            found = super().analyze(wave)
            return Detection("allm4add", found.score, found.llr, 0.5, found.windows, 3.0, "cpu")

    shares: list[float] = []
    test = map_test(voice(), {"allm4add": Deaf(), "fake_mamba": Ear()}, SMALL, shares.append)
    assert list(test.left_out) == ["allm4add"]
    assert has_marks(Ear().analyze(voice()))
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0, 1)
    assert map_test(voice(), {"allm4add": Deaf()}, SMALL).examined == ()


def test_of_a_long_clip_the_loudest_stretch_is_tested() -> None:
    wave = np.concatenate([0.1 * voice(4), voice(3), 0.1 * voice(4)]).astype(np.float32)
    test = map_test(wave, {"fake_mamba": Ear()}, SMALL)
    assert test.start == pytest.approx(4, abs=0.2)
    assert test.seconds == 3
    assert len(wave) == 11 * SAMPLE_RATE


def test_the_effort_depends_on_device_and_size_alone() -> None:
    efforts = [effort_for(*pair) for pair in (("cuda", "full"), ("cpu", "mini"), ("cpu", "full"))]
    costs = [e.columns(e.seconds) * e.bands + 18 * e.pairs for e in efforts]
    assert costs == sorted(costs, reverse=True)
    assert efforts[1].columns(0.5) == STEPS


# ---- the command, on a tiny detector with random weights

TINY = FrontEndConfig(
    layers=2, hidden=32, heads=2, ffn=32, extractor="log_mel", extractor_channels=32, position_kernel=8,
    position_groups=4,
)  # fmt: skip


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of two clips and their manifest; Fake-Mamba of the mini preset is a tiny one meanwhile."""
    from detectors.cards import CARDS

    folder = tmp_path / "weights"
    model = FakeMamba(FakeMambaConfig(TINY, 16_000, 8_000, dim=8, layers=1))
    save_model(model, "fake_mamba", folder, {})
    card = replace(CARDS["fake_mamba", "mini"], folder=folder, sha256="")
    monkeypatch.setitem(CARDS, ("fake_mamba", "mini"), card)
    monkeypatch.setattr("detectors.map_test.effort_for", lambda device, preset: Effort(1.0, 0.1, 1, 2))
    rows = ["path,utt_id,label,split"]
    for name, label in (("a", "bonafide"), ("b", "spoof")):
        soundfile.write(tmp_path / f"{name}.wav", voice(1.0), SAMPLE_RATE)
        rows.append(f"{name}.wav,{name},{label},dev")
    (tmp_path / "manifest.csv").write_text("\n".join(rows))
    return tmp_path


def test_the_command_says_what_each_map_is_worth(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tiny / "bad.wav"
    bad.write_bytes(b"no sound")
    common = ["--detector", "fake_mamba", "--device", "cpu"]
    assert main(["explain", str(tiny / "a.wav"), str(bad), *common]) == 1
    out, err = capsys.readouterr()
    assert "a.wav: fake_mamba attention: " in out
    assert "fake_mamba occlusion: more than random in" in out
    assert "of 1 clips (by chance: 0.2)" in out
    assert "bad.wav" in err
    assert main(["explain", "--manifest", str(tiny / "manifest.csv"), "--json", *common]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["label"] for line in lines] == ["bonafide", "spoof"]
    assert lines[0]["detectors"]["fake_mamba"]["maps"][0]["random_orders"] == 4


@pytest.mark.parametrize(
    "args", [[], ["a.wav", "--manifest", "m.csv"], ["--manifest", "m.csv", "--per-class", "0"]]
)
def test_what_the_command_cannot_do_is_refused(args: list[str]) -> None:
    assert main(["explain", *args]) == 2


def test_scores_in_batches_are_those_of_the_analysis(tiny: Path) -> None:
    from detectors import load_detector

    detector = load_detector("fake_mamba", device="cpu")
    waves = [voice(1.0), voice(2.3), 0.5 * voice(0.7)]
    alone = [detector.analyze(wave).score for wave in waves]
    assert detector.scores(waves) == pytest.approx(alone, abs=1e-4)
    with pytest.raises(DetectorError, match=r"at least 0\.5 s"):
        detector.scores([voice(0.2)])


def test_every_map_of_the_command_has_a_detector() -> None:
    from detectors.cards import NAMES

    assert set(explain.MAPPED) <= set(NAMES)
