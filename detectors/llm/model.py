"""AudioLLM: Whisper encoder -> projector -> a LLaMA-family language model with LoRA adapters."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor, nn

from detectors.errors import DetectorError
from detectors.llm.config import AudioLlmConfig, LoraSizes
from detectors.llm.encoder import ShortWhisper
from detectors.llm.projector import Projector
from detectors.llm.prompts import Example, clips_wanted, render

#: Label of a position that is not learnt, as torch's cross-entropy has it.
IGNORED = -100


class Prompt(NamedTuple):
    """What the language model reads. embeds [b, n, h], mask [b, n] of real positions, labels [b, n]."""

    embeds: Tensor
    mask: Tensor
    labels: Tensor


class AudioLlm(nn.Module):
    """A language model that hears. Only the projector and the adapter learn, unless told otherwise.

    llm: a causal language model of the LLaMA family, from transformers. tokenizer: its tokenizer, with a
    chat template. Raises DetectorError when the config's width is not the language model's.
    """

    def __init__(
        self, config: AudioLlmConfig, llm: Any, tokenizer: Any, encoder: ShortWhisper | None = None
    ) -> None:
        super().__init__()
        if llm.config.hidden_size != config.llm_hidden:
            raise DetectorError(
                f"The language model {config.base} is {llm.config.hidden_size} wide, but the projector was "
                f"made for {config.llm_hidden}. Use the model that the checkpoint's config.json names."
            )
        self.config, self.tokenizer = config, tokenizer
        self.encoder = (encoder or ShortWhisper(config)).requires_grad_(False)
        self.projector = Projector(config)
        self.llm: Any = llm.requires_grad_(False)
        if config.lora:
            self.llm = get_peft_model(self.llm, lora_config(config.lora))

    @property
    def causal_lm(self) -> Any:
        """The language model itself, with the adapter's additions inside."""
        return self.llm.get_base_model() if isinstance(self.llm, PeftModel) else self.llm

    def merge(self) -> None:
        """Work the adapter into the language model's weights: faster, and the end of training."""
        if isinstance(self.llm, PeftModel):
            self.llm = self.llm.merge_and_unload()

    def hear(self, wave: Tensor) -> Tensor:
        """waveform [b, s] at 16 kHz -> features [b, t, d]."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.encoder_learns()):
            return self.encoder(wave)

    def encoder_learns(self) -> bool:
        """True when the audio encoder is trained too."""
        return any(p.requires_grad for p in self.encoder.parameters())

    def prompt(self, examples: Sequence[Example], ask: bool = False, max_length: int | None = None) -> Prompt:
        """Text and clips of each example in their order, padded to one length.

        ask: end where the answer begins, and pad on the left, so that the last position is the last of all.
        max_length: positions of an example that are kept, from its beginning.
        Raises DetectorError when an example has another number of clips than markers.
        """
        whole = [self._row(example, ask) for example in examples]
        rows = [(row[:max_length], labels[:max_length]) for row, labels in whole]
        longest = max(len(labels) for _, labels in rows)
        embeds = rows[0][0].new_zeros(len(rows), longest, rows[0][0].shape[1])
        mask = torch.zeros(len(rows), longest, dtype=torch.long, device=embeds.device)
        labels = torch.full((len(rows), longest), IGNORED, device=embeds.device)
        for i, (row, row_labels) in enumerate(rows):
            place = slice(longest - len(row), longest) if ask else slice(0, len(row))
            embeds[i, place], mask[i, place] = row, 1
            labels[i, place] = row_labels
        return Prompt(embeds, mask, labels)

    def _row(self, example: Example, ask: bool) -> tuple[Tensor, Tensor]:
        """embeds [n, h] and labels [n] of one example."""
        wanted = clips_wanted(example.turns)
        if wanted != len(example.features):
            raise DetectorError(f"The text has {wanted} <audio> markers for {len(example.features)} clips.")
        table = self.causal_lm.get_input_embeddings()
        device = table.weight.device
        parts, labels = [], []
        for piece in render(example.turns, self.tokenizer, ask):
            if piece.clip is None:
                ids = torch.tensor(piece.tokens, device=device)
                parts.append(table(ids))
                labels.append(ids if piece.learn else torch.full_like(ids, IGNORED))
            else:
                clip = example.features[piece.clip][None].to(device)
                heard = self.projector(self.hear(clip) if clip.dim() == 2 else clip)[0]
                parts.append(heard.to(table.weight.dtype))
                labels.append(torch.full((len(heard),), IGNORED, device=device))
        return torch.cat(parts), torch.cat(labels)

    def hidden(self, prompt: Prompt) -> Tensor:
        """The language model's last hidden states [b, n, h]."""
        output = self.causal_lm.model(inputs_embeds=prompt.embeds, attention_mask=prompt.mask)
        hidden: Tensor = output.last_hidden_state
        return hidden

    def forward(self, examples: Sequence[Example], max_length: int | None = None) -> Tensor:
        """The mean cross-entropy of the learnt tokens, a scalar."""
        losses = self.token_losses(self.prompt(examples, max_length=max_length))
        # Nothing is left to learn when all answers are cut off.
        return losses.mean() if len(losses) else losses.sum()

    def token_losses(self, prompt: Prompt) -> Tensor:
        """The cross-entropy of each learnt token, [tokens]."""
        targets = prompt.labels[:, 1:]
        logits = self.learnt_logits(prompt)
        return nn.functional.cross_entropy(logits, targets[targets != IGNORED], reduction="none")

    def learnt_logits(self, prompt: Prompt) -> Tensor:
        """Logits of each learnt token, [tokens, vocabulary].

        The vocabulary is wide and most positions are not learnt: logits are made for those that are.
        """
        learnt = prompt.labels[:, 1:] != IGNORED
        logits: Tensor = self.causal_lm.lm_head(self.hidden(prompt)[:, :-1][learnt])
        return logits.float()

    def next_logits(self, examples: Sequence[Example]) -> Tensor:
        """Logits [b, vocabulary] of the first token of each example's answer."""
        hidden = self.hidden(self.prompt(examples, ask=True))
        logits: Tensor = self.causal_lm.lm_head(hidden[:, -1]).float()
        return logits


def lora_config(sizes: LoraSizes) -> LoraConfig:
    """peft's form of our sizes."""
    return LoraConfig(
        r=sizes.rank,
        lora_alpha=sizes.alpha,
        lora_dropout=sizes.dropout,
        target_modules=list(sizes.targets),
        task_type="CAUSAL_LM",
    )
