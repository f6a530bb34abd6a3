"""Facts about the readers of SentEval's layout, and about the embedded tests."""

from pathlib import Path

import numpy as np
import pytest

from contrastbench.data import sentence_hub
from contrastbench.data.sentences import load_labelled, load_scored, load_task, load_triplets


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


HUB = {  # what the hub's copies look like, two rows a split
    "MR": {"train": [{"text": "a  b", "label": 0}], "test": [{"text": "c", "label": 1}]},
    "TREC": {
        "train": [{"text": "Who ?", "label_coarse": 3}, {"text": "When ?", "label_coarse": 5}],
        "test": [{"text": "Where ?", "label_coarse": 3}],
    },
    "MRPC": {
        split: [{"sentence1": "a", "sentence2": "b", "label": 1, "idx": 0}] for split in ("train", "validation", "test")
    },
    "SST2": {split: [{"text": "x\ty", "label": 1}] for split in ("train", "validation", "test")},
    "STS13": {"test": [{"sentence1": f"s{i}", "sentence2": "t", "score": i / 2} for i in range(3)]},
    "STSB": {
        split: [{"sentence1": f"s{i}", "sentence2": "t", "score": float(i)} for i in range(2)]
        for split in ("train", "validation", "test")
    },
    "SICK-R-all": {
        split: [{"id": i, "sentence_A": "a", "sentence_B": "b", "relatedness_score": float(i)} for i in range(2)]
        for split in ("train", "validation", "test")
    },
    "SNLI": {
        split: [{"premise": "p", "hypothesis": f"h{label}", "label": label} for label in (0, 1, 2, -1)]
        for split in ("train", "validation", "test")
    },
}


@pytest.mark.parametrize("name", HUB)
def test_what_is_fetched_can_be_read(name, tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets, "load_dataset", lambda path, configuration: HUB[name])
    task = load_task(name, tmp_path, download=True)
    counts = {"MR": 2, "TREC": 3, "MRPC": 3, "SST2": 3, "STS13": 3, "STSB": 2, "SICK-R-all": 6}
    assert len(getattr(task, "first", getattr(task, "premise", ()))) == counts.get(name, 2)
    assert load_task(name, tmp_path).sha256 == task.sha256


def test_a_failed_download_gets_one_line_and_leaves_no_folder(tmp_path, monkeypatch):
    import datasets

    def fail(path, configuration):
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
