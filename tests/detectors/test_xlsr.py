"""The front-end: parity with a plain computation, frame counts, and calls that do not disturb each other."""

import pytest
import torch

from detectors.config import FrontEndConfig
from detectors.convert import load_released
from detectors.frontends.xlsr import XlsrFrontEnd, load_pretrained_xlsr
from tests.detectors import plain_models as plain

CLOSE = {"atol": 1e-4, "rtol": 1e-4}
TINY = FrontEndConfig(2, 16, 2, 24, extractor_channels=8, position_kernel=8, position_groups=2)
TINY_MEL = FrontEndConfig(2, 16, 2, 24, "log_mel", 16, 8, 2)


@pytest.fixture(scope="module")
def state() -> plain.State:
    return plain.fake_mamba_state(seed=3)


@pytest.fixture(scope="module")
def front_end(state: plain.State, tmp_path_factory: pytest.TempPathFactory) -> XlsrFrontEnd:
    path = tmp_path_factory.mktemp("released") / "tiny.pth"
    torch.save(plain.parallel(state), path)
    return load_released(path, "fake_mamba").front_end


@torch.no_grad()
def test_every_layer_and_the_final_output_agree_with_the_plain_computation(front_end, state):
    waves = plain.speech_like(6_000, seed=1, batch=2)
    streams, final = plain.xlsr(state, waves)
    features = front_end(waves)
    assert len(features.layers) == len(streams) == plain.LAYERS
    for ours, expected in zip(features.layers, streams, strict=True):
        assert ours.shape == (2, 18, plain.HIDDEN)
        torch.testing.assert_close(ours, expected, **CLOSE)
    torch.testing.assert_close(features.final, final, **CLOSE)


@torch.no_grad()
def test_the_last_layer_is_taken_before_the_final_norm(front_end, state):
    features = front_end(plain.speech_like(4_000, batch=1))
    assert (features.layers[-1] - features.final).abs().max() > 0.1
    normed = plain.layer_norm(state, f"{plain.SSL}encoder.layer_norm", features.layers[-1])
    torch.testing.assert_close(features.final, normed, **CLOSE)


@torch.no_grad()
def test_a_batch_equals_its_clips_one_by_one(front_end):
    waves = plain.speech_like(5_000, batch=3)
    together = front_end(waves)
    for i in range(3):
        alone = front_end(waves[i : i + 1])
        torch.testing.assert_close(together.final[i : i + 1], alone.final, **CLOSE)
        for many, one in zip(together.layers, alone.layers, strict=True):
            torch.testing.assert_close(many[i : i + 1], one, **CLOSE)


@torch.no_grad()
def test_calls_leave_nothing_behind(front_end):
    wave = plain.speech_like(3_000, batch=1)
    first, again = front_end(wave), front_end(wave)
    assert len(first.layers) == len(again.layers) == plain.LAYERS
    with pytest.raises(RuntimeError):
        front_end(torch.zeros(1, 5))  # shorter than the first convolution
    assert len(front_end(wave).layers) == plain.LAYERS


@torch.no_grad()
def test_calls_at_the_same_time_do_not_mix(front_end):
    """Two requests may share one loaded model: the second starts while the first is in its layers."""
    first, second = plain.speech_like(3_000, seed=1, batch=1), plain.speech_like(3_000, seed=2, batch=1)
    alone = front_end(first)
    inner = []

    def interrupt(*_: object) -> None:
        gate.remove()
        inner.append(front_end(second))

    gate = front_end.model.encoder.layers[1].register_forward_pre_hook(interrupt)
    interrupted = front_end(first)
    assert len(inner[0].layers) == len(interrupted.layers) == plain.LAYERS
    for ours, expected in zip(interrupted.layers, alone.layers, strict=True):
        torch.testing.assert_close(ours, expected)


def test_frame_counts_of_the_released_windows():
    assert FrontEndConfig().frames(64_600) == 201
    assert FrontEndConfig().frames(66_800) == 208
    assert FrontEndConfig(extractor="log_mel").frames(32_000) == 100


@pytest.mark.parametrize("config", [TINY, TINY_MEL], ids=["conv", "log_mel"])
@pytest.mark.parametrize("samples", [1_600, 4_000, 4_321, 32_000])
@torch.no_grad()
def test_the_config_foretells_the_frames_of_the_model(config, samples):
    features = XlsrFrontEnd(config).eval()(plain.speech_like(samples, batch=1))
    assert features.final.shape == (1, config.frames(samples), config.hidden)
    assert [h.shape for h in features.layers] == [features.final.shape] * config.layers


def test_gradients_reach_every_weight_that_inference_uses():
    front_end = XlsrFrontEnd(TINY)
    features = front_end(plain.speech_like(3_000, batch=1))
    (features.final.square().sum() + sum(h.square().sum() for h in features.layers)).backward()
    without = {name for name, p in front_end.named_parameters() if p.grad is None}
    assert without == {"model.masked_spec_embed"}


def test_training_adds_no_dropout():
    front_end = XlsrFrontEnd(TINY).train()
    wave = plain.speech_like(3_000, batch=1)
    torch.testing.assert_close(front_end(wave).final, front_end(wave).final)


@torch.no_grad()
def test_published_wav2vec_weights_load_from_a_folder(tmp_path):
    published, fresh = XlsrFrontEnd(TINY).eval(), XlsrFrontEnd(TINY).eval()
    published.model.save_pretrained(tmp_path)
    wave = plain.speech_like(3_000, batch=1)
    assert not torch.allclose(published(wave).final, fresh(wave).final, atol=1e-3)
    load_pretrained_xlsr(fresh, str(tmp_path))
    torch.testing.assert_close(published(wave).final, fresh(wave).final)
