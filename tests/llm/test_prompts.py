"""Which tokens of a conversation are learnt, and where its clips stand."""

import pytest

from detectors.errors import DetectorError
from detectors.llm.prompts import Piece, Turn, clips_wanted, render
from tests.llm.tiny import tiny_tokenizer

TOKENIZER = tiny_tokenizer()


def shown(pieces: list[Piece]) -> str:
    """The conversation as text, [clip k] where a clip is heard."""
    return "".join(
        TOKENIZER.decode(piece.tokens) if piece.clip is None else f"[clip {piece.clip}]" for piece in pieces
    )


def learnt(pieces: list[Piece]) -> list[str]:
    return [TOKENIZER.decode(piece.tokens) for piece in pieces if piece.learn]


def test_the_conversation_is_the_chat_template_with_its_clips() -> None:
    turns = [Turn("system", "Listen."), Turn("user", "<audio>Real?"), Turn("assistant", "Fake.")]
    assert shown(render(turns, TOKENIZER)) == (
        "<|im_start|>system\nListen.<|im_end|>\n<|im_start|>user\n[clip 0]Real?<|im_end|>\n"
        "<|im_start|>assistant\nFake.<|im_end|>\n"
    )


def test_only_an_answer_and_its_end_are_learnt() -> None:
    turns = [Turn("user", "<audio>Real?"), Turn("assistant", "Fake.")]
    assert learnt(render(turns, TOKENIZER)) == ["Fake.<|im_end|>"]


def test_each_answer_of_a_conversation_is_learnt_unless_told_otherwise() -> None:
    turns = [
        Turn("user", "<audio>Real?"),
        Turn("assistant", "Fake."),
        Turn("user", "Sure?"),
        Turn("assistant", "Given.", learn=False),
        Turn("user", "Why?"),
        Turn("assistant", "It hums.\n\nAnd it hisses."),
    ]
    pieces = render(turns, TOKENIZER)
    assert learnt(pieces) == ["Fake.<|im_end|>", "It hums.\n\nAnd it hisses.<|im_end|>"]
    assert "Given.<|im_end|>\n<|im_start|>user\nWhy?" in shown(pieces)


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("<audio>Real?", "[clip 0]Real?"),
        ("Real? <audio>", "Real? [clip 0]"),
        ("Is <audio> real?", "Is [clip 0] real?"),
        ("<audio><audio>Alike?", "[clip 0][clip 1]Alike?"),
        ("First <audio></audio>, then <audio></audio>.", "First [clip 0], then [clip 1]."),
    ],
)
def test_a_clip_stands_where_its_marker_stood(prompt: str, expected: str) -> None:
    turns = [Turn("user", prompt), Turn("assistant", "Yes.")]
    assert f"user\n{expected}<|im_end|>" in shown(render(turns, TOKENIZER))
    assert clips_wanted(turns) == prompt.count("<audio>")


def test_clips_are_numbered_through_the_whole_conversation() -> None:
    turns = [
        Turn("system", "A sample: <audio>"),
        Turn("user", "And <audio>?"),
        Turn("assistant", "Fake."),
        Turn("user", "<audio> and <audio>?"),
    ]
    pieces = render(turns, TOKENIZER, ask=True)
    assert [piece.clip for piece in pieces if piece.clip is not None] == [0, 1, 2, 3]
    assert "A sample: [clip 0]<|im_end|>\n<|im_start|>user\nAnd [clip 1]?" in shown(pieces)


def test_a_question_ends_where_the_answer_begins() -> None:
    text = shown(render([Turn("user", "Real?")], TOKENIZER, ask=True))
    assert text.endswith("Real?<|im_end|>\n<|im_start|>assistant\n")
    assert not learnt(render([Turn("user", "Real?")], TOKENIZER, ask=True))


def test_a_template_that_rewrites_earlier_messages_is_refused() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = "{{ messages | length }}" + str(tokenizer.chat_template)
    with pytest.raises(DetectorError, match="rewrites earlier messages"):
        render([Turn("user", "Real?"), Turn("assistant", "Fake.")], tokenizer)
