"""How a verdict stands up to what happens to recordings on their way: codecs, noise, a narrow band.

A stress is a pure function of the wave: the same clip gives the same samples every time, so anyone can check
a result. One clip is tested with `stress_test`, labelled clips with `python -m detectors robustness`.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import soxr

from detectors.audio import SAMPLE_RATE
from detectors.augment import add_noise_floor, low_pass
from detectors.codecs import can_encode, gsm_round_trip, round_trip
from detectors.detection import Detection, Verdict, p_spoof_of, verdict_of
from detectors.errors import DetectorError
from detectors.fusion import fused
from detectors.progress import Progress

#: Longer clips are tested on the stretch of this length with the most sound in it: every stress costs as
#: much as an analysis.
MAX_SECONDS = 60.0
#: The noise is always the same one, and pink: its power falls with frequency as that of most rooms does.
NOISE_SEED, PINK = 1234, 1.0

Change = Callable[[np.ndarray], np.ndarray]
Judge = Callable[[np.ndarray], Detection]


@dataclass(frozen=True)
class Stress:
    """One thing that is done to a clip.

    key: its name in files; title: in words. change: float32 [s] -> float32 [t], 16 kHz mono. codec: of
    codecs.CODECS, whose encoder is needed. longer_than: a clip of at most so many seconds is not changed.
    """

    key: str
    title: str
    change: Change
    codec: str = ""
    longer_than: float = 0.0

    def apply(self, wave: np.ndarray) -> np.ndarray:
        """The changed clip, float32 in [-1, 1] as out of a file: a decoder may go beyond full scale."""
        return np.clip(self.change(wave), -1, 1)

    def missing(self) -> str:
        """Why it cannot be done here at all; "" when it can."""
        return "" if not self.codec or can_encode(self.codec) else "its encoder is not part of this FFmpeg"


def with_noise(wave: np.ndarray, snr_db: float) -> np.ndarray:
    """The clip [s] under pink noise that is `snr_db` weaker than it."""
    return add_noise_floor(wave, snr_db, np.random.default_rng(NOISE_SEED), PINK).astype(np.float32)


def narrowed(wave: np.ndarray) -> np.ndarray:
    """The clip [s] without what a sample rate of 8 kHz cannot carry, at its own rate."""
    return low_pass(wave, 4_000.0).astype(np.float32)


def at_speed(wave: np.ndarray, faster: float) -> np.ndarray:
    """The clip played `faster` times as fast, [s / faster]; its pitch changes with it, as on a tape."""
    return np.asarray(soxr.resample(wave, SAMPLE_RATE * faster, SAMPLE_RATE), np.float32)


def excerpt(wave: np.ndarray, seconds: float) -> np.ndarray:
    """The stretch of so many seconds with the most energy; the whole clip [s] when it is no longer."""
    start = loudest_start(wave, seconds)
    return wave[start : start + round(seconds * SAMPLE_RATE)]


def loudest_start(wave: np.ndarray, seconds: float) -> int:
    """The sample at which that stretch of a clip [s] begins."""
    length = round(seconds * SAMPLE_RATE)
    if len(wave) <= length:
        return 0
    hop = SAMPLE_RATE // 100
    frames = wave[: len(wave) // hop * hop].reshape(-1, hop)
    # einsum squares and sums without a copy of a clip that may be hours long.
    energy = np.concatenate([[0.0], np.cumsum(np.einsum("ij,ij->i", frames, frames, dtype=np.float64))])
    reach = length // hop
    return int(np.argmax(energy[reach:] - energy[:-reach])) * hop


def _coded(name: str, bit_rate: int = 0) -> Change:
    return partial(round_trip, name=name, bit_rate=bit_rate)


STRESSES: tuple[Stress, ...] = (
    Stress("g711", "Telephone (G.711)", _coded("mulaw"), codec="mulaw"),
    Stress("gsm", "Mobile phone (GSM)", gsm_round_trip),
    Stress("amr", "Mobile phone (AMR-NB)", _coded("amr", 12_200), codec="amr"),
    Stress("opus", "Voice message (Opus)", _coded("opus", 16_000), codec="opus"),
    Stress("mp3", "MP3, 32 kbit/s", _coded("mp3", 32_000), codec="mp3"),
    Stress("noise30", "Noise, 30 dB weaker", partial(with_noise, snr_db=30.0)),
    Stress("noise20", "Noise, 20 dB weaker", partial(with_noise, snr_db=20.0)),
    Stress("noise10", "Noise, 10 dB weaker", partial(with_noise, snr_db=10.0)),
    Stress("band", "Nothing above 4 kHz", narrowed),
    Stress("slower", "10 % slower", partial(at_speed, faster=0.9)),
    Stress("faster", "10 % faster", partial(at_speed, faster=1.1)),
    Stress("only2s", "Only 2 s of it", partial(excerpt, seconds=2.0), longer_than=2.0),
    Stress("only4s", "Only 4 s of it", partial(excerpt, seconds=4.0), longer_than=4.0),
    Stress("only8s", "Only 8 s of it", partial(excerpt, seconds=8.0), longer_than=8.0),
)


@dataclass(frozen=True)
class Trial:
    """The clip under one stress. llr: of all detectors together, natural log, bona fide over spoof.
    p_spoof: the same as a probability at prior 0.5. detectors: each one's own p_spoof. held: the verdict is
    that of the unchanged clip.
    """

    key: str
    title: str
    llr: float
    p_spoof: float
    detectors: dict[str, float]
    verdict: Verdict
    held: bool


@dataclass(frozen=True)
class StressTest:
    """seconds: how much of the clip was tested (see MAX_SECONDS); verdict and llr: of just that, unchanged.
    left_out: title -> reason, of the stresses that this clip could not be put under.
    """

    seconds: float
    verdict: Verdict
    llr: float
    trials: tuple[Trial, ...]
    left_out: dict[str, str]

    @property
    def held(self) -> int:
        """Under how many stresses the verdict stayed the same."""
        return sum(trial.held for trial in self.trials)

    @property
    def opposite(self) -> tuple[Trial, ...]:
        """The stresses that turned "bonafide" into "spoof" or the other way round."""
        other = {"bonafide": "spoof", "spoof": "bonafide"}.get(self.verdict)
        return tuple(trial for trial in self.trials if trial.verdict == other)

    def report(self) -> dict[str, Any]:
        """Plain JSON values."""
        found = asdict(self)
        return {**found, "trials": list(found["trials"]), "held": self.held, "tests": len(self.trials)}


def stress_test(
    wave: np.ndarray,
    judges: Mapping[str, Judge],
    progress: Progress | None = None,
    versions: Mapping[str, str] | None = None,
) -> StressTest:
    """Judge a clip unchanged and under every stress.

    wave: float32 [s], 16 kHz mono. judges: detector name -> its `analyze`. progress hears the share done and
    the title of the stress. versions: by detector, for `fused`; without them the mean is taken. Raises
    DetectorError when a detector refuses the unchanged clip, ValueError without judges.
    """
    tell = progress or (lambda share, doing: None)
    part = excerpt(wave, MAX_SECONDS)
    seconds = len(part) / SAMPLE_RATE
    versions = versions or {}
    unchanged = fused({name: judge(part).llr for name, judge in judges.items()}, versions)
    verdict = verdict_of(unchanged)
    trials: list[Trial] = []
    left_out: dict[str, str] = {}
    for turn, stress in enumerate(STRESSES):
        tell((1 + turn) / (1 + len(STRESSES)), stress.title)
        reason = stress.missing()
        if not reason and seconds <= stress.longer_than:
            reason = f"the clip is not longer than {stress.longer_than:.0f} s"
        if not reason:
            try:
                trials.append(_trial(stress, part, judges, versions, verdict))
            except DetectorError as error:  # such as: too short once it is played faster
                reason = str(error)
        if reason:
            left_out[stress.title] = reason
    tell(1.0, "")
    return StressTest(seconds, verdict, unchanged, tuple(trials), left_out)


def _trial(
    stress: Stress,
    part: np.ndarray,
    judges: Mapping[str, Judge],
    versions: Mapping[str, str],
    verdict: Verdict,
) -> Trial:
    changed = stress.apply(part)
    found = {name: judge(changed) for name, judge in judges.items()}
    llr = fused({name: detection.llr for name, detection in found.items()}, versions)
    own = {name: detection.p_spoof for name, detection in found.items()}
    return Trial(
        stress.key, stress.title, llr, p_spoof_of(llr), own, verdict_of(llr), verdict_of(llr) == verdict
    )
