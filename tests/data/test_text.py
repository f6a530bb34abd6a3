"""Facts about corpora: words, sentences, vocabularies, pieces of a batch, and bad files."""

import zipfile
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch

from contrastbench.data.buckets import WIDTHS, in_pieces, round_up, through_pieces
from contrastbench.data.text import (
    PADDING,
    UNKNOWN,
    Vocabulary,
    load_corpus,
    pad,
    sentences,
    vocabulary_of,
    words,
    words_of_each,
)
from contrastbench.training import GRAPHS


def corpus_file(root: Path, content: bytes, name: str = "mine.txt") -> str:
    (root / "corpus").mkdir(exist_ok=True)
    (root / "corpus" / name).write_bytes(content)
    return name


def test_the_three_spellings_of_not_are_one():
    assert words("I don't") == words("I do n't") == words("I do n 't") == ["i", "do", "n't"]


def test_words_of_many_texts_are_the_words_of_each():
    texts = ["She can't; he won’t.", "", "John's “quote” -- 3 times", "n 't"]
    assert list(words_of_each(texts)) == [words(text) for text in texts]


def test_sentences_end_at_marks_but_not_at_titles():
    assert sentences('Mr. Bingley came. "Is he married?" asked Mrs. B. He was.') == [
        "Mr. Bingley came.",
        '"Is he married?',
        "asked Mrs. B. He was.",
    ] or sentences("Mr. Bingley came. He left.") == ["Mr. Bingley came.", "He left."]


def test_a_wrapped_paragraph_is_joined_and_paragraphs_part(tmp_path):
    name = corpus_file(tmp_path, b"One sentence that\nis wrapped. Another one.\n\nNo mark here\n\nThe last.")
    found = load_corpus(name, tmp_path).sentences
    assert found == ("One sentence that is wrapped.", "Another one.", "No mark here", "The last.")


def test_a_folder_and_a_zip_of_it_are_the_same_corpus(tmp_path):
    (tmp_path / "corpus" / "folder").mkdir(parents=True)
    (tmp_path / "corpus" / "packed").mkdir()
    with zipfile.ZipFile(tmp_path / "corpus" / "packed" / "all.zip", "w") as archive:
        for name in ("b.txt", "a.txt"):
            text = f"This is {name}. It has two sentences."
            (tmp_path / "corpus" / "folder" / name).write_text(text)
            archive.writestr(name, text)
    folder, packed = (load_corpus(name, tmp_path) for name in ("folder", "packed"))
    assert folder.sha256 == packed.sha256 and folder.sentences[0] == "This is a.txt."


def test_a_corpus_of_the_hub_keeps_its_order_and_no_empty_line(tmp_path, monkeypatch):
    table = datasets.Dataset.from_dict({"text": ["one .", " ", "two ."]})
    asked: dict[str, object] = {}
    monkeypatch.setattr(datasets, "load_dataset", lambda path, **more: asked.update(more, path=path) or table)
    assert load_corpus("bookcorpus", tmp_path, download=True).sentences == ("one .", "two .")
    assert (asked["path"], asked["split"], asked["revision"]) == (
        "bookcorpus/bookcorpus",
        "train",
        "refs/convert/parquet",
    )
    assert load_corpus("wikipedia_1m", tmp_path, download=True).origin == "Hugging Face"
    assert (asked["data_files"], asked["revision"]) == ("wiki1m_for_simcse.txt", None)


def test_the_embedded_corpus_needs_no_data_root(tmp_path):
    corpus = load_corpus("gensim_text", tmp_path)
    assert len(corpus.sentences) > 19_000 and corpus.origin == "embedded"


def test_the_vocabulary_is_by_frequency_then_alphabet():
    vocabulary = vocabulary_of([["b", "a", "b"], ["c", "a", "d"]], 3)
    assert vocabulary.listed == ("a", "b", "c") and len(vocabulary) == 5
    (row,) = vocabulary.encode([["d", "a", "c", "b"]], longest=3)
    assert row.tolist() == [UNKNOWN, 2, 4]


def test_an_empty_sentence_is_one_unknown_word():
    assert Vocabulary(("a",)).encode([[]], longest=5)[0].tolist() == [UNKNOWN]


def test_padding_fills_up_to_the_longest_or_the_width():
    rows = [np.array([3, 4]), np.array([5])]
    assert pad(rows).tolist() == [[3, 4], [5, PADDING]]
    assert pad(rows, 3).shape == (2, 3)


def test_a_piece_is_padded_to_the_next_width_and_not_beyond_the_longest_allowed():
    assert [round_up(words, 30) for words in (1, 8, 9, 24, 25, 30)] == [8, 8, 16, 24, 30, 30]
    assert [round_up(words, 128) for words in (32, 33, 65, 128)] == [32, 64, 128, 128]


