"""Facts about the readers of SentEval's layout, and about the embedded tests."""

from pathlib import Path

import datasets
import numpy as np
import pytest

from contrastbench.data import sentence_hub
from contrastbench.data.kinds.sentences import KIND
from contrastbench.data.sentence_tests import folder_of, load_labelled, load_scored, load_task, load_triplets


def write(root: Path, folder: str, **files: str) -> Path:
    home = root / "sentences" / folder
    home.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (home / name.replace("__", "-").replace("_dot_", ".")).write_text(text)
    return home


def test_the_embedded_tests_are_there(tmp_path):
    lee, polarity = load_scored("Lee", tmp_path), load_labelled("polarity", tmp_path)
    assert len(lee.first) == 1225 and len({*lee.first, *lee.second}) == 50 and 0 <= lee.scores.min() < lee.scores.max()
    assert len(polarity.first) == 200 and polarity.labels.sum() == 100
    assert not any("__label__" in sentence for sentence in polarity.first)


def test_two_files_are_two_classes(tmp_path):
    home = tmp_path / "sentences" / "MR"
    home.mkdir(parents=True)
    (home / "rt-polarity.neg").write_text("bad one\nbad two\n")
    (home / "rt-polarity.pos").write_text("good\n\n")
    task = load_labelled("MR", tmp_path)
    assert task.labels.tolist() == [0, 0, 1] and task.first[2] == "good"


def test_trec_takes_the_coarse_label(tmp_path):
    home = tmp_path / "sentences" / "TREC"
    home.mkdir(parents=True)
    (home / "train_5500.label").write_text("NUM:date When ?\nHUM:ind Who is it ?\n")
    (home / "TREC_10.label").write_text("NUM:count How many ?\n")
    task = load_labelled("TREC", tmp_path)
    assert task.labels.tolist() == [1, 0, 1] and task.part("test").tolist() == [2] and task.first[1] == "Who is it ?"


def test_sts_leaves_pairs_without_a_score_out_and_keeps_the_parts(tmp_path):
    home = tmp_path / "sentences" / "STS15-en-test"
    home.mkdir(parents=True)
    for part, scores in (("belief", "1.5\n\n3\n"), ("images", "0\n5\n2\n")):
        (home / f"STS.input.{part}.txt").write_text("a b\tc\nd\te\tmore\nf\tg\n")
        (home / f"STS.gs.{part}.txt").write_text(scores)
    task = load_scored("STS15", tmp_path)
    assert task.scores.tolist() == [1.5, 3, 0, 5, 2] and task.part.tolist() == ["belief"] * 2 + ["images"] * 3
    assert task.second[:2] == ("c", "g")


def test_triplets_pair_each_entailment_with_a_contradiction_of_its_premise(tmp_path):
    home = tmp_path / "sentences" / "SNLI"
    home.mkdir(parents=True)
    for part in ("dev", "test"):
        (home / f"s1.{part}").write_text(f"p {part}\n" * 4 + "q\n")
        (home / f"s2.{part}").write_text("yes\nno\nyes too\nmaybe\nalone\n")
        (home / f"labels.{part}").write_text("entailment\ncontradiction\nentailment\nneutral\nentailment\n")
    triplets = load_triplets("SNLI", tmp_path)
    assert list(zip(triplets.premise, triplets.entailed, triplets.contradiction, strict=True)) == [
        ("p dev", "yes", "no"),
        ("p test", "yes", "no"),
    ]


def test_a_missing_or_broken_test_gets_one_line(tmp_path):
    with pytest.raises(ValueError, match="test 'CR' not found: there is no folder .*CR"):
        load_task("CR", tmp_path)
    home = tmp_path / "sentences" / "CR"
    home.mkdir(parents=True)
    with pytest.raises(ValueError, match="custrev.neg is missing"):
        load_task("CR", tmp_path)
    (home / "custrev.neg").write_bytes(b"caf\xe9")
    with pytest.raises(ValueError, match=r"custrev.neg is not UTF-8 \(byte 3\)"):
        load_task("CR", tmp_path)
    (home / "custrev.neg").write_text("\n")
    with pytest.raises(ValueError, match="custrev.neg is empty"):
        load_task("CR", tmp_path)
    stsb = tmp_path / "sentences" / "STSB"
    stsb.mkdir()
    (stsb / "sts-test.csv").write_text("a\tb\tc\td\tbad\tone\ttwo\n")
    with pytest.raises(ValueError, match="line 1 of .*sts-test.csv has the score 'bad', which is no number"):
        load_task("STSB", tmp_path)
    (stsb / "sts-test.csv").write_text("a\tb\n")
    with pytest.raises(ValueError, match="line 1 of .* has 2 tab-separated fields; 7 are needed"):
        load_task("STSB", tmp_path)
    (stsb / "sts-test.csv").write_text("a\tb\tc\td\t1\tone\t" + "two " * 2_600_000)
    with pytest.raises(ValueError, match="sts-test.csv has a line of 10,400,014 characters"):
        load_task("STSB", tmp_path)


