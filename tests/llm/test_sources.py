"""What is learnt from, in which order, and which clip goes with what."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from detectors.chat.questions import training_conversations
from detectors.corpus import build_cache, read_manifest
from detectors.kept import KeptClips, Shrunk
from detectors.llm.clips import Features, Waves, dev_windows, file_clips, keep_clips, view_clips
from detectors.llm.detection import DETECT_PROMPT
from detectors.llm.model import IGNORED
from detectors.llm.prompts import Example, Turn
from detectors.llm.sources import Chat, Detection, Mixture, Written, hold_back
from detectors.views import Views
from tests.llm.tiny import tiny_audio_llm, waves
from tests.llm.training import tiny_recipe, write_corpus


class Numbered:
    """Examples that name themselves."""

    def __init__(self, name: str, count: int) -> None:
        self.name, self.count = name, count

    def __len__(self) -> int:
        return self.count

    def example(self, i: int, rng: np.random.Generator) -> Example:
        return Example([Turn("user", f"{self.name}{i} {rng.integers(100)}")], [])


def drawn(mixture: Mixture, start: int, stop: int) -> list[str]:
    return [mixture[k].turns[0].content.split()[0] for k in range(start, stop)]


def test_an_epoch_has_each_example_once_in_another_order() -> None:
    mixture = Mixture([Numbered("a", 7), Numbered("b", 3)], None, seed=1)
    assert mixture.epoch_size == 10
    first, second = drawn(mixture, 0, 10), drawn(mixture, 10, 20)
    everything = sorted([f"a{i}" for i in range(7)] + [f"b{i}" for i in range(3)])
    assert sorted(first) == sorted(second) == everything
    assert first != second


def test_an_example_depends_on_its_number_and_the_seed_alone() -> None:
    def mixture(seed: int) -> Mixture:
        return Mixture([Numbered("a", 20), Numbered("b", 20)], None, seed)

    one, other = mixture(1), mixture(1)
    forwards = [one[k] for k in range(60)]
    backwards = [other[k] for k in reversed(range(60))]
    assert forwards == backwards[::-1]
    assert forwards != [mixture(2)[k] for k in range(60)]


def test_shares_say_how_often_a_source_comes() -> None:
    mixture = Mixture([Numbered("a", 90), Numbered("b", 10)], [0.25, 0.75], seed=1)
    found = drawn(mixture, 0, 100)
    assert Counter(name[0] for name in found) == {"a": 25, "b": 75}
    assert len(set(found)) == 25 + 10
    assert max(Counter(found).values()) == 8


def test_what_is_held_back_is_not_learnt() -> None:
    source, examples = hold_back(Numbered("a", 20), 0.25, 100, seed=1)
    held = {example.turns[0].content.split()[0] for example in examples}
    kept = {
        source.example(i, np.random.default_rng(0)).turns[0].content.split()[0] for i in range(len(source))
    }
    assert len(held) == 5
    assert held.isdisjoint(kept)
    assert len(held | kept) == 20
    assert len(hold_back(Numbered("a", 20), 0.25, 2, seed=1)[1]) == 2


def labelled(tags: list[int]) -> Waves:
    return Waves(lambda i: torch.full((4, 16), float(i)), tags)


def test_a_detection_example_has_the_answer_of_its_clip() -> None:
    source = Detection(labelled([0, 1]))
    questions = set()
    for k in range(60):
        for i, answer in enumerate(("Fake.", "Real.")):
            turns, features = source.example(i, np.random.default_rng(k))
            assert turns[-1].content == answer
            assert features[0][0, 0] == i
            questions.add(turns[-2].content)
    assert DETECT_PROMPT in questions
    assert len(questions) > 4
    assert all(question.count("<audio>") == 1 for question in questions)


def test_a_written_conversation_gets_its_clips_in_order() -> None:
    turns = [Turn("user", "<audio> or <audio>?"), Turn("assistant", "The first.")]
    source = Written([(turns, [2, 0])], labelled([0, 0, 0]))
    example = source.example(0, np.random.default_rng(0))
    assert example.turns == turns
    assert [clip[0, 0] for clip in example.features] == [2, 0]


def test_a_chat_has_one_clip_of_its_kind_and_learns_every_answer() -> None:
    conversations = training_conversations(12, seed=3)
    tags = [0, 1] * 5
    source, model = Chat(conversations, labelled(tags)), tiny_audio_llm()
    for i, conversation in enumerate(conversations):
        turns, (clip,) = source.example(i, np.random.default_rng(i))
        assert [turn.role for turn in turns] == ["system"] + ["user", "assistant"] * len(
            conversation.exchanges
        )
        assert turns[1].content.startswith("<audio>")
        assert sum(turn.content.count("<audio>") for turn in turns) == 1
        kind = {"spoof": 0, "bonafide": 1}.get(conversation.sheet.verdict or "")
        assert kind is None or tags[int(clip[0, 0])] == kind
        labels = model.prompt([Example(turns, [clip])]).labels[0]
        expected = "".join(f"{exchange.answer}<|im_end|>" for exchange in conversation.exchanges)
        assert model.tokenizer.decode(labels[labels != IGNORED]) == expected


# Kept features


def test_kept_clips_are_read_as_they_were_written(tmp_path: Path) -> None:
    clips = [Shrunk(torch.randn(n, 5).half().float(), 10 * n, n) for n in (3, 1, 4)]
    KeptClips.write(tmp_path, clips, 3)
    kept = KeptClips(tmp_path)
    assert len(kept) == 3
    for i, clip in enumerate(clips):
        torch.testing.assert_close(kept[i].rows, clip.rows)
        assert kept[i][1:] == clip[1:]


def test_kept_features_are_to_the_model_what_the_clip_is(tmp_path: Path) -> None:
    model = tiny_audio_llm()
    heard = [waves(1, samples)[0] for samples in (8_000, 11_111)]
    kept = keep_clips(tmp_path, model, [(wave, 1) for wave in heard], 2, "test")
    for i, wave in enumerate(heard):
        by_wave, by_kept = (
            model.next_logits([Example([Turn("user", "<audio>?")], [clip])]) for clip in (wave, kept.clip(i))
        )
        torch.testing.assert_close(by_kept, by_wave, atol=0.05, rtol=0.02)  # they are kept in fp16


def test_features_are_kept_for_one_encoder_and_one_set_of_clips(tmp_path: Path) -> None:
    def keep(seed: int, made_from: str) -> np.ndarray:
        keep_clips(
            tmp_path, tiny_audio_llm(seed), [(waves(1, 8_000, seed=len(made_from))[0], 0)], 1, made_from
        )
        return KeptClips(tmp_path)[0].rows.numpy()

    first = keep(0, "a")
    assert not np.array_equal(keep(1, "a"), first)
    np.testing.assert_array_equal(keep(0, "a"), first)
    assert not np.array_equal(keep(0, "bb"), first)


@pytest.mark.parametrize("learns", [False, True])
def test_views_have_the_label_of_their_clip(tmp_path: Path, learns: bool) -> None:
    manifest = write_corpus(tmp_path)
    cache = build_cache(tmp_path / "cache", read_manifest(manifest, "train"), 0, 1)
    views, model = Views(cache, tiny_recipe(tmp_path, copy_synthesis=0.5), 8_000), tiny_audio_llm()
    model.encoder.requires_grad_(learns)
    found = view_clips(tmp_path / "kept", model, views, 10)
    assert found.tags.tolist() == [views[k][1] for k in range(10)]
    assert isinstance(found, Waves if learns else Features)
    assert found.clip(3).shape == ((8_000,) if learns else (25, 16))


def test_dev_windows_belong_to_their_clips_and_are_evenly_spread(tmp_path: Path) -> None:
    manifest = write_corpus(tmp_path)
    dev, model = build_cache(tmp_path / "cache", read_manifest(manifest, "dev"), 0, 1), tiny_audio_llm()
    every = dev_windows(tmp_path / "all", model, dev, 4_000, 2_000, 0)
    assert every.tags.tolist() == [i for i in range(6) for _ in range(4)]  # 9,600 samples each
    some = dev_windows(tmp_path / "some", model, dev, 4_000, 2_000, 2)
    assert some.tags.tolist() == [i for i in range(6) for _ in range(2)]
    for i in range(6):
        torch.testing.assert_close(some.clip(2 * i), every.clip(4 * i))
        torch.testing.assert_close(some.clip(2 * i + 1), every.clip(4 * i + 3))


def test_of_a_long_file_the_first_30_seconds_are_heard(tmp_path: Path) -> None:
    import soundfile

    soundfile.write(tmp_path / "long.wav", 0.1 * np.random.default_rng(0).normal(size=16_000 * 31), 16_000)
    found = file_clips(tmp_path / "kept", tiny_audio_llm(), [str(tmp_path / "long.wav")])
    assert found.clip(0).shape == (1_500, 16)
