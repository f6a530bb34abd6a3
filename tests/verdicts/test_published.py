"""A published.csv is read whole or refused in one line that says where and what."""

import re

import pytest

from contrastbench import papers
from contrastbench.selection import select
from contrastbench.verdicts.published import COLUMNS, read_published

GOOD = "main,MUTAG,InfoGraph,test_svm_percent,89.01,1.13,seeds,5,yes,,Table 1,a paper,,,epochs=20; selection=last epoch"


HEADER = ",".join(COLUMNS)


def written(tmp_path, *lines, header=HEADER):
    path = tmp_path / "published.csv"
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def test_a_good_line_is_read(tmp_path):
    (number,) = read_published(written(tmp_path, GOOD))
    assert (number.value, number.spread, number.n, number.confirmed) == (89.01, 1.13, 5, True)
    assert number.margin == 1.0  # the default for percentages
    assert number.rounding == pytest.approx(0.005)
    assert number.protocol == {"epochs": "20", "selection": "last epoch"}
    assert number.place == ("main", "MUTAG", "InfoGraph", "test_svm_percent")


def test_protocol_and_rerun_may_be_left_out(tmp_path):
    header, line = HEADER.removesuffix(",rerun,protocol"), GOOD.partition(",,epochs")[0]
    (number,) = read_published(written(tmp_path, line, header=header))
    assert (number.protocol, number.rerun) == ({}, "")


def test_no_file_is_no_numbers(tmp_path):
    assert read_published(tmp_path / "published.csv") == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("89.01", "89,01", "quote commas"),
        ("89.01", "high", "value is 'high'; possible: a finite number"),
        ("89.01", "nan", "value is 'nan'"),
        ("1.13", "-1", "spread is '-1'"),
        ("seeds", "std", "spread_kind is 'std'; possible: seeds, folds, unknown, or nothing"),
        ("seeds", "", "spread_kind is ''; possible: seeds, folds, unknown, because a spread is given"),
        (",5,", ",0,", "n is '0'"),
        ("yes", "maybe", "confirmed is 'maybe'; possible: yes or no"),
        ("yes,", "yes,-1", "margin is '-1'"),
        ("MUTAG", "", "dataset is ''; possible: a name"),
        ("epochs=20", "20 epochs", "protocol is '20 epochs; selection=last epoch'; possible: name=value pairs"),
        ("test_svm_percent", "ndcg", "margin is ''; possible: a number above 0 in the metric's unit"),
    ],
)
def test_a_bad_line_says_what_and_where(tmp_path, old, new, message):
    path = written(tmp_path, GOOD, GOOD.replace(old, new))
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        read_published(path)
    assert str(caught.value).startswith(f"{path}:3: ")


def test_a_bad_header_says_what_is_missing_and_what_is_unknown(tmp_path):
    path = written(tmp_path, header=HEADER.replace("margin", "tolerance"))
    with pytest.raises(ValueError, match="lacks margin and has unknown tolerance"):
        read_published(path)


EVERY_NUMBER_HAS_A_CELL = {  # at least so many numbers, and so many confirmed: a file cut short is noticed
    "hard_negatives": (100, 10),
    "novel_class_discovery": (80, 8),
    "sentence_embeddings": (300, 20),
    "sequential_recommendation": (699, 12),
}


@pytest.mark.parametrize("name", EVERY_NUMBER_HAS_A_CELL)
def test_published_numbers_belong_to_cells_or_to_no_table_of_ours(name):
    """The other papers name numbers beside their tables, which a table lists as published and not measured."""
    paper = papers.paper(name)
    places = {(table, cell.dataset, cell.method, cell.metric) for table, cell in select(name, "paper").cells()}
    numbers = read_published(paper.folder / "published.csv")
    assert {number.place for number in numbers if number.table in paper.tables} <= places
    confirmed = {number.place for number in numbers if number.confirmed} & places
    least, least_confirmed = EVERY_NUMBER_HAS_A_CELL[name]
    assert len(numbers) >= least and len(confirmed) >= least_confirmed