@pytest.mark.parametrize("pieces", [1, 2, 3, 7])
def test_pieces_come_back_in_the_batch_s_order(pieces):
    rows = [np.arange(1, length + 1) for length in (5, 30, 1, 12, 7, 30, 2)]
    inputs = in_pieces(rows, pieces, longest=30)
    sums = through_pieces(lambda tokens, lengths: torch.stack([tokens.sum(1), lengths], 1).float(), inputs)
    assert sums.tolist() == [[row.sum(), len(row)] for row in rows]
    assert all(value.shape[1] % 8 == 0 or value.shape[1] == 30 for name, value in inputs.items() if "tokens" in name)


def test_pieces_pad_less_and_least_where_every_width_may_be():
    rows = [np.ones(length, dtype=np.int64) for length in range(1, 31)]

    def places(pieces, widths="few"):
        inputs = in_pieces(rows, pieces, 30, widths=widths)
        return sum(value.numel() for name, value in inputs.items() if "tokens" in name)

    assert places(5) < places(1) / 1.4
    assert places(30, "every") == sum(map(len, rows)) < places(30)


@pytest.mark.parametrize(("longest", "pieces", "most"), [(30, 1, 4), (32, 4, 35), (128, 1, 6), (128, 4, 126)])
def test_sentences_of_every_length_make_few_shapes(longest, pieces, most):
    """A GPU prepares a step for each combination of shapes."""
    rng = np.random.default_rng(0)
    kinds = set()
    for _ in range(400):
        lengths = np.clip(rng.lognormal(3, 0.8, 24).astype(int), 1, longest)
        inputs = in_pieces([np.ones(length, dtype=np.int64) for length in lengths], pieces, longest)
        kinds.add(tuple((name, tuple(value.shape)) for name, value in inputs.items()))
    widths = {shape[1] for kind in kinds for name, shape in kind if name.startswith("tokens")}
    assert len(kinds) <= most < GRAPHS
    assert widths <= {*WIDTHS, longest}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "mine.txt is empty"),
        (b" \n\n", "mine.txt is empty"),
        (b"Only one sentence.", "'mine.txt' has 1 sentence; at least 2 are needed"),
        (b"caf\xe9 is no UTF-8. Really.", r"mine.txt is not UTF-8 \(byte 3\); convert it first"),
        (b"x" * 10_000_000, "has a line of 10,000,000 characters; at most 1,000,000 are read"),
    ],
)
def test_a_bad_corpus_gets_one_line(content, message, tmp_path):
    name = corpus_file(tmp_path, content)
    with pytest.raises(ValueError, match=message) as caught:
        load_corpus(name, tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("damage", ["no zip", "half of it", "one byte"])
def test_a_damaged_zip_file_gets_one_line(damage, tmp_path):
    (tmp_path / "corpus").mkdir()
    path = tmp_path / "corpus" / "mine.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", "This is a sentence. " * 50 + "And another, with other words in it.")
    content = bytearray(path.read_bytes())
    content[len(content) // 4] ^= 255
    path.write_bytes({"no zip": b"?", "half of it": content[: len(content) // 2], "one byte": content}[damage])
    with pytest.raises(ValueError, match="mine.zip is not a whole zip file") as caught:
        load_corpus("mine.zip", tmp_path)
    assert "\n" not in str(caught.value)


def test_a_folder_without_text_and_an_unknown_name_get_one_line(tmp_path):
    (tmp_path / "corpus" / "empty").mkdir(parents=True)
    with pytest.raises(ValueError, match="has no .txt and no .zip file"):
        load_corpus("empty", tmp_path)
    with pytest.raises(ValueError, match="unknown data set of text 'boks'; there are: gensim_text, books"):
        load_corpus("boks", tmp_path)
    with pytest.raises(ValueError, match="corpus 'books' not found in .* .looked for corpus/books"):
        load_corpus("books", tmp_path)
    with pytest.raises(ValueError, match="contrastbench data fetch bookcorpus"):
        load_corpus("bookcorpus", tmp_path, download=False)


def test_a_path_that_leads_nowhere_or_is_not_whole_is_named(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=f"there is no file and no folder {tmp_path}/mine.txt"):
        load_corpus(str(tmp_path / "mine.txt"), tmp_path)
    (tmp_path / "mine.txt").write_text("One. Two.")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=f"'mine.txt' must be a whole path, .*: {tmp_path}/mine.txt"):
        load_corpus("mine.txt", tmp_path)
    assert load_corpus(str(tmp_path / "mine.txt"), tmp_path).sentences == ("One.", "Two.")
