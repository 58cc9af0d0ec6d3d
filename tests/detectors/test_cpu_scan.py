"""The compiled loops have the meaning of the recurrence and of the mixer in plain torch, from any thread."""

import threading

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.benchmark.scan import random_inputs
from detectors.ops import cpu_kernels, cpu_scan
from detectors.ops.cpu_scan import can_serve, scan_compiled
from detectors.ops.cpu_vectors import LANES
from detectors.ops.mamba import MambaMixer
from detectors.ops.selective_scan import scan_reference, selective_scan

CLOSE = {"atol": 2e-5, "rtol": 2e-5}


@pytest.fixture
def several_threads(on_the_cpu, monkeypatch):
    """Every scan, however small, is shared by three threads."""
    torch.set_num_threads(3)
    monkeypatch.setattr(cpu_scan, "WORTH_A_THREAD", 1)


def mixer_of(dim: int, **sizes: int) -> MambaMixer:
    """With random weights everywhere, so that none hides behind a 0 or a 1."""
    torch.manual_seed(0)
    mixer = MambaMixer(dim, **sizes)
    with torch.no_grad():
        for value in mixer.parameters():
            value += 0.3 * torch.randn(value.shape)
    return mixer.eval()


def in_plain_torch(mixer: MambaMixer) -> MambaMixer:
    """The same, with the recurrence as it is written."""
    mixer.scan = scan_reference
    return mixer


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(shape[1]))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 3), st.integers(1, 40), st.integers(LANES, 50), st.integers(1, 9), st.integers(0, 99))
@torch.no_grad()
def test_the_scan_agrees_with_the_reference_at_any_shape(b, t, d, n, seed):
    random = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=random)

    dt, A = torch.nn.functional.softplus(normal(b, t, d) - 2), -normal(d, n).exp()
    values = (normal(b, t, d), dt, A, normal(b, t, n), normal(b, t, n), normal(d))
    torch.testing.assert_close(scan_compiled(*values), scan_reference(*values), **CLOSE)


@torch.no_grad()
def test_a_long_clip_does_not_drift_from_double_precision():
    values = random_inputs(1, 1_500, 20)
    exact = scan_reference(*(value.double() for value in values))
    torch.testing.assert_close(scan_compiled(*values).double(), exact, **CLOSE)


@pytest.mark.parametrize("sizes", [{}, {"d_state": 4}, {"d_state": 5, "d_conv": 3, "expand": 3}], ids=str)
@pytest.mark.parametrize("frames", [1, 2, 3, 45])
@torch.no_grad()
def test_the_mixer_agrees_with_plain_torch_one_way_and_both_ways(sizes, frames):
    mixer, x = mixer_of(24, **sizes), noise(2, frames, 24)
    onward, both = mixer(x), mixer.both_ways(x)
    plain = in_plain_torch(mixer)
    torch.testing.assert_close(onward, plain(x), **CLOSE)
    torch.testing.assert_close(both, plain.both_ways(x), **CLOSE)


@pytest.mark.parametrize("scale", [1e-6, 1e3], ids=["hardly any input", "far beyond any input"])
@torch.no_grad()
def test_very_small_and_very_large_inputs_agree_too(scale):
    mixer, x = mixer_of(16), scale * noise(1, 20, 16)
    ours = mixer.both_ways(x)
    expected = in_plain_torch(mixer).both_ways(x)
    torch.testing.assert_close(ours, expected, atol=2e-5 * expected.abs().max().item(), rtol=2e-4)


