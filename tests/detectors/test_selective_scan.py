"""Every way of the selective scan has the meaning of the recurrence, forward and backward."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from detectors.ops import cpu_scan
from detectors.ops import selective_scan as scans
from detectors.ops.selective_scan import (
    scan_chunked,
    scan_kernel,
    scan_reference,
    scan_torch,
    selective_scan,
)

NAMES = ("x", "dt", "A", "B", "C", "D")
LENGTHS = [1, 2, 7, 16, 100, 201]


def inputs(frames: int, dtype: torch.dtype = torch.float32, device: str = "cpu") -> tuple[Tensor, ...]:
    """Random x, dt, A, B, C, D with fast and slow channels; leaves that collect gradients."""
    random = torch.Generator().manual_seed(frames)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random, dtype=torch.float64)

    batch, channels, state = 2, 6, 4
    values = (
        normal(batch, frames, channels),
        torch.nn.functional.softplus(normal(batch, frames, channels) - 2),
        -normal(channels, state).exp(),
        normal(batch, frames, state),
        normal(batch, frames, state),
        normal(channels),
    )
    return tuple(v.to(device, dtype).requires_grad_() for v in values)


def result_and_gradients(scan: scans.Scan, values: tuple[Tensor, ...]) -> list[Tensor]:
    """The output, and the gradient of a loss that weighs every output differently."""
    y = scan(*values)
    weights = torch.linspace(-1, 1, y.numel(), dtype=y.dtype, device=y.device).view(y.shape)
    return [y, *torch.autograd.grad((weights * y).sum(), values)]


def assert_same(ours: list[Tensor], reference: list[Tensor], tolerance: float) -> None:
    for name, a, b in zip(("y", *NAMES), ours, reference, strict=True):
        torch.testing.assert_close(
            a, b, atol=tolerance, rtol=tolerance, msg=lambda text, name=name: f"{name}: {text}"
        )


def test_the_reference_counts_by_hand():
    # One channel, one state, decay exp(-ln 2) = 1/2, so h = h / 2 + x.
    one = torch.ones(1, 3, 1)
    x = torch.tensor([4.0, 0.0, 2.0]).view(1, 3, 1)
    A = torch.tensor([[-math.log(2)]])
    y = scan_reference(x, one, A, one, 3 * one, torch.tensor([10.0]))
    # h: 4, 2, 3 -> 3 h + 10 x
    torch.testing.assert_close(y.flatten(), torch.tensor([52.0, 6.0, 29.0]))


@pytest.mark.parametrize("frames", LENGTHS)
def test_plain_torch_agrees_with_the_reference_forward_and_backward(frames):
    single = inputs(frames)
    assert_same(result_and_gradients(scan_torch, single), result_and_gradients(scan_reference, single), 1e-4)
    double = inputs(frames, torch.float64)
    assert_same(result_and_gradients(scan_torch, double), result_and_gradients(scan_reference, double), 1e-11)


def test_the_written_out_backward_pass_agrees_with_finite_differences():
    values = tuple(
        v.detach()[:1, :5].requires_grad_() if v.ndim == 3 else v for v in inputs(5, torch.float64)
    )
    assert torch.autograd.gradcheck(scan_torch, values)


@pytest.mark.parametrize("wanted", range(len(NAMES)), ids=NAMES)
def test_one_gradient_alone_is_the_same_as_among_all(wanted):
    values = inputs(9)
    among_all = result_and_gradients(scan_reference, values)[1 + wanted]
    frozen = tuple(v if i == wanted else v.detach() for i, v in enumerate(values))
    y = scan_torch(*frozen)
    weights = torch.linspace(-1, 1, y.numel()).view(y.shape)
    (alone,) = torch.autograd.grad((weights * y).sum(), frozen[wanted])
    torch.testing.assert_close(alone, among_all, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("frames", LENGTHS)
@pytest.mark.parametrize("chunk", [1, 100, 10_000_000], ids=["a frame", "some frames", "all frames"])
@torch.no_grad()
def test_the_chunked_scan_agrees_with_the_reference(frames, chunk, monkeypatch):
    monkeypatch.setattr(scans, "CHUNK", chunk)  # 2 * 6 * 4 = 48 states a frame
    single = inputs(frames)
    torch.testing.assert_close(scan_chunked(*single), scan_reference(*single), atol=1e-4, rtol=1e-4)
    double = inputs(frames, torch.float64)
    torch.testing.assert_close(scan_chunked(*double), scan_reference(*double), atol=1e-11, rtol=1e-11)


@torch.no_grad()
def test_the_chunked_scan_at_fake_mambas_size():
    random = torch.Generator().manual_seed(0)
    x, dt = torch.randn(2, 8, 201, 144, generator=random)
    B, C = torch.randn(2, 8, 201, 16, generator=random)
    A = -torch.arange(1, 17).float().repeat(144, 1)
    values = (x, torch.nn.functional.softplus(dt - 3), A, B, C, torch.ones(144))
    torch.testing.assert_close(scan_chunked(*values), scan_reference(*values), atol=1e-4, rtol=1e-4)


def test_where_a_gradient_is_asked_for_the_scan_that_has_one_is_taken(monkeypatch):
    taken = []
    for name in ("scan_torch", "scan_chunked", "scan_compiled"):
        monkeypatch.setattr(scans, name, lambda *_, name=name: taken.append(name))
    for loops in (SimpleNamespace(LANES=1), None):
        monkeypatch.setattr(cpu_scan, "kernels", lambda loops=loops: loops)
        selective_scan(*inputs(3))
        with torch.no_grad():
            selective_scan(*inputs(3))
        selective_scan(*(value.detach() for value in inputs(3)))
    with torch.no_grad():
        selective_scan(*inputs(3, torch.float64))
    with_loops = ["scan_torch", "scan_compiled", "scan_compiled"]
    assert taken == [*with_loops, "scan_torch", "scan_chunked", "scan_chunked", "scan_chunked"]


def test_the_chunked_scan_refuses_to_lose_a_gradient():
    with pytest.raises(RuntimeError, match="out="):
        scan_chunked(*inputs(3))


def test_memory_layout_does_not_matter():
    values = inputs(50)
    turned = tuple(v.detach().mT.contiguous().mT.requires_grad_() if v.ndim == 3 else v for v in values)
    assert not turned[0].is_contiguous()
    assert_same(result_and_gradients(scan_torch, turned), result_and_gradients(scan_reference, values), 1e-4)
    with torch.no_grad():
        torch.testing.assert_close(scan_chunked(*turned), scan_chunked(*values), atol=1e-4, rtol=1e-4)


def test_a_batch_equals_its_clips_one_by_one():
    x, dt, A, B, C, D = inputs(37)
    together = scan_torch(x, dt, A, B, C, D)
    for i in range(2):
        one = slice(i, i + 1)
        alone = scan_torch(x[one], dt[one], A, B[one], C[one], D)
        torch.testing.assert_close(together[one], alone, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("scan", [scan_reference, scan_torch])
@pytest.mark.parametrize(
    ("dt", "rate"), [(1e4, 1e4), (1e-8, 1e-8), (50.0, 100.0)], ids=["forgets", "keeps", "fast"]
)
def test_extreme_time_steps_stay_finite(scan, dt, rate):
    x, _, A, B, C, D = inputs(201)
    steps = torch.full_like(x, dt).requires_grad_()
    rates = torch.full_like(A, -rate).requires_grad_()
    for value in result_and_gradients(scan, (x, steps, rates, B, C, D)):
        assert value.isfinite().all()
    with torch.no_grad():
        assert scan_chunked(x, steps, rates, B, C, D).isfinite().all()


def test_full_forgetting_leaves_only_the_present_frame():
    x, dt, A, B, C, D = inputs(40)
    y = scan_torch(x, dt + 1, torch.full_like(A, -1e6), B, C, D)
    alone = (dt + 1) * x * (B * C).sum(-1, keepdim=True) + D * x
    torch.testing.assert_close(y, alone, atol=1e-4, rtol=1e-4)


def test_without_decay_the_state_is_a_running_sum():
    x, dt, A, B, C, D = inputs(40, torch.float64)
    y = scan_torch(x, dt, torch.zeros_like(A), B, C, D)
    states = ((dt * x)[..., None] * B[:, :, None]).cumsum(dim=1)
    torch.testing.assert_close(y, (states * C[:, :, None]).sum(-1) + D * x)


def test_the_kernel_without_its_package_says_what_to_install(monkeypatch):
    monkeypatch.setattr(scans, "_kernel", None)
    with pytest.raises(RuntimeError, match=r"mamba-ssm is not installed.*requirements-gpu\.txt"):
        scan_kernel(*inputs(3))


def test_on_the_cpu_plain_torch_serves_even_beside_an_installed_kernel(monkeypatch):
    def kernel(*_: Tensor) -> Tensor:
        raise AssertionError("the CUDA kernel cannot take CPU tensors")

    monkeypatch.setattr(scans, "_kernel", kernel)
    values = inputs(9)
    torch.testing.assert_close(selective_scan(*values), scan_torch(*values))


def test_the_kernel_is_given_the_packages_layout(monkeypatch):
    """The package takes u, delta [b, d, t] and B, C [b, n, t], and gives [b, d, t]."""

    def kernel(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
        assert u.is_contiguous()
        assert u.shape == delta.shape == (2, 6, 9)
        assert B.shape == C.shape == (2, 4, 9)
        return scan_reference(u.mT, delta.mT, A, B.mT, C.mT, D).mT

    monkeypatch.setattr(scans, "_kernel", kernel)
    values = inputs(9)
    assert_same(result_and_gradients(scan_kernel, values), result_and_gradients(scan_reference, values), 1e-5)


@pytest.mark.gpu
@pytest.mark.parametrize("frames", LENGTHS)
def test_on_a_gpu_every_way_agrees_with_the_reference(frames):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA GPU here: the kernel and the scans on a GPU cannot be compared")
    reference = result_and_gradients(scan_reference, inputs(frames))
    values = inputs(frames, device="cuda")
    on_gpu = [v.cpu() for v in result_and_gradients(scan_torch, values)]
    assert_same(on_gpu, reference, 1e-4)
    if scans._kernel is None:
        pytest.skip("mamba-ssm is not installed: only plain torch was compared on this GPU")
    kernel = [v.cpu() for v in result_and_gradients(scan_kernel, values)]
    assert_same(kernel, reference, 1e-4)
