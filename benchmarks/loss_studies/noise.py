"""NCE: its gradient approaches maximum likelihood's as k grows, and its model is normalised without being asked to.

V: words of the vocabulary; B: words in a batch; k: noise samples a word. Scores are log probabilities when Z = 1.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.loss_studies.config import Noise
from contrastbench import losses
from contrastbench.randomness import generator
from contrastbench.runner import Checkpoint, Log
from contrastbench.training import TrainingStep, batches, set_cosine_rate


@dataclass(frozen=True)
class Text:
    """Words from a trigram source: contexts [n, 2], the next words [n], and the source's entropy in nats."""

    contexts: Tensor
    words: Tensor
    entropy: float


class LogBilinear(nn.Module):
    """score(w | h) = q_w . (C_1 r_h1 + C_2 r_h2) + b_w, with nothing that normalises it (Mnih and Teh 2012, eq. 10)."""

    def __init__(self, config: Noise, unigram: Tensor, rng: torch.Generator) -> None:
        super().__init__()
        shape = (config.vocabulary, config.width)
        self.context = nn.Parameter(0.3 * torch.randn(2, *shape, generator=rng))
        self.word = nn.Parameter(0.3 * torch.randn(shape, generator=rng))
        self.bias = nn.Parameter(unigram.log())

    def forward(self, contexts: Tensor) -> Tensor:
        """Scores of every word after each context: [B, V]."""
        predicted = self.context[0, contexts[:, 0]] + self.context[1, contexts[:, 1]]
        return predicted @ self.word.T + self.bias


def source(config: Noise, seed: int, count: int, part: str) -> Text:
    """Draws ``count`` words, each after an independent context; Zipf frequencies, contexts that matter."""
    rng = generator(seed, "source")
    zipf = -torch.arange(1, config.vocabulary + 1).float().log()
    tables = torch.randn(2, config.vocabulary, 8, generator=rng) @ torch.randn(8, config.vocabulary, generator=rng)
    draw = generator(seed, f"text {part}")
    contexts = torch.multinomial(zipf.exp(), 2 * count, replacement=True, generator=draw).view(count, 2)
    logits = zipf + 0.5 * (tables[0, contexts[:, 0]] + tables[1, contexts[:, 1]])
    log_p = logits.log_softmax(dim=1)
    words = torch.multinomial(log_p.exp(), 1, generator=draw).squeeze(1)
    return Text(contexts, words, float(-(log_p.exp() * log_p).sum(dim=1).mean()))


def noise_training(config: Noise, *, seed: int, device: str, checkpoint: Checkpoint, log: Log) -> dict:
    """Trains by NCE with the normaliser fixed to 1 (k > 0) or by maximum likelihood (k = 0); tests on new words."""
    text, test = source(config, seed, config.words, "train"), source(config, seed, min(20_000, config.words), "test")
    unigram = _unigram(text, config)
    model = LogBilinear(config, unigram, generator(seed, "weights"))
    optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate)

    def loss_of(index: Tensor, drawn: Tensor | None = None) -> Tensor:
        scores, words = model(text.contexts[index]), text.words[index]
        return cross_entropy(scores, words) if drawn is None else _nce(scores, words, unigram, drawn)

    step = TrainingStep(loss_of, optimizer, modules=[model])
    start = checkpoint.restore(model=model, optimizer=optimizer)
    for epoch in range(start, config.epochs):
        set_cosine_rate(optimizer, config.learning_rate, epoch, config.epochs)
        rng = generator(seed, "noise", epoch)
        for index in batches(config.words, config.batch, generator(seed, "order", epoch), drop_last=False):
            noise = {"drawn": _draw(unigram, len(index), config.samples, rng)} if config.samples else {}
            step(index=index, **noise)
        log(epoch, loss=step.mean_loss(epoch))
        checkpoint.save(epoch + 1, model=model, optimizer=optimizer)
    return _test(model, test)