@pytest.mark.parametrize(("dt", "rate"), [(1e4, 1e4), (1e-8, 1e-8), (50.0, 100.0)])
@torch.no_grad()
def test_extreme_time_steps_agree_with_the_reference(dt, rate):
    x, steps, A, B, C, D = random_inputs(1, 201, 20)
    values = (x, torch.full_like(steps, dt), torch.full_like(A, -rate), B, C, D)
    torch.testing.assert_close(scan_compiled(*values), scan_reference(*values), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("wrong", range(6), ids=["x", "dt", "A", "B", "C", "D"])
def test_shapes_that_do_not_fit_are_refused_before_any_memory_is_read(wrong):
    values = list(random_inputs(2, 9, 20))
    values[wrong] = values[wrong][..., :-1].contiguous()
    with pytest.raises(ValueError, match="of one scan"):
        scan_compiled(*values)


@torch.no_grad()
def test_memory_layout_does_not_matter():
    x, dt, A, B, C, D = random_inputs(2, 9, 20)
    turned = (x.mT.contiguous().mT, dt.mT.contiguous().mT, A.T.contiguous().T, B[:, :, :], C, D)
    assert torch.equal(scan_compiled(*turned), scan_compiled(x, dt, A, B, C, D))


@torch.no_grad()
def test_several_threads_give_the_same_numbers_as_one(several_threads):
    mixer, x, values = mixer_of(40), noise(2, 30, 40), random_inputs(3, 30, 70)
    mixed, scanned = mixer.both_ways(x), scan_compiled(*values)
    torch.set_num_threads(1)
    assert torch.equal(scan_compiled(*values), scanned)
    # Torch's products are cut up differently, and sums of large numbers of both signs may be small.
    torch.testing.assert_close(mixer.both_ways(x), mixed, atol=1e-6 * mixed.abs().max().item(), rtol=2e-5)


@torch.no_grad()
def test_visitors_who_ask_at_the_same_time_get_their_own_answers(several_threads):
    mixer = mixer_of(40)
    clips = [noise(1, 20 + i, 40) for i in range(6)]
    expected = [mixer.both_ways(clip) for clip in clips]
    right, start = [], threading.Barrier(len(clips))

    @torch.no_grad()
    def visitor(i: int) -> None:
        start.wait()
        right.extend(torch.allclose(mixer.both_ways(clips[i]), expected[i], **CLOSE) for _ in range(10))

    visitors = [threading.Thread(target=visitor, args=(i,)) for i in range(len(clips))]
    for each in visitors:
        each.start()
    for each in visitors:
        each.join()
    assert right == [True] * 10 * len(clips)


def test_where_a_gradient_is_asked_for_plain_torch_computes_it():
    mixer, x = mixer_of(16), noise(1, 7, 16)
    mixer.both_ways(x).sum().backward()
    assert all(value.grad is not None for value in mixer.parameters())
    assert can_serve((x,), 32)
    assert not can_serve((x, mixer.D), 32)
    with torch.no_grad():
        assert can_serve((x, mixer.D), 32)


def test_other_types_and_empty_input_are_left_to_plain_torch():
    assert can_serve((torch.zeros(1, 2, 20),), 20)
    assert not can_serve((torch.zeros(1, 2, 20).double(),), 20)
    assert not can_serve((torch.zeros(1, 2, 20), torch.zeros(20).bfloat16()), 20)
    assert not can_serve((torch.zeros(0, 2, 20),), 20)
    assert not can_serve((torch.zeros(1, 2, 20, device="meta"),), 20)


@torch.no_grad()
def test_channels_too_few_for_a_vector_are_left_to_plain_torch():
    values = random_inputs(1, 9, LANES - 1)
    with pytest.raises(ValueError, match="of one scan"):
        scan_compiled(*values)
    torch.testing.assert_close(selective_scan(*values), scan_reference(*values), **CLOSE)
    mixer, x = mixer_of(5, expand=3), noise(1, 9, 5)
    mixed = mixer.both_ways(x)
    torch.testing.assert_close(mixed, in_plain_torch(mixer).both_ways(x), **CLOSE)


@torch.no_grad()
def test_without_numba_plain_torch_answers(monkeypatch):
    def missing(name: str) -> None:
        raise ImportError(name)

    values, mixer, x = random_inputs(1, 9, 20), mixer_of(16), noise(1, 9, 16)
    scanned, mixed = selective_scan(*values), mixer.both_ways(x)
    monkeypatch.setattr(cpu_scan.importlib, "import_module", missing)
    monkeypatch.setattr(cpu_scan, "kernels", cpu_scan.kernels.__wrapped__)
    assert cpu_scan.kernels() is None
    torch.testing.assert_close(selective_scan(*values), scanned, **CLOSE)
    torch.testing.assert_close(mixer.both_ways(x), mixed, **CLOSE)


@torch.no_grad()
def test_without_torchs_openmp_one_thread_does_it_all(several_threads, monkeypatch):
    values = random_inputs(1, 9, 40)
    together = scan_compiled(*values)
    monkeypatch.setattr(cpu_scan, "_torchs_threads", lambda: None)
    assert torch.equal(scan_compiled(*values), together)


def test_where_no_cache_can_be_written_the_loops_are_compiled_each_time(monkeypatch):
    asked = []

    def compile_(signature, cache=False, **options):
        asked.append(cache)
        if cache:
            raise RuntimeError("cannot cache function 'f': no locator available for file")
        return lambda function: function

    monkeypatch.setattr(cpu_kernels, "cfunc", compile_)
    assert cpu_kernels._kernel(len) is len
    assert asked == [True, False]
