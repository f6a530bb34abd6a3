"""Corpora: running text to pre-train on. Any text file or folder works by its path as well."""

from pathlib import Path

from contrastbench.data.kinds import GENSIM, DataSet, Kind


def own_text(root: Path) -> list[DataSet]:
    """Every file and folder of ``corpus/`` in the data root."""
    places = sorted((root / "corpus").iterdir()) if (root / "corpus").is_dir() else []
    return [DataSet(place.name, "text", "your own", str(place), "yours to know") for place in places]


DATA_SETS = (
    DataSet(
        "gensim_text",
        "text",
        "300 news articles in sentences, 250 stemmed encyclopedia articles in pieces of 20 words",
        "lee_background.cor and head500.noblanks.cor in the gensim package",
        "gensim: LGPL-2.1; news: ABC Australia, for research (Lee et al. 2005); Wikipedia: CC BY-SA",
        embedded=GENSIM,
        downloaded=False,
    ),
    DataSet(
        "books",
        "text",
        "42 novels, 20 MiB",
        "LitBank's originals as corpus/books/*.txt or books.zip in the data root",
        "public domain in the USA; LitBank: CC BY 4.0",
        downloaded=False,
    ),
    DataSet(
        "bookcorpus",
        "text",
        "74 million sentences; a successor of the BookCorpus that papers used",
        "bookcorpus/bookcorpus by `datasets`",
        "none stated; the authors of the books were not asked",
    ),
    DataSet(
        "wikipedia_1m",
        "text",
        "one million sentences of the English Wikipedia, SimCSE's own sample",
        "princeton-nlp/datasets-for-simcse by `datasets`",
        "Wikipedia: CC BY-SA",
    ),
)


def is_here(name: str, root: Path) -> bool:
    return (root / "corpus" / name).exists()


KIND = Kind("text", "contrastbench.data.text:load_corpus", DATA_SETS, find_own=own_text, is_here=is_here)
