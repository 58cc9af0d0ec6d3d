"""From frames to audio tokens."""

from dataclasses import replace

import pytest
import torch

from detectors.llm.projector import Projector, pooled, spread
from tests.llm.tiny import TINY


def test_frames_are_averaged_a_pool_at_a_time_and_the_rest_among_itself() -> None:
    x = torch.tensor([[[1.0], [3.0], [5.0], [7.0], [10.0]]])
    torch.testing.assert_close(pooled(x, 2), torch.tensor([[[2.0], [6.0], [10.0]]]))
    torch.testing.assert_close(pooled(x, 8), torch.tensor([[[5.2]]]))
    torch.testing.assert_close(pooled(x, 1), x)


@pytest.mark.parametrize("frames", [1, 15, 16, 17, 75, 150])
def test_the_projector_cannot_tell_spread_means_from_the_frames(frames: int) -> None:
    """Else features could not be kept as means."""
    torch.manual_seed(0)
    projector = Projector(TINY)
    projector.settle(torch.randn(16), torch.rand(16) + 0.5)
    x = torch.randn(1, frames, 16)
    again = spread(pooled(x, TINY.pool)[0], TINY.pool, frames)[None]
    assert again.shape == x.shape
    torch.testing.assert_close(projector(again), projector(x))


@pytest.mark.parametrize(("summary", "tokens"), [(True, 13), (False, 12)])
def test_three_seconds_become_ten_tokens_between_their_marks(summary: bool, tokens: int) -> None:
    projector = Projector(replace(TINY, summary=summary))
    heard = projector(torch.randn(2, 150, 16))
    assert heard.shape == (2, tokens, 32)
    for k in range(2):
        torch.testing.assert_close(heard[k, 0], projector.begin)
        torch.testing.assert_close(heard[k, -1], projector.end)


def test_a_token_hears_its_own_frames_only_and_the_summary_all() -> None:
    projector = Projector(TINY).eval()
    x = torch.randn(1, 48, 16)
    other = x.clone()
    other[:, 16:32] += 1.0
    changed = (projector(x) != projector(other)).any(dim=-1)[0]
    assert changed.tolist() == [False, False, True, False, True, False]


def test_features_are_settled_to_mean_0_and_variance_1() -> None:
    projector = Projector(TINY)
    x = 100 * torch.randn(4, 32, 16) + 7
    seen: list[torch.Tensor] = []
    projector.frames.register_forward_hook(lambda _, given, out: seen.append(given[0]))
    projector.pool = 1
    projector.settle(x.flatten(0, 1).mean(0), x.flatten(0, 1).std(0))
    projector(x)
    torch.testing.assert_close(seen[0].flatten(0, 1).mean(0), torch.zeros(16), atol=1e-4, rtol=0)
    torch.testing.assert_close(seen[0].flatten(0, 1).std(0), torch.ones(16), atol=1e-4, rtol=0)


def test_a_feature_that_never_changes_is_no_trouble() -> None:
    projector = Projector(TINY)
    projector.settle(torch.ones(16), torch.zeros(16))
    assert projector(torch.ones(1, 20, 16)).isfinite().all()