SHORT_SCORES = {"STS.input.news.txt": "a\tb\nc\td\n", "STS.gs.news.txt": "1\n"}
NO_SCORE = {"STS.input.news.txt": "a\tb\n", "STS.gs.news.txt": "nan\n"}
ONE_CLASS = {f"sentiment-{part}": "fine\t1\n" for part in ("train", "dev", "test")}
STRAY_CLASS = {"train_5500.label": "HUM:ind Who ?\nLOC:city Where ?\n", "TREC_10.label": "NUM:date When ?\n"}
SHORT_LABELS = {"s1.dev": "a\nb", "s2.dev": "c\nd", "labels.dev": "entailment"}


@pytest.mark.parametrize(
    ("name", "files", "message"),
    [
        ("STS12", SHORT_SCORES, "the same number of lines, got STS.input.news.txt 2, STS.gs.news.txt 1"),
        ("STS12", NO_SCORE, "line 1 of .*STS.gs.news.txt has the score 'nan', which is no number"),
        ("SST2", ONE_CLASS, "the training part of SST2 has 1 class; at least 2 are needed"),
        ("TREC", STRAY_CLASS, "the test part of TREC has class 2, which the training part has not"),
        ("SNLI", SHORT_LABELS, "the same number of lines, got s1.dev 2, s2.dev 2, labels.dev 1"),
        ("SST2", {"sentiment-train": "fine\t1\n\nbad\t-1"}, "line 3 of .* has the class '-1'; it must be 0 or 1"),
        ("MRPC", {"msr_paraphrase_train.txt": "Quality\nx\t1\t2\ta\tb"}, "line 2 of .* has the class 'x'"),
    ],
)
def test_files_that_do_not_fit_are_named(name, files, message, tmp_path):
    folder = tmp_path / "sentences" / folder_of(name)
    folder.mkdir(parents=True)
    for file, content in files.items():
        (folder / file).write_text(content)
    with pytest.raises(ValueError, match=message):
        load_task(name, tmp_path)


def on_the_hub(columns: dict[str, list], classes: dict[str, list[str]], *splits: str):
    """A set as `datasets` gives it: every split has the same rows, and classes are numbers with names."""
    table = datasets.Dataset.from_dict(columns)
    for name, names in classes.items():
        table = table.cast_column(name, datasets.ClassLabel(names=names))
    return datasets.DatasetDict(dict.fromkeys(splits, table))


