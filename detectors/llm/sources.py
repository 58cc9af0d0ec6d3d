"""What a language model that hears learns from: examples of one or more sources, in a fixed random order."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from torch.utils.data import Dataset

from detectors.chat.conversation import turns_of
from detectors.chat.questions import Conversation
from detectors.llm.clips import Clips
from detectors.llm.detection import DETECT_PROMPT, PARAPHRASES, detection_turns
from detectors.llm.prompts import Example, Turn


class Source(Protocol):
    """Examples of one kind."""

    def __len__(self) -> int: ...

    def example(self, i: int, rng: np.random.Generator) -> Example:
        """Example i; `rng` draws what may differ from time to time."""


class Detection:
    """Each clip with the question whether it is real, half of the time in the words used for judging."""

    def __init__(self, clips: Clips) -> None:
        self.clips = clips

    def __len__(self) -> int:
        return len(self.clips)

    def example(self, i: int, rng: np.random.Generator) -> Example:
        question = DETECT_PROMPT if rng.random() < 0.5 else str(rng.choice(PARAPHRASES))
        turns = detection_turns(question, bool(self.clips.tags[i]))
        return Example(turns, [self.clips.clip(i)])


class Written:
    """Conversations with the numbers of their clips, as they were read from a file."""

    def __init__(self, conversations: Sequence[tuple[list[Turn], list[int]]], clips: Clips) -> None:
        self.conversations, self.clips = conversations, clips

    def __len__(self) -> int:
        return len(self.conversations)

    def example(self, i: int, rng: np.random.Generator) -> Example:
        turns, numbers = self.conversations[i]
        return Example(turns, [self.clips.clip(number) for number in numbers])


class Chat:
    """Conversations about analyses, each with a clip of the kind that its analysis found."""

    def __init__(self, conversations: Sequence[Conversation], clips: Clips) -> None:
        self.conversations, self.clips = conversations, clips
        self._of_verdict = {
            "spoof": np.flatnonzero(clips.tags == 0),
            "bonafide": np.flatnonzero(clips.tags == 1),
        }

    def __len__(self) -> int:
        return len(self.conversations)

    def example(self, i: int, rng: np.random.Generator) -> Example:
        conversation = self.conversations[i]
        fitting = self._of_verdict.get(conversation.sheet.verdict or "", np.arange(len(self.clips)))
        return Example(chat_turns(conversation), [self.clips.clip(int(rng.choice(fitting)))])


def chat_turns(conversation: Conversation) -> list[Turn]:
    """The conversation as it is read when the last question is put, and the answer to that."""
    *before, last = conversation.exchanges
    history = [(exchange.question, exchange.answer) for exchange in before]
    return [*turns_of(conversation.sheet, history, last.question), Turn("assistant", last.answer)]


class Part:
    """The examples `chosen` of a source."""

    def __init__(self, source: Source, chosen: np.ndarray) -> None:
        self.source, self.chosen = source, chosen

    def __len__(self) -> int:
        return len(self.chosen)

    def example(self, i: int, rng: np.random.Generator) -> Example:
        return self.source.example(int(self.chosen[i]), rng)


def hold_back(source: Source, share: float, most: int, seed: int) -> tuple[Source, list[Example]]:
    """The source without a share of its examples, and these: at most `most`."""
    order = np.random.default_rng([seed, 1]).permutation(len(source))
    count = min(most, round(share * len(source)))
    examples = [source.example(int(i), np.random.default_rng([seed, 2, i])) for i in order[:count]]
    return Part(source, np.sort(order[count:])), examples


class Mixture(Dataset[Example]):
    """Endless examples of the sources; example k is the same in every run with the same seed.

    An epoch has as many examples as the sources together. shares: each source's part of it; None stands
    for parts by size. A source that is asked for more than it has comes again, for less is drawn from.
    """

    def __init__(self, sources: Sequence[Source], shares: Sequence[float] | None, seed: int) -> None:
        self.sources, self.seed = sources, seed
        sizes = np.array([len(source) for source in sources], float)
        parts = sizes if shares is None else np.array(shares, float)
        self.counts = np.round(sizes.sum() * parts / parts.sum()).astype(int)
        self._deck: tuple[int, np.ndarray] = (-1, np.zeros((0, 2), int))

    @property
    def epoch_size(self) -> int:
        """Examples of an epoch."""
        return int(self.counts.sum())

    def __getitem__(self, k: int) -> Example:
        epoch, place = divmod(k, self.epoch_size)
        if self._deck[0] != epoch:
            self._deck = (epoch, self._shuffled(epoch))
        which, i = self._deck[1][place]
        return self.sources[which].example(int(i), np.random.default_rng([self.seed, 3, k]))

    def _shuffled(self, epoch: int) -> np.ndarray:
        """Source and number of each example of an epoch, [epoch_size, 2]."""
        rng = np.random.default_rng([self.seed, 4, epoch])
        drawn = [
            np.stack([np.full(count, s), np.resize(rng.permutation(len(source)), count)], axis=1)
            for s, (source, count) in enumerate(zip(self.sources, self.counts, strict=True))
        ]
        return rng.permutation(np.concatenate(drawn))
