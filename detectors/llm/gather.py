"""From a recipe's sources to what a run needs: examples to learn, and what it is measured on."""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from detectors.chat.questions import training_conversations
from detectors.corpus import ClipCache, build_cache, read_manifest
from detectors.llm.clips import Clips, dev_windows, file_clips, view_clips
from detectors.llm.data import Conversation, read_audio_llm, read_messages
from detectors.llm.detection import PREAMBLE
from detectors.llm.model import AudioLlm
from detectors.llm.prompts import Example, Turn
from detectors.llm.recipe import LlmRecipe
from detectors.llm.sources import Chat, Detection, Mixture, Source, Written, hold_back
from detectors.views import Views


class Dev(NamedTuple):
    """Windows of dev clips, tagged with the clip's number, and the clips."""

    windows: Clips
    cache: ClipCache


class Gathered(NamedTuple):
    """mixture: what is learnt. heard: all of its clips. views: those of the manifest. dev, held_back: what is
    measured on."""

    mixture: Mixture
    heard: list[Clips]
    views: Clips | None
    dev: Dev | None
    held_back: list[Example]


def gather(recipe: LlmRecipe, model: AudioLlm) -> Gathered:
    """Decode and hear all that the recipe names, unless it was done before.

    Raises DetectorError when a source is missing or broken.
    """
    sources: dict[str, Source] = {}
    views, dev = None, None
    if recipe.manifest:
        views, dev = _of_manifest(recipe, model)
        sources["manifest"] = Detection(views)
    heard = [views] if views is not None else []
    held_back: list[Example] = []
    for name, source in _others(recipe, model, views).items():
        if isinstance(source, Written) and len(source.clips):
            heard.append(source.clips)
        sources[name], examples = hold_back(source, recipe.held_back, recipe.held_back_most, recipe.seed)
        held_back += examples
    shares = [recipe.shares.get(name, 0.0) for name in sources] if recipe.shares else None
    mixture = Mixture(list(sources.values()), shares, recipe.seed)
    return Gathered(mixture, heard, views, dev, held_back)


def _of_manifest(recipe: LlmRecipe, model: AudioLlm) -> tuple[Clips, Dev]:
    manifest, folder = Path(recipe.manifest), recipe.cache
    train = build_cache(
        folder / "train", read_manifest(manifest, "train"), recipe.coded_variants, recipe.seed
    )
    cache = build_cache(folder / "dev", read_manifest(manifest, "dev"), 0, recipe.seed)
    views = view_clips(
        folder / "audio_llm-views", model, Views(train, recipe, recipe.window_samples), recipe.views
    )
    windows = dev_windows(
        folder / "audio_llm-dev", model, cache, recipe.window_samples, recipe.hop_samples, recipe.dev_windows
    )
    return views, Dev(windows, cache)


def _others(recipe: LlmRecipe, model: AudioLlm, views: Clips | None) -> dict[str, Written | Chat]:
    found: dict[str, Written | Chat] = {}
    if recipe.messages:
        messages = read_messages(Path(recipe.messages))
        if recipe.name == "allm4add":
            messages = [_as_judged(conversation) for conversation in messages]
        found["messages"] = _written(recipe, model, "messages", messages)
    if recipe.data_path:
        folder = Path(recipe.audio_dir) if recipe.audio_dir else None
        found["data_path"] = _written(recipe, model, "data", read_audio_llm(Path(recipe.data_path), folder))
    if recipe.conversations:
        assert views is not None  # the recipe was checked for a manifest
        found["conversations"] = Chat(training_conversations(recipe.conversations, recipe.seed), views)
    return found


def _as_judged(conversation: Conversation) -> Conversation:
    """With what is said before a clip is judged, where nothing else is said first."""
    if conversation.turns[0].role == "system":
        return conversation
    return replace(conversation, turns=[Turn("system", PREAMBLE), *conversation.turns])


def _written(recipe: LlmRecipe, model: AudioLlm, name: str, found: list[Conversation]) -> Written:
    """Conversations from a file, with their clips heard; a clip that several name is heard once."""
    paths = sorted({str(path) for conversation in found for path in conversation.paths})
    numbers = {path: i for i, path in enumerate(paths)}
    clips = file_clips(recipe.cache / f"audio_llm-{name}", model, paths)
    return Written([(c.turns, [numbers[str(path)] for path in c.paths]) for c in found], clips)