ALL = ("train", "validation", "test")
PAIR = {"sentence1": ["a  b", "c\td"], "sentence2": ["e", "f"]}
TREC_CLASSES = ["ABBR", "ENTY", "DESC", "HUM", "LOC", "NUM"]
HUB = {  # test -> the set with the columns of the hub's copy, and how many items are read from it
    "MR": (on_the_hub({"text": ["a  b", "c"], "label": [0, 1]}, {"label": ["neg", "pos"]}, *ALL), 6),
    "CR": (on_the_hub({"text": ["a", "b"], "label": [0, 1], "label_text": ["negative", "positive"]}, {}, *ALL[::2]), 4),
    "SUBJ": (on_the_hub({"text": ["a", "b"], "label": [0, 1], "label_text": ["o", "s"]}, {}, *ALL[::2]), 4),
    "TREC": (
        on_the_hub(
            {"text": ["Who ?", "When ?"], "coarse_label": [3, 5], "fine_label": [0, 1]},
            {"coarse_label": TREC_CLASSES},
            *ALL[::2],
        ),
        4,
    ),
    "MRPC": (
        on_the_hub({**PAIR, "label": [1, 0], "idx": [0, 1]}, {"label": ["not_equivalent", "equivalent"]}, *ALL),
        6,
    ),
    "SST2": (on_the_hub({"text": ["x\ty", "z"], "label": [1, 0], "label_text": ["p", "n"]}, {}, *ALL), 6),
    "STS13": (on_the_hub({**PAIR, "score": [0.5, 4.0]}, {}, "test"), 2),
    "STSB": (on_the_hub({"genre": ["news"] * 2, **PAIR, "score": [0.0, 5.0]}, {}, *ALL), 2),
    "STSB-dev": (on_the_hub({"genre": ["news"] * 2, **PAIR, "score": [0.0, 5.0]}, {}, *ALL), 2),
    "SICK-R-all": (
        on_the_hub(
            {"id": ["1", "2"], "sentence_A": ["a", "b"], "sentence_B": ["c", "d"], "relatedness_score": [1.5, 3.0]},
            {},
            *ALL,
        ),
        6,
    ),
    "SNLI": (  # -1: the annotators did not agree
        on_the_hub(
            {"premise": ["p"] * 4, "hypothesis": ["h0", "h1", "h2", "h"], "label": [0, 1, 2, -1]},
            {"label": ["entailment", "neutral", "contradiction"]},
            *ALL,
        ),
        2,
    ),
}


@pytest.mark.parametrize("name", HUB)
def test_what_is_fetched_can_be_read(name, tmp_path, monkeypatch):
    splits, items = HUB[name]
    monkeypatch.setattr(datasets, "load_dataset", lambda path, configuration, revision: splits)
    task = load_task(name, tmp_path, download=True)
    assert len(task.premise if name == "SNLI" else task.first) == items
    assert load_task(name, tmp_path).sha256 == task.sha256


def test_classes_scores_and_splits_of_the_hub_arrive(tmp_path, monkeypatch):
    asked: dict[str, str | None] = {}

    def load(path, configuration, revision):
        asked[path] = revision
        return HUB[{hub: name for name, (hub, _) in sentence_hub.HUB.items() if name in HUB}[path]][0]

    monkeypatch.setattr(datasets, "load_dataset", load)
    mr, mrpc, trec = (load_labelled(name, tmp_path, download=True) for name in ("MR", "MRPC", "TREC"))
    assert mr.labels.tolist() == [0, 0, 0, 1, 1, 1] and mr.first[0] == "a b"
    assert mrpc.labels.tolist() == [1, 0] * 3 and mrpc.split.tolist() == ["train"] * 4 + ["test"] * 2
    assert len(set(trec.labels)) == 2 and trec.first[0] == "Who ?"
    assert load_scored("STSB", tmp_path, download=True).scores.tolist() == [0.0, 5.0]
    snli = load_triplets("SNLI", tmp_path, download=True)
    assert (snli.entailed[0], snli.contradiction[0]) == ("h0", "h2")
    assert asked["CogComp/trec"] == "refs/convert/parquet" and asked["nyu-mll/glue"] is None


def test_the_catalogue_knows_which_tests_the_hub_has():
    declared = {each.name: each for each in KIND.data_sets if not each.embedded}
    assert {name for name, each in declared.items() if each.downloaded} == {*sentence_hub.HUB}
    assert all(("datasets" in each.origin) == each.downloaded for each in declared.values())


def test_a_failed_download_gets_one_line_and_leaves_no_folder(tmp_path, monkeypatch):
    def fail(path, configuration, revision):
        raise ConnectionError("no route\nto the hub")

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(ValueError, match=r"MR could not be downloaded \(no route\)"):
        load_task("MR", tmp_path, download=True)
    with pytest.raises(ValueError, match="no copy of MPQA on the hub is known"):
        sentence_hub.fetch("MPQA", tmp_path)
    assert not (tmp_path / "sentences" / "MR").exists()


def test_checksums_follow_the_content(tmp_path):
    one, other = load_scored("Lee", tmp_path), load_scored("Lee", tmp_path)
    assert one.sha256 == other.sha256
    other.scores[0] += 1
    assert (
        load_scored("Lee", tmp_path).sha256
        == one.sha256
        != type(one)("Lee", one.first, one.second, np.asarray(other.scores), one.part).sha256
    )
