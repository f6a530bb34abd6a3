"""SASRec's transformer: the next item from the items before it.

Dimensions: B sequences, T places, I items, D wide.

Sequences are left-padded item numbers: 0 is padding, 1 to I are items, I + 1 is the mask. The places are counted from
the end, so that leading padding may be cut off: what stands at a place follows from the items alone.

Source: Kang and McAuley 2018, arXiv:1808.09781, in the form of RUCAIBox/CIKM2020-S3Rec modules.py at 2a81540: layers
normalise after they add (BERT's order), GELU, learned places.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, gelu, softmax

from contrastbench.weights import undrawn

PADDING = 0
SPREAD = 0.02  # standard deviation of the initial weights
EPSILON = 1e-12  # of the normalisations, as in the authors' code
HIDDEN = -10_000.0  # added to the score of what must not be seen


class SequenceEncoder(nn.Module):
    """Item and place embeddings, normalised, then layers of self-attention.

    Args:
        items: I, the largest item number.
        longest: places that there are; longer sequences must be cut before.
        width, layers, heads, dropout: of the transformer; ``heads`` must divide ``width``.
    """

    def __init__(
        self, items: int, longest: int, *, width: int = 64, layers: int = 2, heads: int = 2, dropout: float = 0.5
    ) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width must be a multiple of heads, got {width} and {heads}")
        self.count, self.longest, self.width = items, longest, width
        self.mask = items + 1
        self.items = nn.Embedding(items + 2, width, padding_idx=PADDING)
        self.places = nn.Embedding(longest, width)
        self.norm = nn.LayerNorm(width, eps=EPSILON)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(_Layer(width, heads, dropout) for _ in range(layers))

    def forward(self, sequences: Tensor, *, causal: bool = True, only_last: bool = False) -> Tensor:
        """What follows each place: [B, T] -> [B, T, D]. Places before the first item hold numbers of no meaning.

        With ``causal=False`` every place sees all items, as in S3-Rec's pre-training. With ``only_last=True`` the last
        layer spends time on the last place alone, and the result is [B, 1, D].
        """
        count = sequences.shape[1]
        x = self.items(sequences) + self.places.weight[self.longest - count :]
        x = self.dropout(self.norm(x))
        visible = (sequences != PADDING)[:, None, None, :]
        if causal:
            visible = visible & torch.ones(count, count, dtype=torch.bool, device=x.device).tril_()
        hidden = torch.zeros(visible.shape, dtype=x.dtype, device=x.device).masked_fill_(~visible, HIDDEN)
        for number, layer in enumerate(self.layers, start=1):
            x = layer(x, hidden, only_last and number == len(self.layers))
        return x

    def scores(self, states: Tensor) -> Tensor:
        """The score of every number, padding and mask included: [..., D] -> [..., I + 2]."""
        return states @ self.items.weight.T


class _Layer(nn.Module):
    def __init__(self, width: int, heads: int, rate: float) -> None:
        super().__init__()
        self.heads, self.rate = heads, rate
        self.query_key_value, self.output = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wider, self.narrower = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.attention_norm, self.inner_norm = nn.LayerNorm(width, eps=EPSILON), nn.LayerNorm(width, eps=EPSILON)

    def forward(self, x: Tensor, hidden: Tensor, only_last: bool = False) -> Tensor:
        q, k, v = self.query_key_value(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        if only_last:
            x, q, hidden = x[:, -1:], q[:, :, -1:], hidden[:, :, -1:]
        weights = softmax((q / math.sqrt(q.shape[3])) @ k.transpose(2, 3) + hidden, dim=3)
        seen = dropout(weights, self.rate, self.training) @ v
        x = self.attention_norm(x + dropout(self.output(seen.transpose(1, 2).flatten(2)), self.rate, self.training))
        inner = self.narrower(gelu(self.wider(x)))
        return self.inner_norm(x + dropout(inner, self.rate, self.training))


def sequence_encoder(
    items: int,
    longest: int,
    *,
    width: int = 64,
    layers: int = 2,
    heads: int = 2,
    dropout: float = 0.5,
    rng: torch.Generator,
) -> SequenceEncoder:
    """An encoder with weights from ``rng``: normal with a spread of 0.02, padding's embedding too; biases 0."""
    sizes = {"width": width, "layers": layers, "heads": heads}
    encoder = undrawn(lambda: SequenceEncoder(items, longest, dropout=dropout, **sizes))
    draw_weights(encoder, rng)
    return encoder


@torch.no_grad()
def draw_weights(module: nn.Module, rng: torch.Generator) -> None:
    """The weights of every linear layer, embedding and normalisation in the module, as S3-Rec draws them."""
    for part in module.modules():
        if isinstance(part, nn.LayerNorm):
            part.reset_parameters()  # ones and zeros, nothing random
        elif isinstance(part, nn.Linear | nn.Embedding):
            part.weight.normal_(0, SPREAD, generator=rng)
            if isinstance(part, nn.Linear):
                part.bias.zero_()
