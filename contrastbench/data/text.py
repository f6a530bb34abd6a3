"""Running text: documents cut into sentences, words, and a vocabulary by frequency.

A corpus keeps its sentences in reading order, since Quick-Thoughts learns from what stands next to what.
"""

import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from contrastbench.data import catalogue
from contrastbench.data.contents import is_clutter, member, members, text_of
from contrastbench.data.installed import package_file

WINDOW_WORDS = 20  # text without sentence marks is cut into pieces of so many words
HUB = {  # corpus -> what `datasets` loads: path, file, revision; the first is a script, of which the hub has a copy
    "bookcorpus": ("bookcorpus/bookcorpus", None, "refs/convert/parquet"),
    "wikipedia_1m": ("princeton-nlp/datasets-for-simcse", "wiki1m_for_simcse.txt", None),
}
PADDING, UNKNOWN = 0, 1  # word numbers

_WORDS = re.compile(r"n't|'(?:s|re|ve|ll|d|m)\b|\w+|[^\w\s]")
_NEGATION = re.compile(r"n ?' ?t\b")
_PLAIN = {"’": "'", "‘": "'", "“": '"', "”": '"', "—": "-", "–": "-", "_": " ", "``": '"', "''": '"'}
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"'”’)\]]* (?=[\"'“‘(\[]?[A-Z0-9])")
_ABBREVIATION = re.compile(r"\b(?:Mr|Mrs|Ms|Dr|St|Prof|Capt|Col|Gen|Rev|Hon|vs|etc|No|[A-Z])\.$")


def words(text: str) -> list[str]:
    """Lower-case words and marks; ``don't``, ``do n't`` and ``do n 't`` all become ``do``, ``n't``."""
    return _WORDS.findall(_NEGATION.sub(" n't ", _plain(text).lower()))


def words_of_each(texts: Sequence[str]) -> tuple[list[str], ...]:
    """``words`` of many texts without line breaks, in one pass."""
    lines = _NEGATION.sub(" n't ", _plain("\n".join(texts)).lower()).split("\n")
    return tuple(map(_WORDS.findall, lines))


def _plain(text: str) -> str:
    for mark, plain in _PLAIN.items():
        text = text.replace(mark, plain)
    return text


def sentences(text: str) -> list[str]:
    """Cuts a paragraph without line breaks at full stops, question and exclamation marks before a capital or number."""
    found: list[str] = []
    for part in _SENTENCE_END.split(text):
        if found and _ABBREVIATION.search(found[-1]):
            found[-1] += " " + part
        elif part.strip():
            found.append(part.strip())
    return found


@dataclass(frozen=True)
class Corpus:
    """Sentences in reading order."""

    name: str
    sentences: tuple[str, ...]
    origin: str  # "data root", "embedded", "Hugging Face", or the path

    @cached_property
    def sha256(self) -> str:
        """Of the sentences, whatever files they came from."""
        digest = hashlib.sha256()
        for sentence in self.sentences:
            digest.update(sentence.encode() + b"\n")
        return digest.hexdigest()

    @cached_property
    def words(self) -> tuple[list[str], ...]:
        return words_of_each(self.sentences)


def load_corpus(name: str, root: str | os.PathLike[str] | None = None, *, download: bool | None = None) -> Corpus:
    """Loads a corpus of the catalogue, or any text file or folder of ``*.txt`` files by its path.

    Args:
        name: a name of ``contrastbench data list``, or a path, absolute or in the data root.
        root: the data root; None means $CONTRASTBENCH_DATA, or ~/.cache/contrastbench.
        download: whether `datasets` may download; None means: only if $CONTRASTBENCH_DOWNLOAD is 1.

    Raises:
        ValueError: no such corpus, a file that is not UTF-8 or empty or has a line of more than a million characters,
            a damaged zip file, or fewer than two sentences.
    """
    folder = catalogue.data_root(root)
    allowed = os.environ.get("CONTRASTBENCH_DOWNLOAD") == "1" if download is None else download
    place = folder / "corpus" / name
    if name == "gensim_text":
        found, origin = _gensim_text(), "embedded"
    elif place.is_dir() or place.is_file():
        found, origin = _from_path(place), "data root"
    elif Path(name).is_absolute() and Path(name).exists():
        found, origin = _from_path(Path(name)), name
    elif name in HUB and allowed:
        found, origin = _from_hub(name, folder), "Hugging Face"
    elif Path(name).is_absolute():
        raise ValueError(f"there is no file and no folder {name}; a corpus is a path or a name of `data list`")
    elif Path(name).exists():
        raise ValueError(f"corpus {name!r} must be a whole path, since runs start elsewhere: {Path(name).resolve()}")
    else:
        catalogue.describe(name, "text", root)
        remedy = f"; or allow the download: contrastbench data fetch {name}" if name in HUB else ""
        raise ValueError(f"corpus {name!r} not found in {folder} (looked for corpus/{name}){remedy}")
    if len(found) < 2:
        raise ValueError(f"corpus {name!r} has {len(found)} sentence{'s' * (len(found) != 1)}; at least 2 are needed")
    return Corpus(name, tuple(found), origin)


