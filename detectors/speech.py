"""How much of a clip is speech, measured without any model, so that noise, tones and music are told from it.

What tells speech is that its spectrum changes its shape all the time, some ten sounds a second, while that
of noise, hum, a tone or a held chord stays as it is, however much its level may change (cf. Scheirer and
Slaney, ICASSP 1997). A frame counts when it is loud enough to be part of what is heard, and lies in a second
in which the shape changes as it does in speech. Songs and music with fast percussion may pass; that is for
the familiarity of the features to find (see familiar.py).
"""

import numpy as np

from detectors.audio import SAMPLE_RATE

#: Frames of 25 ms every 10 ms, as for the noise and the bandwidth (see chat/acoustics.py).
FRAME, HOP = 400, 160
FRAMES_A_SECOND = SAMPLE_RATE // HOP
_SPECTRUM = 512
_AT_ONCE = 1000  # frames; bounds the memory for blocks of any length
#: Edges of the bands whose levels make the shape, in Hz.
_BANDS = (100, 300, 500, 800, 1200, 1700, 2300, 3000, 4000)
#: A frame is heard above the quietest tenth by so much, and no further below the loudest.
_ABOVE_NOISE_DB, _BELOW_PEAK_DB = 3.0, 30.0
#: So far below the loudest frames lies the floor under which a band's level does not count.
_FLOOR_DB = 50.0
_SMOOTHED, _APART = 5, 10  # frames: levels are means over 50 ms, and compared over 100 ms
#: Speech changes its shape by so many dB (root mean square over bands) in a fifth of the heard frames.
_CHANGE_DB = 4.5
_FEWEST = 10  # heard frames of a second, to say anything about it
_GAP = 20  # frames: quieter moments up to so long, within and between words, are part of speech
_QUIETEST = 1e-10  # -100 dB below full scale
_STEP_DB = 0.4


class SpeechMeter:
    """Hears a clip block by block, then says how much of it is speech. Keeps 9 bytes for each 10 ms."""

    def __init__(self) -> None:
        self._tail = np.zeros(0, np.float32)
        self._levels: list[np.ndarray] = []
        self._bands: list[np.ndarray] = []

    def feed(self, block: np.ndarray) -> None:
        """The next float32 [s], 16 kHz mono in [-1, 1]."""
        wave = np.concatenate([self._tail, block.astype(np.float32, copy=False)])
        if len(wave) < FRAME:
            self._tail = wave
            return
        frames = np.lib.stride_tricks.sliding_window_view(wave, FRAME)[::HOP]
        for first in range(0, len(frames), _AT_ONCE):
            self._add(frames[first : first + _AT_ONCE])
        self._tail = wave[len(frames) * HOP :].copy()

    def seconds(self) -> float:
        """Seconds of speech in what was fed so far."""
        return float(self.frames().sum()) / FRAMES_A_SECOND

    def frames(self) -> np.ndarray:
        """Which frames are speech; bool [frames]."""
        if not self._levels:
            return np.zeros(0, bool)
        levels, bands = _unpacked(np.concatenate(self._levels)), np.concatenate(self._bands)
        quiet, loud = np.percentile(levels, [10, 95])
        heard = levels > max(quiet + _ABOVE_NOISE_DB, loud - _BELOW_PEAK_DB)
        return _without_gaps(_in_speech(heard, bands, float(loud) - _FLOOR_DB))

    def _add(self, frames: np.ndarray) -> None:
        power = np.einsum("ij,ij->i", frames, frames) / FRAME
        self._levels.append(_packed(power))
        spectrum = np.abs(np.fft.rfft(frames * np.hanning(FRAME), _SPECTRUM)) ** 2
        edges = [round(edge * _SPECTRUM / SAMPLE_RATE) for edge in _BANDS]
        summed = np.add.reduceat(spectrum, edges, axis=1)[:, :-1]
        # As a level of the frame: Parseval's factor, and 3/8 for the power of the window.
        self._bands.append(_packed(2 * summed / (_SPECTRUM * FRAME * 3 / 8)))


def _packed(power: np.ndarray) -> np.ndarray:
    """Levels in steps of 0.4 dB from -102 dB below full scale on, a byte each: hours are kept so."""
    return np.clip(np.round(10 * np.log10(np.maximum(power, _QUIETEST)) / _STEP_DB) + 255, 0, 255).astype(
        np.uint8
    )


def _unpacked(levels: np.ndarray) -> np.ndarray:
    """The levels in dB, float32."""
    return (levels.astype(np.float32) - 255) * _STEP_DB


def _change(bands: np.ndarray, floor_db: float) -> np.ndarray:
    """By how many dB the spectrum's shape changes around each frame; dB [frames, bands] -> [frames]."""
    levels = 10 * np.log10(10 ** (bands / 10) + 10 ** (max(floor_db, -90.0) / 10))
    shape = levels - levels.mean(axis=1, keepdims=True)
    if len(shape) < _SMOOTHED + _APART:
        return np.zeros(len(shape))
    sums = np.cumsum(np.pad(shape, ((1, 0), (0, 0))), axis=0)
    smooth = (sums[_SMOOTHED:] - sums[:-_SMOOTHED]) / _SMOOTHED
    found = np.sqrt(np.mean((smooth[_APART:] - smooth[:-_APART]) ** 2, axis=1))
    missing = len(shape) - len(found)
    return np.pad(found, (missing // 2, missing - missing // 2), mode="edge")


def _in_speech(heard: np.ndarray, bands: np.ndarray, floor_db: float) -> np.ndarray:
    """Heard frames in any second whose shape changes as that of speech does; bool [frames].

    bands: packed [frames, bands]; they are unpacked second by second, as they may be those of an hour.
    """
    found = np.zeros(len(heard), bool)
    length, step = FRAMES_A_SECOND, FRAMES_A_SECOND // 4
    for first in range(0, max(1, len(heard) - length + step), step):
        second = slice(first, first + length)
        if np.count_nonzero(heard[second]) < _FEWEST:
            continue
        change = _change(_unpacked(bands[second]), floor_db)
        if np.percentile(change[heard[second]], 80) >= _CHANGE_DB:
            found[second] |= heard[second]
    return found


def _without_gaps(speech: np.ndarray) -> np.ndarray:
    """Short gaps between frames of speech filled; bool [frames]."""
    places = np.flatnonzero(speech)
    filled = speech.copy()
    apart = np.diff(places)
    for gap in np.flatnonzero((apart > 1) & (apart <= _GAP + 1)):
        filled[places[gap] : places[gap + 1]] = True
    return filled
