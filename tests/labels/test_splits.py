"""Train and dev share no source and no speaker, and both classes reach both where that is possible."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.labels.splits import GroupedSplit

Row = tuple[str, str, str]  # label, source, speaker
rows = st.lists(
    st.tuples(st.sampled_from(["bonafide", "spoof"]), st.sampled_from("ABCDEF "), st.sampled_from("xyzuvw ")),
    max_size=60,
)


def dealt(clips: list[Row], group_by: str = "both", held_back: float = 0.25, seed: int = 1) -> list[str]:
    """The part of each clip."""
    split = GroupedSplit(group_by, held_back, seed)  # type: ignore[arg-type]
    places = [split.join(label, source.strip(), speaker.strip()) for label, source, speaker in clips]
    split.deal()
    return [split.part(place) for place in places]


@given(rows, st.integers(0, 9))
def test_no_source_and_no_speaker_is_in_both_parts(clips: list[Row], seed: int) -> None:
    parts = dealt(clips, seed=seed)
    for column in (1, 2):
        in_parts = {
            part: {clip[column] for clip, of in zip(clips, parts, strict=True) if of == part} - {" "}
            for part in ("train", "dev")
        }
        assert not in_parts["train"] & in_parts["dev"]


@given(rows, st.integers(0, 9))
def test_train_keeps_every_class(clips: list[Row], seed: int) -> None:
    grouped = [clip for clip in clips if clip[1] != " " or clip[2] != " "]
    parts = dealt(grouped, seed=seed)
    kept = {clip[0] for clip, part in zip(grouped, parts, strict=True) if part == "train"}
    assert kept == {clip[0] for clip in grouped}


def test_groups_are_joined_through_a_third_clip() -> None:
    chained = [("spoof", "A", "x"), ("spoof", "B", "y"), ("spoof", "B", "x")]
    for seed in range(20):
        others = [("spoof", f"page{i}", "") for i in range(9)]
        assert len(set(dealt([*chained, *others], seed=seed)[:3])) == 1


def test_the_share_of_each_class_is_met_and_the_seed_decides_which_groups() -> None:
    clips = [
        (label, f"{label}{i}", "") for label in ("bonafide", "spoof") for i in range(20) for _ in range(3)
    ]
    drawn = [tuple(dealt(clips, seed=seed)) for seed in range(5)]
    for parts in drawn:
        held_back = Counter(clip[0] for clip, part in zip(clips, parts, strict=True) if part == "dev")
        assert held_back == {"bonafide": 15, "spoof": 15}
    assert len(set(drawn)) == 5
    assert dealt(clips, seed=3) == list(drawn[3])


def test_both_classes_are_held_back_where_two_groups_have_them() -> None:
    """A third of the groups would be more than the share that was asked for; none at all is worse."""
    clips = [("spoof", f"tts{i}", "") for i in (1, 2)] + [("bonafide", f"mic{i}", "") for i in (1, 2)]
    parts = dealt(clips, held_back=0.1)
    held_back = {clip[0] for clip, part in zip(clips, parts, strict=True) if part == "dev"}
    assert held_back == {"bonafide", "spoof"}


@pytest.mark.parametrize("group_by", ["clip", "both"])
def test_clips_without_a_group_are_dealt_one_by_one(group_by: str) -> None:
    source = "A" if group_by == "clip" else ""
    clips = [("bonafide" if i % 3 else "spoof", source, "") for i in range(30)]
    parts = dealt(clips, group_by, held_back=0.2)
    held_back = Counter(clip[0] for clip, part in zip(clips, parts, strict=True) if part == "dev")
    assert held_back == {"bonafide": 4, "spoof": 2}


def test_one_source_alone_cannot_be_held_back() -> None:
    assert set(dealt([("spoof", "A", f"speaker{i}") for i in range(9)])) == {"train"}
    assert set(dealt([("spoof", "A", f"speaker{i}") for i in range(9)], "speaker")) == {"train", "dev"}


def test_nothing_is_held_back_when_nothing_should_be() -> None:
    assert set(dealt([("spoof", f"page{i}", "") for i in range(9)], held_back=0.0)) == {"train"}


@pytest.mark.parametrize(("group_by", "held_back"), [("page", 0.2), ("both", 1.0), ("both", -0.1)])
def test_what_cannot_be_dealt_is_refused(group_by: str, held_back: float) -> None:
    with pytest.raises(ValueError, match="must be"):
        GroupedSplit(group_by, held_back, 1)  # type: ignore[arg-type]
