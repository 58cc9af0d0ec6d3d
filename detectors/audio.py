"""Reading any common audio file as the waveform that every detector takes.

FFmpeg (through PyAV, which ships it) opens containers and codecs; numpy mixes the
channels; soxr changes the sample rate. The level is never touched: the detectors are
trained on waveforms that are not normalised.
"""

import hashlib
import io
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np
import soxr
from av.container import InputContainer

from detectors.errors import DetectorError

SAMPLE_RATE = 16_000

#: Longest recording that is read: 4 hours are 0.9 GB of samples.
MAX_SECONDS = 4 * 60 * 60

#: Sample rates that are read, in Hz. A header that claims less than 1 kHz is damaged, and a
#: few of its bytes would grow into gigabytes at 16 kHz.
MIN_RATE, MAX_RATE = 1_000, 768_000

#: Float files may pass full scale (1.0) a little and are clipped; beyond this they hold
#: something else, such as 16-bit integers stored as floats.
MAX_PEAK = 8.0

#: Most channels that are read. Whole studio sessions have fewer; a damaged header claims thousands.
MAX_CHANNELS = 64

#: File name endings that a folder scan takes for audio.
AUDIO_SUFFIXES = frozenset(
    ".wav .flac .mp3 .m4a .aac .ogg .oga .opus .webm .weba .mka .amr .3gp "
    ".3gpp .mp4 .m4v .mov .mkv .wma .aif .aiff .aifc .au .caf .w64 .mp2".split()
)

# Only demuxers of real recordings. FFmpeg also knows playlists, scripts and text formats
# (hls, concat, tty, ...): they could make an uploaded file open other files or play letters.
_DEMUXERS = (
    "wav,w64,flac,mp3,mov,aac,ogg,matroska,webm,amr,amrnb,amrwb,asf,aiff,au,caf,avi,mpeg,mpegts,flv,ac3,eac3"
)

# Frames hold some 20 ms; soxr and the copy below are called on about a second at a time.
_BLOCK_SAMPLES = 65_536

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class AudioLimits:
    """What is read of one recording: seconds of sound that come out, sample rate in Hz, channels.

    They hold for what really comes out of the decoder; what a header claims may be wrong on purpose.
    """

    seconds: float = field(default_factory=lambda: MAX_SECONDS)
    min_rate: int = MIN_RATE
    max_rate: int = MAX_RATE
    channels: int = MAX_CHANNELS


