"""Tests of sentence embeddings, and SNLI's triplets: what they are, and how they are read, by name.

They lie in ``sentences/`` of the data root in SentEval's layout; two come with the gensim package.
"""

import hashlib
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from contrastbench.data import catalogue
from contrastbench.data.contents import text_of
from contrastbench.data.installed import package_file
from contrastbench.data.text import sentences

SPLITS = ("train", "validation", "test")
TWO_FILES = {  # class 0, class 1
    "MR": ("rt-polarity.neg", "rt-polarity.pos"),
    "CR": ("custrev.neg", "custrev.pos"),
    "SUBJ": ("subj.objective", "subj.subjective"),
    "MPQA": ("mpqa.neg", "mpqa.pos"),
}


@dataclass(frozen=True)
class Labelled:
    """Sentences with classes. ``second`` is the other sentence of each pair, or empty."""

    name: str
    first: tuple[str, ...]
    second: tuple[str, ...]
    labels: np.ndarray  # int64 [N]
    split: np.ndarray | None = None  # [N] of SPLITS; None: cross-validation over all

    @cached_property
    def sha256(self) -> str:
        """Of the sentences, labels and splits."""
        rows = zip(self.first, self.second or self.first, self.labels, self._splits(), strict=True)
        return _digest(f"{a}\t{b}\t{label}\t{split}" for a, b, label, split in rows)

    def _splits(self) -> Sequence[str]:
        return [""] * len(self.first) if self.split is None else list(self.split)

    def part(self, name: str) -> np.ndarray:
        """The numbers of the items of one split."""
        if self.split is None:
            raise ValueError(f"{self.name} has no splits")
        return (self.split == name).nonzero()[0]


@dataclass(frozen=True)
class Scored:
    """Pairs of sentences with a similarity that people gave; ``part`` names each pair's source."""

    name: str
    first: tuple[str, ...]
    second: tuple[str, ...]
    scores: np.ndarray  # float64 [N]
    part: np.ndarray  # [N] names

    @cached_property
    def sha256(self) -> str:
        """Of the pairs, scores and sources."""
        rows = zip(self.first, self.second, self.scores, self.part, strict=True)
        return _digest(f"{a}\t{b}\t{score}\t{part}" for a, b, score, part in rows)


@dataclass(frozen=True)
class Triplets:
    """Premises, each with a sentence that follows from it and one that contradicts it."""

    name: str
    premise: tuple[str, ...]
    entailed: tuple[str, ...]
    contradiction: tuple[str, ...]

    @cached_property
    def sha256(self) -> str:
        return _digest("\t".join(row) for row in zip(self.premise, self.entailed, self.contradiction, strict=True))


Task = Labelled | Scored | Triplets


