"""Encoders by Hugging Face `transformers`, and the ways to make one embedding of a sentence's words."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from contrastbench.encoders.text import TextEncoder, draw_weights, mean_over_words

# "cls": the first word's state through a layer with tanh that is trained; "cls_before_pooler": the same in training,
# the layer dropped in tests; the others average the words of the last layer, of the first and last, of the last two.
POOLERS = ("cls", "cls_before_pooler", "avg", "avg_first_last", "avg_top2")


class PretrainedEncoder(TextEncoder):
    """A transformers model and a pooler; embeddings are as wide as its states."""

    def __init__(self, model: Any, pooler: str, mlp: nn.Module | None, padding: int) -> None:
        super().__init__()
        self.model = model
        self.pooler = pooler
        self.mlp = mlp
        self.padding = padding
        self.width = int(model.config.hidden_size)

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """[B, T] -> [B, width] as trained: through the layer where the pooler has one."""
        pooled = self._pool(tokens, lengths)
        return pooled if self.mlp is None else self.mlp(pooled)

    def features(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """[B, T] -> [B, width] as tested."""
        return self(tokens, lengths) if self.pooler == "cls" else self._pool(tokens, lengths)

    def _pool(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        there = torch.arange(tokens.shape[1], device=tokens.device) < lengths[:, None]
        several = self.pooler in ("avg_first_last", "avg_top2")
        out = self.model(input_ids=tokens, attention_mask=there.long(), output_hidden_states=several)
        last = out.last_hidden_state
        if self.pooler.startswith("cls"):
            return last[:, 0]
        if self.pooler == "avg":
            return mean_over_words(last, there)
        other = out.hidden_states[1 if self.pooler == "avg_first_last" else -2]
        return mean_over_words((last + other) / 2, there)


class Tokenizer:
    """Turns sentences into word numbers, with the model's own marks around them."""

    def __init__(self, tokenizer: Any, longest: int) -> None:
        self._tokenizer = tokenizer
        self.longest = longest

    def __call__(self, texts: Sequence[str]) -> list[np.ndarray]:
        rows = self._tokenizer(list(texts), truncation=True, max_length=self.longest)["input_ids"]
        return [np.array(row, dtype=np.int64) for row in rows]


def pretrained_encoder(
    path: str | Path, *, pooler: str, longest: int, rng: torch.Generator, layers: int = 0
) -> tuple[PretrainedEncoder, Tokenizer]:
    """A transformers model with its tokenizer, from a folder or by its name on the hub.

    Args:
        path: a folder with ``config.json``, weights and tokenizer, or a name such as ``bert-base-uncased``.
        pooler: one of ``POOLERS``.
        longest: sentences are cut to so many word pieces, marks included.
        rng: draws the pooler's layer, which no checkpoint has.
        layers: keep only so many of the first layers; 0 keeps all.

    Raises:
        ValueError: no model or no tokenizer there, or a tokenizer of another vocabulary.
    """
    if pooler not in POOLERS:
        raise ValueError(f"unknown pooler {pooler!r}; there are: {', '.join(POOLERS)}")
    model, tokenizer = _load(path)
    if layers:
        _keep_layers(model, layers)
    mlp = None
    if pooler.startswith("cls"):
        mlp = nn.Sequential(nn.Linear(model.config.hidden_size, model.config.hidden_size), nn.Tanh())
        draw_weights(mlp, rng)
    padding = tokenizer.pad_token_id
    return PretrainedEncoder(model, pooler, mlp, padding), Tokenizer(tokenizer, longest)


def _load(path: str | Path) -> tuple[Any, Any]:
    from transformers import AutoModel, AutoTokenizer

    try:
        model = AutoModel.from_pretrained(path, attn_implementation="sdpa")
    except Exception as error:  # transformers raises many kinds
        raise ValueError(f"no transformers model at {str(path)!r} ({_first_line(error)})") from error
    try:
        tokenizer = AutoTokenizer.from_pretrained(path)
    except Exception as error:
        raise ValueError(f"the model at {str(path)!r} has no tokenizer ({_first_line(error)})") from error
    if len(tokenizer) <= len(tokenizer.all_special_tokens):  # transformers makes an empty one where there are no files
        raise ValueError(f"the model at {str(path)!r} has no tokenizer (looked for tokenizer.json, vocab.txt)")
    if len(tokenizer) > model.config.vocab_size:
        raise ValueError(
            f"the tokenizer at {str(path)!r} has {len(tokenizer)} word pieces, its model {model.config.vocab_size}: "
            "they do not belong together"
        )
    if tokenizer.pad_token_id is None:
        raise ValueError(f"the tokenizer at {str(path)!r} has no padding token")
    if model.config.pad_token_id not in (None, tokenizer.pad_token_id):
        raise ValueError(
            f"the tokenizer at {str(path)!r} has padding token {tokenizer.pad_token_id}, its model "
            f"{model.config.pad_token_id}: they do not belong together"
        )
    return model, tokenizer


def _keep_layers(model: Any, layers: int) -> None:
    present = getattr(getattr(model, "encoder", None), "layer", None)
    if present is None or not 1 <= layers <= len(present):
        many = "no list of layers" if present is None else f"{len(present)} layers"
        raise ValueError(f"layers must be between 1 and what the model has ({many}), got {layers}")
    model.encoder.layer = copy.copy(present[:layers])
    model.config.num_hidden_layers = layers


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__
