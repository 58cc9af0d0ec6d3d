"""Heads that learn first: on kept features, without touching the front-end."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from detectors.config import FakeMambaConfig, FrontEndConfig, SlsConfig
from detectors.head_start import (
    TOGETHER,
    HeadStartConfig,
    Kept,
    Whitened,
    keep_features,
    ranked_loss,
    start_head,
)
from detectors.models import FakeMamba, Sls, build_model
from detectors.views import Views

pytestmark = pytest.mark.usefixtures("one_process")

FRONT_END = FrontEndConfig(
    2, 16, 2, 24, extractor="log_mel", extractor_channels=16, position_kernel=8, position_groups=2
)
WINDOW = 4_800  # 15 frames
SLS = SlsConfig(FRONT_END, WINDOW, WINDOW, fc_hidden=8, pool_frames=3, pool=1)
FAKE_MAMBA = FakeMambaConfig(FRONT_END, WINDOW, WINDOW, dim=16, layers=2, d_state=4)
CONFIG = HeadStartConfig(
    views=48, deep_views=32, pool=4, sls_shallow=100, sls_deep=2, fake_mamba_shallow=15, fake_mamba_deep=3,
    dropout=0.1, hidden_dropout=0.1,
)  # fmt: skip


class TonesAndNoise(Views):
    """View k: a tone (bona fide) where k is odd, noise (spoof) where it is even; four of a source in turn."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __getitem__(self, k: int) -> tuple[Tensor, int]:
        self.asked.append(k)
        rng = np.random.default_rng(k)
        noise = 0.1 * rng.standard_normal(WINDOW)
        tone = 0.3 * np.sin(2 * np.pi * rng.uniform(200, 800) * np.arange(WINDOW) / 16_000)
        return torch.from_numpy((tone if k % 2 else noise).astype(np.float32)), k % 2

    def label(self, k: int) -> int:
        return k % 2

    def source(self, k: int) -> str:
        return "abc"[k // 4 % 3]


def made(folder: Path, config: SlsConfig | FakeMambaConfig) -> tuple[Sls | FakeMamba, Kept]:
    torch.manual_seed(0)
    model = build_model(config).eval()
    return model, keep_features(folder, model.front_end, TonesAndNoise(), CONFIG, "test")


def test_kept_features_are_the_front_ends_and_are_made_once(tmp_path: Path) -> None:
    model, kept = made(tmp_path, SLS)
    views = TonesAndNoise()
    with torch.inference_mode():
        expected = torch.stack(model.front_end(views[5][0][None]).layers, dim=1)[0]
    torch.testing.assert_close(torch.tensor(kept.whole.layers[5]).float(), expected, atol=0.02, rtol=0.01)
    # 15 frames in means of 4, the last one of 3.
    means = torch.stack([part.mean(dim=1) for part in expected.split(4, dim=1)], dim=1)
    torch.testing.assert_close(torch.tensor(kept.means.layers[5]).float(), means, atol=0.02, rtol=0.01)
    assert kept.means.labels.tolist() == [k % 2 for k in range(CONFIG.views)]
    assert kept.whole.labels.tolist() == [k % 2 for k in range(CONFIG.deep_views)]
    views.asked.clear()
    keep_features(tmp_path, model.front_end, views, CONFIG, "test")
    assert views.asked == []
    keep_features(tmp_path, model.front_end, views, CONFIG, "something else")
    assert len(views.asked) == CONFIG.views + CONFIG.deep_views


def test_a_pass_holds_every_view_once(tmp_path: Path) -> None:
    _, kept = made(tmp_path, SLS)
    rng = np.random.default_rng(0)
    for places, count in ((None, 2), ([1], 1)):
        seen = []
        for layers, targets in kept.whole.batches(20, rng, places):
            assert len(layers) == count
            assert all(layer.shape == (len(targets), 15, 16) for layer in layers)
            seen += layers[-1][:, 0, 0].tolist()
        assert sorted(seen) == sorted(kept.whole.layers[:, -1, 0, 0].astype(float).tolist())


def test_views_of_a_source_come_together_where_they_are_ranked(tmp_path: Path) -> None:
    _, kept = made(tmp_path, SLS)
    assert np.ptp(kept.means.targets[kept.means.order(np.random.default_rng(1))][:TOGETHER, 1].numpy()) > 0
    kept.means.by_source = True
    sources = kept.means.targets[:, 1].numpy()
    assert np.bincount(sources).tolist() == [16, 16, 16]
    orders = [kept.means.order(np.random.default_rng(seed)) for seed in (1, 2)]
    for order in orders:
        assert sorted(order) == list(range(CONFIG.views))
        parts = sources[order].reshape(-1, TOGETHER)
        assert (parts == parts[:, :1]).all()
    assert (orders[0] != orders[1]).any()


def test_the_loss_ranks_human_above_machine_within_a_source() -> None:
    logits = torch.tensor([[0.0, 1.0], [0.0, 3.0], [0.0, -2.0], [0.0, 5.0]])
    targets = torch.tensor([[1, 0], [0, 0], [0, 0], [1, 7]])  # the last one has nobody to be ranked with
    plain = nn.functional.cross_entropy(logits, targets[:, 0])
    pairs = nn.functional.softplus(torch.tensor([3.0 - 1.0, -2.0 - 1.0])).mean()
    torch.testing.assert_close(ranked_loss(0.0)(logits, targets), plain)
    torch.testing.assert_close(ranked_loss(0.3)(logits, targets), 0.7 * plain + 0.3 * pairs)
    # A shift of everything from one source changes nothing in the ranking.
    shifted = logits + torch.tensor([[0.0, 4.0]])
    torch.testing.assert_close(ranked_loss(1.0)(shifted, targets), pairs)
    # Without pairs, what is left is the cross-entropy.
    torch.testing.assert_close(ranked_loss(0.3)(logits[3:], targets[3:]), plain.new_tensor(0.00671535))


@pytest.mark.parametrize("slots", [1, 5])
@torch.no_grad()
def test_a_folded_layer_computes_what_the_whitened_one_did(slots: int) -> None:
    random = torch.Generator().manual_seed(1)
    scales = torch.logspace(-2, 2, 6)
    inputs = torch.randn(200, slots, 6, generator=random) * scales + 3 * scales
    whitened = Whitened(inputs.flatten(0, 1), out=4, dropout=0.5).eval()
    plain = nn.Linear(6 * slots, 4)
    whitened.fold_into(plain)
    torch.testing.assert_close(plain(inputs.flatten(1)), whitened(inputs.flatten(1)), atol=1e-4, rtol=1e-4)
    assert whitened(inputs.flatten(0, 1)).std() < 2  # whatever the inputs' sizes


def test_a_feature_is_left_out_in_all_frames_of_a_view() -> None:
    whitened = Whitened(torch.randn(50, 6), out=6, dropout=0.5).train()
    with torch.no_grad():
        whitened.linear.weight.copy_(torch.eye(6))
        whitened.linear.bias.zero_()
    dropped = whitened(torch.randn(8, 10, 6)) == 0
    assert dropped.any()
    assert (dropped == dropped[:, :1]).all()


@pytest.mark.parametrize("config", [SLS, FAKE_MAMBA], ids=["sls", "fake_mamba"])
def test_a_head_learns_and_the_front_end_does_not(
    tmp_path: Path, config: SlsConfig | FakeMambaConfig
) -> None:
    model, kept = made(tmp_path, config)
    before = {name: value.clone() for name, value in model.front_end.state_dict().items()}
    names = set(model.state_dict())
    start_head(model, kept, CONFIG, seed=1)
    assert set(model.state_dict()) == names  # nothing of the scaffolding is left
    for name, value in model.front_end.state_dict().items():
        assert torch.equal(value, before[name]), name
    model.eval()
    views = TonesAndNoise()
    with torch.inference_mode():
        waves = torch.stack([views[k][0] for k in range(100, 120)])
        scores = model(waves)[0][:, 1]
    assert scores[1::2].min() > scores[::2].max()


def test_fake_mambas_mixers_learn_in_the_deep_passes_only(tmp_path: Path) -> None:
    def mixers(deep: int) -> list[Tensor]:
        model, kept = made(tmp_path, FAKE_MAMBA)
        start_head(model, kept, replace(CONFIG, fake_mamba_shallow=1, fake_mamba_deep=deep), seed=1)
        parameters = [p for name, p in model.head.named_parameters() if ".mamba." in name]
        assert all(p.requires_grad for p in parameters)
        return parameters

    torch.manual_seed(0)
    start = build_model(FAKE_MAMBA).head
    start.start_simply()
    before = [p for name, p in start.named_parameters() if ".mamba." in name]
    assert all(torch.equal(a, b) for a, b in zip(before, mixers(deep=0), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(before, mixers(deep=1), strict=True))


def test_the_gates_of_sls_learn_in_the_deep_passes(tmp_path: Path) -> None:
    def gate(deep: int) -> Tensor:
        model, kept = made(tmp_path, SLS)
        start_head(model, kept, replace(CONFIG, sls_shallow=2, sls_deep=deep), seed=1)
        return model.head.fc0.weight

    assert not torch.equal(gate(0), gate(1))


def test_the_sls_head_hears_all_times_alike_after_its_start(tmp_path: Path) -> None:
    model, kept = made(tmp_path, SLS)
    start_head(model, kept, CONFIG, seed=1)
    slots = model.head.fc1.weight.unflatten(1, (SLS.slots, -1))
    torch.testing.assert_close(slots, slots[:, :1].expand_as(slots))
