"""What a sound file's headers say: container, codec, rates, tags. Nothing of it is taken for true."""

from pathlib import Path
from typing import Any

import av
from av.audio.stream import AudioStream

from detectors.audio import _DEMUXERS
from detectors.errors import DetectorError

#: A header may hold whole pictures and books.
MAX_TAGS, MAX_TAG = 40, 200


def file_facts(path: Path) -> dict[str, Any]:
    """Plain JSON values: bytes, container, codec, codec_name, sample_rate (Hz), channels, layout,
    sample_format, bit_rate (bit/s), claimed_seconds, tags; None where the file does not say.

    Raises DetectorError when the file is gone or cannot be opened as sound any more.
    """
    try:
        with (
            path.open("rb") as file,
            av.open(file, "r", options={"format_whitelist": _DEMUXERS}) as container,
        ):
            stream = container.streams.best("audio")
            # A stream of an unknown codec has no context.
            if not isinstance(stream, AudioStream) or stream.codec_context is None:
                raise DetectorError("The clip's sound track cannot be described any more. Analyse it again.")
            context = stream.codec_context
            return {
                "bytes": path.stat().st_size,
                "container": container.format.long_name or container.format.name,
                "codec": context.codec.name,
                "codec_name": context.codec.long_name,
                "sample_rate": context.sample_rate or None,
                "channels": context.layout.nb_channels,
                "layout": context.layout.name,
                "sample_format": context.format.name if context.format else None,
                "bit_rate": context.bit_rate or container.bit_rate or None,
                "claimed_seconds": container.duration / av.time_base if container.duration else None,
                "tags": _tags({**container.metadata, **stream.metadata}),
            }
    except (OSError, av.FFmpegError, ValueError) as error:
        raise DetectorError("The clip's file is no longer at hand. Analyse the clip again.") from error


def _tags(found: dict[str, str]) -> dict[str, str]:
    return {str(key)[:MAX_TAG]: str(value)[:MAX_TAG] for key, value in list(found.items())[:MAX_TAGS]}
