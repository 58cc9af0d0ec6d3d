"""A small network over fine spectra, learnt from nothing: the texture of speech, not what is said.

Whisper's layers hear 80 mel bands and were taught to tell words. What synthesis leaves between them, in
single bins and from one hundredth of a second to the next, is seen here by a residual network (He et al.,
2016) of two-dimensional convolutions. Alone it is a weak detector; it errs on other clips than the others.

Above 4 kHz nothing is seen, so that a band limit hardly shows, and levels are relative to the window's.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from detectors.frontends.log_mel import HOP

#: Spectra of 25 ms; of their bins of 31 Hz those below 4 kHz.
WINDOW, N_FFT, BINS = 400, 512, 128
#: Power of a bin, of speech levelled to LEVEL, and nepers below the loudest, beneath which nothing is seen.
FLOOR, LEVEL, VISIBLE_NEPERS = 1e-4, 0.05, 13.0
#: Of speech, in nepers, about.
SPREAD = 2.5
CHANNELS = (16, 32, 64, 96)
HIDDEN = 64


def fine_spectra(waveform: Tensor) -> Tensor:
    """waveform [b, s], 16 kHz -> log of power around its mean, with a spread near 1, [b, BINS, s // 160]."""
    # bf16 has too few bits for a power spectrum; autocast would use it.
    with torch.autocast(waveform.device.type, enabled=False):
        waveform = waveform.float()
        level = waveform.square().mean(dim=-1, keepdim=True).sqrt()
        levelled = waveform / (level + 1e-6) * LEVEL
        window = torch.hann_window(WINDOW, device=waveform.device)
        spectrum = torch.stft(levelled, N_FFT, HOP, WINDOW, window, return_complex=True, pad_mode="constant")
        log = (spectrum[:, :BINS, : waveform.shape[1] // HOP].abs().square() + FLOOR).log()
        log = torch.logaddexp(log, log.amax(dim=(1, 2), keepdim=True) - VISIBLE_NEPERS)
        return (log - log.mean(dim=(1, 2), keepdim=True)) / SPREAD


class Texture(nn.Module):
    """fine_spectra [b, BINS, t] -> log-odds [b] of bona fide, by this network alone."""

    def __init__(self, dropout: float = 0.2) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, CHANNELS[0], (5, 7), stride=(2, 3), padding=(2, 3), bias=False)
        self.blocks = nn.Sequential(*(Residual(narrow, wide) for narrow, wide in pairwise(CHANNELS)))
        self.norm = nn.BatchNorm2d(CHANNELS[-1])
        self.judge = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(2 * CHANNELS[-1], HIDDEN),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(HIDDEN, 2),
        )

    def forward(self, seen: Tensor) -> Tensor:
        spoof, bonafide = self.logits(seen).unbind(dim=1)
        return bonafide - spoof

    def logits(self, seen: Tensor) -> Tensor:
        """[b, BINS, t] -> float32 [b, 2] (0 spoof, 1 bona fide), before the softmax."""
        # Channels last, with which the convolutions that follow are a third faster.
        x = self.stem(seen[:, None]).contiguous(memory_format=torch.channels_last)
        x = nn.functional.relu(self.norm(self.blocks(x)))  # [b, channels, bins / 16, t / 24]
        with torch.autocast(seen.device.type, enabled=False):
            x = x.float().flatten(2)
            return self.judge(torch.cat([x.mean(dim=2), x.std(dim=2)], dim=1))


class Residual(nn.Module):
    """[b, narrow, f, t] -> [b, wide, f / 2, t / 2], with the norms before the convolutions."""

    def __init__(self, narrow: int, wide: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.BatchNorm2d(narrow), nn.BatchNorm2d(wide)
        self.conv1 = nn.Conv2d(narrow, wide, 3, stride=2, padding=1, bias=False)
        self.conv2 = nn.Conv2d(wide, wide, 3, padding=1, bias=False)
        self.past = nn.Sequential(nn.AvgPool2d(2, ceil_mode=True), nn.Conv2d(narrow, wide, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.relu(self.norm1(x))
        changed = self.conv2(nn.functional.relu(self.norm2(self.conv1(x))))
        return changed + self.past(x)
