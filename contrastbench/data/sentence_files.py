"""Reads tests of sentence embeddings from files: SentEval's layout, SNLI, and two of the gensim package."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from contrastbench.data.installed import package_file
from contrastbench.data.sentence_tasks import SPLITS, Labelled, Scored, Task, Triplets
from contrastbench.data.text import decoded

TWO_FILES = {  # class 0, class 1
    "MR": ("rt-polarity.neg", "rt-polarity.pos"),
    "CR": ("custrev.neg", "custrev.pos"),
    "SUBJ": ("subj.objective", "subj.subjective"),
    "MPQA": ("mpqa.neg", "mpqa.pos"),
}


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
    return [line.strip() for line in decoded(path.read_bytes(), str(path)).removesuffix("\n").split("\n")]


def _filled(path: Path) -> list[str]:
    return [line for line in _lines(path) if line]


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
    parts = [_filled(folder / file) for file in TWO_FILES[name]]
    labels = np.repeat([0, 1], [len(part) for part in parts])
    return Labelled(name, tuple(parts[0] + parts[1]), (), labels)


def _trec(name: str, folder: Path) -> Labelled:
    """Six classes of questions, by the coarse label before the colon."""
    found: list[tuple[str, str, str]] = []
    for split, file in (("train", "train_5500.label"), ("test", "TREC_10.label")):
        for line in _filled(folder / file):
            label, _, question = line.partition(" ")
            found.append((label.split(":")[0], question, split))
    classes, labels = np.unique([label for label, _, _ in found], return_inverse=True)
    if len(classes) < 2:
        raise ValueError(f"{folder} has questions of {len(classes)} class; at least 2 are needed")
    split_of = np.array([split for _, _, split in found])
    return Labelled(name, tuple(question for _, question, _ in found), (), labels.astype(np.int64), split_of)


def _mrpc(name: str, folder: Path) -> Labelled:
    rows: list[tuple[int, str, str, str]] = []
    for split in ("train", "test"):
        path = folder / f"msr_paraphrase_{split}.txt"
        for number, line in enumerate(_filled(path)[1:], start=2):
            fields = _fields(path, line, number, 5)
            rows.append((_class(path, number, fields[0]), fields[3], fields[4], split))
    labels, first, second, split_of = zip(*rows, strict=True)
    return Labelled(name, first, second, np.array(labels, dtype=np.int64), np.array(split_of))


def _sst2(name: str, folder: Path) -> Labelled:
    rows: list[tuple[str, int, str]] = []
    for split, file in zip(SPLITS, ("sentiment-train", "sentiment-dev", "sentiment-test"), strict=True):
        path = folder / file
        for number, line in enumerate(_filled(path), start=1):
            fields = _fields(path, line, number, 2)
            rows.append((fields[0].strip(), _class(path, number, fields[1]), split))
    text, labels, split_of = zip(*rows, strict=True)
    return Labelled(name, text, (), np.array(labels, dtype=np.int64), np.array(split_of))


# ------------------------------------------------------------------------------------------------- tests of similarity


def _sts(name: str, folder: Path) -> Scored:
    """The parts ``STS.input.X.txt`` and ``STS.gs.X.txt``, line by line; an empty score leaves its pair out."""
    inputs = sorted(folder.glob("STS.input.*.txt"))
    if not inputs:
        raise ValueError(f"{folder} has no STS.input.*.txt")
    rows: list[tuple[str, str, float, str]] = []
    for path in inputs:
        part = path.name.removeprefix("STS.input.").removesuffix(".txt")
        pairs = zip(*_of_one_length([path, folder / f"STS.gs.{part}.txt"]), strict=True)
        for number, (line, score) in enumerate(pairs, start=1):
            if score:
                first, second = _fields(path, line, number, 2)[:2]
                rows.append((first, second, _score(path, number, score), part))
    return _scored(name, rows)


def _stsb(name: str, folder: Path) -> Scored:
    path = folder / ("sts-dev.csv" if name.endswith("-dev") else "sts-test.csv")
    rows: list[tuple[str, str, float, str]] = []
    for number, line in enumerate(_filled(path), start=1):
        fields = _fields(path, line, number, 7)
        rows.append((fields[5].strip(), fields[6].strip(), _score(path, number, fields[4]), fields[0]))
    return _scored(name, rows)


def _sick(name: str, folder: Path) -> Scored:
    """``SICK-R`` is the test part; ``SICK-R-all`` all three, as the Massive Text Embedding Benchmark takes it."""
    files = ["SICK_test_annotated.txt"]
    if name == "SICK-R-all":
        files += ["SICK_train.txt", "SICK_trial.txt"]
    rows: list[tuple[str, str, float, str]] = []
    for file in files:
        for number, line in enumerate(_filled(folder / file)[1:], start=2):
            fields = _fields(folder / file, line, number, 4)
            rows.append((fields[1], fields[2], _score(folder / file, number, fields[3]), file))
    return _scored(name, rows)


def _scored(name: str, rows: list[tuple[str, str, float, str]]) -> Scored:
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
