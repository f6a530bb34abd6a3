"""One run: an encoder of images, graphs, sentences or sequences, trained by any loss of two views of a batch.

Whatever the loss, a seed has the same first weights, the same order of the items and the same views.
"""

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from baselines.bags_of_words import word_vectors
from benchmarks.loss_arena.config import Config
from benchmarks.loss_arena.losses import LOSSES, Loss, loss_of
from contrastbench.data.augmentation import digits_recipe, draw_views, natural_recipe, normalised_views
from contrastbench.data.graph_batches import batches as graph_batches
from contrastbench.data.graph_views import KINDS, Plain, augmented
from contrastbench.data.graphs import load_graphs
from contrastbench.data.images import fixed_part, load_images
from contrastbench.data.interactions import PADDING, Split, load_interactions, pad_left
from contrastbench.data.sentence_tests import load_tasks
from contrastbench.data.sequence_views import two_views
from contrastbench.data.text import load_corpus, pad, vocabulary_of, words_of_each
from contrastbench.encoders.gin import ProjectedGIN
from contrastbench.encoders.resnets import ENCODERS
from contrastbench.encoders.sequences import sequence_encoder
from contrastbench.encoders.text import SmallTransformer, draw_weights
from contrastbench.evaluation.features import image_features
from contrastbench.evaluation.nearest import knn_top1_percent
from contrastbench.evaluation.ranking import rank_next_items
from contrastbench.evaluation.sentences import embedder, sentence_metrics
from contrastbench.evaluation.svm import cross_validate, rbf_kernels, stratified_folds
from contrastbench.randomness import generator, random_state, seeded_dropout
from contrastbench.runner import Checkpoint, Log
from contrastbench.training import TrainingStep, batches
from contrastbench.weights import build_undrawn

Metrics = dict[str, Any]
LAYERS = 3  # of GraphCL's encoder
FOLDS, INNER_FOLDS = 10, 5  # of the graph papers' support vector machines
VOCABULARY, LONGEST_SENTENCE, LONGEST_TESTED = 5_000, 24, 100  # words
SPREAD = 0.1  # standard deviation of the word vectors that training goes on from
LONGEST_SEQUENCE = 20  # items
CL4SREC = {"crop_share": 0.6, "mask_share": 0.3, "reorder_share": 0.6}  # of a sequence's items


@dataclass(frozen=True)
class Task:
    """What a kind of data gives: a model, the inputs of an epoch's steps, their two views, and what was learnt."""

    model: nn.Module
    inputs_of: Callable[[int], Iterable[dict[str, Any]]]  # epoch -> the inputs of each step
    objective: Callable[..., Tensor]  # the loss, and a step's inputs
    measure: Callable[[], Metrics]
    fixed_shapes: bool = True  # a GPU can capture the step


TaskOf = Callable[[Config, int, str, Log], Task]


def train(task_of: TaskOf, config: Config, *, seed: int, device: str, checkpoint: Checkpoint, log: Log) -> Metrics:
    """Trains the task's model by the config's loss, and measures the last epoch."""
    task = task_of(config, seed, device, log)
    step = step_of(config, task, loss_of(config, checkpoint), device)
    parts = {"model": task.model, "optimizer": step.optimizer}
    for epoch in range(checkpoint.restore(**parts), config.epochs):
        task.model.train()
        with seeded_dropout(seed, epoch, device):
            for inputs in task.inputs_of(epoch):
                step(**inputs)
        log(epoch, loss=step.mean_loss(epoch))
        checkpoint.save(epoch + 1, **parts)
    log.selected_by("last epoch")
    return task.measure()


def step_of(config: Config, task: Task, loss: Loss | None, device: str) -> TrainingStep:
    optimizer = torch.optim.Adam(task.model.parameters(), lr=config.learning_rate)
    capture = task.fixed_shapes and config.loss in LOSSES  # a loss of the user's own may ask the GPU for values
    objective = functools.partial(task.objective, loss)
    return TrainingStep(objective, optimizer, modules=[task.model], device=device, capture=capture)


# -------------------------------------------------------------------------------------------------------------- images


def images_task(config: Config, seed: int, device: str, log: Log) -> Task:
    """A ResNet and two random views of each image; nearest neighbours tell its features apart."""
    data = load_images(config.dataset)
    log.data(config.dataset, data.sha256)
    train = fixed_part(data.train, config.items)
    pixels, statistics = train.images.to(device), {"mean": data.mean, "std": data.std}
    channels, size = pixels.shape[1], pixels.shape[-1]
    recipe = digits_recipe(size) if channels == 1 else natural_recipe(size)
    encoder = ENCODERS[config.encoder](channels=channels, rng=generator(seed, "weights")).to(device)

    def inputs_of(epoch: int) -> Iterable[dict[str, Tensor]]:
        rng = generator(seed, "augmentation", epoch)
        for index in batches(len(train), config.batch, generator(seed, "order", epoch)):
            yield {"index": index, **draw_views(2, (len(index), *pixels.shape[1:]), recipe, rng)}

    def objective(loss: Loss, index: Tensor, **draws: Tensor) -> Tensor:
        view_a, view_b = normalised_views(pixels[index], recipe, draws, **statistics)
        return loss(encoder(view_a), encoder(view_b))

    def measure() -> Metrics:
        bank, queries = (
            image_features(encoder, part.images, device=device, **statistics).cpu() for part in (train, data.test)
        )
        neighbours = 20 if channels == 1 else 200  # as in the papers; of 3,000 digits there are no 200 near ones
        top1 = knn_top1_percent(bank, train.labels, queries, data.test.labels, neighbours=neighbours)
        return {"test_knn_top1_percent": top1}

    return Task(encoder, inputs_of, objective, measure)


