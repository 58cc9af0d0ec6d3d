"""What the model is trained and tested on."""

from detectors.chat.answers import intents
from detectors.chat.phrasings import phrasings
from detectors.chat.questions import FOLLOW_UPS, test_questions, training_conversations


def test_every_kind_of_question_has_many_phrasings_in_both_splits() -> None:
    train, held_out = phrasings("train"), phrasings("held_out")
    assert set(train) == set(held_out) == set(intents())
    assert min(map(len, train.values())) >= 14
    assert min(map(len, held_out.values())) >= 8


def test_no_phrasing_is_in_both_splits() -> None:
    train = {q.lower().strip("?.!") for questions in phrasings("train").values() for q in questions}
    held_out = {q.lower().strip("?.!") for questions in phrasings("held_out").values() for q in questions}
    assert train.isdisjoint(held_out)


def test_conversations_are_the_same_for_the_same_seed() -> None:
    assert training_conversations(5, 3) == training_conversations(5, 3)
    assert training_conversations(5, 3) != training_conversations(5, 4)


def test_conversations_have_three_to_five_questions_and_short_answers() -> None:
    for conversation in training_conversations(200, 0):
        assert 3 <= len(conversation.exchanges) <= 5
        for exchange in conversation.exchanges:
            assert exchange.question
            assert len(exchange.answer) < 220
            assert "{" not in exchange.question + exchange.answer


def test_follow_ups_come_after_what_they_follow() -> None:
    seen = 0
    for conversation in training_conversations(300, 1):
        for before, exchange in zip([None, *conversation.exchanges], conversation.exchanges, strict=False):
            if exchange.intent in FOLLOW_UPS:
                assert before is not None
                assert before.intent in FOLLOW_UPS[exchange.intent]
                seen += 1
    assert seen > 30


def test_all_intents_are_trained_and_tested() -> None:
    trained = {e.intent for c in training_conversations(400, 2) for e in c.exchanges}
    assert trained == {item.intent for item in test_questions(len(intents()))} == set(intents())


def test_test_questions_are_held_out_and_follow_ups_have_a_history() -> None:
    items = test_questions(320, 7)
    assert len(items) == 320
    learnt = {e.question.lower().strip("?.!") for c in training_conversations(1000, 0) for e in c.exchanges}
    for item in items:
        assert item.question.lower().strip("?.!") not in learnt
        assert bool(item.history) == (item.intent in FOLLOW_UPS)
