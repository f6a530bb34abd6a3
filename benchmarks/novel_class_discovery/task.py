"""The images of one discovery task: known classes with labels, novel ones without, and batches of both.

Known classes are numbered 0 to C_l - 1 and novel ones 0 to C_u - 1, in the data set's order. The labels of novel
classes are kept apart, under names that say what they are for: no training step sees them.
"""

import functools
import hashlib
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.novel_class_discovery import config as settings
from contrastbench.data.catalogue import data_root
from contrastbench.data.folders import read_pictures
from contrastbench.data.images import Images, Split, fixed_part, load_images
from contrastbench.data.pretrained import load_pretrained
from contrastbench.data.sentence_tests import load_labelled
from contrastbench.randomness import generator
from contrastbench.runner import Log

# Mean and deviation as the authors' code prints them for stages 2 and 3; for other photographs those of CIFAR-10.
CODE_STATISTICS = {
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    "cifar100": ((0.507, 0.487, 0.441), (0.267, 0.256, 0.276)),
}
MINILM = "all-minilm-l6-v2"
EVALUATED = 500  # images at a time
READ_PIXELS = 256  # side of the central square that crops are taken of, as usual for ImageNet
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HELD_OUT_LIST = "imagenet_118.txt"  # the classes of which A, B and C are parts; all others are known

# ----------------------------------------------------------------------------------------- where pixels come from


class InMemory:
    """Images uint8 [N, C, H, W] on the device."""

    def __init__(self, images: Tensor) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.images.shape[1:])

    def inputs(self, index: Tensor) -> dict[str, Tensor]:
        """What a step needs to be given: CPU tensors."""
        return {"index": index}

    def pixels(self, index: Tensor) -> Tensor:
        """Inside a step: uint8 [B, C, H, W]."""
        return self.images[index.to(self.images.device)]


class Pictures:
    """Picture files, read by threads when a batch is put together: the middle square at 256 x 256 pixels."""

    def __init__(self, files: list[Path], device: str) -> None:
        self.files, self.device = files, device
        self.pool = ThreadPoolExecutor(os.cpu_count())

    def __len__(self) -> int:
        return len(self.files)

    @property
    def shape(self) -> tuple[int, ...]:
        return (3, READ_PIXELS, READ_PIXELS)

    def inputs(self, index: Tensor) -> dict[str, Tensor]:
        read = self.pool.map(lambda number: read_pictures([self.files[number]], READ_PIXELS), index.tolist())
        return {"pictures": torch.cat([torch.from_numpy(picture).expand(-1, 3, -1, -1) for picture in read])}

    def pixels(self, pictures: Tensor) -> Tensor:
        return pictures.to(self.device)


def chunks(source: InMemory | Pictures, first: int = 0) -> Iterator[Tensor]:
    """The pixels of the images from ``first`` on, some at a time."""
    for index in torch.arange(first, len(source)).split(EVALUATED):
        yield source.pixels(**source.inputs(index))


@dataclass(frozen=True)
class Task:
    """Images as sources of uint8 pixels. In ``train`` the labelled images come first, then the unlabelled ones."""

    train: InMemory | Pictures
    labels: Tensor  # int64 [labelled]: classes of the first images of ``train``
    novel_labels_for_evaluation: Tensor  # int64 [unlabelled]
    test_known: InMemory | Pictures
    test_known_labels: Tensor
    test_novel: InMemory | Pictures
    test_novel_labels: Tensor
    known: int  # C_l
    novel: int  # C_u
    channels: int
    mean: tuple[float, ...]  # none: not normalised
    std: tuple[float, ...]
    about: dict[str, str]  # an artefact of this task serves only runs where these are the same

    @property
    def labelled(self) -> int:
        return len(self.labels)

    @property
    def unlabelled(self) -> int:
        return len(self.train) - len(self.labels)

    def unlabelled_in(self, batch: Tensor) -> Tensor:
        """How many images of a batch [B] are."""
        return (batch >= self.labelled).sum()


def class_numbers(name: str, text: str) -> list[int]:
    """The numbers that ``"0-4"`` or ``"0-2,7"`` stands for.

    Raises:
        ValueError: it is none of these; the message says which.
    """
    numbers: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not (first.isdigit() and (last.isdigit() or not dash)):
            raise ValueError(f"{name} must be class numbers like 0-4 or 0-2,7, got {text!r}")
        numbers += range(int(first), int(last or first) + 1)
    return numbers


