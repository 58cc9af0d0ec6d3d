"""A small network over fine spectra, learnt from nothing: the texture of speech, not what is said.

Whisper's layers hear 80 mel bands and were taught to tell words. What synthesis leaves between them, in
single bins and from one hundredth of a second to the next, is seen here by a residual network (He et al.,
2016) of two-dimensional convolutions. Alone it is a weak detector; it errs on other clips than the others.
A texture with phases also sees how the phase moves from bin to bin (group delay) and from frame to frame,
which a vocoder makes up; no equaliser in between changes that much.

Above 4 kHz nothing is seen, so that a band limit hardly shows, and levels are relative to the window's.
"""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from detectors.frontends.log_mel import HOP
from detectors.frontends.signal_features import levelled

#: Spectra of 25 ms; of their bins of 31 Hz those below 4 kHz.
WINDOW, N_FFT, BINS = 400, 512, 128
#: Power of a bin, of levelled speech, and nepers below the loudest, beneath which nothing is seen.
FLOOR, VISIBLE_NEPERS = 1e-4, 13.0
#: Of speech, in nepers, about.
SPREAD = 2.5
#: What is seen of a bin: its level; cosine and sine of group delay and of its phase's advance in a frame.
SEEN = 5
#: Nepers above the window's mean at which a bin's phase counts by half: that of weak bins is chance.
LOUD = 1.0
CHANNELS = (16, 32, 64, 96)
HIDDEN = 64


def fine_spectra(waveform: Tensor, phases: bool = True) -> Tensor:
    """waveform [b, s], 16 kHz -> [b, SEEN, BINS, s // 160], or without phases [b, 1, BINS, s // 160].

    First the log of power around its mean, with a spread near 1; then the phases' four, within -1 and 1,
    which take as long again.
    """
    # bf16 has too few bits for a power spectrum; autocast would use it.
    with torch.autocast(waveform.device.type, enabled=False):
        wave = levelled(waveform.float())
        window = torch.hann_window(WINDOW, device=wave.device)
        found = torch.stft(wave, N_FFT, HOP, WINDOW, window, return_complex=True, pad_mode="constant")
        spectrum = found[:, : BINS + 1, : waveform.shape[1] // HOP]
        log = (spectrum[:, :BINS].abs().square() + FLOOR).log()
        log = torch.logaddexp(log, log.amax(dim=(1, 2), keepdim=True) - VISIBLE_NEPERS)
        log = log - log.mean(dim=(1, 2), keepdim=True)
        levels = (log / SPREAD)[:, None]
        if not phases:
            return levels
        return torch.cat([levels, _phases(spectrum) * (log - LOUD).sigmoid()[:, None]], dim=1)


def _phases(spectrum: Tensor) -> Tensor:
    """[b, BINS + 1, t] -> [b, 4, BINS, t]: cosine and sine of group delay and of phase advance, each turned
    so that 0 is a pulse amid the frame, and a steady tone amid the bin."""
    turned = spectrum / (spectrum.abs() + 1e-6)
    delay = -turned[:, 1:] * turned[:, :-1].conj()
    turned = turned[:, :BINS]
    bins = torch.arange(BINS, device=spectrum.device)[:, None]
    expected = torch.polar(torch.ones_like(bins, dtype=torch.float32), 2 * math.pi * HOP / N_FFT * bins)
    advance = turned[:, :, 1:] * turned[:, :, :-1].conj() * expected.conj()
    # The first frame has none before it.
    advance = torch.cat([torch.ones_like(turned[:, :, :1]), advance], dim=2)
    return torch.stack([delay.real, delay.imag, advance.real, advance.imag], dim=1)


class Texture(nn.Module):
    """fine_spectra [b, SEEN, BINS, t] -> log-odds [b] of bona fide, by this network alone.

    phases: whether it looks at all of them, or at the levels only, and does without the others.
    """

    def __init__(self, phases: bool = False, dropout: float = 0.2) -> None:
        super().__init__()
        self.phases = phases
        self.stem = nn.Conv2d(
            SEEN if phases else 1, CHANNELS[0], (5, 7), stride=(2, 3), padding=(2, 3), bias=False
        )
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
        """[b, SEEN, BINS, t] -> float32 [b, 2] (0 spoof, 1 bona fide), before the softmax."""
        # Channels last, with which the convolutions that follow are a third faster.
        x = self.stem(seen if self.phases else seen[:, :1]).contiguous(memory_format=torch.channels_last)
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
