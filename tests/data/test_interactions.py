"""Facts about sequences of items: layouts, the split, prefixes, padding, and bad files."""

from pathlib import Path

import numpy as np
import pytest

from contrastbench.data import catalogue
from contrastbench.data.interactions import Interactions, Split, gensim_words, load_interactions, pad_left

SEQUENCES = (np.array([5, 2, 7, 1, 3]), np.array([4, 4, 6]))


def split() -> Split:
    return Split(Interactions("mine", SEQUENCES, "data root"))


def file(root: Path, content: str, name: str = "mine.txt") -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(content)


def test_the_last_item_is_for_the_test_and_the_one_before_it_for_validation():
    validation, validation_targets = split().questions("validation")
    test, test_targets = split().questions("test")
    assert [each.tolist() for each in split().training] == [[5, 2, 7], [4]]
    assert [each.tolist() for each in validation] == [[5, 2, 7], [4]] and validation_targets.tolist() == [1, 4]
    assert [each.tolist() for each in test] == [[5, 2, 7, 1], [4, 4]] and test_targets.tolist() == [3, 6]


def test_prefixes_end_before_each_training_item_but_the_first():
    before, after = split().prefixes(longest=1)
    assert [each.tolist() for each in before] == [[5], [2]] and after.tolist() == [2, 7]


def test_padding_stands_on_the_left_and_the_last_items_are_kept():
    assert pad_left([*SEQUENCES, np.array([], dtype=int)], 4).tolist() == [[2, 7, 1, 3], [0, 4, 4, 6], [0, 0, 0, 0]]


def test_a_file_of_lines_and_recboles_table_give_the_same_sequences(tmp_path):
    file(tmp_path, "1 1 2 3\n2 2 4 1\n", "recsys/seq/lines.txt")
    table = (
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\nu\tc\t5\t9\nv\tb\t1\t3\nu\ta\t1\t1\nu\tb\t2\t4\n"
    )
    file(tmp_path, table + "v\tc\t1\t8\nv\td\t1\t7.5\n", "table/table.inter")
    lines, table = (load_interactions(name, tmp_path) for name in ("lines", "table"))
    assert [each.tolist() for each in lines.sequences] == [[1, 2, 3], [2, 4, 1]] and lines.items == 4
    assert [each.tolist() for each in table.sequences] == [[3, 2, 1], [2, 4, 1]]
    assert table.ids == ("c", "b", "a", "d") and lines.ids == ()
    assert {each.name for each in catalogue.find_own(tmp_path) if each.kind == "interactions"} == {"lines", "table"}


def test_a_shelved_set_is_found_under_its_short_name(tmp_path):
    file(tmp_path, "1 1 2 3\n2 2 4 1\n", "recsys/seq/Toys_and_Games.txt")
    assert load_interactions("Toys", tmp_path).items == 4
    assert not [each for each in catalogue.find_own(tmp_path) if each.kind == "interactions"]


