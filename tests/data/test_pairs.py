"""Facts about pairs of users and items: layouts, the split, numbers, wheels, and bad files."""

from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix, save_npz

from contrastbench.data import catalogue
from contrastbench.data.interactions import load_interactions
from contrastbench.data.kinds.pairs import WHEEL
from contrastbench.data.movielens import fetch_wheel
from contrastbench.data.pairs import Pairs, in_order, load_pairs


def write(root: Path, **parts: str) -> None:
    for name, text in parts.items():
        path = root / "recsys" / "pairs" / "mine" / name.replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def of_counts(*counts: int) -> Pairs:
    pairs = np.array([(user, item) for user, count in enumerate(counts) for item in range(count)])
    nothing = np.empty((0, 2), dtype=np.int64)
    return Pairs("mine", len(counts), max(counts), pairs, nothing, nothing, "")


def sizes(pairs: Pairs, users: int) -> list[tuple[int, ...]]:
    parts = (pairs.train, pairs.validation, pairs.test)
    return [*zip(*(np.bincount(part[:, 0], minlength=users).tolist() for part in parts), strict=True)]


def test_the_random_split_is_recboles():
    counts = (1, 2, 3, 9, 10, 11, 25)
    split = of_counts(*counts).split(np.random.default_rng(0))
    assert sizes(split, len(counts)) == [
        (1, 0, 0), (1, 0, 1), (1, 1, 1), (7, 1, 1), (8, 1, 1), (9, 1, 1), (21, 2, 2),
    ]  # fmt: skip
    assert (
        in_order(np.concatenate([split.train, split.validation, split.test])).tolist()
        == of_counts(*counts).train.tolist()
    )


def test_a_missing_validation_part_is_taken_from_training_and_given_parts_stay(tmp_path):
    write(tmp_path, train_txt="".join(f"1 {item}\n2 {item}\n" for item in range(10)), test_txt="1 50\n2 51\n")
    data = load_pairs("mine", tmp_path)
    split = data.split(np.random.default_rng(0))
    assert sizes(split, 2) == [(9, 1, 1), (9, 1, 1)] and np.array_equal(split.test, data.test)
    write(tmp_path, valid_txt="1 60\n")
    given = load_pairs("mine", tmp_path)
    assert given.split(np.random.default_rng(0)) is given and len(given.validation) == 1


def test_numbers_with_gaps_close_up(tmp_path):
    write(tmp_path, pairs_txt="7 1000\n7 3\n900 3\n900 3\n")
    data = load_pairs("mine", tmp_path)
    assert (data.users, data.items) == (2, 2) and data.train.tolist() == [[0, 0], [0, 1], [1, 0]]


def test_lines_matrices_and_tables_give_the_same_pairs(tmp_path):
    pairs = [(0, 1), (0, 4), (2, 1), (3, 0), (3, 4)]
    write(tmp_path, pairs_txt="".join(f"{user}\t{item}\t99\n" for user, item in pairs))
    expected = load_pairs("mine", tmp_path)
    assert [each.name for each in catalogue.find_own(tmp_path)] == ["mine"]
    (tmp_path / "recsys/pairs/mine/pairs.txt").unlink()
    users, items = zip(*pairs, strict=True)
    save_npz(tmp_path / "recsys/pairs/mine/pairs.npz", csr_matrix((np.ones(5), (users, items))))
    matrix = load_pairs("mine", tmp_path)
    (tmp_path / "recsys/pairs/mine/pairs.npz").unlink()
    write(tmp_path, pairs_inter="user_id:token\titem_id:token\n" + "".join(f"{u}\t{i}\n" for u, i in pairs))
    table = load_pairs("mine", tmp_path)
    assert expected.train.tolist() == matrix.train.tolist() == table.train.tolist()
    assert expected.sha256 == matrix.sha256 == table.sha256


def test_low_ratings_are_left_out_on_request(tmp_path):
    header = "user_id:token\titem_id:token\trating:float\n"
    write(tmp_path, pairs_inter=header + "1\t1\t5\n1\t2\t3\n2\t1\t4\n2\t3\t4\n")
    whole, liked = load_pairs("mine", tmp_path), load_pairs("mine", tmp_path, least_rating=4)
    assert (len(whole.train), len(liked.train), liked.items) == (4, 3, 2) and whole.sha256 == liked.sha256


def test_sequences_are_taken_without_their_order(tmp_path):
    (tmp_path / "mine.txt").write_text("1 5 2 7\n2 5 5 2\n")
    assert load_pairs("mine", tmp_path).train.tolist() == [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1]]
    assert len(load_interactions("mine", tmp_path).sequences) == 2


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"pairs_txt": "1 2\n1 2 3\n"}, "line 2 must be 2 fields"),
        ({"pairs_txt": "a 2\n1 3\n"}, "line 1 must be 2 fields, user and item first as whole numbers; got 'a 2'"),
        ({"pairs_txt": " \n"}, "is empty"),
        ({"pairs_txt": "1 2\n"}, "has 1 users and 1 items"),
        ({"train_txt": "1 2\n2 3\n", "test_txt": "1 2\n"}, "1 pairs in two of its parts"),
        ({"train_txt": "1 2\n2 3\n"}, "needs train and test, or pairs"),
        ({"pairs_inter": "user\titem\n1\t2\n"}, "lacks user_id, item_id"),
        ({"pairs_inter": "user_id:token\titem_id:token\nx\t2\n"}, "line 2 must have numbers"),
        ({"pairs_npz": "no archive"}, "is not a sparse matrix of SciPy in CSR"),
    ],
)
def test_a_bad_file_is_one_line(tmp_path, parts, words):
    write(tmp_path, **parts)
    with pytest.raises(ValueError, match=words) as caught:
        load_pairs("mine", tmp_path)
    assert "\n" not in str(caught.value)


def test_a_set_without_ratings_cannot_leave_low_ones_out(tmp_path):
    write(tmp_path, pairs_txt="1 2\n2 3\n")
    with pytest.raises(ValueError, match="least_rating needs ratings, and mine has none"):
        load_pairs("mine", tmp_path, least_rating=4)


def test_a_wheel_with_another_checksum_is_refused_and_kept(tmp_path):
    wheel = tmp_path / "recsys" / WHEEL
    wheel.parent.mkdir()
    wheel.write_bytes(b"something else")
    for download in (False, True):
        with pytest.raises(ValueError, match="has sha256 .*, expected 9c9948202011: remove it and fetch it again"):
            load_pairs("ml-100k", tmp_path, download=download)
    assert wheel.read_bytes() == b"something else"


def test_movielens_is_fetched_on_request_alone(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="ml-100k is not here: `contrastbench data fetch ml-100k` gets it"):
        load_pairs("ml-100k", tmp_path)
    monkeypatch.setenv("PIP_NO_INDEX", "1")  # as without a network
    with pytest.raises(ValueError, match="pip could not download recbole==1.2.1") as caught:
        fetch_wheel("recbole==1.2.1", tmp_path / WHEEL, "")
    assert "\n" not in str(caught.value) and not (tmp_path / WHEEL).exists()
