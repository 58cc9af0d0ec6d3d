"""A corpus of broken and hostile sound files, the same for the same seed: `damaged(seed, index)`."""

import io
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import av
import numpy as np
import soundfile

RATE = 16_000

#: Container ending -> (encoder, sample rate that the encoder takes).
LOSSY = {
    "mp3": ("libmp3lame", 44_100),
    "m4a": ("aac", 48_000),
    "aac": ("aac", 48_000),
    "opus": ("libopus", 48_000),
    "webm": ("libopus", 48_000),
    "mka": ("libopus", 48_000),
    "amr": ("libopencore_amrnb", 8_000),
    "wma": ("wmav2", 44_100),
}
#: Container ending -> soundfile's (format, subtype).
LOSSLESS = {
    "wav": ("WAV", "PCM_16"),
    "float.wav": ("WAV", "FLOAT"),
    "24.wav": ("WAV", "PCM_24"),
    "adpcm.wav": ("WAV", "IMA_ADPCM"),
    "gsm.wav": ("WAV", "GSM610"),
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "aiff": ("AIFF", "PCM_16"),
    "au": ("AU", "ULAW"),
    "caf": ("CAF", "PCM_16"),
    "w64": ("W64", "PCM_16"),
}
VIDEO = ("mp4", "mkv", "avi", "mov")
#: Muxers whose names differ from the ending.
MUXERS = {"mkv": "matroska", "mka": "matroska", "m4a": "ipod", "aac": "adts", "wma": "asf"}


class Damaged(NamedTuple):
    """One file of the corpus. kind: what was done to it."""

    kind: str
    name: str
    data: bytes


def damaged(seed: int, index: int) -> Damaged:
    """File number `index` of the corpus with this seed; the kinds take turns."""
    kind, make = list(KINDS.items())[index % len(KINDS)]
    name, data = make(random.Random(f"{seed} {index}"))
    return Damaged(kind, f"{index:05d}-{name}", data)


# ---- sound files without a fault, which are then damaged


@cache
def sound(ending: str) -> bytes:
    """Half a second of a gliding tone, as a file of this kind."""
    time = np.arange(RATE // 2) / RATE
    samples = (0.3 * np.sin(2 * np.pi * (200 + 300 * time) * time)).astype(np.float32)
    if ending in LOSSLESS:
        form, subtype = LOSSLESS[ending]
        file = io.BytesIO()
        soundfile.write(file, samples, RATE if subtype != "GSM610" else 8_000, subtype, format=form)
        return _one_serial(file.getvalue()) if form == "OGG" else file.getvalue()
    return _encoded(samples, ending, *LOSSY[ending])


def _one_serial(ogg: bytes) -> bytes:
    """libsndfile numbers each Ogg stream at random; here all get the same number, and fitting checksums."""
    pages = []
    for page in ogg.split(b"OggS")[1:]:  # the pattern does not occur within these few pages
        blank = b"OggS" + page[:10] + b"same" + page[14:18] + bytes(4) + page[22:]
        pages.append(blank[:22] + struct.pack("<I", _ogg_checksum(blank)) + blank[26:])
    return b"".join(pages)


def _ogg_checksum(page: bytes) -> int:
    checksum = 0
    for byte in page:
        checksum ^= byte << 24
        for _ in range(8):
            checksum = (checksum << 1) ^ (0x104C11DB7 if checksum & 0x80000000 else 0)
    return checksum


def _encoded(samples: np.ndarray, ending: str, codec: str, rate: int) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format=MUXERS.get(ending, ending), options={"fflags": "+bitexact"}) as container:
        track = container.add_stream(codec, rate=rate, layout="mono")
        track.bit_rate = 12_200 if ending == "amr" else 64_000
        frame = av.AudioFrame.from_ndarray(samples[None], format="flt", layout="mono")
        frame.sample_rate = RATE
        context = track.codec_context
        fit = av.AudioResampler(context.format, "mono", rate, frame_size=context.frame_size or None)
        for piece in [*fit.resample(frame), *fit.resample(None)]:
            container.mux(track.encode(piece))
        container.mux(track.encode(None))
    return file.getvalue()


