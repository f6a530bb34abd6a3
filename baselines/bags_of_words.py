"""What a sentence encoder must beat: bags of words, weighed by rarity, or as the mean of word vectors."""

from collections.abc import Callable, Sequence

import numpy as np

from contrastbench.data.text import UNKNOWN, Vocabulary, words_of_each

Embed = Callable[[Sequence[str]], np.ndarray]
WINDOW = 5  # words to either side that count as context
CONTEXT_POWER = 0.75  # smooths the contexts' frequencies (Levy, Goldberg and Dagan 2015)


def tfidf(texts: Sequence[Sequence[str]], vocabulary: Vocabulary) -> Embed:
    """Word counts times log(sentences / sentences with the word), at length 1; float32 [N, V]."""
    weights = _rarity(texts, vocabulary)
    return lambda sentences: _unit(_counts(words_of_each(sentences), vocabulary) @ _diagonal(weights)).toarray()


def lsa(texts: Sequence[Sequence[str]], vocabulary: Vocabulary, width: int, random_state: int) -> Embed:
    """TF-IDF in the ``width`` leading directions of the corpus (latent semantic analysis)."""
    from sklearn.utils.extmath import randomized_svd

    weights = _rarity(texts, vocabulary)
    corpus = _unit(_counts(texts, vocabulary) @ _diagonal(weights))
    _, _, directions = randomized_svd(corpus, width, random_state=random_state)
    directions = directions.T.astype(np.float32)
    return lambda sentences: _unit(_counts(words_of_each(sentences), vocabulary) @ _diagonal(weights)) @ directions


def word_vectors(texts: Sequence[Sequence[str]], vocabulary: Vocabulary, width: int, random_state: int) -> np.ndarray:
    """float32 [V, ``width``]: factors of the positive pointwise mutual information of words and their contexts.

    Source: Levy and Goldberg 2014; the vectors are U * sqrt(S).
    """
    from sklearn.utils.extmath import randomized_svd

    left, singular, _ = randomized_svd(_ppmi(texts, vocabulary), width, random_state=random_state)
    return (left * np.sqrt(singular)).astype(np.float32)


def word_vector_mean(texts: Sequence[Sequence[str]], vocabulary: Vocabulary, width: int, random_state: int) -> Embed:
    """The mean of a sentence's word vectors."""
    vectors = word_vectors(texts, vocabulary, width, random_state)

    def embed(sentences: Sequence[str]) -> np.ndarray:
        counts = _counts(words_of_each(sentences), vocabulary)
        return (counts @ vectors) / np.maximum(1, np.asarray(counts.sum(axis=1)))

    return embed


def _counts(texts: Sequence[Sequence[str]], vocabulary: Vocabulary):
    """Sparse float32 [N, V]: how often each known word is in each text."""
    from scipy import sparse

    rows = vocabulary.encode(texts, longest=1_000_000)
    row_of = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    words = np.concatenate(rows)
    known = words > UNKNOWN
    ones = np.ones(int(known.sum()), np.float32)
    shape = (len(rows), len(vocabulary))
    return sparse.csr_matrix((ones, (row_of[known], words[known])), shape=shape)


def _rarity(texts: Sequence[Sequence[str]], vocabulary: Vocabulary) -> np.ndarray:
    present = (_counts(texts, vocabulary) > 0).sum(axis=0)
    return np.log(len(texts) / np.maximum(1, np.asarray(present).ravel())).astype(np.float32)


def _diagonal(values: np.ndarray):
    from scipy import sparse

    return sparse.diags(values)


def _unit(matrix):
    """Sparse rows at length 1; a row of zeros stays."""
    norms = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
    return _diagonal((1 / np.where(norms == 0, 1, norms)).astype(np.float32)) @ matrix


def _ppmi(texts: Sequence[Sequence[str]], vocabulary: Vocabulary):
    """Sparse [V, V]: max(0, log p(word, context) / (p(word) p(context))), contexts within ``WINDOW`` words."""
    from scipy import sparse

    rows = vocabulary.encode(texts, longest=1_000_000)
    gap = np.zeros(WINDOW, dtype=np.int64)  # padding between sentences, so that no window spans two
    words = np.concatenate([part for row in rows for part in (row, gap)])
    size = len(vocabulary)
    pairs = sparse.csr_matrix((size, size), dtype=np.float64)
    for distance in range(1, WINDOW + 1):
        a, b = words[:-distance], words[distance:]
        both = (a > UNKNOWN) & (b > UNKNOWN)
        ones = np.ones(int(both.sum()))
        near = sparse.csr_matrix((ones, (a[both], b[both])), shape=(size, size))
        pairs = pairs + near + near.T
    found = pairs.tocoo()
    word = np.asarray(pairs.sum(axis=1)).ravel()
    context = word**CONTEXT_POWER
    chance = word[found.row] / word.sum() * context[found.col] / context.sum()
    values = np.maximum(0, np.log(found.data / word.sum() / chance))
    return sparse.csr_matrix((values, (found.row, found.col)), shape=(size, size))