def _from_path(place: Path) -> list[str]:
    """The sentences of a text file, of all ``*.txt`` of a folder, or of those in its zip files, by name."""
    files = [place] if place.is_file() else sorted([*place.rglob("*.txt"), *place.rglob("*.zip")])
    files = [file for file in files if file.is_file() and not is_clutter(file.relative_to(place))]
    if not files:
        raise ValueError(f"{place} has no .txt and no .zip file")
    found: list[str] = []
    for file in files:
        for label, content in _contents(file):
            found += _prose(text_of(content, label))
    return found


def _contents(file: Path) -> Iterator[tuple[str, bytes]]:
    if file.suffix != ".zip":
        yield str(file), file.read_bytes()
        return
    for name in members(file):
        if name.endswith(".txt"):
            yield f"{file}:{name}", member(file, name)


def _prose(text: str) -> list[str]:
    """Joins the lines of each paragraph, then cuts it into sentences."""
    paragraphs = re.split(r"\n\s*\n", text.replace("\r", ""))
    return [sentence for paragraph in paragraphs for sentence in sentences(" ".join(paragraph.split()))]


def _gensim_text() -> list[str]:
    """300 news articles as sentences, then 250 stemmed encyclopedia articles in pieces of 20 words."""
    news = text_of(package_file("gensim", "test/test_data/lee_background.cor"), "lee_background.cor")
    articles = text_of(package_file("gensim", "test/test_data/head500.noblanks.cor"), "head500.noblanks.cor")
    found = [sentence for line in news.splitlines() for sentence in sentences(line)]
    for line in articles.splitlines():
        stems = line.split()
        starts = range(0, len(stems), WINDOW_WORDS)
        found += [" ".join(stems[start : start + WINDOW_WORDS]) for start in starts]
    return found


def _from_hub(name: str, folder: Path) -> list[str]:
    import datasets

    path, file, revision = HUB[name]
    cache = str(folder / "datasets")
    try:
        table = datasets.load_dataset(path, data_files=file, split="train", revision=revision, cache_dir=cache)
    except Exception as error:  # the hub's client raises many kinds
        raise ValueError(f"{name} could not be downloaded ({str(error).splitlines()[0][:120]})") from error
    return [text for text in table["text"] if text.strip()]


@dataclass(frozen=True)
class Vocabulary:
    """The most frequent words of a corpus, numbered from 2 on; 0 is padding, 1 any other word."""

    listed: tuple[str, ...]

    @cached_property
    def numbers(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self.listed, start=UNKNOWN + 1)}

    def __len__(self) -> int:
        return len(self.listed) + UNKNOWN + 1

    def encode(self, texts: Iterable[Sequence[str]], longest: int) -> list[np.ndarray]:
        """Word numbers of tokenised sentences, each cut to ``longest`` words; an empty one becomes one unknown word."""
        numbers = self.numbers
        return [
            np.array([numbers.get(word, UNKNOWN) for word in text[:longest]] or [UNKNOWN], dtype=np.int64)
            for text in texts
        ]


def vocabulary_of(texts: Iterable[Sequence[str]], size: int) -> Vocabulary:
    """The ``size`` most frequent words; of equally frequent ones the alphabetically first."""
    counts = Counter(word for text in texts for word in text)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return Vocabulary(tuple(word for word, _ in ordered[:size]))


def pad(rows: Sequence[np.ndarray], width: int = 0, padding: int = PADDING) -> np.ndarray:
    """int64 [N, T]: word numbers, padded to the longest row or to ``width``."""
    lengths = np.array([len(row) for row in rows])
    full = np.full((len(rows), max(width, int(lengths.max()))), padding, dtype=np.int64)
    full[np.arange(full.shape[1]) < lengths[:, None]] = np.concatenate(rows)
    return full