@cache
def video(ending: str) -> bytes:
    """Grey pictures without a sound track."""
    file = io.BytesIO()
    form = MUXERS.get(ending, ending)
    with av.open(file, "w", format=form, options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for _ in range(4):
            picture = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 99, np.uint8), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return file.getvalue()


def pcm(data: bytes, rate: int = RATE, channels: int = 1, bits: int = 16, tag: int = 1, **lies: int) -> bytes:
    """A WAV file by hand. lies: `size` of the data, `align` and `speed` as the header is to state them."""
    align = lies.get("align", channels * bits // 8) & 0xFFFF
    speed = lies.get("speed", rate * align) & 0xFFFFFFFF
    fmt = struct.pack("<HHIIHH", tag, channels & 0xFFFF, rate & 0xFFFFFFFF, speed, align, bits)
    size = lies.get("size", len(data)) & 0xFFFFFFFF
    riff = struct.pack("<4sI4s", b"RIFF", min(36 + size, 0xFFFFFFFF), b"WAVE")
    return riff + struct.pack("<4sI", b"fmt ", 16) + fmt + struct.pack("<4sI", b"data", size) + data


def floats(values: np.ndarray) -> bytes:
    """A WAV file of 32-bit floats."""
    return pcm(values.astype("<f4").tobytes(), bits=32, tag=3)


# ---- what is done to them


def _any(rng: random.Random) -> tuple[str, bytes]:
    ending = rng.choice([*LOSSLESS, *LOSSY])
    return ending, sound(ending)


def _changed(data: bytes, rng: random.Random, count: int, first: int, last: int) -> bytes:
    changed = bytearray(data)
    for _ in range(count):
        changed[rng.randrange(first, min(last, len(changed)))] = rng.choice(
            (0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256))
        )
    return bytes(changed)


def _header(rng: random.Random) -> tuple[str, bytes]:
    ending, data = _any(rng)
    return f"header.{ending}", _changed(data, rng, rng.randint(1, 12), 0, 96)


def _bytes(rng: random.Random) -> tuple[str, bytes]:
    ending, data = _any(rng)
    return f"bytes.{ending}", _changed(data, rng, rng.randint(1, 200), 0, len(data))


def _number(rng: random.Random) -> tuple[str, bytes]:
    """One number of four bytes in the header becomes an extreme one."""
    ending, data = _any(rng)
    at = rng.randrange(0, min(200, len(data) - 4))
    number = rng.choice((0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFE))
    packed = struct.pack(rng.choice("<>") + "I", number)
    return f"number.{ending}", data[:at] + packed + data[at + 4 :]


def _cut(rng: random.Random) -> tuple[str, bytes]:
    ending, data = _any(rng)
    return f"cut.{ending}", data[: rng.choice((rng.randrange(1, 64), rng.randrange(len(data))))]


def _hole(rng: random.Random) -> tuple[str, bytes]:
    """Something is missing, doubled, or filled with noise in the middle."""
    ending, data = _any(rng)
    at, end = sorted(rng.sample(range(len(data)), 2))
    middle = rng.choice((b"", data[at:end] * 2, rng.randbytes(rng.randrange(5000)), bytes(end - at)))
    return f"hole.{ending}", data[:at] + middle + data[end:]


def _spliced(rng: random.Random) -> tuple[str, bytes]:
    (ending, first), (_, second) = _any(rng), _any(rng)
    return f"spliced.{ending}", first[: rng.randrange(len(first))] + second[rng.randrange(len(second)) :]


def _not_numbers(rng: random.Random) -> tuple[str, bytes]:
    values = np.zeros(rng.choice((1, 100, 8000)), np.float32)
    bad = rng.choice((np.nan, np.inf, -np.inf, 3.4e38, 1e-45, 30_000.0))
    values[rng.randrange(len(values)) :: rng.randint(1, 50)] = bad
    return "numbers.wav", floats(values)