def test_the_embedded_set_has_every_word_once_a_document(tmp_path):
    data = load_interactions("gensim_sequences", tmp_path)
    assert len(data.sequences) == 550 and data.items == 6419 and data.origin == "embedded"
    assert all(len(set(each.tolist())) == len(each) for each in data.sequences)
    documents = np.bincount(np.concatenate(data.sequences), minlength=data.items + 1)
    assert documents[0] == 0 and documents[1:].min() == 5
    words = gensim_words()
    assert len(words) == 6419 and [words[item - 1] for item in data.sequences[0][:3]] == ["hundreds", "of", "people"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "mine.txt is empty"),
        ("1 1 2 3\n", "mine.txt has 1 users; at least 2 are needed"),
        ("1 1 2 3\n2 5\n", r"mine.txt:2: a user needs at least 3 items \(training, validation, test\), got 1"),
        ("1 1 2 3\n2 5 a 3\n", r"mine.txt:2: a line must be integers 'user item item ...', got '2 5 a 3'"),
        ("1 1 2 3\n2 5 -4 3\n", "mine.txt:2: item numbers must be at least 1, since 0 is padding; got -4"),
        ("1 1 2 3\n2 2 3 1\n\n1 3 2 1\n", "mine.txt:4: user 1 is already in line 1; a user has one line"),
        (
            f"1 1 2 3\n2 5 {2**31 - 1} 3\n",
            r"mine.txt:2: item 2147483647 is far above the number of items, 5; give them the numbers 1 to 5 \(up to",
        ),
        ("1 1 2 3\n2 5 0 3\n", "since 0 is padding; got 0"),
        (f"1 1 2 3\n2 5 {10**30} 3\n", "a line must be integers"),
    ],
)
def test_a_bad_file_gets_one_line(content, message, tmp_path):
    file(tmp_path, content)
    with pytest.raises(ValueError, match=message) as caught:
        load_interactions("mine", tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("user_id\titem_id\na\tb", "mine.inter:1: the header lacks timestamp; it has: user_id, item_id"),
        ("user_id\titem_id\ttimestamp\na\tb\tnoon", "mine.inter:2: a line must have 3 fields and a finite time, got"),
        (
            "user_id\titem_id\ttimestamp\na\tb\t1\na\tb\tnan",
            "mine.inter:3: a line must have 3 fields and a finite time",
        ),
        ("user_id\titem_id\ttimestamp\na\tb\t-inf", "mine.inter:2: a line must have 3 fields and a finite time, got"),
        ("user_id\titem_id\ttimestamp\na\tb", "mine.inter:2: a line must have 3 fields and a finite time, got"),
        ("user_id\titem_id\ttimestamp\na\tb\t1", "mine.inter, user a: a user needs at least 3 items"),
    ],
)
def test_a_bad_table_gets_one_line(content, message, tmp_path):
    file(tmp_path, content, "mine.inter")
    with pytest.raises(ValueError, match=message):
        load_interactions("mine", tmp_path)


ACTIONS = ("ua", "ub", "uc", "va", "vb", "vc", "xa", "xd", "wd")  # user, item
TABLE = "user_id\titem_id\ttimestamp\n" + "".join(f"{user}\t{item}\t{n}\n" for n, (user, item) in enumerate(ACTIONS))


def test_users_and_items_with_few_actions_are_left_out_until_none_is_left(tmp_path):
    """w has one action; without it d has one, and without d x has one."""
    file(tmp_path, TABLE, "mine.inter")
    with pytest.raises(ValueError, match="mine.inter, user x: a user needs at least 3 items"):
        load_interactions("mine", tmp_path)
    assert [each.tolist() for each in load_interactions("mine@2", tmp_path).sequences] == [[1, 2, 3], [1, 2, 3]]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mine@", "behind the @ of 'mine@' must stand a whole number of actions, at least 1"),
        ("mine@few", "behind the @ of 'mine@few' must stand a whole number of actions"),
        ("mine@3", "mine.inter has 0 users with 3 actions; at least 2 are needed"),
        ("lines@3", "lines.txt has a line for each user: only a table of single actions .* can be cut by @"),
        ("ml-100k", "ml-100k is not here: `contrastbench data fetch ml-100k` gets it"),
    ],
)
def test_a_bad_cut_gets_one_line(name, message, tmp_path):
    file(tmp_path, TABLE, "mine.inter")
    file(tmp_path, "1 1 2 3\n2 2 4 1\n", "lines.txt")
    with pytest.raises(ValueError, match=message):
        load_interactions(name, tmp_path)


def test_a_set_that_is_not_here_is_told_where_to_lie(tmp_path):
    with pytest.raises(ValueError, match="'LastFM' not found in .*looked for recsys/seq/LastFM.txt"):
        load_interactions("LastFM", tmp_path)
    with pytest.raises(
        ValueError, match="unknown data set of interactions 'nowhere'; there are: gensim_sequences, LastFM"
    ):
        load_interactions("nowhere", tmp_path)
