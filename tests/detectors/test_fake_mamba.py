"""Fake-Mamba: parity of the model, its three blocks and the mixer, and which way time flows."""

import pytest
import torch
from torch import nn

from detectors.backends.bimamba import BLOCKS
from detectors.backends.fake_mamba import FakeMambaHead
from detectors.config import FakeMambaConfig, FrontEndConfig
from detectors.convert import load_released
from detectors.models import FakeMamba, build_model
from detectors.ops.mamba import MambaMixer
from tests.detectors import plain_models as plain

CLOSE = {"atol": 1e-4, "rtol": 1e-4}
TINY = FrontEndConfig(2, 16, 2, 24, extractor_channels=8, position_kernel=8, position_groups=2)


@pytest.fixture(scope="module")
def state() -> plain.State:
    return plain.fake_mamba_state(seed=1)


@pytest.fixture(scope="module")
def model(state: plain.State, tmp_path_factory: pytest.TempPathFactory) -> FakeMamba:
    path = tmp_path_factory.mktemp("released") / "tiny.pth"
    torch.save(state, path)
    loaded = load_released(path, "fake_mamba")
    assert isinstance(loaded, FakeMamba)
    return loaded


def scrambled(module: nn.Module, seed: int = 0) -> nn.Module:
    """Every weight and running statistic made random, so that none hides behind a 0 or a 1."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in module.state_dict().items():
            if value.is_floating_point():
                noise = 0.3 * torch.randn(value.shape, generator=random)
                value.copy_((value + noise).abs() if name.endswith("running_var") else value + noise)
    return module.eval()


def block_config(block: str) -> FakeMambaConfig:
    return FakeMambaConfig(TINY, dim=24, layers=1, block=block, d_state=4, conv_kernel=7)


def frames(count: int, dim: int, batch: int = 2) -> torch.Tensor:
    return torch.randn(batch, count, dim, generator=torch.Generator().manual_seed(count))


@torch.no_grad()
def test_output_agrees_with_the_plain_computation(model, state):
    waves = plain.speech_like(plain.MAMBA_WINDOW, seed=2, batch=2)
    logits, attention = plain.fake_mamba(state, waves)
    output = model(waves)
    assert output.logits.shape == (2, 2)
    assert output.attention.shape == (2, 208)
    torch.testing.assert_close(output.logits, logits, **CLOSE)
    torch.testing.assert_close(output.attention, attention, atol=1e-6, rtol=1e-4)


@torch.no_grad()
def test_a_batch_equals_its_clips_one_by_one(model):
    waves = plain.speech_like(12_000, batch=3)
    together = model(waves)
    for i in range(len(waves)):
        for many, one in zip(together, model(waves[i : i + 1]), strict=True):
            torch.testing.assert_close(many[i : i + 1], one, **CLOSE)


@torch.no_grad()
def test_the_head_reads_the_output_after_the_final_norm(model):
    features = model.front_end(plain.speech_like(6_000, batch=1))
    normed = model.judge(features).logits
    not_normed = model.judge(features._replace(final=features.layers[-1])).logits
    torch.testing.assert_close(model(plain.speech_like(6_000, batch=1)).logits, normed, **CLOSE)
    assert (normed - not_normed).abs().max() > 1e-3


@torch.no_grad()
def test_attention_is_a_distribution_over_frames(model):
    attention = model(plain.speech_like(9_000, batch=2)).attention
    assert (attention >= 0).all()
    torch.testing.assert_close(attention.sum(dim=1), torch.ones(2))


def test_the_heads_names_are_the_released_ones(state):
    config = FakeMambaConfig(
        FrontEndConfig(hidden=plain.HIDDEN), dim=plain.MAMBA_DIM, layers=2, d_state=plain.D_STATE
    )
    names = set(FakeMambaHead(config).state_dict())
    assert names == {name for name in state if not name.startswith(plain.SSL)}
    mixer = {"A_log", "D", "conv1d.bias", "conv1d.weight", "dt_proj.bias", "dt_proj.weight"}
    mixer |= {"in_proj.weight", "out_proj.weight", "x_proj.weight"}
    prefix = "encoder.layers.1.mamba."
    assert {name.removeprefix(prefix) for name in names if name.startswith(prefix)} == mixer


def test_the_papers_sizes_are_the_defaults():
    head = FakeMambaHead(FakeMambaConfig())
    shapes = {name: tuple(value.shape) for name, value in head.state_dict().items()}
    assert shapes["LL.weight"] == (144, 1024)
    assert len(head.encoder.layers) == 7
    assert shapes["encoder.layers.6.mamba.A_log"] == (288, 16)
    assert shapes["encoder.layers.0.mamba.x_proj.weight"] == (9 + 2 * 16, 288)
    assert shapes["encoder.layers.0.mamba.conv1d.weight"] == (288, 1, 4)
    assert shapes["encoder.layers.0.feed_forward.0.weight"] == (576, 144)
    assert shapes["fc5.weight"] == (2, 144)
    assert FakeMambaConfig().window_samples == 66_800


# The mixer


@pytest.mark.parametrize("count", [1, 3, 17])
@torch.no_grad()
def test_the_mixer_agrees_with_the_plain_recurrence(count):
    mixer = scrambled(MambaMixer(24, d_state=5, d_conv=3, expand=3))
    x = frames(count, 24)
    expected = plain.mamba({f"m.{k}": v for k, v in mixer.state_dict().items()}, "m", x)
    torch.testing.assert_close(mixer(x), expected, **CLOSE)


@torch.no_grad()
def test_the_mixer_is_causal():
    mixer, x = scrambled(MambaMixer(16)), frames(30, 16)
    changed = x.clone()
    changed[:, 20] += 1
    difference = (mixer(changed) - mixer(x)).abs().amax(dim=(0, 2))
    assert difference[:20].max() == 0
    assert (difference[20:] > 0).all()


@torch.no_grad()
def test_both_ways_is_the_sum_of_each_way():
    mixer, x = scrambled(MambaMixer(24, d_state=5, d_conv=3)), frames(17, 24)
    torch.testing.assert_close(mixer.both_ways(x), mixer(x) + mixer(x.flip(1)).flip(1), **CLOSE)


def test_fresh_time_steps_lie_between_a_thousandth_and_a_tenth():
    mixer = MambaMixer(64)
    steps = nn.functional.softplus(mixer.dt_proj.bias)
    assert steps.min() >= 1e-3 * 0.999
    assert steps.max() <= 0.1 * 1.001
    assert steps.median() < 0.03  # spread over the logarithm, not over the range
    torch.testing.assert_close(mixer.A_log.exp()[0], torch.arange(1.0, 17.0))


@torch.no_grad()
def test_half_precision_around_the_scan_keeps_its_type():
    mixer, x = MambaMixer(16).eval(), frames(9, 16)
    expected = mixer(x)
    half = mixer.to(torch.bfloat16)(x.to(torch.bfloat16))
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), expected, atol=0.05, rtol=0.05)


# The three blocks


def plain_block(block: str, module: nn.Module, x: torch.Tensor) -> torch.Tensor:
    state = module.state_dict()
    if block == "pn_bimamba":
        return plain.pn_bimamba({f"b.{k}": v for k, v in state.items()}, "b", x)
    return {"trans_bimamba": plain.trans_bimamba, "con_bimamba": plain.con_bimamba}[block](state, x)


@pytest.mark.parametrize("block", BLOCKS)
@torch.no_grad()
def test_a_block_agrees_with_the_plain_computation(block):
    config = block_config(block)
    module, x = scrambled(BLOCKS[block](config)), frames(19, config.dim)
    ours = module(x)
    assert ours.shape == x.shape
    torch.testing.assert_close(ours, plain_block(block, module, x), **CLOSE)


@pytest.mark.parametrize("block", BLOCKS)
@torch.no_grad()
def test_a_block_looks_both_ways(block):
    config = block_config(block)
    module, x = scrambled(BLOCKS[block](config)), frames(24, config.dim)
    for touched, watched in ((22, 1), (1, 22)):  # farther apart than the convolutions reach
        changed = x.clone()
        changed[:, touched] += torch.linspace(-1, 1, config.dim)  # a norm would undo a constant
        assert (module(changed) - module(x))[:, watched].abs().max() > 0


@torch.no_grad()
def test_pn_bimamba_treats_both_directions_alike():
    # One mixer serves both ways, so a reversed clip gives the reversed output.
    module, x = scrambled(BLOCKS["pn_bimamba"](block_config("pn_bimamba"))), frames(15, 24)
    torch.testing.assert_close(module(x.flip(1)), module(x).flip(1), **CLOSE)


@pytest.mark.parametrize("block", BLOCKS)
def test_every_weight_of_a_detector_with_this_block_learns(block):
    config = FakeMambaConfig(TINY, dim=16, layers=2, block=block, d_state=4, conv_kernel=7)
    model = build_model(config)
    output = model(plain.speech_like(6_000, batch=2))
    assert output[0].shape == (2, 2)
    nn.functional.cross_entropy(output[0], torch.tensor([0, 1])).backward()
    # Softmax over time does not change when every frame's logit gets the same bias.
    without_effect = {"attention_pool.bias"}
    for name, parameter in model.head.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0 or name in without_effect, name


@torch.no_grad()
def test_the_first_block_begins_as_an_average_and_the_others_as_nothing():
    head = FakeMambaHead(FakeMambaConfig(TINY, dim=24, layers=3, d_state=4)).eval()
    head.start_simply()
    x = frames(120, 24)
    first, second, third = head.encoder.layers
    torch.testing.assert_close(second(x), x)
    torch.testing.assert_close(third(x), x)
    z = first.norm1(x)
    mixed = first.norm2(first.mamba(z) + first.mamba(z.flip(1)).flip(1))
    average = nn.functional.layer_norm(z.mean(dim=1)[:, 1:], (23,))
    for t in (0, 60, 119):  # the same at every frame: the average of all, up to the norm
        both = torch.stack([mixed[:, t, 1:].flatten(), average.flatten()])
        assert torch.corrcoef(both)[0, 1] > 0.95
    assert (first(x) - x).abs().max() > 0.01


@torch.no_grad()
def test_an_average_does_not_mind_how_many_frames_it_is_taken_over():
    head = FakeMambaHead(FakeMambaConfig(TINY, dim=24, layers=1, d_state=4)).eval()
    head.start_simply()
    x = frames(8, 16).repeat(1, 15, 1)
    torch.testing.assert_close(head(x[:, :40]).logits, head(x).logits, atol=0.02, rtol=0.05)
