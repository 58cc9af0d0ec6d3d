"""Lossy round trips through real codecs, for augmentation and robustness checks.

A countermeasure that has only seen one codec learns the codec. Every round trip here
goes through FFmpeg's own encoder and decoder (by PyAV), at the sample rate the codec is used at.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import av
import numpy as np
import soundfile
import soxr
from av.audio.stream import AudioStream

from detectors.audio import SAMPLE_RATE


@dataclass(frozen=True)
class Codec:
    """An encoder, the container it is usually met in, its sample rate and bit rates (bit/s)."""

    encoder: str
    container: str
    rate: int
    bit_rates: tuple[int, ...] = ()
    sample_format: str = "s16"


CODECS: dict[str, Codec] = {
    "mp3": Codec("libmp3lame", "mp3", 16_000, (16_000, 24_000, 32_000, 48_000, 64_000), "s16p"),
    "mp3_44k": Codec("libmp3lame", "mp3", 44_100, (48_000, 64_000, 96_000, 128_000), "s16p"),
    "aac": Codec("aac", "adts", 16_000, (16_000, 24_000, 32_000, 48_000), "fltp"),
    "aac_44k": Codec("aac", "adts", 44_100, (32_000, 64_000, 96_000, 128_000), "fltp"),
    "opus": Codec("libopus", "ogg", 48_000, (8_000, 12_000, 16_000, 24_000, 48_000)),
    "opus_narrow": Codec("libopus", "ogg", 8_000, (6_000, 8_000, 12_000)),
    "amr": Codec("libopencore_amrnb", "amr", 8_000, (4_750, 7_400, 12_200)),
    "mulaw": Codec("pcm_mulaw", "wav", 8_000),
    "alaw": Codec("pcm_alaw", "wav", 8_000),
    "g722": Codec("g722", "wav", 16_000),
    "adpcm": Codec("adpcm_ms", "wav", 16_000),
    "mp2": Codec("mp2", "mp2", 16_000, (32_000, 64_000)),
}


def round_trip(wave: np.ndarray, name: str, bit_rate: int = 0) -> np.ndarray:
    """Encode and decode one clip.

    wave: float32 [s], 16 kHz mono in [-1, 1]. bit_rate: bit/s, 0 for the codec's own default.
    Returns float32 [s] of the same length. Codec delay is kept: detectors must not care about it.
    """
    codec = CODECS[name]
    pcm = soxr.resample(wave, SAMPLE_RATE, codec.rate) if codec.rate != SAMPLE_RATE else wave
    decoded = _decode(_encode(pcm, codec, bit_rate), codec.container)
    return np.pad(decoded, (0, max(0, len(wave) - len(decoded))))[: len(wave)].astype(np.float32)


def can_encode(name: str) -> bool:
    """Whether the FFmpeg that PyAV brings here has this codec's encoder (AMR's is left out of some)."""
    try:
        av.Codec(CODECS[name].encoder, "w")
    except ValueError:
        return False
    return True


def gsm_round_trip(wave: np.ndarray) -> np.ndarray:
    """GSM 06.10, full rate (13 kbit/s), there and back: float32 [s] in, float32 [s] out.

    FFmpeg can only decode it, so libsndfile does both. It is no entry of CODECS: the corpora that models
    were trained on drew from those. A recipe may name it, see TRAINING_CODECS.
    """
    pcm = soxr.resample(wave, SAMPLE_RATE, 8_000)
    buffer = io.BytesIO()
    soundfile.write(buffer, np.clip(pcm, -1, 1), 8_000, format="WAV", subtype="GSM610")
    buffer.seek(0)
    decoded, _ = soundfile.read(buffer, dtype="float32")
    full = soxr.resample(decoded, 8_000, SAMPLE_RATE)
    return np.pad(full, (0, max(0, len(wave) - len(full))))[: len(wave)].astype(np.float32)


#: The names that a recipe may give as its codecs.
TRAINING_CODECS = (*CODECS, "gsm")


def random_round_trip(wave: np.ndarray, names: Sequence[str], rng: np.random.Generator) -> np.ndarray:
    """One of the named TRAINING_CODECS at one of its bit rates: float32 [s] in, float32 [s] out."""
    name = str(rng.choice(list(names)))
    if name == "gsm":
        return gsm_round_trip(wave)
    bit_rates = CODECS[name].bit_rates
    return round_trip(wave, name, int(rng.choice(bit_rates)) if bit_rates else 0)


def _encode(pcm: np.ndarray, codec: Codec, bit_rate: int) -> bytes:
    buffer = io.BytesIO()
    samples = (np.clip(pcm, -1, 1) * 32767).astype(np.int16)[None]
    with av.open(buffer, "w", format=codec.container) as container:
        stream = cast(AudioStream, container.add_stream(codec.encoder, rate=codec.rate, layout="mono"))
        if bit_rate:
            stream.bit_rate = bit_rate
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate = codec.rate
        resampler = av.AudioResampler(
            codec.sample_format, "mono", codec.rate, frame_size=stream.codec_context.frame_size or None
        )
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def _decode(data: bytes, container: str) -> np.ndarray:
    """All samples at 16 kHz, whatever rate the decoder gives (Opus always gives 48 kHz)."""
    demuxer = "aac" if container == "adts" else container
    resampler = av.AudioResampler("flt", "mono", SAMPLE_RATE)
    with av.open(io.BytesIO(data), "r", format=demuxer) as source:
        frames = [piece for frame in source.decode(audio=0) for piece in resampler.resample(frame)]
    frames += resampler.resample(None)
    return np.concatenate([frame.to_ndarray()[0] for frame in frames])
