"""What a network that learnt to tell speakers apart hears of a voice, and a small judge of it.

A speech recogniser such as Whisper is taught to forget whose voice it hears and how that voice sounds; a
network for speaker verification is taught to hear nothing else, over all sorts of channels. Its first blocks,
unchanged, see what synthesis does to a voice's colour. They are ECAPA-TDNN's (Desplanques et al., Interspeech
2020) as SpeechBrain (Ravanelli et al., 2021) trained it on VoxCeleb; see speaker_init.py for the weights.

Above 4 kHz nothing is heard, so that a band limit hardly shows, and the mean spectrum of the window is taken
out, so that the channel does not.
"""

from typing import Self

import torch
from torch import Tensor, nn

from detectors.audio import SAMPLE_RATE
from detectors.frontends.log_mel import HOP
from detectors.frontends.signal_features import levelled

#: The bands that the network was trained on: 80 triangles up to 8 kHz over spectra of 25 ms.
N_FFT, BANDS = 400, 80
#: Bins of 40 Hz below 4 kHz.
HEARD_BINS = 100
#: Power of a band below which nothing is heard; and below the loudest, in decibels.
FLOOR, VISIBLE_DB = 1e-10, 80.0
CHANNELS, GROUPS, SQUEEZED = 1024, 8, 128
#: There are three of them in the network; the dilation of each one's convolutions is its number + 1.
BLOCKS = 3
HIDDEN = 128
#: Standard deviations of what it learnt on, beyond which a statistic is no further off.
FURTHEST = 6.0


class SpeakerEar(nn.Module):
    """waveform [b, s], 16 kHz -> statistics [b, 2 * CHANNELS * blocks]: of each block, the mean over time of
    each channel and its standard deviation. Frozen: it learns nothing, whatever is trained around it."""

    bands: Tensor
    window: Tensor

    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.register_buffer("bands", _triangles(), persistent=False)
        self.register_buffer("window", torch.hamming_window(N_FFT), persistent=False)
        self.stem = Convolved(BANDS, CHANNELS, 5)
        self.blocks = nn.ModuleList(Block(number + 2) for number in range(blocks))
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> Self:
        """As any module's, but its norms stay as they were learnt."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, waveform: Tensor) -> Tensor:
        # bf16 has too few bits for a power spectrum and for sums over time; autocast would use it.
        with torch.autocast(waveform.device.type, enabled=False):
            x = self.stem(self.spectra(waveform.float()))
            found = []
            for block in self.blocks:
                x = block(x)
                found += [x.mean(dim=2), x.std(dim=2)]
            return torch.cat(found, dim=1)

    def spectra(self, waveform: Tensor) -> Tensor:
        """waveform [b, s] -> decibels around each band's mean, [b, BANDS, s // 160 + 1]; 0 above 4 kHz."""
        wave = levelled(waveform)
        found = torch.stft(wave, N_FFT, HOP, window=self.window, return_complex=True, pad_mode="constant")
        power = self.bands @ found.abs().square()[:, :HEARD_BINS]
        level = 10 * power.clamp_min(FLOOR).log10()
        level = level.maximum(level.amax(dim=(1, 2), keepdim=True) - VISIBLE_DB)
        return level - level.mean(dim=2, keepdim=True)


class Convolved(nn.Module):
    """[b, narrow, t] -> [b, wide, t]: a convolution over time, ReLU and a norm."""

    def __init__(self, narrow: int, wide: int, kernel: int = 1, dilation: int = 1) -> None:
        super().__init__()
        reach = (kernel - 1) // 2 * dilation
        self.conv = nn.Conv1d(narrow, wide, kernel, dilation=dilation, padding=reach, padding_mode="reflect")
        self.norm = nn.BatchNorm1d(wide)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(nn.functional.relu(self.conv(x)))


class Block(nn.Module):
    """[b, CHANNELS, t] -> the same: convolutions in GROUPS, each after the first adding the one before
    (Res2Net, Gao et al., 2021), then each channel weighed by what all are like (squeeze and excitation)."""

    def __init__(self, dilation: int) -> None:
        super().__init__()
        self.enter, self.leave = Convolved(CHANNELS, CHANNELS), Convolved(CHANNELS, CHANNELS)
        width = CHANNELS // GROUPS
        self.groups = nn.ModuleList(Convolved(width, width, 3, dilation) for _ in range(GROUPS - 1))
        self.squeeze, self.excite = nn.Conv1d(CHANNELS, SQUEEZED, 1), nn.Conv1d(SQUEEZED, CHANNELS, 1)

    def forward(self, x: Tensor) -> Tensor:
        parts = list(self.enter(x).chunk(GROUPS, dim=1))
        found = parts[:1]
        for group, part in zip(self.groups, parts[1:], strict=True):
            found.append(group(part if len(found) == 1 else part + found[-1]))
        out = self.leave(torch.cat(found, dim=1))
        weights = self.excite(nn.functional.relu(self.squeeze(out.mean(dim=2, keepdim=True)))).sigmoid()
        return out * weights + x


class SpeakerJudge(nn.Module):
    """waveform [b, s] -> log-odds [b] of bona fide, by what the ear hears alone."""

    mean: Tensor
    spread: Tensor

    def __init__(self, blocks: int) -> None:
        super().__init__()
        width = 2 * CHANNELS * blocks
        self.ear = SpeakerEar(blocks)
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("spread", torch.ones(width))
        self.judge = nn.Sequential(
            nn.Dropout(0.5), nn.Linear(width, HIDDEN), nn.GELU(), nn.Dropout(0.6), nn.Linear(HIDDEN, 2)
        )

    def forward(self, waveform: Tensor) -> Tensor:
        spoof, bonafide = self.logits(self.ear(waveform)).unbind(dim=1)
        return bonafide - spoof

    def logits(self, statistics: Tensor) -> Tensor:
        """The ear's statistics [b, width] -> float32 [b, 2] (0 spoof, 1 bona fide), before the softmax."""
        with torch.autocast(statistics.device.type, enabled=False):
            apart = (statistics.float() - self.mean) / self.spread
            return self.judge(apart.clamp(-FURTHEST, FURTHEST))


def _triangles() -> Tensor:
    """Weights of the HEARD_BINS in each band, [BANDS, HEARD_BINS]: both sides of a triangle as wide as the
    gap to the band below, in mel (Stevens & Volkmann), as SpeechBrain draws them."""
    highest = 2595 * torch.tensor(1 + SAMPLE_RATE / 2 / 700, dtype=torch.float64).log10()
    edges = 700 * (10 ** (torch.linspace(0, float(highest), BANDS + 2, dtype=torch.float64) / 2595) - 1)
    bins = torch.arange(HEARD_BINS, dtype=torch.float64) * SAMPLE_RATE / N_FFT
    off = (bins - edges[1:-1, None]).abs() / edges.diff()[:-1, None]
    return (1 - off).clamp_min(0).float()