def chosen_classes(config: settings.Task, classes: int) -> tuple[list[int], list[int]]:
    """The known and the novel classes of a config.

    Raises:
        ValueError: a class in both sets or twice, too few of them, or one that the data set does not have.
    """
    known, novel = class_numbers("known", config.known), class_numbers("novel", config.novel)
    if both := sorted(set(known) & set(novel)):
        raise ValueError(f"classes cannot be known and novel at once: {', '.join(map(str, both))}")
    for name, numbers, least in (("known", known, 1), ("novel", novel, 2)):
        if len(set(numbers)) < max(least, len(numbers)):
            raise ValueError(f"{name} needs at least {least} different classes, got {getattr(config, name)!r}")
        if max(numbers) >= classes:
            raise ValueError(f"{config.dataset} has classes 0 to {classes - 1}; {name} asks for {max(numbers)}")
    return known, novel


def load_task(config: settings.Task, device: str, log: Log) -> Task:
    """Loads the images of the config's classes; those in memory go to the device."""
    if not config.dataset.startswith("imagenet_"):
        images = questions() if config.dataset == "TREC" else load_images(config.dataset)
        log.data(config.dataset, images.sha256)
        if config.dataset == "TREC":
            log.data(MINILM, load_pretrained(MINILM).sha256)
        return task_in_memory(config, images, device)
    if config.train_images:
        raise ValueError(f"train_images must be 0 (all) for {config.dataset}, got {config.train_images}")
    folder = imagenet(config.dataset)
    log.data(config.dataset, folder.sha256)
    both = chosen_classes(config, len(folder.classes))
    parts = [folder.of_classes(split, classes) for split in ("train", "val") for classes in both]
    statistics = IMAGENET_MEAN, IMAGENET_STD
    return _task(config, both, parts, lambda *files: Pictures(list(itertools.chain(*files)), device), 3, statistics)


def task_in_memory(config: settings.Task, images: Images, device: str) -> Task:
    both = chosen_classes(config, images.classes)
    splits = fixed_part(images.train, config.train_images), images.test
    parts = [_of_classes(split, classes) for split in splits for classes in both]
    channels, statistics = images.train.images.shape[1], _statistics(config, images.mean, images.std)
    return _task(config, both, parts, lambda *pixels: InMemory(torch.cat(pixels).to(device)), channels, statistics)


def _task(
    config: settings.Task,
    classes: Sequence[Sequence[int]],
    parts: Sequence[tuple[Any, Tensor]],
    source_of: Callable[..., InMemory | Pictures],
    channels: int,
    statistics: Sequence[tuple[float, ...]],
) -> Task:
    """The task of four parts, each images and their labels: training images and test images, known and novel."""
    (labelled, labels), (unlabelled, novel_labels), (test_known, known_labels), (test_novel, test_labels) = parts
    return Task(
        train=source_of(labelled, unlabelled),
        labels=labels,
        novel_labels_for_evaluation=novel_labels,
        test_known=source_of(test_known),
        test_known_labels=known_labels,
        test_novel=source_of(test_novel),
        test_novel_labels=test_labels,
        known=len(classes[0]),
        novel=len(classes[1]),
        channels=channels,
        mean=statistics[0],
        std=statistics[1],
        about={name: getattr(config, name) for name in ("encoder", "dataset", "known", "novel")},
    )


@functools.cache
def questions() -> Images:
    """TREC's questions in the place of images: their 384 features by MiniLM, float32 [N, 384, 1, 1]."""
    from contrastbench.encoders.pretrained_text import pretrained_encoder
    from contrastbench.evaluation.sentences import text_features

    found = load_labelled("TREC")
    rng = generator(0, "weights")  # draws nothing: the mean over the words has no weights
    encoder, tokenize = pretrained_encoder(load_pretrained(MINILM).folder, pooler="avg", longest=128, rng=rng)
    features = torch.from_numpy(text_features(encoder, tokenize(found.first)))[:, :, None, None]
    labels = torch.from_numpy(found.labels)
    train, test = (
        Split(features[part], labels[part]) for part in map(torch.from_numpy, map(found.part, ("train", "test")))
    )
    return Images("TREC", train, test, int(labels.max()) + 1, found.sha256, (), (), "sentences")


def _of_classes(split: Split, classes: list[int]) -> tuple[Tensor, Tensor]:
    """The images of these classes, and their places in the list."""
    place = torch.full((int(split.labels.max()) + 1,), -1)
    place[torch.tensor([number for number in classes if number < len(place)])] = torch.arange(len(classes))
    index = (place[split.labels] >= 0).nonzero().squeeze(1)
    return split.images[index], place[split.labels[index]]