# -------------------------------------------------------------------------------------------------------------- graphs


def graphs_task(config: Config, seed: int, device: str, log: Log) -> Task:
    """GraphCL: a GIN and two augmented views of each graph; support vector machines on the encoder's graphs."""
    data = load_graphs(config.dataset)
    log.data(config.dataset, data.sha256)
    order = torch.randperm(len(data), generator=generator(seed, "order")).numpy()
    fixed = graph_batches(data, order, config.batch, depth=LAYERS)
    plain = [Plain.of(data, batch.graphs.numpy()) for batch in fixed]
    rng = generator(seed, "weights")
    model = ProjectedGIN(data.features.shape[1], hidden=config.width, layers=LAYERS, rng=rng).to(device)

    def inputs_of(epoch: int) -> Iterable[dict[str, Any]]:
        rng = np.random.default_rng(random_state(seed, "augmentation", epoch))
        for members in plain:
            yield {name: augmented(members, KINDS["random4"], rng) for name in ("view_a", "view_b")}

    def objective(loss: Loss, view_a: Any, view_b: Any) -> Tensor:
        return loss(model(view_a), model(view_b))

    def measure() -> Metrics:
        embeddings = model.encoder.embed([batch.to(device) for batch in fixed]).cpu().numpy()
        labels = data.labels.numpy()[order]
        folds = stratified_folds(labels, FOLDS, random_state(seed, "split"))
        accuracy = cross_validate(rbf_kernels(embeddings), labels, folds, inner_folds=INNER_FOLDS).test_accuracy
        return {"test_svm_accuracy_percent": accuracy}

    return Task(model, inputs_of, objective, measure, fixed_shapes=False)


# ----------------------------------------------------------------------------------------------------------- sentences


def sentences_task(config: Config, seed: int, device: str, log: Log) -> Task:
    """SimCSE: a small transformer sees each sentence twice, under two dropout masks; tests of similarity."""
    corpus, tests = load_corpus(config.dataset), load_tasks(config.tests)
    log.data(config.dataset, corpus.sha256)
    texts = words_of_each(corpus.sentences[: config.items or None])
    vocabulary = vocabulary_of(texts, VOCABULARY)
    rows = vocabulary.encode(texts, LONGEST_SENTENCE)
    encoder = build_undrawn(lambda: SmallTransformer(len(vocabulary), config.width, config.width))
    draw_weights(encoder, generator(seed, "weights"))
    vectors = torch.from_numpy(word_vectors(texts, vocabulary, config.width, random_state(seed, "weights")))
    encoder.embedding.weight.data.copy_(vectors * (SPREAD / vectors.std()))
    encoder.to(device)

    def inputs_of(epoch: int) -> Iterable[dict[str, Tensor]]:
        for index in batches(len(rows), config.batch, generator(seed, "order", epoch)):
            some = [rows[place] for place in index.tolist()]
            yield {"tokens": torch.from_numpy(pad(some, LONGEST_SENTENCE)), "lengths": torch.tensor([*map(len, some)])}

    def objective(loss: Loss, tokens: Tensor, lengths: Tensor) -> Tensor:
        return loss(encoder(tokens, lengths), encoder(tokens, lengths))

    def measure() -> Metrics:
        embed = embedder(encoder, lambda texts: vocabulary.encode(words_of_each(texts), LONGEST_TESTED), device)
        return sentence_metrics(embed, tests, log.data, device=device)

    return Task(encoder, inputs_of, objective, measure)


# ----------------------------------------------------------------------------------------------------------- sequences


def sequences_task(config: Config, seed: int, device: str, log: Log) -> Task:
    """CL4SRec: SASRec predicts the next item, and beside it the loss compares two augmented views of each user."""
    data = load_interactions(config.dataset).first(config.items)
    log.data(config.dataset, data.sha256)
    split = Split(data)
    rows, targets = (
        torch.from_numpy(pad_left(part, LONGEST_SEQUENCE))
        for part in ([each[:-1] for each in split.training], [each[1:] for each in split.training])
    )
    rng = generator(seed, "weights")
    encoder = sequence_encoder(data.items, LONGEST_SEQUENCE, width=config.width, rng=rng).to(device)

    def inputs_of(epoch: int) -> Iterable[dict[str, Tensor]]:
        rng = generator(seed, "augmentation", epoch)
        for index in batches(len(rows), config.batch, generator(seed, "order", epoch)):
            view_a, view_b = two_views(rows[index], **CL4SREC, number=encoder.mask, rng=rng)
            yield {"items": rows[index], "target": targets[index], "view_a": view_a, "view_b": view_b}

    def objective(loss: Loss, items: Tensor, target: Tensor, view_a: Tensor, view_b: Tensor) -> Tensor:
        scores = encoder.scores(encoder(items)).flatten(0, 1)
        next_item = cross_entropy(scores, target.flatten(), ignore_index=PADDING)
        return next_item + config.weight * loss(encoder.last(view_a), encoder.last(view_b)) if loss else next_item

    def measure() -> Metrics:
        return rank_next_items(encoder, split, "test", ("excluded",), device)

    return Task(encoder, inputs_of, objective, measure)


# ---------------------------------------------------------------------------------------------------------- the stages

images, graphs = functools.partial(train, images_task), functools.partial(train, graphs_task)
sentences, sequences = functools.partial(train, sentences_task), functools.partial(train, sequences_task)