def _digest(lines: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()


def load_task(name: str, root: str | os.PathLike[str] | None = None, *, download: bool | None = None) -> Task:
    """Loads a test, or the triplets ``SNLI``, from ``sentences/`` in the data root or from an installed package.

    ``download=True`` first fetches it by `datasets` and writes it into the data root, in this same layout.

    Raises:
        ValueError: unknown name, files not found, not UTF-8, or lines that are not what they should be.
    """
    catalogue.describe(name, "sentences", root)
    if name in ("Lee", "polarity"):
        return embedded_task(name)
    home = catalogue.data_root(root) / "sentences"
    folder = home / folder_of(name)
    allowed = os.environ.get("CONTRASTBENCH_DOWNLOAD") == "1" if download is None else download
    if not folder.is_dir() and allowed:
        from contrastbench.data.sentence_hub import fetch

        fetch(name, folder)
    if not folder.is_dir():
        raise ValueError(f"test {name!r} not found: there is no folder {folder} (contrastbench data fetch {name})")
    return read_task(name, folder)


def load_tasks(
    names: Sequence[str], root: str | os.PathLike[str] | None = None, *, download: bool | None = None
) -> list[Task]:
    """``load_task`` for several."""
    return [load_task(name, root, download=download) for name in names]


def load_labelled(name: str, root: str | os.PathLike[str] | None = None, *, download: bool | None = None) -> Labelled:
    """``load_task`` for a test that classifies."""
    task = load_task(name, root, download=download)
    if not isinstance(task, Labelled):
        raise ValueError(f"{name} does not classify sentences")
    return task


def load_scored(name: str, root: str | os.PathLike[str] | None = None, *, download: bool | None = None) -> Scored:
    """``load_task`` for a test of similarity."""
    task = load_task(name, root, download=download)
    if not isinstance(task, Scored):
        raise ValueError(f"{name} does not score pairs of sentences")
    return task


def load_triplets(name: str, root: str | os.PathLike[str] | None = None, *, download: bool | None = None) -> Triplets:
    """``load_task`` for triplets."""
    task = load_task(name, root, download=download)
    if not isinstance(task, Triplets):
        raise ValueError(f"{name} has no triplets")
    return task


def in_sentences(documents: Sequence[str]) -> list[list[str]]:
    """Each document cut into its sentences."""
    return [sentences(document) for document in documents]


def folder_of(name: str) -> str:
    """The folder of a test inside ``sentences/`` of the data root."""
    shared = {"STSB-dev": "STSB", "SICK-R": "SICK", "SICK-R-all": "SICK"}
    return f"{name}-en-test" if name.startswith("STS1") else shared.get(name, name)


def read_task(name: str, folder: Path) -> Task:
    """The test from its folder.

    Raises:
        ValueError: a file is missing, empty or not UTF-8, or a line is not what it should be; says which.
    """
    if name in TWO_FILES:
        return _two_files(name, folder)
    readers: dict[str, Callable[[str, Path], Task]] = {
        "TREC": _trec,
        "MRPC": _mrpc,
        "SST2": _sst2,
        "STSB": _stsb,
        "STSB-dev": _stsb,
        "SNLI": _snli,
        "SICK-R": _sick,
        "SICK-R-all": _sick,
    }
    return readers[name](name, folder) if name in readers else _sts(name, folder)


# ---------------------------------------------------------------------------------------------------- lines and fields


def _lines(path: Path) -> list[str]:
    """The stripped lines of a UTF-8 file."""
    if not path.is_file():
        raise ValueError(f"{path} is missing")
    return [line.strip() for line in text_of(path.read_bytes(), str(path)).removesuffix("\n").split("\n")]


def _text_lines(path: Path) -> list[str]:
    return [line for line in _lines(path) if line]


def _table(path: Path, least: int, *, first: int = 1) -> Iterator[tuple[int, list[str]]]:
    """The number and the fields of each line that is not blank, from line ``first`` on."""
    for number, line in enumerate(_lines(path)[first - 1 :], start=first):
        if line:
            yield number, _fields(path, line, number, least)


def _fields(path: Path, line: str, number: int, least: int) -> list[str]:
    fields = line.split("\t")
    if len(fields) < least:
        raise ValueError(f"line {number} of {path} has {len(fields)} tab-separated fields; {least} are needed")
    return fields


def _score(path: Path, line: int, text: str) -> float:
    try:
        score = float(text)
    except ValueError:
        score = math.nan
    if not math.isfinite(score):
        raise ValueError(f"line {line} of {path} has the score {text!r}, which is no number")
    return score


def _class(path: Path, line: int, text: str) -> int:
    if text not in ("0", "1"):
        raise ValueError(f"line {line} of {path} has the class {text!r}; it must be 0 or 1")
    return int(text)


def _of_one_length(paths: Sequence[Path]) -> list[list[str]]:
    """The lines of files that belong together, line by line."""
    parts = [_lines(path) for path in paths]
    if len({len(part) for part in parts}) != 1:
        counts = ", ".join(f"{path.name} {len(part)}" for path, part in zip(paths, parts, strict=True))
        raise ValueError(f"files of {paths[0].parent} must have the same number of lines, got {counts}")
    return parts


# --------------------------------------------------------------------------------------------------- tests with classes


def _two_files(name: str, folder: Path) -> Labelled:
    parts = [_text_lines(folder / file) for file in TWO_FILES[name]]
    labels = np.repeat([0, 1], [len(part) for part in parts])
    return Labelled(name, tuple(parts[0] + parts[1]), (), labels)


def _with_parts(
    name: str, first: Sequence[str], second: Sequence[str], labels: Sequence[int] | np.ndarray, split: Sequence[str]
) -> Labelled:
    """A test with splits of its own, whose training part has two classes at least and all that the others have."""
    task = Labelled(name, tuple(first), tuple(second), np.array(labels, dtype=np.int64), np.array(split))
    known = set(task.labels[task.part("train")].tolist())
    if len(known) < 2:
        raise ValueError(f"the training part of {name} has {len(known)} class; at least 2 are needed")
    for part in SPLITS[1:]:
        if stray := sorted(set(task.labels[task.part(part)].tolist()) - known):
            raise ValueError(f"the {part} part of {name} has class {stray[0]}, which the training part has not")
    return task


def _trec(name: str, folder: Path) -> Labelled:
    """Six classes of questions, by the coarse label before the colon."""
    found: list[tuple[str, str, str]] = []
    for split, file in (("train", "train_5500.label"), ("test", "TREC_10.label")):
        for line in _text_lines(folder / file):
            label, _, question = line.partition(" ")
            found.append((label.split(":")[0], question, split))
    labels = np.unique([label for label, _, _ in found], return_inverse=True)[1]
    return _with_parts(name, [question for _, question, _ in found], (), labels, [split for _, _, split in found])


def _mrpc(name: str, folder: Path) -> Labelled:
    rows: list[tuple[int, str, str, str]] = []
    for split in ("train", "test"):
        path = folder / f"msr_paraphrase_{split}.txt"
        for number, fields in _table(path, 5, first=2):
            rows.append((_class(path, number, fields[0]), fields[3], fields[4], split))
    labels, first, second, split_of = zip(*rows, strict=True)
    return _with_parts(name, first, second, labels, split_of)


def _sst2(name: str, folder: Path) -> Labelled:
    rows: list[tuple[str, int, str]] = []
    for split, file in zip(SPLITS, ("sentiment-train", "sentiment-dev", "sentiment-test"), strict=True):
        path = folder / file
        for number, fields in _table(path, 2):
            rows.append((fields[0].strip(), _class(path, number, fields[1]), split))
    text, labels, split_of = zip(*rows, strict=True)
    return _with_parts(name, text, (), labels, split_of)


# ------------------------------------------------------------------------------------------------- tests of similarity


def _sts(name: str, folder: Path) -> Scored:
    """The parts ``STS.input.X.txt`` and ``STS.gs.X.txt``, line by line; an empty score leaves its pair out."""
    inputs = sorted(folder.glob("STS.input.*.txt"))
    if not inputs:
        raise ValueError(f"{folder} has no STS.input.*.txt")
    rows: list[tuple[str, str, float, str]] = []
    for path in inputs:
        part = path.name.removeprefix("STS.input.").removesuffix(".txt")
        scores = folder / f"STS.gs.{part}.txt"
        for number, (line, score) in enumerate(zip(*_of_one_length([path, scores]), strict=True), start=1):
            if score:
                first, second = _fields(path, line, number, 2)[:2]
                rows.append((first, second, _score(scores, number, score), part))
    return _as_scored(name, rows)


def _stsb(name: str, folder: Path) -> Scored:
    path = folder / ("sts-dev.csv" if name.endswith("-dev") else "sts-test.csv")
    rows: list[tuple[str, str, float, str]] = []
    for number, fields in _table(path, 7):
        rows.append((fields[5].strip(), fields[6].strip(), _score(path, number, fields[4]), fields[0]))
    return _as_scored(name, rows)


def _sick(name: str, folder: Path) -> Scored:
    """``SICK-R`` is the test part; ``SICK-R-all`` all three, as the Massive Text Embedding Benchmark takes it."""
    files = ["SICK_test_annotated.txt"]
    if name == "SICK-R-all":
        files += ["SICK_train.txt", "SICK_trial.txt"]
    rows: list[tuple[str, str, float, str]] = []
    for file in files:
        for number, fields in _table(folder / file, 4, first=2):
            rows.append((fields[1], fields[2], _score(folder / file, number, fields[3]), file))
    return _as_scored(name, rows)


def _as_scored(name: str, rows: list[tuple[str, str, float, str]]) -> Scored:
    if len(rows) < 2:
        raise ValueError(f"{name} has {len(rows)} scored pairs; at least 2 are needed")
    first, second, scores, part = zip(*rows, strict=True)
    return Scored(name, first, second, np.array(scores), np.array(part))


# ------------------------------------------------------------------------------------------ triplets; embedded tests


def _snli(name: str, folder: Path) -> Triplets:
    """Every entailed sentence of a premise with a contradiction of the same premise, in the files' order."""
    follows: dict[str, list[str]] = {}
    against: dict[str, list[str]] = {}
    for part in ("dev", "test"):
        rows = zip(*_of_one_length([folder / f"{file}.{part}" for file in ("s1", "s2", "labels")]), strict=True)
        for premise, other, label in rows:
            if label in ("entailment", "contradiction"):
                (follows if label == "entailment" else against).setdefault(premise, []).append(other)
    found = [
        (premise, entailed, contradiction)
        for premise, several in follows.items()
        for entailed, contradiction in zip(several, against.get(premise, []), strict=False)
    ]
    if not found:
        raise ValueError(f"{folder} has no premise with both an entailment and a contradiction")
    premise, entailed, contradiction = zip(*found, strict=True)
    return Triplets(name, premise, entailed, contradiction)


def embedded_task(name: str) -> Task:
    """ "Lee" or "polarity", from the gensim package."""
    return _lee() if name == "Lee" else _polarity()


def _lee() -> Scored:
    """50 news documents, all 1,225 pairs of them scored by people (Lee, Pincombe and Welsh 2005)."""
    documents = package_file("gensim", "test/test_data/lee.cor").decode("cp1252").strip().splitlines()
    table = package_file("gensim", "test/test_data/similarities0-1.txt").decode("ascii")
    matrix = np.array([[float(value) for value in line.split()] for line in table.strip().splitlines()])
    rows, columns = np.triu_indices(len(documents), 1)
    first, second = ([documents[index] for index in side] for side in (rows, columns))
    return Scored("Lee", tuple(first), tuple(second), matrix[rows, columns], np.full(len(rows), "Lee"))


def _polarity() -> Labelled:
    """200 sentences of film reviews, half of them positive (Pang and Lee 2005)."""
    lines = package_file("gensim", "test/test_data/pang_lee_polarity.cor").decode("cp1252").strip().splitlines()
    labels = np.array([line.startswith("__label__pos") for line in lines], dtype=np.int64)
    return Labelled("polarity", tuple(line.split(maxsplit=1)[1] for line in lines), (), labels)