def _statistics(
    config: settings.Task, mean: tuple[float, ...], std: tuple[float, ...]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    if config.statistics == "own":
        return mean, std
    if config.statistics != "code" or len(mean) != 3:
        raise ValueError(f"statistics must be own, or code for images of 3 channels, got {config.statistics!r}")
    return CODE_STATISTICS.get(config.dataset.removesuffix("_reencoded"), CODE_STATISTICS["cifar10"])


# ---------------------------------------------------------------------------------------------------------- ImageNet


@dataclass(frozen=True)
class ImageNet:
    """A folder ``imagenet`` with ``train/<class>/*`` and ``val/<class>/*``; classes known first, then the subset's."""

    folder: Path
    classes: tuple[str, ...]
    sha256: str  # of the names of classes and files, and the files' sizes: reading 150 GB at every start is too much

    def of_classes(self, split: str, numbers: list[int]) -> tuple[list[Path], Tensor]:
        """The files of these classes, and their places in the list."""
        files, labels = [], []
        for place, number in enumerate(numbers):
            found = sorted((self.folder / split / self.classes[number]).iterdir())
            files += found
            labels += [place] * len(found)
        return files, torch.tensor(labels)


def imagenet(name: str) -> ImageNet:
    """The folder of ImageNet in the data root, split as the papers do by lists of class names.

    ``splits/imagenet_118.txt`` has the held-out classes, ``splits/imagenet_30_A.txt`` those of subset A: one name a
    line, as the authors' repositories have them. Known are all folders of ``train`` that are not held out, by name.

    Raises:
        ValueError: a list or a folder is missing, or a class of the subset is not held out.
    """
    folder, subset = data_root() / "imagenet", name.removeprefix("imagenet_")
    held_out = _listed(folder / "splits" / HELD_OUT_LIST)
    novel = _listed(folder / "splits" / f"imagenet_30_{subset}.txt")
    if stray := sorted(set(novel) - set(held_out)):
        raise ValueError(f"imagenet_30_{subset}.txt names {stray[0]}, which {HELD_OUT_LIST} does not hold out")
    there = sorted(place.name for place in (folder / "train").iterdir() if place.is_dir())
    classes = (*(name for name in there if name not in set(held_out)), *sorted(novel))
    digest = hashlib.sha256()
    for split in ("train", "val"):
        for each in classes:
            place = folder / split / each
            if not place.is_dir():
                raise ValueError(f"{place} is missing; {name} needs train/ and val/ with a folder for each class")
            for file in sorted(place.iterdir()):
                digest.update(f"{split}/{each}/{file.name} {file.stat().st_size}\n".encode())
    return ImageNet(folder, classes, digest.hexdigest())


def _listed(path: Path) -> list[str]:
    if not path.exists():
        raise ValueError(f"{path} is missing; it lists class names, one a line, as the authors' repositories have it")
    return path.read_text().split()


# ----------------------------------------------------------------------------------------------------------- batches


def mixed_batches(task: Task, batch: int, unlabelled_batch: int, seed: int, epoch: int) -> list[Tensor]:
    """The batches of an epoch, int64 [B] into ``task.train``, unlabelled images first; a smaller last one is dropped.

    Labelled and unlabelled images are shuffled together, or, with ``unlabelled_batch`` above 0, each by themselves:
    then an epoch goes through the labelled images once, and as often as needed through the others.

    Raises:
        ValueError: a batch lacks one of the two kinds; the message names it.
    """
    rng = generator(seed, "order", epoch)
    if unlabelled_batch:
        return _composed_batches(task, batch, unlabelled_batch, rng)
    if batch > len(task.train):
        raise ValueError(f"batch must be at most {len(task.train)}, the number of training images; got {batch}")
    made = []
    for number, index in enumerate(torch.randperm(len(task.train), generator=rng).split(batch)):
        if len(index) < batch:
            continue
        is_unlabelled = index >= task.labelled
        count = int(is_unlabelled.sum())
        if count == 0 or count == batch:
            kind = "unlabelled" if count == 0 else "labelled"
            raise ValueError(f"batch {number} of epoch {epoch} has no {kind} image; a batch of {batch} is too small")
        made.append(index[is_unlabelled.logical_not().to(torch.uint8).argsort(stable=True)])
    return made


def _composed_batches(task: Task, batch: int, unlabelled_batch: int, rng: torch.Generator) -> list[Tensor]:
    labelled_batch = batch - unlabelled_batch
    if not 0 < labelled_batch <= task.labelled or unlabelled_batch > task.unlabelled:
        raise ValueError(
            f"a batch of {batch} with {unlabelled_batch} unlabelled images cannot be made of {task.labelled} labelled "
            f"and {task.unlabelled} unlabelled ones"
        )
    labelled = torch.randperm(task.labelled, generator=rng).split(labelled_batch)
    steps = [part for part in labelled if len(part) == labelled_batch]
    rounds = -(-len(steps) * unlabelled_batch // (task.unlabelled // unlabelled_batch * unlabelled_batch))
    others: list[Tensor] = []
    for _ in range(rounds):
        order = task.labelled + torch.randperm(task.unlabelled, generator=rng)
        others += [part for part in order.split(unlabelled_batch) if len(part) == unlabelled_batch]
    return [torch.cat([u, x]) for u, x in zip(others, steps, strict=False)]
