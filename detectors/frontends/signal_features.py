"""What the ear of a speech recogniser leaves out: how a clip's fine spectrum is shaped and how it moves.

Whisper's layers tell what is said and by whom. Synthesis also shows in plain statistics of the signal: how
rough the spectrum is from band to band, how much cepstra (Davis & Mermelstein, 1980) change from frame to
frame, and how strongly each band is modulated at which rates (Hermansky, 1998). Among the clips of one demo
page, human and machine, they tell the two apart about as well as Whisper's layers do, and differently.

Nothing is learnt here. Above 4 kHz nothing is heard, except as part of the level, so that a band limit hardly
shows.
"""

import math

import torch
from torch import Tensor, nn

from detectors.audio import SAMPLE_RATE
from detectors.frontends.log_mel import HOP

#: Spectra of 25 ms, as often as those beside which they stand, in bands of two bins, 62.5 Hz, up to 4 kHz.
WINDOW, N_FFT = 400, 512
BANDS = 64
CEPSTRA = 30
#: Rates of modulation in Hz, up to what 100 frames a second can show; of every fourth band.
MODULATIONS = ((1, 4), (4, 8), (8, 16), (16, 32), (32, 50))
EVERY = 4
#: Power of a band, of speech levelled to LEVEL, below which nothing is seen.
FLOOR, LEVEL = 1e-8, 0.05
#: The quietest frames, pauses for the most part, do not count as speech.
QUIET_SHARE = 0.3


def levelled(waveform: Tensor) -> Tensor:
    """[b, s] -> [b, s], each with LEVEL as its root mean square; silence stays as it is."""
    level = waveform.square().mean(dim=-1, keepdim=True).sqrt()
    return waveform / (level + 1e-6) * LEVEL


class SignalFeatures(nn.Module):
    """waveform [b, s], 16 kHz -> [b, t, SIGNAL_WIDTH], 50 frames a second: s // 160 halved and rounded up.

    Every value counts through its mean over time: deviations are taken from the window's own mean, and frames
    of speech weigh so that their mean is that over all frames. Levels are relative to the window's.
    """

    window: Tensor
    cosines: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(WINDOW, periodic=False), persistent=False)
        self.register_buffer("cosines", _cosines(), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        # bf16 has too few bits for a power spectrum; autocast would use it.
        with torch.autocast(waveform.device.type, enabled=False):
            spectra = self.log_spectra(waveform.float())
            spoken = _spoken(spectra)
            parts = [self._cepstral(spectra, spoken), _modulated(spectra), _shaped(spectra, spoken)]
            found = torch.cat(parts, dim=-1)
            return nn.functional.avg_pool1d(found.mT, 2, ceil_mode=True).mT

    def log_spectra(self, waveform: Tensor) -> Tensor:
        """waveform [b, s] -> natural log of power, [b, s // 160, BANDS]."""
        padded = nn.functional.pad(levelled(waveform), (0, WINDOW - HOP))
        frames = padded.unfold(-1, WINDOW, HOP) * self.window.float()
        power = torch.fft.rfft(frames, N_FFT).abs().square()[..., : 2 * BANDS]
        return (power.unflatten(-1, (BANDS, 2)).mean(dim=-1) + FLOOR).log()

    def _cepstral(self, spectra: Tensor, spoken: Tensor) -> Tensor:
        """Cepstra of speech, how far they lie from their mean, how they change and how suddenly."""
        cepstra = spectra @ self.cosines.float()
        mean = (cepstra * spoken).mean(dim=1, keepdim=True)
        change = _changes(cepstra)
        sudden = change.abs() / (change.square().mean(dim=1, keepdim=True).sqrt() + 1e-6)
        apart = (cepstra - mean).abs()
        return torch.cat(
            [cepstra * spoken, apart * spoken, change.abs(), _changes(change).abs(), sudden], dim=-1
        )


def _cosines() -> Tensor:
    """The first orthonormal cosines over the bands, [BANDS, CEPSTRA]."""
    places = (torch.arange(BANDS) + 0.5) * math.pi / BANDS
    cosines = (places[:, None] * torch.arange(CEPSTRA)).cos() * math.sqrt(2 / BANDS)
    cosines[:, 0] /= math.sqrt(2)
    return cosines


def _spoken(spectra: Tensor) -> Tensor:
    """Weights of frames [b, t, 1], 0 for the quietest; their mean is 1."""
    level = spectra.mean(dim=-1, keepdim=True)
    louder = (level > level.quantile(QUIET_SHARE, dim=1, keepdim=True)).to(level.dtype)
    return louder / louder.mean(dim=1, keepdim=True).clamp_min(1e-3)


def _changes(x: Tensor) -> Tensor:
    """From each frame to the next, [b, t, d]; 0 for the first."""
    return nn.functional.pad(x.diff(dim=1), (0, 0, 1, 0))


def _modulated(spectra: Tensor) -> Tensor:
    """How strongly bands move at each of the rates, [b, t, bands * rates]."""
    bands = spectra[..., ::EVERY]
    length = 2 * bands.shape[1]  # so that the end does not run into the beginning
    found = torch.fft.rfft(bands - bands.mean(dim=1, keepdim=True), length, dim=1)
    rates = torch.fft.rfftfreq(length, HOP / SAMPLE_RATE, device=bands.device)[None, :, None]
    moved = [
        torch.fft.irfft(found * ((rates >= low) & (rates < high)), length, dim=1)[:, : bands.shape[1]].abs()
        for low, high in MODULATIONS
    ]
    return torch.cat(moved, dim=-1)


def _shaped(spectra: Tensor, spoken: Tensor) -> Tensor:
    """Of speech: roughness over frequency, and how far each band lies from its mean, every second one."""
    rough = spectra.diff(n=2, dim=-1).abs()[..., ::2]
    mean = (spectra * spoken).mean(dim=1, keepdim=True)
    return torch.cat([rough * spoken, (spectra - mean).abs()[..., ::2] * spoken], dim=-1)
