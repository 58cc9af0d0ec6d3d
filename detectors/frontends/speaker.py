"""What a network that learnt to tell speakers apart hears of a voice, and a small judge of it.

A speech recogniser such as Whisper is taught to forget whose voice it hears and how that voice sounds; a
network for speaker verification is taught to hear nothing else, over all sorts of channels. Its layers,
unchanged, see what synthesis does to a voice's colour. They are CAM++'s (Wang et al., Interspeech 2023) as
3D-Speaker trained it on Chinese and English speakers; see speaker_init.py for the weights.

Above 4 kHz nothing is heard, so that a band limit hardly shows, the mean spectrum of the window is taken out,
so that the channel does not, and frames of speech are counted by themselves beside all of them, so that
pauses weigh little.
"""

from functools import partial
from typing import Self

import torch
from torch import Tensor, nn
from torchaudio.compliance.kaldi import get_mel_banks
from torchaudio.functional import resample

from detectors.audio import SAMPLE_RATE
from detectors.frontends.heard_once import Remembering
from detectors.frontends.likeness import Likeness
from detectors.frontends.log_mel import HOP
from detectors.frontends.signal_features import levelled

#: The spectra that the network was trained on are Kaldi's: 25 ms every 10 ms, in 80 bands from 20 Hz.
FRAME, N_FFT, BANDS, LOWEST_HZ = 400, 512, 80, 20.0
PRE_EMPHASIS, FLOOR = 0.97, float(torch.finfo(torch.float32).eps)
#: Bins of 31.25 Hz below 4 kHz.
HEARD_BINS = 128
#: Natural log of power below a window's loud frames (their 95th percentile) down to which a frame is speech.
LOUD, SPOKEN_DOWN_TO = 0.95, 4.6
#: Channels of the stem's maps of frequency and time, and how often it halves the bands.
MAPS, HALVINGS = 32, 3
STEM_WIDTH = MAPS * BANDS // 2**HALVINGS
#: Channels after the stem, and those that each layer of a block adds to all before it.
ENTRY_WIDTH, GROWTH = 128, 32
#: In a layer: what it first narrows to, and what its masks are made from.
NARROWED, SQUEEZED = 128, 64
#: Frames of 20 ms that share the context of a mask.
CONTEXT = 100
#: Layers of each block of the network, and their dilation.
LAYERS = ((12, 1), (24, 2), (16, 2))
BLOCKS = len(LAYERS)
HIDDEN = 256
#: Samples before and after, of a wave that is then played at its old rate: as it is, 8 % faster, 7 % slower.
HEARINGS = ((1, 1), (27, 25), (25, 27))
#: Samples of a moment whose part in what is said can be told.
MOMENT = SAMPLE_RATE // 10
#: Standard deviations of what it learnt on, beyond which a statistic is no further off.
FURTHEST = 6.0


