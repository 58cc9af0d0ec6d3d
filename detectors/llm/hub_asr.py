"""Speech with transcripts from a data set on the hub, row by row, keeping those whose transcript fits.

A transcript that differs much from what a recogniser hears is mostly wrong itself, or belongs to another
clip. The recogniser's words are a column of the data set, or Whisper (Radford et al., 2022) is run here.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import fsspec
import numpy as np

from detectors.audio import AUDIO_SUFFIXES, SAMPLE_RATE, load_audio
from detectors.errors import DetectorError
from detectors.llm.evaluate import normalised, word_error_rate

#: waveform [s] at 16 kHz -> the words that are heard.
Hear = Callable[[np.ndarray], str]
#: Files that one folder holds.
_SHELF = 10_000


@dataclass(frozen=True)
class HubSplit:
    """Which rows of a data set, and which of its columns. hypothesis: what a recogniser heard, if given.

    skip, limit: rows left out at the start, and the most that are read after them.
    """

    dataset: str
    config: str | None = None
    split: str = "train"
    revision: str | None = None
    audio: str = "audio"
    text: str = "text"
    hypothesis: str | None = None
    skip: int = 0
    limit: int | None = None


class Kept(NamedTuple):
    """A clip that was kept: its path relative to the audio folder, and its transcript."""

    path: str
    words: str


@dataclass
class Tally:
    """Rows read and, of them, left out by reason; unreadable: what was wrong with the audio of which row.

    stopped: why the data set ended early, if it did.
    """

    rows: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    unreadable: list[str] = field(default_factory=list)
    stopped: str = ""

    def lines(self) -> list[str]:
        """The tally in words."""
        reasons = [f"{reason}: {count}" for reason, count in self.left_out.items()]
        reasons += [f"unreadable: {len(self.unreadable)}"] if self.unreadable else []
        return [f"{self.rows} rows read; left out: {'; '.join(reasons) or 'none'}"]


def kept_clips(
    source: HubSplit,
    folder: Path,
    tally: Tally,
    most_seconds: float,
    max_wer: float = math.inf,
    hear: Hear | None = None,
) -> Iterator[Kept]:
    """Stream the rows, put the audio of those that are kept into `folder`, and count in `tally`.

    max_wer: the largest word error rate of the recogniser's words against the transcript. hear: recognises
    them where `source.hypothesis` names no column; without either, the transcripts are believed. Raises
    DetectorError when the data set cannot be opened or lacks a column.
    """
    rows = _rows(source)
    while (source.limit is None or tally.rows < source.limit) and (row := _next(rows, source, tally)):
        number = source.skip + tally.rows
        tally.rows += 1
        words, given = _text(row, source.text), _text(row, source.hypothesis)
        name = f"{number // _SHELF:04d}/{number:08d}{_suffix(row[source.audio])}"
        reason = _refused(words, given, max_wer)
        if reason is None:
            try:
                wave = _bring(row[source.audio], folder / name)
            except (DetectorError, OSError) as error:
                tally.unreadable.append(f"row {number}: {error}")
                continue
            if len(wave) > most_seconds * SAMPLE_RATE:
                reason = f"longer than {most_seconds:g} s"
            elif hear:
                reason = _refused(words, hear(wave), max_wer)
            if reason:
                (folder / name).unlink()
        if reason:
            tally.left_out[reason] += 1
        else:
            yield Kept(name, words or "")


def whisper(name: str, device: str, language: str | None = None) -> Hear:
    """A Whisper model of the hub or a folder as a recogniser of clips up to 30 s.

    language: such as "en"; without it, Whisper tells. Raises DetectorError when it cannot be loaded.
    """
    import torch
    from transformers import AutoProcessor, WhisperForConditionalGeneration

    try:
        processor = AutoProcessor.from_pretrained(name)
        model: Any = WhisperForConditionalGeneration.from_pretrained(name).eval()
    except (OSError, ValueError) as error:
        raise DetectorError(
            f"The recogniser {name} cannot be loaded ({_first_line(error)}). Check the name and the "
            "connection, or name a column with a recogniser's words."
        ) from error
    model.to(device)
    asked = {"language": language, "task": "transcribe"} if language else {}

    @torch.inference_mode()
    def hear(wave: np.ndarray) -> str:
        heard = processor(wave, sampling_rate=SAMPLE_RATE, return_tensors="pt", return_attention_mask=True)
        tokens = model.generate(**heard.to(device), **asked)
        text: str = processor.batch_decode(tokens, skip_special_tokens=True)[0]
        return text

    return hear


def _rows(source: HubSplit) -> Iterator[dict[str, Any]]:
    try:
        import datasets
    except ImportError as error:
        raise DetectorError(
            "Data sets of the hub need the package datasets: pip install datasets."
        ) from error
    try:
        found: Any = datasets.load_dataset(
            source.dataset, source.config, split=source.split, revision=source.revision, streaming=True
        )
        features = found.features or found._resolve_features().features
        wanted = [source.audio, source.text, *([source.hypothesis] if source.hypothesis else [])]
        missing = [column for column in wanted if column not in features]
        if not missing:
            # The original bytes: decoding is ours.
            found = found.select_columns(wanted).cast_column(source.audio, datasets.Audio(decode=False))
            return iter(found.skip(source.skip))
    # The library and its connections raise errors of many kinds, most of them OSError or ValueError.
    except Exception as error:
        raise DetectorError(
            f"The data set {source.dataset} cannot be opened: {_first_line(error)}. Check its name, config "
            "and split, the connection, and HF_TOKEN if it is gated."
        ) from error
    raise DetectorError(
        f"{source.dataset} has no column {', '.join(missing)}. It has: {', '.join(features)}. Name them with "
        "--audio-column, --text-column and --hypothesis-column."
    )


def _next(rows: Iterator[dict[str, Any]], source: HubSplit, tally: Tally) -> dict[str, Any] | None:
    """The next row; None at the end, and where the connection broke, which the tally then says.

    Raises DetectorError when the data set needs a package that is missing.
    """
    try:
        return next(rows, None)
    except ImportError as error:  # folders of audio files ask for torchcodec; Parquet files do not
        raise DetectorError(f"{source.dataset} cannot be read: {_first_line(error)}.") from error
    except Exception as error:  # as above: what was kept so far must not be lost to it
        done = source.skip + tally.rows
        tally.stopped = f"stopped before row {done}: {_first_line(error)}. Go on with --skip {done}"
        return None


def _bring(audio: Any, target: Path) -> np.ndarray:
    """Write a row's original bytes to `target` and read them; nothing stays of what is no sound.

    audio: {"bytes": ..., "path": ...}; without bytes, the path is of a file here or on the hub.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if not audio or not (audio.get("bytes") or audio.get("path")):
        raise DetectorError("it has no audio.")
    try:
        if audio.get("bytes"):
            target.write_bytes(audio["bytes"])
        else:
            with fsspec.open(audio["path"], "rb") as original:
                target.write_bytes(original.read())
        return load_audio(target)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def _suffix(audio: Any) -> str:
    suffix = Path(str((audio or {}).get("path") or "")).suffix.lower()
    return suffix if suffix in AUDIO_SUFFIXES else ".audio"


def _text(row: dict[str, Any], column: str | None) -> str | None:
    return None if column is None else str(row[column] or "").strip()


def _refused(words: str | None, heard: str | None, max_wer: float) -> str | None:
    """Why a transcript is not believed; None when it is, or when nobody listened and it has words."""
    expected = normalised(words or "")
    if not expected:
        return "no words in the transcript"
    if heard is not None and word_error_rate([(expected, normalised(heard))]) > max_wer:
        return "WER above the limit"
    return None


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).strip().splitlines()[0].rstrip(".")
