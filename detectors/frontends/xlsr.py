"""XLS-R: wav2vec 2.0 with pre-norm ("stable layer norm") transformer layers, at any size."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import Wav2Vec2Config, Wav2Vec2Model

from detectors.config import CONV_KERNELS, CONV_STRIDES, FrontEndConfig
from detectors.frontends.heard_once import Remembering
from detectors.frontends.log_mel import LogMelExtractor
from detectors.frontends.signal_features import SignalFeatures
from detectors.frontends.speaker import SpeakerJudge
from detectors.frontends.texture import Texture, fine_spectra


class Features(NamedTuple):
    """final: [b, t, d], after the encoder's final layer norm. layers: per layer [b, t, d], before it.

    d: FrontEndConfig.width. Where the signal's features are heard, they stand last, the same in all.
    texture: [b], what the networks over fine spectra say, the mean of their log-odds; None without any.
    speaker: [b], what is made of a speaker network's ear, log-odds; None without one.
    speaker_moments: [b, moments], how much of that each moment makes; None unless asked for.
    """

    final: Tensor
    layers: list[Tensor]
    texture: Tensor | None = None
    speaker: Tensor | None = None
    speaker_moments: Tensor | None = None


class XlsrFrontEnd(Remembering):
    """waveform [b, s] (16 kHz, in [-1, 1], not normalised) -> Features.

    The parts are those of transformers' Wav2Vec2Model. SLS sums the residual stream after each
    layer. With stable layer norm, `hidden_states[-1]` of transformers has already passed the final
    norm, so the layers are run here, one by one. Requests may share one loaded model at the same time.
    """

    def __init__(self, config: FrontEndConfig) -> None:
        super().__init__()
        self.config, self.in_bf16 = config, False
        self.model = Wav2Vec2Model(_wav2vec2_config(config))
        if config.extractor == "log_mel":
            extractor = LogMelExtractor(config.extractor_channels)
            self.model.add_module("feature_extractor", extractor)
        self.signal = SignalFeatures() if config.signal else None
        with torch.random.fork_rng(devices=[]):  # with or without them, what is made next begins the same
            kinds = [False] * config.textures + [True] * config.phase_textures
            self.textures = nn.ModuleList(Texture(phases) for phases in kinds)
            heard = (config.speaker_blocks, config.speaker_hearings, config.speaker_views)
            self.speaker = SpeakerJudge(*heard) if config.speaker_blocks else None

    def use_bf16(self) -> None:
        """Round the weights of linear layers and convolutions to bf16, in place, and compute with them so
        from now on; for inference only. What goes from layer to layer, and the output, stay fp32."""
        for module in self.model.modules():
            # The positional convolution makes its weight from two others at every call; rounding both
            # would round twice.
            if isinstance(module, nn.Linear | nn.Conv1d) and not hasattr(module, "parametrizations"):
                module.to(torch.bfloat16)
        self.in_bf16, self.memory = True, None  # what others heard in fp32 is not what this one hears

    def forward(self, waveform: Tensor, own: Tensor | None = None) -> Features:
        """own: to be told what each moment makes of what the speaker network's judge says; [b], samples of
        each waveform, after which it repeats itself: s of one that does not."""
        if not self.in_bf16:
            return self._features(waveform, own)
        with torch.autocast(waveform.device.type, torch.bfloat16):
            return self._features(waveform, own)

    def _features(self, waveform: Tensor, own: Tensor | None) -> Features:
        streams = self.streams(waveform)
        said = None
        if self.textures:
            seen = fine_spectra(waveform, phases=bool(self.config.phase_textures))
            said = torch.stack([texture(seen) for texture in self.textures]).mean(dim=0)
        speaker, by_moment = None, None
        if self.speaker is not None and own is not None:
            speaker, by_moment = self.speaker.over_time(waveform, own)
        elif self.speaker is not None:
            speaker = self.speaker(waveform)
        return Features(self.finish(streams[-1]), streams, said, speaker, by_moment)

    @property
    def hearing(self) -> nn.Module:
        """What Features.layers come from, but for the signal's."""
        return self.model

    def streams(self, waveform: Tensor) -> list[Tensor]:
        """Features.layers alone."""
        if self.memory is None:
            streams = self._layers(waveform)
        else:
            streams = list(self.recalled(waveform, lambda wave: torch.stack(self._layers(wave))))
        if self.signal is not None:
            beside = self.signal(waveform)
            streams = [torch.cat([x, beside], dim=-1) for x in streams]
        return streams

    def _layers(self, waveform: Tensor) -> list[Tensor]:
        model: Any = self.model  # transformers' submodules are typed loosely
        x, _ = model.feature_projection(model.feature_extractor(waveform).transpose(1, 2))
        if self.in_bf16:
            x = x.float()  # the residual stream: autocast gives sums the type of their parts
        x = x + model.encoder.pos_conv_embed(x)
        streams = []
        for layer in model.encoder.layers:
            x = layer(x)
            streams.append(x)
        return streams

    def finish(self, last: Tensor) -> Tensor:
        """Features.final of the last of Features.layers, [b, t, d] -> [b, t, d]: the encoder's final norm."""
        norm: Any = self.model.encoder.layer_norm
        if self.signal is None:
            return norm(last)
        hidden = self.config.hidden
        return torch.cat([norm(last[..., :hidden]), last[..., hidden:]], dim=-1)


def _wav2vec2_config(config: FrontEndConfig) -> Wav2Vec2Config:
    # Dropout, layer drop and masking are off: the detectors' recipes augment the waveform instead.
    return Wav2Vec2Config(
        hidden_size=config.hidden,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        intermediate_size=config.ffn,
        conv_dim=(config.extractor_channels,) * len(CONV_KERNELS),
        conv_kernel=CONV_KERNELS,
        conv_stride=CONV_STRIDES,
        conv_bias=True,
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
        num_conv_pos_embeddings=config.position_kernel,
        num_conv_pos_embedding_groups=config.position_groups,
        hidden_dropout=0.0,
        attention_dropout=0.0,
        activation_dropout=0.0,
        feat_proj_dropout=0.0,
        layerdrop=0.0,
        apply_spec_augment=False,
    )


def load_pretrained_xlsr(front_end: XlsrFrontEnd, name_or_folder: str) -> None:
    """Start from published wav2vec 2.0 weights, such as facebook/wav2vec2-xls-r-300m, in place.

    Raises OSError when neither the hub nor the folder has them.
    """
    pretrained = Wav2Vec2Model.from_pretrained(name_or_folder)
    front_end.model.load_state_dict(pretrained.state_dict())