def _no_samples(rng: random.Random) -> tuple[str, bytes]:
    ending = rng.choice(list(LOSSLESS))
    form, subtype = LOSSLESS[ending]
    file = io.BytesIO()
    rate = 8_000 if subtype == "GSM610" else RATE
    soundfile.write(file, np.zeros(rng.choice((0, 0, 1, 2)), np.float32), rate, subtype, format=form)
    return f"none.{ending}", file.getvalue()


def _rate(rng: random.Random) -> tuple[str, bytes]:
    rate = rng.choice((0, 1, 2, 999, 1_000, 3_999, 192_001, 768_000, 768_001, 2**31 - 1, 2**32 - 1))
    return f"rate-{rate}.wav", pcm(bytes(rng.choice((2, 4_000, 40_000))), rate)


def _channels(rng: random.Random) -> tuple[str, bytes]:
    channels, bits = rng.choice((0, 3, 8, 9, 32, 64, 255, 4_096, 65_535)), rng.choice((8, 16, 24, 32))
    return f"channels-{channels}.wav", pcm(bytes(200_000), channels=channels, bits=bits)


def _format(rng: random.Random) -> tuple[str, bytes]:
    """A WAV header with fields that do not go together; many codecs hide behind its tag."""
    tag = rng.choice(
        (0, 1, 2, 3, 6, 7, 0x11, 0x31, 0x45, 0x50, 0x55, 0xFF, 0x161, 0x163, 0xFFFE, rng.randrange(65_536))
    )
    fields = {"align": rng.choice((0, 1, 7, 65_535)), "speed": rng.choice((0, 1, 2**32 - 1))}
    data = rng.randbytes(rng.randrange(10_000))
    rate = rng.choice((8_000, 16_000, 44_100))
    return f"format-{tag:x}.wav", pcm(
        data, rate, rng.choice((1, 2)), rng.choice((0, 1, 4, 8, 12, 16, 64)), tag, **fields
    )


def _ten_hours(rng: random.Random) -> tuple[str, bytes]:
    """A header that claims ten hours or more, above a moment of sound."""
    noise = rng.randbytes(8_000)
    flac = bytearray(sound("flac"))
    flac[21] = (flac[21] & 0xF0) | 0x0F  # the upper bits of the number of samples
    flac[22:26] = b"\xff\xff\xff\xff"
    choices = {
        "wav": pcm(noise, size=10 * 3600 * RATE * 2),
        "slow.wav": pcm(noise, rate=1_000, size=0xFFFFFFFF),
        "flac": bytes(flac),
        "au": sound("au")[:8] + struct.pack(">I", 0xFFFFFFF0) + sound("au")[12:],
    }
    ending = rng.choice(list(choices))
    return f"hours.{ending}", choices[ending]


@cache
def _silence(ending: str) -> bytes:
    """Hours of silence in a small file."""
    if ending == "flac":
        file = io.BytesIO()
        with soundfile.SoundFile(file, "w", 8_000, 1, "PCM_16", format="FLAC") as writer:
            for _ in range(180):
                writer.write(np.zeros(60 * 8_000, np.int16))
        return file.getvalue()
    once = _encoded(np.zeros(20 * RATE, np.float32), ending, *LOSSY[ending])
    return once * (90 if ending == "mp3" else 540)  # FFmpeg goes on with the next stream


def _bomb(rng: random.Random) -> tuple[str, bytes]:
    ending = rng.choice(("flac", "opus", "mp3", "wav", "zip"))
    if ending == "wav":  # the worst growth there is: each sample of 1 kHz becomes 16
        return "bomb.wav", pcm(bytes(2_000_000), rate=1_000, bits=8)
    if ending == "zip":
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("silence.wav", pcm(bytes(20_000_000)))
        return rng.choice(("bomb.wav", "bomb.mp3")), file.getvalue()
    return f"bomb.{ending}", _silence(ending)


