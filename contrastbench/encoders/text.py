"""Text encoders that are trained from scratch: bidirectional GRUs and a small transformer.

Dimensions: B sentences, T words of the longest, C copies, W and H wide.

Every encoder takes word numbers [B, T], padded with its ``padding``, and lengths [B] >= 1, and gives [B, ``width``].
What stands behind a sentence's length never changes its embedding.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from contrastbench.weights import build_undrawn

HEADS = 4
LAYERS = 2
DROPOUT = 0.1
LONGEST = 128  # words that the small transformer has places for


class TextEncoder(nn.Module):
    """What evaluation needs to know of an encoder of text."""

    width: int  # of the embedding
    padding: int = 0  # the word number that fills up short sentences

    def features(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """The embeddings that are tested, [B, width]; by default those that are trained."""
        return self(tokens, lengths)


class GruEncoder(TextEncoder):
    """Bidirectional GRUs over word embeddings; the two last states, side by side.

    All directions of all copies take a step at once, as one product of stacked matrices: a small GRU costs what its
    number of operations costs. The equations are those of ``torch.nn.GRU``.

    Args:
        words: size of the vocabulary.
        word_width: of a word's embedding.
        width: of a sentence's embedding, half of it for each direction.
        copies: independent encoders, whose embeddings stand side by side: ``width`` of the encoder is copies * width.
    """

    def __init__(self, words: int, word_width: int, width: int, copies: int = 1) -> None:
        super().__init__()
        if width % 2:
            raise ValueError(f"width must be even, half of it for each direction; got {width}")
        self.copies, self.direction_width, self.width = copies, width // 2, copies * width
        self.embedding = nn.Embedding(words, copies * word_width)
        directions = 2 * copies
        self.from_word = nn.Parameter(torch.empty(directions, word_width, 3 * self.direction_width))
        self.from_state = nn.Parameter(torch.empty(directions, self.direction_width, 3 * self.direction_width))
        self.word_bias = nn.Parameter(torch.empty(directions, 1, 3 * self.direction_width))
        self.state_bias = nn.Parameter(torch.empty(directions, 1, 3 * self.direction_width))

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        rows, longest = tokens.shape
        last = (lengths - 1)[:, None]
        places = torch.arange(longest, device=tokens.device)
        turned = tokens.gather(1, (last - places).clamp_min(0))  # the words from the last to the first, then padding
        both = self.embedding(torch.stack([tokens.T, turned.T])).unflatten(3, (self.copies, -1))  # [2, T, B, C, W]
        words = both.permute(3, 0, 1, 2, 4).flatten(0, 1).flatten(1, 2)  # [2C, T * B, W]
        inputs = torch.baddbmm(self.word_bias, words, self.from_word).unflatten(1, (longest, rows))
        states = self._states(inputs)  # [2C, T, B, H]
        at_last = (lengths - 1).expand(2 * self.copies, 1, rows)[..., None].expand(-1, -1, -1, self.direction_width)
        return states.gather(1, at_last).squeeze(1).transpose(0, 1).flatten(1)

    def _states(self, inputs: Tensor) -> Tensor:
        """The states after each word, from what the words add to the gates: [2C, T, B, 3H] -> [2C, T, B, H]."""
        state = inputs.new_zeros(inputs.shape[0], inputs.shape[2], self.direction_width)
        states = []
        for given in inputs.unbind(1):
            gates = torch.baddbmm(self.state_bias.to(given.dtype), state, self.from_state.to(given.dtype))
            reset, update = torch.sigmoid(
                given[..., : -self.direction_width] + gates[..., : -self.direction_width]
            ).chunk(2, dim=-1)
            new = torch.tanh(
                torch.addcmul(given[..., -self.direction_width :], reset, gates[..., -self.direction_width :])
            )
            state = torch.lerp(new, state, update)
            states.append(state)
        return torch.stack(states, dim=1)


class SmallTransformer(TextEncoder):
    """Two layers of self-attention (normalised first) over word and place embeddings; the mean over the words."""

    def __init__(self, words: int, word_width: int, width: int) -> None:
        super().__init__()
        if word_width != width:
            raise ValueError(f"the transformer's words are as wide as its output; got {word_width} and {width}")
        self.width = width
        self.embedding = nn.Embedding(words, width)
        self.places = nn.Embedding(LONGEST, width)
        self.dropout = nn.Dropout(DROPOUT)
        self.layers = nn.ModuleList(_Layer(width) for _ in range(LAYERS))
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        places = torch.arange(tokens.shape[1], device=tokens.device)
        there = places < lengths[:, None]
        x = self.dropout(self.embedding(tokens) + self.places(places))
        for layer in self.layers:
            x = layer(x, there)
        return mean_over_words(self.norm(x), there)


class _Layer(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.attention_norm, self.inner_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query_key_value, self.output = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wider, self.narrower = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        q, k, v = self.query_key_value(self.attention_norm(x)).unflatten(2, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        seen = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=there[:, None, None, :])
        x = x + self.dropout(self.output(seen.transpose(1, 2).flatten(2)))
        return x + self.dropout(self.narrower(torch.nn.functional.gelu(self.wider(self.inner_norm(x)))))


def mean_over_words(states: Tensor, there: Tensor) -> Tensor:
    """The mean of ``states`` [B, T, D] over the places that ``there`` [B, T] marks."""
    weights = there.to(states.dtype)[:, :, None]
    return (states * weights).sum(dim=1) / weights.sum(dim=1).clamp_min(1)


class TwoEncoders(TextEncoder):
    """Quick-Thoughts' pair: one encoder for a sentence, one for its neighbours. Tested side by side."""

    def __init__(self, build: Callable[[], TextEncoder]) -> None:
        super().__init__()
        self.sentence, self.neighbour = build(), build()
        self.width = 2 * self.sentence.width

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        return torch.cat([self.sentence(tokens, lengths), self.neighbour(tokens, lengths)], dim=1)


