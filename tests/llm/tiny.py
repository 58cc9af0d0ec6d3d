"""A language model that hears, with random weights and a few thousand parameters, and its tokenizer."""

from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from detectors.llm.config import AudioLlmConfig, LoraSizes
from detectors.llm.model import AudioLlm

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|AUDIO|>", "<|audio_bos|>", "<|audio_eos|>"]
TEXT = ["Is this audio real or fake? Fake. Real. Voice check. system user assistant Audio 1:"]


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """Bytes and a few words, with ChatML as its template."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, initial_alphabet=alphabet, special_tokens=SPECIAL, show_progress=False
    )
    bpe.train_from_iterator(TEXT * 4, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe, eos_token="<|im_end|>", pad_token="<|endoftext|>", padding_side="left"
    )
    tokenizer.chat_template = CHATML
    return tokenizer


def tiny_llm(vocabulary: int) -> LlamaForCausalLM:
    """The same weights every time."""
    torch.manual_seed(11)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    return outspoken(LlamaForCausalLM(config))


@torch.no_grad()
def outspoken(llm: Any) -> Any:
    """Random weights so large that one word is told from another."""
    llm.get_input_embeddings().weight.normal_(std=0.5)
    llm.lm_head.weight.normal_(std=0.5)
    return llm.eval()


TINY = AudioLlmConfig(
    encoder_layers=2,
    encoder_hidden=16,
    encoder_heads=2,
    encoder_ffn=24,
    llm_hidden=32,
    projector_hidden=12,
    base="tiny",
    lora=LoraSizes(rank=4, alpha=8, dropout=0.0),
)


@torch.no_grad()
def tiny_audio_llm(seed: int = 0) -> AudioLlm:
    """seed: of all but the language model."""
    tokenizer = tiny_tokenizer()
    llm = tiny_llm(len(tokenizer))
    torch.manual_seed(seed)
    model = AudioLlm(TINY, llm, tokenizer)
    for part in (model.encoder, model.projector):
        for parameter in part.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=0.5)
    unsettle(model)
    return model.eval()


@torch.no_grad()
def unsettle(model: AudioLlm) -> None:
    """Move the weights of the adapter, which begins by adding nothing."""
    for name, parameter in model.llm.named_parameters():
        if "lora_" in name:
            parameter.normal_(std=0.2)


def waves(count: int, samples: int, seed: int = 0) -> torch.Tensor:
    """Noise that swells and fades, at another rate in each, [count, samples]."""
    rng = np.random.default_rng(seed)
    swell = np.sin(np.arange(samples) * rng.uniform(0.01, 0.3, size=(count, 1)))
    noise = rng.normal(size=(count, samples)) * swell
    return torch.from_numpy((0.3 * noise / np.abs(noise).max(axis=1, keepdims=True)).astype(np.float32))