class SpeakerEar(Remembering):
    """waveform [b, s], 16 kHz -> statistics [b, width]: of the stem, of the entry and of each block, the mean
    of each channel over frames of speech and its standard deviation, and then the same over all frames.
    Frozen: it learns nothing, whatever is trained around it."""

    bands: Tensor
    window: Tensor

    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.register_buffer("bands", _kaldi_bands(), persistent=False)
        window = torch.hann_window(FRAME, periodic=False, dtype=torch.float64).pow(0.85)  # Povey's
        self.register_buffer("window", window.float(), persistent=False)
        self.stem = Stem()
        self.entry = nn.Conv1d(STEM_WIDTH, ENTRY_WIDTH, 5, stride=2, padding=2, bias=False)
        self.entry_norm = nn.BatchNorm1d(ENTRY_WIDTH)
        #: Channels whose statistics are taken, stage by stage.
        self.channels = [STEM_WIDTH, ENTRY_WIDTH]
        self.blocks, self.narrow, width = nn.ModuleList(), nn.ModuleList(), ENTRY_WIDTH
        for layers, dilation in LAYERS[:blocks]:
            if self.blocks:  # what leaves one enters the next at half the width
                self.narrow.append(Pointwise(width, width // 2, bias=False))
                width //= 2
            self.blocks.append(DenseBlock(width, layers, dilation))
            width += layers * GROWTH
            self.channels.append(width)
        self.width = 4 * sum(self.channels)
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> Self:
        """As any module's, but its norms stay as they were learnt."""
        return super().train(False)

    def stages(self) -> list[list[int]]:
        """Of each stage, the places of its statistics among all of them."""
        over_speech = [stage for stage, width in enumerate(self.channels) for _ in range(2 * width)]
        of_place = 2 * over_speech  # over all frames come in the same order
        return [
            [place for place, found in enumerate(of_place) if found == stage]
            for stage in range(len(self.channels))
        ]

    def forward(self, waveform: Tensor) -> Tensor:
        return self.recalled(waveform, self._listen, always_frozen=True)

    @torch.no_grad()
    def with_and_without(self, waveform: Tensor, moments: int, own: Tensor) -> tuple[Tensor, Tensor]:
        """waveform [b, s] -> the statistics [b, width], and what they are when the frames of one of so many
        equal moments do not count, [b, moments, width]. The network has heard those frames all the same.

        own: [b], samples of each, after which it repeats itself; a moment goes with all its repetitions.
        """
        with torch.autocast(waveform.device.type, enabled=False):
            counts = self._stages_and_counts(waveform)
            without = []
            for stage, counted in counts:
                moment_of = _moments_of_frames(stage.shape[2], waveform.shape[1], own, moments)
                without.append(_statistics_without(stage, counted, moment_of, moments))
            whole = [_statistics(stage, counted) for stage, counted in counts]
            return torch.cat(whole, dim=1), torch.cat(without, dim=2)

    @torch.no_grad()
    def _listen(self, waveform: Tensor) -> Tensor:
        # bf16 has too few bits for a power spectrum and for sums over time; autocast would use it.
        with torch.autocast(waveform.device.type, enabled=False):
            counts = self._stages_and_counts(waveform)
            return torch.cat([_statistics(stage, counted) for stage, counted in counts], dim=1)

    def _stages_and_counts(self, waveform: Tensor) -> list[tuple[Tensor, Tensor]]:
        """waveform [b, s] -> each stage [b, d, t], with the frames [b, t] that count: those of speech, then
        all of them."""
        power = self.power(waveform.float())
        spoken = spoken_frames(power)
        stages = [self.stem(self.spectra(power))]
        stages.append(self.entry_norm(self.entry(stages[-1])).relu())
        for narrow, block in zip((nn.Identity(), *self.narrow), self.blocks, strict=True):
            stages.append(block(narrow(stages[-1])))
        # The stem has frames of 10 ms; from the entry on they are of 20 ms.
        return [
            (stage, counted if place == 0 else counted[:, ::2])
            for counted in (spoken, torch.ones_like(spoken))
            for place, stage in enumerate(stages)
        ]

    def power(self, waveform: Tensor) -> Tensor:
        """waveform [b, s] -> power of the HEARD_BINS, [b, t, HEARD_BINS], t frames of 10 ms."""
        frames = levelled(waveform).unfold(-1, FRAME, HOP)
        frames = frames - frames.mean(dim=-1, keepdim=True)
        before = torch.cat([frames[..., :1], frames[..., :-1]], dim=-1)
        found = torch.fft.rfft((frames - PRE_EMPHASIS * before) * self.window, N_FFT)
        return found[..., :HEARD_BINS].abs().square()

    def spectra(self, power: Tensor) -> Tensor:
        """power [b, t, HEARD_BINS] -> natural log of each band around its mean, [b, BANDS, t]."""
        level = (power @ self.bands).clamp_min(FLOOR).log()
        return (level - level.mean(dim=1, keepdim=True)).mT


class Stem(nn.Module):
    """Spectra [b, BANDS, t] -> [b, STEM_WIDTH, t]: convolutions over frequency and time."""

    def __init__(self) -> None:
        super().__init__()
        self.enter, self.enter_norm = nn.Conv2d(1, MAPS, 3, padding=1, bias=False), nn.BatchNorm2d(MAPS)
        self.residual = nn.ModuleList(Residual(halves) for halves in (True, False, True, False))
        self.leave = nn.Conv2d(MAPS, MAPS, 3, stride=(2, 1), padding=1, bias=False)
        self.leave_norm = nn.BatchNorm2d(MAPS)

    def forward(self, spectra: Tensor) -> Tensor:
        x = self.enter_norm(self.enter(spectra[:, None])).relu()
        for residual in self.residual:
            x = residual(x)
        found: Tensor = self.leave_norm(self.leave(x)).relu()
        return found.flatten(1, 2)


class Residual(nn.Module):
    """[b, MAPS, bands, t] -> the same, or with half the bands (He et al., 2016)."""

    def __init__(self, halves: bool) -> None:
        super().__init__()
        stride = (2 if halves else 1, 1)
        self.first = nn.Conv2d(MAPS, MAPS, 3, stride=stride, padding=1, bias=False)
        self.second = nn.Conv2d(MAPS, MAPS, 3, padding=1, bias=False)
        self.first_norm, self.second_norm = nn.BatchNorm2d(MAPS), nn.BatchNorm2d(MAPS)
        self.shortcut = nn.Conv2d(MAPS, MAPS, 1, stride=stride, bias=False) if halves else None
        self.shortcut_norm = nn.BatchNorm2d(MAPS) if halves else None

    def forward(self, x: Tensor) -> Tensor:
        beside = x
        if self.shortcut is not None and self.shortcut_norm is not None:
            beside = self.shortcut_norm(self.shortcut(x))
        x = self.first_norm(self.first(x)).relu()
        return (self.second_norm(self.second(x)) + beside).relu()


class DenseBlock(nn.Module):
    """[b, width, t] -> [b, width + layers * GROWTH, t]: each layer hears all before it."""

    def __init__(self, width: int, layers: int, dilation: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(MaskedLayer(width + i * GROWTH, dilation) for i in range(layers))
        self.leave_norm = nn.BatchNorm1d(width + layers * GROWTH)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = torch.cat([x, layer(x)], dim=1)
        found: Tensor = self.leave_norm(x).relu()
        return found


class MaskedLayer(nn.Module):
    """[b, width, t] -> [b, GROWTH, t]: a convolution over time, masked by what is heard around it."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.enter_norm, self.enter = nn.BatchNorm1d(width), Pointwise(width, NARROWED, bias=False)
        self.norm = nn.BatchNorm1d(NARROWED)
        self.local = nn.Conv1d(NARROWED, GROWTH, 3, dilation=dilation, padding=dilation, bias=False)
        self.squeeze, self.excite = Pointwise(NARROWED, SQUEEZED), Pointwise(SQUEEZED, GROWTH)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.enter(self.enter_norm(x).relu())).relu()
        around = nn.functional.avg_pool1d(x, CONTEXT, ceil_mode=True) + x.mean(dim=2, keepdim=True)
        mask = self.excite(self.squeeze(around).relu()).sigmoid()
        masked: Tensor = self.local(x) * mask.repeat_interleave(CONTEXT, dim=2)[..., : x.shape[2]]
        return masked


class Pointwise(nn.Conv1d):
    """[b, narrow, t] -> [b, wide, t], each frame by itself; torch convolves so narrowly slowly on a CPU."""

    def __init__(self, narrow: int, wide: int, bias: bool = True) -> None:
        super().__init__(narrow, wide, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        found = self.weight[..., 0] @ x
        return found if self.bias is None else found + self.bias[:, None]


class SpeakerJudge(Remembering):
    """waveform [b, s] -> log-odds [b] of bona fide, by what the ear hears alone: what a small network says
    and, where it has known views to compare with, which of them it is like. The mean of what it says of the
    first of HEARINGS. A voice a little higher or lower is another person's, but as real or as made; what
    it takes for a mark of synthesis in one person's voice weighs less so. Asked at other speeds only once
    it has learnt: learning at them too made it no better (see the model card of SLS)."""

    mean: Tensor
    spread: Tensor

    def __init__(self, blocks: int, hearings: int = 1, views: int = 0) -> None:
        super().__init__()
        self.ear, self.hearings = SpeakerEar(blocks), hearings
        width = self.ear.width
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("spread", torch.ones(width))
        self.judge = nn.Sequential(
            nn.Dropout(0.5), nn.Linear(width, HIDDEN), nn.GELU(), nn.Dropout(0.6), nn.Linear(HIDDEN, 2)
        )
        self.likeness = Likeness(self.ear.stages(), views) if views else None

    def forward(self, waveform: Tensor) -> Tensor:
        said = [self.odds(self.ear(heard)) for heard in at_speeds(waveform, self.hearings)]
        return torch.stack(said).mean(dim=0)

    def over_time(self, waveform: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
        """waveform [b, s] -> the log-odds [b], and how much of them each moment of 0.1 s makes, [b, moments]:
        what they would lose if its frames did not count. Above 0 it speaks for bona fide, against the rest
        of the window: the moments do not add up to the whole.

        own: [b], samples of each, after which it repeats itself, as a clip does that is shorter than s.
        """
        said = self.recalled(waveform, partial(self._weigh_moments, own))
        return said[:, 0], said[:, :1] - said[:, 1:]

    def _weigh_moments(self, own: Tensor, waveform: Tensor) -> Tensor:
        """The log-odds, and then those without each moment, [b, 1 + moments]."""
        moments = max(1, round(waveform.shape[1] / MOMENT))
        said = []
        for heard in at_speeds(waveform, self.hearings):
            own_heard = own * heard.shape[1] // waveform.shape[1]
            whole, without = self.ear.with_and_without(heard, moments, own_heard)
            said.append(torch.cat([self.odds(whole)[:, None], self.odds(without)], dim=1))
        return torch.stack(said).mean(dim=0)

    def odds(self, statistics: Tensor) -> Tensor:
        """The ear's statistics [..., width] -> log-odds [...] of bona fide."""
        with torch.autocast(statistics.device.type, enabled=False):
            apart = self.apart(statistics)
            spoof, bonafide = self.judge(apart).unbind(dim=-1)
            odds: Tensor = bonafide - spoof
            return odds if self.likeness is None else odds + self.likeness(apart)

    def apart(self, statistics: Tensor) -> Tensor:
        """The ear's statistics [..., width] -> the same, each around 0 with a spread of 1 where it learnt."""
        return ((statistics.float() - self.mean) / self.spread).clamp(-FURTHEST, FURTHEST)


def at_speeds(waveform: Tensor, hearings: int) -> list[Tensor]:
    """waveform [b, s] -> the first of its HEARINGS, each [b, s * after / before]."""
    with torch.autocast(waveform.device.type, enabled=False):  # bf16 would make noise of 8 bits
        speeds = HEARINGS[:hearings]
        return [
            waveform if before == after else resample(waveform.float(), before, after)
            for before, after in speeds
        ]


def spoken_frames(power: Tensor) -> Tensor:
    """power [b, t, HEARD_BINS] -> [b, t]: 1 for speech, 0 for frames 20 dB softer than the loud ones."""
    level = (power.sum(dim=-1) + 1e-9).log()
    return (level > level.quantile(LOUD, dim=1, keepdim=True) - SPOKEN_DOWN_TO).float()


def _statistics(x: Tensor, counted: Tensor) -> Tensor:
    """x [b, d, t], counted [b, t] of 0 and 1 -> [b, 2 d]: means over what counts, and standard deviations."""
    weights = (counted / counted.sum(dim=1, keepdim=True).clamp_min(1))[:, None]
    mean = (x * weights).sum(dim=2)
    spread = ((x - mean[..., None]).square() * weights).sum(dim=2).sqrt()
    return torch.cat([mean, spread], dim=1)


def _moments_of_frames(frames: int, samples: int, own: Tensor, moments: int) -> Tensor:
    """Which of so many equal moments of the samples each frame is of, [b, frames]: a frame past the first
    own [b] samples is of the moment that it repeats."""
    at = torch.arange(frames, device=own.device) * samples  # in samples, times frames: integers stay exact
    return (at % (own[:, None] * frames) * moments).div(samples * frames, rounding_mode="floor")


def _statistics_without(x: Tensor, counted: Tensor, moment_of: Tensor, moments: int) -> Tensor:
    """x [b, d, t], counted [b, t] of 0 and 1 -> [b, moments, 2 d]: `_statistics` where the frames of one
    moment do not count. moment_of: [b, t]."""
    stays = 1 - nn.functional.one_hot(moment_of, moments).to(x.dtype)  # [b, t, moments]
    left = counted[:, None] @ stays  # [b, 1, moments]
    mean = (x * (counted / counted.sum(dim=1, keepdim=True).clamp_min(1))[:, None]).sum(dim=2, keepdim=True)
    apart = (x - mean) * counted[:, None]  # small numbers, whose squares cancel little below
    shift = apart @ stays / left.clamp_min(1)
    spread = (apart.square() @ stays / left.clamp_min(1) - shift.square()).clamp_min(0).sqrt()
    return (torch.cat([mean + shift, spread], dim=1) * (left > 0)).mT


def _kaldi_bands() -> Tensor:
    """Weights of the HEARD_BINS in each band, [HEARD_BINS, BANDS]."""
    # The last three numbers warp nothing: they are Kaldi's defaults for vocal tracts of one length.
    bands, _ = get_mel_banks(BANDS, N_FFT, float(SAMPLE_RATE), LOWEST_HZ, 0.0, 100.0, -500.0, 1.0)
    return bands[:, :HEARD_BINS].T.contiguous()
