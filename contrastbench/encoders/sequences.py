"""SASRec's transformer: the next item from the items before it.

Dimensions: B sequences, T places, I items, D wide.

Sequences are left-padded item numbers: 0 is padding, 1 to I are items, I + 1 is the mask. The places are counted from
the end, so that leading padding may be cut off: what stands at a place follows from the items alone.

Source: Kang and McAuley 2018, arXiv:1808.09781, in the form of RUCAIBox/CIKM2020-S3Rec modules.py at 2a81540: layers
normalise after they add (BERT's order), GELU, learned places.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, gelu, softmax

from contrastbench.weights import build_undrawn

PADDING = 0
SPREAD = 0.02  # standard deviation of the initial weights
EPSILON = 1e-12  # of the normalisations, as in the authors' code
HIDDEN = -10_000.0  # added to the score of what must not be seen
BLOCK = 32  # rows whose attention is padded to one width where padding is left out elsewhere


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
        hidden = _hide(sequences, causal, x.dtype)
        for number, layer in enumerate(self.layers, start=1):
            x = layer(x, hidden, only_last and number == len(self.layers))
        return x

    def of_items(self, sequences: Tensor, *, causal: bool = True, only_last: bool = False) -> Tensor:
        """What follows each item, row after row: [B, T] -> [N, D], for N items in all.

        The same numbers as ``forward`` has at these places, for the time that the items take: padding is met in the
        attention alone. With ``only_last=True`` the result is [B, D]. The shapes follow from values, so that this is
        for a CPU, where no step is captured.
        """
        count = sequences.shape[1]
        there = sequences != PADDING
        if only_last:
            there[:, -1] = True  # a row without items has a last place, too
        at = there.flatten().nonzero().squeeze(1)
        x = self.items(sequences.flatten()[at]) + self.places.weight[self.longest - count :][at % count]
        x = self.dropout(self.norm(x))
        blocks = [
            _Block(rows, where, _hide(rows, causal, x.dtype))
            for rows, where in map(_trim, sequences.split(BLOCK), there.split(BLOCK))
        ]
        for number, layer in enumerate(self.layers, start=1):
            assert isinstance(layer, _Layer)
            x = layer.of_items(x, blocks, only_last and number == len(self.layers))
        return x

    def last(self, sequences: Tensor) -> Tensor:
        """What follows the last place: [B, T] -> [B, D], on a CPU without time spent on padding."""
        if sequences.device.type == "cpu":
            return self.of_items(sequences, only_last=True)
        return self.forward(sequences, only_last=True)[:, 0]

    def scores(self, states: Tensor) -> Tensor:
        """The score of every number, padding and mask included: [..., D] -> [..., I + 2]."""
        return states @ self.items.weight.T


def _hide(sequences: Tensor, causal: bool, dtype: torch.dtype) -> Tensor:
    """[B, 1, 1 or T, T]: what is added to the scores of places that a place must not see, and 0 elsewhere."""
    count = sequences.shape[1]
    visible = (sequences != PADDING)[:, None, None, :]
    if causal:
        visible = visible & torch.ones(count, count, dtype=torch.bool, device=sequences.device).tril_()
    return torch.zeros(visible.shape, dtype=dtype, device=sequences.device).masked_fill_(~visible, HIDDEN)


def _trim(rows: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
    """Both without the leading places that no row needs."""
    first = int(there.any(dim=0).int().argmax())
    return rows[:, first:], there[:, first:]


class _Block:
    """Some rows [b, T] whose N items lie in one line, so that only attention meets padding."""

    def __init__(self, rows: Tensor, there: Tensor, hidden: Tensor) -> None:
        self.shape, self.hidden = rows.shape, hidden
        self.at = there.flatten().nonzero().squeeze(1)  # int64 [N], of the b * T places
        self.lengths = there.sum(dim=1)

    def pad(self, x: Tensor) -> Tensor:
        """[N, D] -> [b, T, D]."""
        return x.new_zeros(self.shape.numel(), x.shape[1]).index_copy(0, self.at, x).unflatten(0, self.shape)

    def pack(self, x: Tensor) -> Tensor:
        """[b, T, D] -> [N, D]."""
        return x.flatten(0, 1)[self.at]


class _Layer(nn.Module):
    def __init__(self, width: int, heads: int, rate: float) -> None:
        super().__init__()
        self.heads, self.rate = heads, rate
        self.query_key_value, self.output = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wider, self.narrower = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.attention_norm, self.inner_norm = nn.LayerNorm(width, eps=EPSILON), nn.LayerNorm(width, eps=EPSILON)

    def forward(self, x: Tensor, hidden: Tensor, only_last: bool = False) -> Tensor:
        """[B, T, D] -> [B, T, D], or [B, 1, D]."""
        seen = self.attention(self.query_key_value(x), hidden, only_last)
        return self.after(x[:, -1:] if only_last else x, seen)

    def of_items(self, x: Tensor, blocks: Sequence[_Block], only_last: bool) -> Tensor:
        """[N, D] -> [N, D], or [B, D]."""
        parts = self.query_key_value(x).split([len(block.at) for block in blocks])
        seen = [
            self.attention(block.pad(part), block.hidden, only_last) for block, part in zip(blocks, parts, strict=True)
        ]
        if only_last:
            last = torch.cat([block.lengths for block in blocks]).cumsum(0) - 1
            return self.after(x[last], torch.cat(seen)[:, 0])
        return self.after(x, torch.cat([block.pack(each) for block, each in zip(blocks, seen, strict=True)]))

    def attention(self, everything: Tensor, hidden: Tensor, only_last: bool) -> Tensor:
        """Queries, keys and values [B, T, 3D] -> the values that each place sees [B, T, D]."""
        q, k, v = everything.unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        if only_last:
            q, hidden = q[:, :, -1:], hidden[:, :, -1:]
        weights = softmax((q / math.sqrt(q.shape[3])) @ k.transpose(2, 3) + hidden, dim=3)
        return (dropout(weights, self.rate, self.training) @ v).transpose(1, 2).flatten(2)

    def after(self, x: Tensor, seen: Tensor) -> Tensor:
        """What follows the attention, place by place."""
        x = self.attention_norm(x + dropout(self.output(seen), self.rate, self.training))
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
    encoder = build_undrawn(lambda: SequenceEncoder(items, longest, dropout=dropout, **sizes))
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
