"""SLS: parity with the plain computation, the released names and sizes, and what its maps claim."""

import pytest
import torch

from detectors.backends.sls import SlsHead, log_probs_of_two
from detectors.config import FrontEndConfig, SlsConfig
from detectors.convert import load_released
from detectors.models import Sls, build_model
from tests.detectors import plain_models as plain

CLOSE = {"atol": 1e-4, "rtol": 1e-4}


@pytest.fixture(scope="module")
def state() -> plain.State:
    return plain.sls_state(seed=1)


@pytest.fixture(scope="module")
def model(state: plain.State, tmp_path_factory: pytest.TempPathFactory) -> Sls:
    path = tmp_path_factory.mktemp("released") / "tiny.pth"
    torch.save(state, path)
    loaded = load_released(path, "sls")
    assert isinstance(loaded, Sls)
    return loaded


@pytest.fixture(scope="module")
def waves() -> torch.Tensor:
    return plain.speech_like(plain.SLS_WINDOW, seed=2, batch=3)


@torch.no_grad()
def test_output_agrees_with_the_plain_computation(model, state, waves):
    log_probs, gates, frame_logits = plain.sls(state, waves)
    output = model(waves)
    assert output.log_probs.shape == (3, 2)
    assert output.frame_logits.shape == (3, plain.LAYERS, 201)
    torch.testing.assert_close(output.log_probs, log_probs, **CLOSE)
    torch.testing.assert_close(output.gates, gates, **CLOSE)
    torch.testing.assert_close(output.frame_logits, frame_logits, **CLOSE)


@torch.no_grad()
def test_a_batch_equals_its_clips_one_by_one(model, waves):
    together = model(waves)
    for i in range(len(waves)):
        for many, one in zip(together, model(waves[i : i + 1]), strict=True):
            torch.testing.assert_close(many[i : i + 1], one, **CLOSE)


@torch.no_grad()
def test_frame_logits_split_each_gates_logit_over_time(model, waves):
    features = model.front_end(waves[:1])
    output = model.judge(features)
    logits = [model.head.fc0(h.mean(dim=1)) for h in features.layers]
    torch.testing.assert_close(output.frame_logits.mean(dim=2), torch.cat(logits, dim=1), **CLOSE)
    torch.testing.assert_close(output.gates, torch.cat(logits, dim=1).sigmoid(), **CLOSE)


@torch.no_grad()
def test_gates_are_independent_and_not_shares(model, waves):
    features = model.front_end(waves[:1])
    before = model.judge(features).gates
    after = model.judge(features._replace(layers=[features.layers[0] * 3, *features.layers[1:]])).gates
    assert before[0, 0] != after[0, 0]
    assert torch.equal(before[:, 1:], after[:, 1:])


@torch.no_grad()
def test_log_probs_are_a_distribution(model, waves):
    torch.testing.assert_close(model(waves).log_probs.exp().sum(dim=1), torch.ones(3))


def test_log_probs_keep_their_digits_near_0():
    logits = torch.tensor([[0.0, 25.0], [3.0, -40.0], [1.0, 1.2], [-500.0, 500.0]])
    found = log_probs_of_two(logits)
    torch.testing.assert_close(found, logits.log_softmax(dim=1))
    near_0 = torch.stack([found[0, 1], found[1, 0]])
    torch.testing.assert_close(near_0, -torch.tensor([-25.0, -43.0]).exp(), rtol=1e-5, atol=0.0)


def test_the_released_width_is_67_times_341():
    config = SlsConfig()
    assert config.front_end.frames(config.window_samples) == 201
    assert config.flat == 67 * 341 == 22_847


@torch.no_grad()
def test_a_head_of_the_released_sizes_takes_the_released_layers():
    head = SlsHead(SlsConfig(fc_hidden=2)).eval()
    output = head([torch.randn(1, 201, 1024) for _ in range(24)])
    assert output.gates.shape == (1, 24)
    assert output.frame_logits.shape == (1, 24, 201)


def test_the_heads_names_are_the_released_ones(state):
    released = {name for name in state if not name.startswith(plain.SSL)}
    front_end = FrontEndConfig(hidden=plain.HIDDEN)
    head = SlsHead(SlsConfig(front_end, fc_hidden=plain.SLS_FC))
    assert head.fc1.in_features == plain.SLS_FLAT
    assert set(head.state_dict()) == released
    assert {name.split(".")[0] for name in released} == {"first_bn", "fc0", "fc1", "fc3"}


def test_every_weight_of_the_head_learns():
    front_end = FrontEndConfig(2, 16, 2, 24, extractor_channels=8, position_kernel=8, position_groups=2)
    model = build_model(SlsConfig(front_end, window_samples=8_000, hop_samples=8_000, fc_hidden=8))
    output = model(plain.speech_like(8_000, batch=2))
    torch.nn.functional.nll_loss(output[0], torch.tensor([0, 1])).backward()
    for name, parameter in model.head.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@torch.no_grad()
def test_a_head_that_starts_simply_hears_no_difference_between_two_places_in_time():
    front_end = FrontEndConfig(2, 16, extractor="log_mel")
    head = SlsHead(SlsConfig(front_end, window_samples=9_600, fc_hidden=8, pool_frames=5, pool=2)).eval()
    event, silence = torch.randn(1, 10, 16) * 3, torch.zeros(1, 20, 16)
    early, late = [torch.cat([event, silence], 1)] * 2, [torch.cat([silence, event], 1)] * 2
    assert (head(early).log_probs - head(late).log_probs).abs().max() > 1e-4
    head.start_simply()
    assert head.config.slots == 6
    torch.testing.assert_close(head(early).log_probs, head(late).log_probs)
    assert (head(early).log_probs - head([h * 0 for h in early]).log_probs).abs().max() > 1e-4


def test_two_heads_can_share_one_front_end():
    front_end = FrontEndConfig(2, 16, 2, 24, extractor_channels=8, position_kernel=8, position_groups=2)
    config = SlsConfig(front_end, window_samples=8_000, hop_samples=8_000, fc_hidden=8)
    first = build_model(config)
    second = build_model(config, first.front_end)
    assert second.front_end is first.front_end
    assert second.head is not first.head
