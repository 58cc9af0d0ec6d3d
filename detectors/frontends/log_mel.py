"""A spectral stem in the place of wav2vec 2.0's waveform convolutions, for the small preset.

The two convolutions have the shapes of Whisper's (Radford et al., 2022), so that its encoder can
initialise a small front-end. Two things differ, both against shortcuts: levels are taken relative
to the window's loudest point, and whatever lies 60 dB below it is cut off, so neither the gain of
a recording nor a very low noise floor can be seen. The 201 linear-frequency bins beside the 80 mel
bands keep the fine structure above 4 kHz that vocoders leave and mel bands blur.
"""

import librosa
import torch
from torch import Tensor, nn

from detectors.audio import SAMPLE_RATE

N_FFT = 400
HOP = 160
MEL_BANDS = 80
LINEAR_BINS = N_FFT // 2 + 1
#: log10 units below the window's loudest point that stay visible: 6 = 60 dB.
VISIBLE_RANGE = 6.0
#: Where a window's loudest point lies on Whisper's own scale, seen on levelled speech.
WHISPER_PEAK = 1.5


class LogMelExtractor(nn.Module):
    """waveform [b, s] -> features [b, channels, t], 50 frames a second.

    Has the call signature of Wav2Vec2FeatureEncoder, whose place it takes.
    """

    mel_filters: Tensor
    window: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(MEL_BANDS + LINEAR_BINS, channels, 3, padding=1)
        self.conv2 = nn.Conv1d(channels, channels, 3, stride=2, padding=1)
        mel = librosa.filters.mel(sr=SAMPLE_RATE, n_fft=N_FFT, n_mels=MEL_BANDS)
        self.register_buffer("mel_filters", torch.from_numpy(mel), persistent=False)
        self.register_buffer("window", torch.hann_window(N_FFT), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        x = self.log_spectra(waveform)
        x = nn.functional.gelu(self.conv1(x))
        x = nn.functional.gelu(self.conv2(x))
        return x + sinusoids(x.shape[2], x.shape[1], x.device).T

    def log_spectra(self, waveform: Tensor) -> Tensor:
        """waveform [b, s] -> [b, 80 mel + 201 linear, s // 160], on Whisper's scale."""
        # bf16 has too few bits for a power spectrum; autocast would use it.
        with torch.autocast(waveform.device.type, enabled=False):
            spectrum = torch.stft(waveform.float(), N_FFT, HOP, window=self.window, return_complex=True)
            power = spectrum[..., :-1].abs().square()
            mel = _relative_log(self.mel_filters @ power)
            return torch.cat([mel, _relative_log(power)], dim=1)


def _relative_log(power: Tensor) -> Tensor:
    """log10 of power [b, bands, t] relative to each window's maximum, floored and scaled."""
    log = power.clamp_min(1e-10).log10()
    log = (log - log.amax(dim=(1, 2), keepdim=True)).clamp_min(-VISIBLE_RANGE)
    return (log + WHISPER_PEAK + 4) / 4


def sinusoids(length: int, channels: int, device: torch.device) -> Tensor:
    """Whisper's fixed position codes, [length, channels]."""
    half = channels // 2
    steps = torch.arange(half, device=device) * -(torch.log(torch.tensor(10_000.0)) / (half - 1))
    angles = torch.arange(length, device=device)[:, None] * steps.exp()[None]
    return torch.cat([angles.sin(), angles.cos()], dim=1)
