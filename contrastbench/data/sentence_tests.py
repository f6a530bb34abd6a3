"""Loads the standard tests of sentence embeddings, and SNLI's triplets, by name."""

from __future__ import annotations

import os
from collections.abc import Sequence

from contrastbench.data import catalogue
from contrastbench.data.sentence_files import embedded_task, folder_of, read_task
from contrastbench.data.sentence_tasks import Labelled, Scored, Task, Triplets
from contrastbench.data.text import sentences

__all__ = ["in_sentences", "load_labelled", "load_scored", "load_task", "load_tasks", "load_triplets"]


def load_task(name: str, root: str | os.PathLike[str] | None = None, *, download: bool | None = None) -> Task:
    """Loads a test, or the triplets ``SNLI``, from ``sentences/`` in the data root or from an installed package.

    ``download=True`` first fetches it by `datasets` and writes it into the data root, in this same layout.

    Raises:
        ValueError: unknown name, files not found, not UTF-8, or lines that are not what they should be.
    """
    catalogue.described(name, "sentences", root)
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