def _wrong_ending(rng: random.Random) -> tuple[str, bytes]:
    _, data = _any(rng)
    ending = rng.choice(("wav", "mp3", "flac", "txt", "exe", "jpg", "m4a", "ogg", "amr", "html", "wav.exe"))
    return f"wrong.{ending}", data


def _noise(rng: random.Random) -> tuple[str, bytes]:
    start = rng.choice(
        (b"", b"RIFF", b"fLaC", b"OggS", b"ID3\x04", b"\xff\xfb", b"\x1aE\xdf\xa3", b"FORM", b"#!AMR\n")
    )
    return f"noise.{rng.choice(list(LOSSLESS))}", start + rng.randbytes(rng.choice((0, 1, 10, 1_000, 50_000)))


def _other(rng: random.Random) -> tuple[str, bytes]:
    """Files of other kinds, and such as make programs open something else."""
    texts = (
        b"", b"\n", b"hello", b"<html><script>alert(1)</script></html>", b"\x7fELF" + bytes(500),
        b"%PDF-1.7\n" + bytes(100), b"\x89PNG\r\n\x1a\n" + bytes(50), zlib.compress(bytes(1_000_000)),
        b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n", b"#EXTM3U\nhttp://127.0.0.1:1/x.wav\n",
        b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=audio 5004 RTP/AVP 0\n", b"concat:/etc/passwd|/etc/hosts",
        b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><MPD>&x;</MPD>',
    )  # fmt: skip
    return rng.choice(("other.wav", "other.m3u8", "other.mp3", "other")), rng.choice(texts)


def _no_sound_track(rng: random.Random) -> tuple[str, bytes]:
    ending = rng.choice(VIDEO)
    data = video(ending)
    return f"video.{ending}", rng.choice(
        (data, data, data[: len(data) // 2], _changed(data, rng, 5, 0, len(data)))
    )


def _empty_container(rng: random.Random) -> tuple[str, bytes]:
    boxes = {
        "mp4": struct.pack(">I4s4sI", 16, b"ftyp", b"isom", 0) + struct.pack(">I4s", 8, b"moov"),
        "m4a": struct.pack(">I4s4sI", 16, b"ftyp", b"M4A ", 0) + struct.pack(">I4sQ", 1, b"mdat", 2**63),
        "mkv": sound("mka")[:40],
        "ogg": sound("ogg")[:58],
        "mp3": b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f" + bytes(100),
        "wav": b"RIFF\x04\x00\x00\x00WAVE",
    }
    ending = rng.choice(list(boxes))
    return f"empty.{ending}", boxes[ending]


def _tagged() -> bytes:
    """A WAV file with a title in Latin-1, as many old programs write it."""
    info = b"INFOINAM" + struct.pack("<I", 6) + b"caf\xe9\xff\x00"
    data = sound("wav") + struct.pack("<4sI", b"LIST", len(info)) + info
    return data[:4] + struct.pack("<I", len(data) - 8) + data[8:]


def _whole(rng: random.Random) -> tuple[str, bytes]:
    """Nothing is wrong with it: such a file must still be read."""
    if rng.random() < 0.1:
        return "tagged.wav", _tagged()
    ending, data = _any(rng)
    return f"whole.{ending}", data


KINDS: dict[str, Callable[[random.Random], tuple[str, bytes]]] = {
    "changed header": _header,
    "changed bytes": _bytes,
    "extreme number in the header": _number,
    "cut off": _cut,
    "hole, double or noise within": _hole,
    "two files spliced": _spliced,
    "NaN, infinite, huge samples": _not_numbers,
    "no samples": _no_samples,
    "odd sample rate": _rate,
    "odd channels": _channels,
    "contradicting format": _format,
    "ten hours in the header": _ten_hours,
    "silence bomb": _bomb,
    "wrong ending": _wrong_ending,
    "noise": _noise,
    "no sound file": _other,
    "no sound track": _no_sound_track,
    "empty container": _empty_container,
    "without a fault": _whole,
}
