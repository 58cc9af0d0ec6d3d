"""What a visitor reads about the test of the maps: does what a map marks matter to the detector?"""

from detectors.detection import VOICE_TIME
from detectors.faithfulness import Faithfulness, Outcome
from detectors.map_test import OCCLUSION, MapTest

HEADING = "Does the map tell the truth?"
HELP = (
    "A map shows where a detector looked, which need not be where the evidence lies. This takes out what a "
    "map marks, lets the detector judge again, and does the same with parts picked at random. That takes "
    "some minutes on a CPU."
)
BUTTON = "Test the maps"
TESTING = "Testing what the maps mark"
NOTHING_TO_TEST = "No detector with a map over time judged this clip, so there is no map to test."

#: By key of Detection.maps, or OCCLUSION: what is tested, as it stands in a sentence and in a picture's key.
NAMES = {
    "layer_time": "the map “layers over time”",
    "attention": "the map “attention over time”",
    VOICE_TIME: "the map “voice over time”",
    OCCLUSION: "the relevance by occlusion",
}
SHORT_NAMES = {
    "layer_time": "layers over time",
    "attention": "attention",
    VOICE_TIME: "voice over time",
    OCCLUSION: "occlusion",
}
OUTCOMES: dict[Outcome, str] = {
    "more": "Yes: what it marks matters more to the score than parts picked at random",
    "same": (
        "No: what it marks matters no more than parts picked at random. On this clip it does not tell where "
        "the evidence lies"
    ),
    "less": (
        "No: what it marks matters even less than parts picked at random. On this clip it does not tell "
        "where the evidence lies"
    ),
}
AREA = " (area {area}; {orders} random orders lie between {low} and {high})."
TESTED_ON = (
    "Tested on {start:.1f} to {end:.1f} s, the part with the most sound in it, cut into {columns} columns. "
    "A random order would pass by chance in one clip of {chance}."
)
LEFT_OUT = "Not tested: {titles}, which has no map over time."

RELEVANCE = (
    "{title}: what changes its score",
    "Each cell of the spectrogram was lowered to the noise floor and the clip judged again. Blue cells speak "
    "for a human voice, orange ones for a machine-made one; the stronger the colour, the more the score "
    "changed.",
    "It shows what this detector reacts to, right or wrong. Cells that only matter together stay pale, and "
    "the scale fits the clip: strong colours can stand for small changes.",
)
CURVES = (
    "{title}: deletion and insertion",
    "How far the score moves from that of the whole clip. Above, what is marked most is removed first: a "
    "line above the grey band means that it matters. Below, it is put back first: there the line should be "
    "under the band. The band is what {orders} random orders reach, the dotted line their mean.",
    "That a map passes says that it marks what this detector went by, not that the detector is right.",
)


def outcome(found: Faithfulness) -> str:
    """What the test of one map says, in one sentence with its numbers."""
    low, high = found.control_range
    area = AREA.format(area=_signed(found.area), orders=found.orders, low=_signed(low), high=_signed(high))
    return OUTCOMES[found.outcome] + area


def notes(test: MapTest, titles: dict[str, str]) -> list[str]:
    """What a careful reader must know: what was tested, and how easily a map passes by chance."""
    orders = test.examined[0].found[0].orders
    end = test.start + test.seconds
    told = [TESTED_ON.format(start=test.start, end=end, columns=test.columns, chance=orders + 2)]
    if test.left_out:
        told.append(LEFT_OUT.format(titles=" and ".join(titles.get(name, name) for name in test.left_out)))
    return told


def words_of(words: tuple[str, str, str], title: str, orders: int = 0) -> tuple[str, str, str]:
    """A figure's title, what it shows, and how not to over-read it, of one detector."""
    name, shows, caveat = words
    return name.format(title=title), shows.format(orders=orders), caveat


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")
