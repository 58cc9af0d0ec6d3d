"""Answers about the recording itself: its length, its noise, its bandwidth and the like."""

from collections.abc import Callable

from detectors.chat.facts import FactSheet
from detectors.chat.wording import CANNOT_TELL, percent, seconds

_PHONE_LIMIT = "Phone calls can mislead the detectors."


def _length(sheet: FactSheet) -> list[str]:
    length = seconds(sheet.measured.seconds)
    return [f"The clip is {length} long.", f"The length is {length}."]


def _long_enough(sheet: FactSheet) -> list[str]:
    length = seconds(sheet.measured.seconds)
    if {"no_speech", "little_speech"} & set(sheet.abstained):
        return [f"The clip is {length} long, but it has too little speech for a verdict."]
    if sheet.is_short:
        return [f"The clip is short, {length}. Be careful with the verdict."]
    return [f"The clip is long enough, {length}."]


def _speech(sheet: FactSheet) -> list[str]:
    share = percent(sheet.measured.speech)
    return [f"Speech fills {share} of the clip.", f"{share} of the clip is speech."]


def _noise(sheet: FactSheet) -> list[str]:
    level, word = sheet.measured.noise_db, sheet.measured.noise
    return [f"The noise floor is {level} dB, {word}.", f"The noise is {word}, at {level} dB."]


def _band(sheet: FactSheet) -> str:
    return f"{sheet.measured.band}, up to {sheet.measured.bandwidth_khz:.1f} kHz"


def _bandwidth(sheet: FactSheet) -> list[str]:
    if sheet.measured.band == "unclear band":
        return ["The band is unclear."]
    reach = f"The bandwidth is {sheet.measured.bandwidth_khz:.1f} kHz"
    return [f"{reach}, {sheet.measured.band}.", f"{reach}: {sheet.measured.band}."]


def _codec(sheet: FactSheet) -> list[str]:
    if sheet.measured.band == "unclear band":
        return [CANNOT_TELL]
    if sheet.measured.band == "full band":
        return [f"The band shows no codec: {_band(sheet)}."]
    if sheet.measured.band == "telephone band":
        return [f"It looks like a telephone codec: {_band(sheet)}."]
    return [f"It looks compressed: {_band(sheet)}."]


def _phone(sheet: FactSheet) -> list[str]:
    if sheet.measured.band == "unclear band":
        return [CANNOT_TELL]
    if sheet.measured.band == "telephone band":
        found = f"It looks like a phone call: {_band(sheet)}."
        return [found, f"{found} {_PHONE_LIMIT}"]
    return [f"It does not look like a phone call: {_band(sheet)}."]


def _clipping(sheet: FactSheet) -> list[str]:
    if not sheet.measured.clipped:
        return ["There is no clipping."]
    return [f"The clipping is {percent(sheet.measured.clipped, 1)}."]


def _robustness(sheet: FactSheet) -> list[str]:
    if sheet.robustness is None:
        return ["No stress test was run for this clip."]
    return [f"The verdict held in {sheet.robustness.held} of {sheet.robustness.tests} stress tests."]


RECORDING: dict[str, Callable[[FactSheet], list[str]]] = {
    "length": _length,
    "long_enough": _long_enough,
    "speech": _speech,
    "noise": _noise,
    "bandwidth": _bandwidth,
    "codec": _codec,
    "phone": _phone,
    "clipping": _clipping,
    "robustness": _robustness,
}