def sha256_of(path: str | Path) -> str:
    """Hex SHA-256 of a file's original bytes. DetectorError when it cannot be read."""
    path = Path(path)
    with _open_bytes(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_audio(path: str | Path, limits: AudioLimits | None = None) -> np.ndarray:
    """Read a recording as float32 [samples], 16 kHz mono in [-1, 1].

    Takes wav, flac, mp3, m4a/aac, ogg, opus, webm, amr and more, and the sound track of a
    video; any sample rate, sample format and number of channels (their plain mean). The
    level is kept; what passes full scale is clipped.

    The file is streamed, so memory is that of the result. A damaged or cut-off file gives
    the part that decodes; a warning is logged where the decoder tells of the damage.

    Raises DetectorError when the file is missing, empty, not audio, without a sound track,
    not decodable at all, beyond `limits`, or holds NaN, infinite or far too large samples.
    """
    # A bytearray grows in place and numpy can look into it, so the samples are held once.
    joined = bytearray()
    for block in stream_audio(path, limits):
        joined += block.tobytes()
    return np.frombuffer(joined, np.float32)


def stream_audio(path: str | Path, limits: AudioLimits | None = None) -> Iterator[np.ndarray]:
    """What `load_audio` reads, in blocks float32 [samples] of a few seconds, each made when asked for.

    Memory is that of one block, however long the recording. Raises what `load_audio` raises, some
    of it only after the blocks before the fault.
    """
    path, limits = Path(path), limits or AudioLimits()
    heard = 0
    with _open_bytes(path) as file, _opened(file, path.name) as container:
        for chunk in _resample(_blocks(container, path.name, limits)):
            heard += len(chunk)
            if heard > limits.seconds * SAMPLE_RATE:
                raise DetectorError(
                    f"{path.name} is longer than {_duration(limits.seconds)}, the longest that is read. "
                    "Cut it into parts."
                )
            yield _sound(chunk, path.name)
    if not heard:
        raise DetectorError(f"{path.name} holds no sound that can be decoded. Record or export it again.")


def claimed_seconds(path: str | Path) -> float | None:
    """How long a recording says it is, without decoding it: for a progress bar, as it may be wrong.

    None when it does not say. Raises DetectorError when the file cannot be opened as sound.
    """
    path = Path(path)
    with _open_bytes(path) as file, _opened(file, path.name) as container:
        return container.duration / av.time_base if container.duration else None


def _opened(file: io.BufferedReader, name: str) -> InputContainer:
    if not file.read(1):
        raise DetectorError(f"{name} is empty (0 bytes). Record or export it again.")
    file.seek(0)
    # A file object, not a name: FFmpeg would take "concat:..." or "http:..." as a protocol.
    try:
        # Tags of old files are often not UTF-8; they are not looked at, and must not stop the sound.
        return av.open(file, mode="r", options={"format_whitelist": _DEMUXERS}, metadata_errors="replace")
    except (av.FFmpegError, OSError, ValueError) as error:
        raise DetectorError(
            f"{name} is not a sound file that can be read ({_reason(error)}). "
            "Try wav, flac, mp3, m4a, ogg, opus, webm or mp4."
        ) from error


def _open_bytes(path: Path) -> io.BufferedReader:
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise DetectorError(f"{path} does not exist. Check the name.") from None
    except IsADirectoryError:
        raise DetectorError(f"{path} is a folder, not a sound file. Name a file in it.") from None
    except OSError as error:
        raise DetectorError(f"{path} cannot be read: {error.strerror}. Check its permissions.") from error


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _frames(container: InputContainer, name: str) -> Iterator[av.AudioFrame]:
    """Decoded frames of the main sound track; damaged packets are skipped."""
    stream = container.streams.best("audio")
    if stream is None:
        raise DetectorError(f"{name} has no sound track. Choose a file with sound.")
    if stream.codec_context is None:
        raise DetectorError(f"{name} uses an unknown audio codec. Export it as wav, flac or mp3.")
    damaged = 0
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            break
        except (av.FFmpegError, OSError) as error:  # OSError: its table sends the reader before the start
            logger.warning("%s is damaged (%s): only the part before is used.", name, _reason(error))
            break
        try:
            for frame in packet.decode():
                if isinstance(frame, av.AudioFrame):
                    yield frame
        except av.FFmpegError:
            damaged += 1
    if damaged:
        logger.warning("%s is damaged: %d packet(s) of sound could not be decoded.", name, damaged)


def _mono(frame: av.AudioFrame) -> np.ndarray:
    """One frame as float32 [samples]: scaled to full scale 1.0, mean over the channels."""
    data = frame.to_ndarray()
    if not frame.format.is_planar:
        data = data.reshape(-1, frame.layout.nb_channels).T
    if data.dtype == np.uint8:
        data = (data.astype(np.float32) - 128) / 128
    elif np.issubdtype(data.dtype, np.signedinteger):
        data = data.astype(np.float32) / 2 ** (8 * data.itemsize - 1)
    with np.errstate(all="ignore"):  # what is infinite or no number is found later, and told
        mono: np.ndarray = data.mean(axis=0, dtype=np.float32)
    return mono


def _within(frame: av.AudioFrame, limits: AudioLimits, name: str) -> av.AudioFrame:
    """The frame, unless its sample rate, its channels or the form of its samples cannot be read."""
    rate, channels = frame.sample_rate, frame.layout.nb_channels
    if not limits.min_rate <= rate <= limits.max_rate:
        raise DetectorError(
            f"{name} claims a sample rate of {rate} Hz; {limits.min_rate} to {limits.max_rate} Hz can be "
            "read. Its header may be damaged: export it again."
        )
    if not 1 <= channels <= limits.channels:
        raise DetectorError(
            f"{name} claims {channels} channels; 1 to {limits.channels} can be read. "
            "Export it as mono or stereo."
        )
    if frame.format.name.startswith("s64"):  # the one form that PyAV has no arrays for
        raise DetectorError(f"{name} holds integers of 64 bits. Export it with 16 or 24 bits.")
    return frame


def _blocks(container: InputContainer, name: str, limits: AudioLimits) -> Iterator[tuple[int, np.ndarray]]:
    """(sample rate, float32 [samples]) of about _BLOCK_SAMPLES each; a rate change ends a block."""
    parts: list[np.ndarray] = []
    held = rate = 0
    for frame in _frames(container, name):
        if parts and (frame.sample_rate != rate or held >= _BLOCK_SAMPLES):
            yield rate, np.concatenate(parts)
            parts, held = [], 0
        rate = frame.sample_rate
        parts.append(_mono(_within(frame, limits, name)))
        held += frame.samples
    if parts:
        yield rate, np.concatenate(parts)


def _resample(blocks: Iterator[tuple[int, np.ndarray]]) -> Iterator[np.ndarray]:
    """The blocks at 16 kHz; at 16 kHz already they pass through bit for bit."""
    rate, stream = SAMPLE_RATE, None
    nothing = np.empty(0, np.float32)
    for block_rate, block in blocks:
        if block_rate != rate:
            if stream is not None:
                yield stream.resample_chunk(nothing, last=True)
            rate, stream = block_rate, _resampler(block_rate)
        yield block if stream is None else stream.resample_chunk(block)
    if stream is not None:
        yield stream.resample_chunk(nothing, last=True)


def _resampler(rate: int) -> soxr.ResampleStream | None:
    if rate == SAMPLE_RATE:
        return None
    return soxr.ResampleStream(rate, SAMPLE_RATE, num_channels=1, dtype="float32", quality="VHQ")


def _duration(seconds: float) -> str:
    for unit, length in (("hours", 3600), ("minutes", 60)):
        if seconds >= length:
            return f"{seconds / length:g} {unit}"
    return f"{seconds:g} seconds"


def _sound(chunk: np.ndarray, name: str) -> np.ndarray:
    """A chunk, checked and clipped."""
    if not np.isfinite(chunk).all():
        raise DetectorError(f"{name} holds samples that are not numbers. Export it again.")
    peak = float(np.abs(chunk).max(initial=0))
    if peak > MAX_PEAK:
        raise DetectorError(
            f"{name} holds samples up to {peak:.0f}, where full scale is 1. "
            "Export it with samples between -1 and 1, or as 16-bit integers."
        )
    return chunk.clip(-1, 1)
