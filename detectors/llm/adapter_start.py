"""A start for the adapter: the language model learns to answer as the projector's probe does.

What the probe reads off the tokens at a glance, thirty frozen layers learn slowly from labels. Its log-odds
tell them how sure to be of each clip (distillation: Hinton et al., 2015), which a hundred steps teach.
"""

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from detectors.fitting import fit
from detectors.llm.clips import Features
from detectors.llm.detection import answer_tokens
from detectors.llm.model import IGNORED, AudioLlm, Prompt
from detectors.llm.projector_start import Probe
from detectors.llm.recipe import AdapterStart
from detectors.llm.sources import Detection

#: How much it counts that an answer begins with one of the two words, and goes on as answers do.
FORM = 0.1


def start_adapter(
    model: AudioLlm,
    clips: Features,
    probe: Probe,
    config: AdapterStart,
    seed: int,
    device: torch.device | str,
) -> None:
    """Train the adapter in place, and nothing else, on clips that the probe judges.

    Raises DetectorError when the answers' first tokens are the same.
    """
    if not config.passes:
        return
    model.to(device)
    reader = _Reader(model)
    model.projector.eval()  # the probe judges without dropout, too
    expected = log_odds(probe.to(device), clips, device)
    batches = partial(_batches, model, clips, expected, config, np.random.default_rng([seed, 6]))
    loss = partial(_loss, answer_tokens(model.tokenizer))
    fit(reader, batches, config.steps, config.passes, config.lr, config.weight_decay, "the adapter", loss)


@torch.inference_mode()
def log_odds(probe: Probe, clips: Features, device: torch.device | str, size: int = 256) -> Tensor:
    """How much rather the probe takes each clip for bona fide, [clips]; the clips are of one length."""
    probe.eval()
    found = []
    for start in range(0, len(clips), size):
        rows = [clips.kept[i].rows for i in range(start, min(start + size, len(clips)))]
        spoof, bonafide = probe(torch.stack(rows).to(device)).unbind(dim=1)
        found.append((bonafide - spoof).cpu())
    return torch.cat(found)


class _Reader(nn.Module):
    """Prompt -> logits [tokens, vocabulary] of what is to be learnt. Only the adapter is a part of it."""

    def __init__(self, model: AudioLlm) -> None:
        super().__init__()
        self.llm, self._model = model.llm, [model]  # in a list, so that it is no part

    def forward(self, prompt: Prompt) -> Tensor:
        logits: Tensor = self._model[0].learnt_logits(prompt)
        return logits


def _batches(
    model: AudioLlm, clips: Features, expected: Tensor, config: AdapterStart, rng: np.random.Generator
) -> Iterator[tuple[Prompt, Tensor]]:
    """As many as a pass has: prompts, and of each token to learn its number and, of an answer's first, the
    log-odds to be learnt in its stead (elsewhere nan), [tokens, 2]."""
    questions = Detection(clips)
    for chosen in rng.choice(len(clips), (config.steps, config.batch_size)):
        with torch.no_grad():
            prompt = model.prompt([questions.example(int(i), rng) for i in chosen])
        labels = prompt.labels[:, 1:]
        learnt = labels != IGNORED
        odds = torch.full(labels.shape, torch.nan, device=labels.device)
        odds[range(len(chosen)), learnt.int().argmax(dim=1)] = expected[chosen].to(labels.device)
        yield prompt, torch.stack([labels[learnt].float(), odds[learnt]], dim=1)


def _loss(answers: Sequence[int], logits: Tensor, targets: Tensor) -> Tensor:
    token, odds = targets.unbind(dim=1)
    is_first = ~odds.isnan()
    begun = logits[is_first]
    fake, real = begun[:, answers[0]], begun[:, answers[1]]
    apart = nn.functional.smooth_l1_loss(real - fake, odds[is_first])
    astray = (begun.logsumexp(dim=1) - torch.logaddexp(fake, real)).mean()
    rest = nn.functional.cross_entropy(logits[~is_first], token[~is_first].long())
    return apart + FORM * (astray + rest)
