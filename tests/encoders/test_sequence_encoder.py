"""Facts about SASRec's transformer: it equals the printed formulas, sees no future, and padding changes nothing."""

import math

import pytest
import torch

from contrastbench.encoders import sequences
from contrastbench.encoders.sequences import SequenceEncoder, sequence_encoder
from contrastbench.randomness import generator


def encoder(**sizes) -> SequenceEncoder:
    made = sequence_encoder(20, 6, **{"width": 8, "heads": 2, "layers": 2, **sizes}, rng=generator(0, "weights")).eval()
    with torch.no_grad():
        for name, weight in made.named_parameters():
            if "norm" not in name:
                weight.mul_(20)  # the initial 0.02 leaves attention nearly even
    return made


def normalised(norm, x):
    shifted = [value - sum(x) / len(x) for value in x]
    spread = math.sqrt(sum(value * value for value in shifted) / len(x) + 1e-12)
    return [
        g * value / spread + b for g, value, b in zip(norm.weight.tolist(), shifted, norm.bias.tolist(), strict=True)
    ]


def linear(layer, x, rows=slice(None)):
    pairs = zip(layer.weight[rows].tolist(), layer.bias[rows].tolist(), strict=True)
    return [sum(w * value for w, value in zip(weights, x, strict=True)) + b for weights, b in pairs]


def by_the_formulas(model: SequenceEncoder, items: list[int]) -> list[list[float]]:
    """One sequence without padding, in loops: MH(x) = [head_1; head_2] W, x' = LN(x + MH(x)), y = LN(x' + FFN(x'))."""
    first, width, heads = model.longest - len(items), model.width, model.layers[0].heads
    xs = []
    for place, item in enumerate(items):
        pairs = zip(model.items.weight[item].tolist(), model.places.weight[first + place].tolist(), strict=True)
        xs.append(normalised(model.norm, [a + b for a, b in pairs]))
    for layer in model.layers:
        q, k, v = ([linear(layer.query_key_value, x, slice(n * width, (n + 1) * width)) for x in xs] for n in range(3))
        out = []
        for t, x in enumerate(xs):
            joined = []
            for head in range(heads):
                part = slice(head * width // heads, (head + 1) * width // heads)
                dots = [sum(a * b for a, b in zip(q[t][part], k[s][part], strict=True)) for s in range(t + 1)]
                powers = [math.exp(dot / math.sqrt(width // heads)) for dot in dots]
                shares = [power / sum(powers) for power in powers]
                joined += [sum(share * v[s][part][d] for s, share in enumerate(shares)) for d in range(width // heads)]
            x = normalised(layer.attention_norm, [a + b for a, b in zip(x, linear(layer.output, joined), strict=True)])
            inner = [0.5 * a * (1 + math.erf(a / math.sqrt(2))) for a in linear(layer.wider, x)]
            narrowed = linear(layer.narrower, inner)
            out.append(normalised(layer.inner_norm, [a + b for a, b in zip(x, narrowed, strict=True)]))
        xs = out
    return xs


@pytest.mark.parametrize("items", [[3], [7, 1, 20, 7], [1, 2, 3, 4, 5, 6]])
def test_the_encoder_equals_the_printed_formulas(items):
    model = encoder().double()
    found = model(torch.tensor([items]))[0]
    torch.testing.assert_close(found, torch.tensor(by_the_formulas(model, items), dtype=torch.float64))


def test_a_later_item_never_changes_an_earlier_output_unless_asked_to():
    model = encoder()
    one, other = torch.tensor([[0, 4, 5, 6, 7, 8]]), torch.tensor([[0, 4, 5, 6, 9, 10]])
    assert torch.equal(model(one)[:, 1:4], model(other)[:, 1:4])
    assert not torch.allclose(model(one)[:, 4], model(other)[:, 4])
    assert not torch.allclose(model(one, causal=False)[:, 1], model(other, causal=False)[:, 1])


@pytest.mark.parametrize("causal", [True, False])
def test_padding_never_changes_an_output(causal):
    model = encoder().double()
    items = torch.tensor([[4, 5, 6]])
    padded = torch.tensor([[0, 0, 0, 4, 5, 6]])
    torch.testing.assert_close(model(items, causal=causal), model(padded, causal=causal)[:, 3:])


@pytest.mark.parametrize("causal", [True, False])
def test_the_last_place_alone_is_the_last_place_of_all(causal):
    model = encoder(layers=3).double()
    rows = torch.tensor([[0, 0, 4, 5, 6, 7], [1, 2, 3, 4, 5, 6]])
    alone = model(rows, causal=causal, only_last=True)
    assert alone.shape == (2, 1, 8)
    torch.testing.assert_close(alone, model(rows, causal=causal)[:, -1:])


@pytest.mark.parametrize("causal", [True, False])
def test_the_outputs_of_items_alone_are_those_among_all_places(causal, monkeypatch):
    monkeypatch.setattr(sequences, "BLOCK", 2)
    encoder = sequence_encoder(9, 6, width=8, rng=generator(0, "weights")).double().eval()
    rows = torch.tensor([[0, 0, 0, 0, 0, 3], [0, 0, 0, 5, 0, 2], [0, 1, 2, 3, 4, 5], [0, 0, 0, 0, 4, 9]])
    everything = encoder(rows, causal=causal)
    torch.testing.assert_close(encoder.of_items(rows, causal=causal), everything[rows != 0])
    torch.testing.assert_close(encoder.of_items(rows, causal=causal, only_last=True), everything[:, -1])
    assert encoder.of_items(torch.zeros(3, 6, dtype=torch.long), only_last=True).isfinite().all()


def test_scores_are_dot_products_with_all_embeddings():
    model = encoder()
    state = model(torch.tensor([[1, 2, 3]]))[:, -1]
    assert model.scores(state).shape == (1, 22)
    torch.testing.assert_close(model.scores(state)[0, 7], state[0] @ model.items.weight[7])


def test_the_weights_follow_from_the_generator_and_have_the_papers_spread():
    one, other = (sequence_encoder(500, 50, rng=generator(seed, "weights")) for seed in (0, 0))
    assert all(map(torch.equal, one.parameters(), other.parameters()))
    assert abs(one.items.weight.std().item() - 0.02) < 0.001 and one.items.weight[0].any()
    assert not one.layers[0].wider.bias.any()


def test_a_width_that_heads_do_not_divide_gets_one_line():
    with pytest.raises(ValueError, match="width must be a multiple of heads, got 9 and 2"):
        SequenceEncoder(5, 5, width=9)