def two_encoders(name: str, words: int, word_width: int, width: int, *, rng: torch.Generator) -> TextEncoder:
    """Quick-Thoughts' pair of encoders, ``width`` each and side by side, with weights from ``rng``.

    Raises:
        ValueError: unknown name, or widths that do not fit.
    """
    if name == "gru":
        encoder: TextEncoder = build_undrawn(lambda: GruEncoder(words, word_width, width, copies=2))
    elif name == "transformer":
        encoder = build_undrawn(lambda: TwoEncoders(lambda: SmallTransformer(words, word_width, width)))
    else:
        raise ValueError(f"unknown text encoder {name!r}; there are: gru, transformer")
    draw_weights(encoder, rng)
    return encoder


@torch.no_grad()
def draw_weights(module: nn.Module, rng: torch.Generator) -> None:
    """PyTorch's usual distributions, drawn from ``rng``; word embeddings uniform in +-0.1, as Quick-Thoughts'."""
    for part in module.modules():
        if isinstance(part, nn.LayerNorm):
            part.reset_parameters()  # ones and zeros, nothing random
            continue
        inputs = part.direction_width if isinstance(part, GruEncoder) else int(getattr(part, "in_features", 1))
        bound = 0.1 if isinstance(part, nn.Embedding) else 1 / math.sqrt(inputs)
        for weights in part.parameters(recurse=False):
            weights.uniform_(-bound, bound, generator=rng)


@torch.no_grad()
def expand_words(known: Tensor, vectors: Tensor, wanted: Tensor) -> Tensor:
    """Embeddings for words that training never saw, by a linear map from word vectors (vocabulary expansion).

        min_W  |vectors W - known|^2 over the words of both;   returns wanted W

    Args:
        known: [V, D] trained embeddings.
        vectors: [V, E] word vectors of the same words, made elsewhere.
        wanted: [M, E] word vectors of the new words.

    Source: Kiros et al. 2015, arXiv:1506.06726, section 2.2.
    """
    if len(known) != len(vectors) or vectors.shape[1] != wanted.shape[1]:
        shapes = f"{list(known.shape)}, {list(vectors.shape)}, {list(wanted.shape)}"
        raise ValueError(f"known must be [V, D], vectors [V, E] and wanted [M, E]; got {shapes}")
    fitted = torch.linalg.lstsq(vectors.double(), known.double(), driver="gelsd").solution
    return (wanted.double() @ fitted).to(known.dtype)
