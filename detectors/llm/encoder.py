"""Whisper's encoder (Radford et al., 2022) for clips shorter than 30 s, without padding them."""

from typing import Any, Self

import librosa
import torch
from torch import Tensor, nn
from transformers import WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from detectors.audio import SAMPLE_RATE
from detectors.frontends.log_mel import HOP, N_FFT, WHISPER_PEAK, sinusoids
from detectors.frontends.signal_features import SignalFeatures
from detectors.frontends.texture import Texture, fine_spectra
from detectors.llm.config import AudioLlmConfig

#: Encoder frames in a second: two mel frames of 10 ms become one.
FRAMES_PER_SECOND = 50
#: Whisper has position codes for 30 s.
MAX_FRAMES = 1500
#: Log-odds of a texture at which it counts as three quarters as sure as it can be: of the clips that it
#: learnt on, which the projector learns on too, it is surer than of others.
SURE = 4.0


class ShortWhisper(nn.Module):
    """waveform [b, s] (16 kHz, in [-1, 1]) -> features [b, t, d], 50 frames a second, of 30 s at most.

    transformers' encoder insists on 30 s of input, which would make a 3 s clip ten times as dear. Its
    own layers are run here on the frames that there are. With fewer layers than the encoder was trained
    with, the final norm, which was fitted to its last layer, is left out. d: config.feature_size.
    """

    mel_filters: Tensor
    window: Tensor
    normed: Tensor

    def __init__(self, config: AudioLlmConfig) -> None:
        super().__init__()
        self.visible_range, self.relative_level = config.visible_range, config.relative_level
        self.heard_layers = config.heard_layers or (config.encoder_layers,)
        self.signal = SignalFeatures() if config.heard_signal else None
        with torch.random.fork_rng(devices=[]):  # with or without them, what is made next begins the same
            self.textures = nn.ModuleList(Texture(phases=True) for _ in range(config.heard_textures))
        self.encoder: Any = WhisperEncoder(_whisper_config(config))
        # Whether the final norm is applied: a buffer, so that a checkpoint keeps it.
        self.register_buffer("normed", torch.zeros(()))
        mel = librosa.filters.mel(sr=SAMPLE_RATE, n_fft=N_FFT, n_mels=config.mel_bands)
        self.register_buffer("mel_filters", torch.from_numpy(mel), persistent=False)
        self.register_buffer("window", torch.hann_window(N_FFT), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        x = self.log_mel(waveform).to(self.encoder.conv1.weight.dtype)
        x = nn.functional.gelu(self.encoder.conv1(x))
        x = nn.functional.gelu(self.encoder.conv2(x)).transpose(1, 2)[:, :MAX_FRAMES]
        x = x + self.encoder.embed_positions.weight[: x.shape[1]]
        outputs = []
        for layer in self.encoder.layers:
            x = layer(x, None)
            outputs.append(x)
        if self.normed:
            outputs[-1] = self.encoder.layer_norm(x)
        heard = [outputs[layer - 1] for layer in self.heard_layers]
        if self.signal is not None:
            heard.append(self.signal(waveform)[:, : x.shape[1]].to(x.dtype))
        if self.textures:
            heard.append(self._said(waveform)[:, None].expand(-1, x.shape[1], -1).to(x.dtype))
        return torch.cat(heard, dim=-1)

    def train(self, mode: bool = True) -> Self:
        """As any module's, but textures are always heard as they were learnt: their norms would drift."""
        super().train(mode)
        self.textures.eval()
        return self

    def _said(self, waveform: Tensor) -> Tensor:
        """waveform [b, s] -> what each texture thinks of it, [b, textures]: from -1, surely spoof, to 1."""
        seen = fine_spectra(waveform)
        return torch.stack([texture(seen) / SURE for texture in self.textures], dim=-1).tanh()

    def log_mel(self, waveform: Tensor) -> Tensor:
        """waveform [b, s] -> [b, bands, s // 160], on Whisper's scale."""
        spectrum = torch.stft(waveform.float(), N_FFT, HOP, window=self.window, return_complex=True)
        log = (self.mel_filters @ spectrum[..., :-1].abs().square()).clamp_min(1e-10).log10()
        loudest = log.amax(dim=(1, 2), keepdim=True)
        log = log.maximum(loudest - self.visible_range)
        if self.relative_level:
            log = log - loudest + WHISPER_PEAK
        return (log + 4) / 4

    def load_whisper(self, tensors: dict[str, Tensor], layers: int) -> None:
        """Copy weights that stand under transformers' names; `layers`: how many they were trained with."""
        own = self.encoder.state_dict()
        self.encoder.load_state_dict({name: tensors[name] for name in own})
        self.normed.fill_(float(len(self.encoder.layers) == layers))


def _whisper_config(config: AudioLlmConfig) -> WhisperConfig:
    return WhisperConfig(
        num_mel_bins=config.mel_bands,
        d_model=config.encoder_hidden,
        encoder_layers=config.encoder_layers,
        encoder_attention_heads=config.encoder_heads,
        encoder_ffn_dim=config.encoder_ffn,
        max_source_positions=MAX_FRAMES,
        dropout=0.0,
        attention_dropout=0.0,
        activation_dropout=0.0,
        encoder_layerdrop=0.0,
    )


def from_ctranslate2(weights: dict[str, Tensor]) -> tuple[dict[str, Tensor], int]:
    """transformers' names for the encoder of a CTranslate2 Whisper file, and its number of layers.

    The file holds query, key and value as one matrix. Whisper's keys have no bias.
    """
    found = {
        f"conv{i}.{kind}": weights[f"encoder/conv{i}/{kind}"].float()
        for i in (1, 2)
        for kind in ("weight", "bias")
    }
    found["embed_positions.weight"] = sinusoids(MAX_FRAMES, len(found["conv1.bias"]), torch.device("cpu"))
    layers = 0
    while (prefix := f"encoder/layer_{layers}") + "/ffn/linear_0/weight" in weights:
        found |= _layer(weights, prefix, f"layers.{layers}")
        layers += 1
    found |= _norm(weights, "encoder/layer_norm", "layer_norm")
    return found, layers


def _layer(weights: dict[str, Tensor], source: str, name: str) -> dict[str, Tensor]:
    attention, ffn = f"{source}/self_attention", f"{source}/ffn"
    found = _norm(weights, f"{attention}/layer_norm", f"{name}.self_attn_layer_norm")
    found |= _norm(weights, f"{ffn}/layer_norm", f"{name}.final_layer_norm")
    for kind in ("weight", "bias"):
        query, key, value = weights[f"{attention}/linear_0/{kind}"].float().chunk(3)
        found |= {f"{name}.self_attn.q_proj.{kind}": query, f"{name}.self_attn.v_proj.{kind}": value}
        if kind == "weight":
            found[f"{name}.self_attn.k_proj.weight"] = key
        for target, origin in (
            ("self_attn.out_proj", f"{attention}/linear_1"),
            ("fc1", f"{ffn}/linear_0"),
            ("fc2", f"{ffn}/linear_1"),
        ):
            found[f"{name}.{target}.{kind}"] = weights[f"{origin}/{kind}"].float()
    return found


def _norm(weights: dict[str, Tensor], source: str, name: str) -> dict[str, Tensor]:
    return {
        f"{name}.weight": weights[f"{source}/gamma"].float(),
        f"{name}.bias": weights[f"{source}/beta"].float(),
    }
