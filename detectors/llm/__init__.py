"""AudioLLM: a Whisper encoder, a projector and a LLaMA-family language model with LoRA."""
