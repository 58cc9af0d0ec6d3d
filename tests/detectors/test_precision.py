"""bf16 is refused where it cannot be had, and where it is, scores move little and outputs stay fp32."""

import copy

import pytest
import torch

from detectors import precision
from detectors.benchmark.sizes import sizes_of
from detectors.errors import DetectorError
from detectors.models import build_model
from detectors.precision import set_precision
from detectors.registry import load_detector

TINY = sizes_of("tiny")


def models() -> list[torch.nn.Module]:
    torch.manual_seed(0)
    return [build_model(config).eval() for config in (TINY.sls, TINY.fake_mamba)]


@pytest.mark.parametrize("plain", models(), ids=["sls", "fake_mamba"])
@torch.no_grad()
def test_scores_in_bf16_stay_near(plain, monkeypatch):
    # Emulated where the processor has none: slow, but the same numbers.
    monkeypatch.setattr(precision, "has_bf16", lambda device: True)
    rounded = copy.deepcopy(plain)
    set_precision(rounded, "bf16", "cpu")
    waves = 0.1 * torch.randn(3, plain.config.window_samples, generator=torch.Generator().manual_seed(0))
    ours, theirs = rounded(waves), plain(waves)
    torch.testing.assert_close(ours.cm_scores, theirs.cm_scores, atol=0.03, rtol=0.03)
    assert (ours.cm_scores != theirs.cm_scores).any()
    assert {part.dtype for part in ours} == {torch.float32}


@torch.no_grad()
def test_what_goes_from_layer_to_layer_stays_fp32():
    front_end = models()[0].front_end
    before = front_end(torch.randn(1, 8_000))
    front_end.use_bf16()
    after = front_end(torch.randn(1, 8_000))
    assert {x.dtype for x in [after.final, *after.layers]} == {torch.float32}
    assert after.final.shape == before.final.shape
    rounded = {name for name, value in front_end.named_parameters() if value.dtype == torch.bfloat16}
    assert any("attention.q_proj.weight" in name for name in rounded)
    assert any("conv_layers.3.conv.weight" in name for name in rounded)
    assert not any("layer_norm" in name or "pos_conv" in name for name in rounded)


def test_fp32_changes_nothing():
    model = models()[0]
    set_precision(model, "fp32", "cpu")
    assert {value.dtype for value in model.parameters()} == {torch.float32}


def test_refusals_say_what_to_use_instead(monkeypatch):
    model = models()[0]
    with pytest.raises(DetectorError, match="Known: fp32, bf16"):
        set_precision(model, "fp8", "cpu")
    with pytest.raises(DetectorError, match=r"Only the detectors sls and fake_mamba.*Use fp32"):
        set_precision(torch.nn.Linear(1, 1), "bf16", "cpu")
    monkeypatch.setattr(precision, "has_bf16", lambda device: False)
    with pytest.raises(DetectorError, match=r"no bf16 arithmetic.*Use fp32"):
        set_precision(model, "bf16", "cpu")


def test_a_detector_is_loaded_in_fp32_unless_asked_otherwise(monkeypatch):
    monkeypatch.setattr(precision, "has_bf16", lambda device: True)
    assert not load_detector("sls", device="cpu").model.front_end.in_bf16
    assert load_detector("sls", device="cpu", precision="bf16").model.front_end.in_bf16
