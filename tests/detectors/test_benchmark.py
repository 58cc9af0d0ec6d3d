"""The benchmark compares like with like, and its command writes what it measured. No time is judged here."""

import json

import numpy as np
import pytest
import torch

from detectors.__main__ import main
from detectors.benchmark import fake_mamba, sls
from detectors.benchmark.analyse import ALL, FIGURES, drawing, measure_analyse
from detectors.benchmark.clock import Timing, race
from detectors.benchmark.memory import peak_memory
from detectors.benchmark.rows import rows_of
from detectors.benchmark.self_attention import SelfAttention, transformer
from detectors.benchmark.sizes import sizes_of
from detectors.detection import Detection, Window
from detectors.errors import DetectorError
from detectors.models import build_model
from detectors.ops.mamba import MambaMixer

TINY = sizes_of("tiny")


@torch.no_grad()
def test_the_released_way_gives_our_scores():
    model = build_model(TINY.sls).eval()
    windows = 0.1 * torch.randn(3, TINY.sls.window_samples)
    ours = sls.our_scores(model, windows)
    torch.testing.assert_close(sls.released_scores(model, windows), ours, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_the_released_way_runs_the_front_end_twice_for_each_window():
    model = build_model(TINY.sls).eval()
    batches = []
    model.front_end.register_forward_hook(lambda module, args, output: batches.append(len(args[0])))
    sls.released_scores(model, torch.randn(3, TINY.sls.window_samples))
    assert batches == [1] * 6
    batches.clear()
    sls.our_scores(model, torch.randn(3, TINY.sls.window_samples))
    assert batches == [3]


@torch.no_grad()
def test_the_sequential_scan_gives_fake_mambas_answer_and_the_others_are_as_large():
    heads = {name: head.eval() for name, head in fake_mamba.build_heads(TINY.fake_mamba).items()}
    features = torch.randn(2, 30, TINY.fake_mamba.front_end.hidden)
    ours = heads[fake_mamba.OURS](features)
    sequential = heads[fake_mamba.SEQUENTIAL](features)
    torch.testing.assert_close(sequential.logits, ours.logits, atol=1e-4, rtol=1e-4)
    for head in heads.values():
        assert head(features).attention.shape == (2, 30)
        assert head.fc5.in_features == TINY.fake_mamba.dim


@torch.no_grad()
def test_self_attention_is_torchs_own_computation():
    ours = SelfAttention(16, 4).eval()
    theirs = torch.nn.MultiheadAttention(16, 4, batch_first=True).eval()
    theirs.in_proj_weight.copy_(ours.qkv.weight)
    theirs.in_proj_bias.copy_(ours.qkv.bias)
    theirs.out_proj.load_state_dict(ours.out.state_dict())
    x = torch.randn(2, 9, 16)
    torch.testing.assert_close(ours(x), theirs(x, x, x)[0], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_the_transformer_has_no_scan_left_and_looks_everywhere():
    stack, x = transformer(TINY.fake_mamba).eval(), torch.randn(1, 25, 16)
    assert not any(isinstance(module, MambaMixer) for module in stack.modules())
    changed = x.clone()
    changed[:, 24] += torch.linspace(-1, 1, 16)
    assert (stack(changed) - stack(x))[:, 0].abs().max() > 0


def test_all_ways_run_by_turns_after_a_first_uncounted_run():
    calls = []
    timings = race({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, "cpu", runs=2)
    assert calls == ["a", "b", "a", "b", "a", "b"]
    assert [len(timing.times) for timing in timings.values()] == [2, 2]
    with pytest.raises(ValueError, match="at least 1 run"):
        race({}, "cpu", runs=0)


def test_nothing_that_is_timed_keeps_gradients():
    weight = torch.ones(2, requires_grad=True)
    seen = []
    race({"a": lambda: seen.append((weight * 2).requires_grad)}, "cpu", runs=1)
    assert seen == [False, False]


def test_ratios_and_real_time_factors_by_hand():
    timings = {"theirs": Timing([4.0, 6.0], None), "ours": Timing([2.5, 2.0], 7.0)}
    theirs, ours = rows_of("sls", "mini", "8 windows", timings, ("theirs",), sound=8.0, windows=8)
    assert (theirs.faster, ours.faster) == ({}, {"theirs": 2.0})
    assert (theirs.seconds, ours.seconds) == (4.0, 2.0)
    assert (theirs.rtf, ours.rtf) == (0.5, 0.25)
    assert ours.windows_per_second == 4
    assert ours.peak_mb == 7


def test_peak_memory_sees_what_was_given_back_meanwhile():
    with peak_memory("cpu") as small:
        pass
    with peak_memory("cpu") as large:
        np.ones(8_000_000)  # 64 MB
    if large.megabytes is None:
        pytest.skip("this system does not tell a process's peak memory")
    assert small.megabytes < 32 < 60 < large.megabytes < 96


class FakeDetector:
    def analyze(self, wave: np.ndarray) -> Detection:
        return Detection("fake", 1.0, 1.0, 0.3, [Window(0, 1, 1.0, 1.0, 0.3)], len(wave) / 16_000, "cpu")


def test_the_analyse_path_draws_what_was_judged():
    drawn = []

    def draw(clip, titles):
        drawn.append((clip.seconds, set(clip.detections), titles))
        return []

    sound = np.sin(np.arange(8_000) / 20).astype(np.float32)
    rows = measure_analyse({"fake": FakeDetector()}, {"fake": "Fake"}, "tiny", draw, sound, "cpu", 1, 2.0)
    assert [row.way for row in rows] == ["decode", "fake", FIGURES, ALL]
    assert set(map(str, drawn)) == {str((2.0, {"fake"}, {"fake": "Fake"}))}
    without = measure_analyse({"fake": FakeDetector()}, {}, "tiny", None, sound, "cpu", 1, 2.0)
    assert FIGURES not in [row.way for row in without]
    assert "without figures" in without[0].case


@pytest.mark.parametrize("name", ["no_such_module:draw", "json:no_such_function", "", "json"])
def test_a_drawing_function_that_is_not_there_is_an_unusable_argument(name):
    with pytest.raises(DetectorError, match="MODULE:FUNCTION"):
        drawing(name)


def test_the_command_prints_a_table_writes_json_and_makes_the_readmes_table_of_it(tmp_path, capsys):
    path = tmp_path / "benchmark.json"
    assert main(["benchmark", "--quick", "--device", "cpu", "--json", str(path)]) == 0
    table = capsys.readouterr().out
    result = json.loads(path.read_text())
    assert {row["part"] for row in result["rows"]} == {"sls", "fake_mamba", "scan", "analyse"}
    assert {change["weights"] for change in result["score_changes"]} <= {"random"}
    assert "Left out: figures" in table
    for row in result["rows"]:
        assert row["way"] in table
        assert row["seconds"] == min(row["times"]) > 0
        for other, ratio in row["faster"].items():
            (beside,) = [r for r in result["rows"] if _group(r) == _group(row) and r["way"] == other]
            assert ratio == pytest.approx(beside["seconds"] / row["seconds"])

    assert main(["benchmark", "--markdown", str(path)]) == 0
    lines = capsys.readouterr().out.strip().splitlines()
    assert lines[0].endswith("| Time | Times as fast as |")
    assert any("released way: " in line for line in lines)
    assert {line.count("|") for line in lines} == {4}


def _group(row):
    return row["part"], row["sizes"], row["case"]


def test_unusable_arguments_are_refused_before_anything_is_measured(tmp_path, capsys):
    assert main(["benchmark", "--quick", "--json", str(tmp_path / "none" / "x.json")]) == 2
    assert "There is no folder" in capsys.readouterr().err
    other = tmp_path / "other.json"
    other.write_text("[]")
    assert main(["benchmark", "--markdown", str(other)]) == 2
    assert "no file that this command wrote" in capsys.readouterr().err