def noise_gradient(config: Noise, *, seed: int, device: str, checkpoint: Checkpoint, log: Log) -> dict:
    """Bias, spread and angle of NCE's gradient against maximum likelihood's, at one normalised model.

    The expectation over the noise is exact (a sum over the vocabulary); the spread is over ``repeats`` draws.
    """
    text = source(config, seed, config.batch, "train")
    unigram = _unigram(source(config, seed, config.words, "train"), config)
    model = LogBilinear(config, unigram, generator(seed, "weights"))
    with torch.no_grad():
        log_z = model(text.contexts).logsumexp(dim=1, keepdim=True)

    def normalised() -> Tensor:
        return model(text.contexts) - log_z

    exact = _gradient(model, cross_entropy(model(text.contexts), text.words))
    expected = _gradient(model, _expected_nce(normalised(), text.words, unigram, config.samples))
    rng = generator(seed, "noise")
    draws = [
        _gradient(model, _nce(normalised(), text.words, unigram, _draw(unigram, len(text.words), config.samples, rng)))
        for _ in range(config.repeats)
    ]
    spread = torch.stack([(draw - expected).square().sum() for draw in draws]).mean().sqrt()
    bias = (expected - exact).norm()
    log(0, bias=float(bias))
    log.selected_by("nothing to select")
    return {
        "bias_percent": 100 * float(bias / exact.norm()),
        "spread_percent": 100 * float(spread / exact.norm()),
        "angle_degrees": _angle(expected, exact),
        "mean_angle_of_a_draw_degrees": sum(_angle(draw, exact) for draw in draws) / len(draws),
    }


def _draw(unigram: Tensor, count: int, k: int, rng: torch.Generator) -> Tensor:
    """[count, k] noise words."""
    return torch.multinomial(unigram, count * k, replacement=True, generator=rng).view(count, k)


def _nce(scores: Tensor, words: Tensor, unigram: Tensor, drawn: Tensor) -> Tensor:
    log_noise = unigram.log()
    data = scores.gather(1, words[:, None]).squeeze(1)
    return losses.nce(data, log_noise[words], scores.gather(1, drawn), log_noise[drawn])


def _expected_nce(scores: Tensor, words: Tensor, unigram: Tensor, k: int) -> Tensor:
    """The mean of :func:`_nce` over the noise, by summing over the vocabulary."""
    g = scores - unigram.log() - math.log(k)
    data = g.gather(1, words[:, None]).squeeze(1)
    noise = k * (unigram * nn.functional.logsigmoid(-g)).sum(dim=1)
    return -(nn.functional.logsigmoid(data) + noise).mean()


def _gradient(model: nn.Module, loss: Tensor) -> Tensor:
    return torch.cat([part.flatten() for part in torch.autograd.grad(loss, list(model.parameters()))])


def _angle(x: Tensor, y: Tensor) -> float:
    """Degrees between two vectors."""
    return float(torch.rad2deg(torch.acos(nn.functional.cosine_similarity(x, y, dim=0).clamp(-1, 1))))


def _unigram(text: Text, config: Noise) -> Tensor:
    counts = torch.bincount(text.words, minlength=config.vocabulary).float() + 1  # no word of probability 0
    return counts / counts.sum()


@torch.no_grad()
def _test(model: LogBilinear, test: Text) -> dict[str, float | list[float]]:
    scores = model(test.contexts)
    log_z = scores.logsumexp(dim=1)
    edges = torch.linspace(-2, 2, 41)
    return {
        "test_perplexity": math.exp(float(cross_entropy(scores, test.words))),
        "source_perplexity": math.exp(test.entropy),
        "test_mean_log_z": float(log_z.mean()),
        "test_mean_absolute_log_z": float(log_z.abs().mean()),
        "test_sd_log_z": float(log_z.std()),
        "log_z_density": (torch.histc(log_z.clamp(-2, 2), 40, -2, 2) / len(log_z) * 10).tolist(),
        "log_z_bin_centre": ((edges[1:] + edges[:-1]) / 2).tolist(),
    }
