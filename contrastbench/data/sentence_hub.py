"""Fetches tests from the Hugging Face hub by `datasets` and writes them in SentEval's layout.

What the hub's copies lack is lacking here too: STS12 to STS16 come as one part each, so that "wmean" is "all".
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

Rows = Iterable[Mapping[str, Any]]

PARQUET = "refs/convert/parquet"  # the hub's own copy of a set that is a script, which `datasets` 4 refuses to run
HUB: dict[str, tuple[str, str | None]] = {  # test -> path and configuration on the hub
    "MR": ("cornell-movie-review-data/rotten_tomatoes", None),
    "CR": ("SetFit/CR", None),
    "SUBJ": ("SetFit/subj", None),
    "TREC": ("CogComp/trec", None),
    "MRPC": ("nyu-mll/glue", "mrpc"),
    "SST2": ("SetFit/sst2", None),
    **{f"STS{year}": (f"mteb/sts{year}-sts", None) for year in (12, 13, 14, 15, 16)},
    "STSB": ("mteb/stsbenchmark-sts", None),
    "STSB-dev": ("mteb/stsbenchmark-sts", None),
    "SICK-R": ("RobZamp/sick", None),
    "SICK-R-all": ("RobZamp/sick", None),
    "SNLI": ("stanfordnlp/snli", None),
}
SCRIPTS = ("CogComp/trec", "RobZamp/sick")


def fetch(name: str, folder: Path) -> None:
    """Downloads one test and writes its folder, whole or not at all.

    Raises:
        ValueError: the hub has no copy that is known here, or the download failed.
    """
    if name not in HUB:
        raise ValueError(f"no copy of {name} on the hub is known; put SentEval's files into {folder}")
    import datasets

    path, configuration = HUB[name]
    try:
        splits = datasets.load_dataset(path, configuration, revision=PARQUET if path in SCRIPTS else None)
    except Exception as error:  # the hub's client raises many kinds
        raise ValueError(f"{name} could not be downloaded ({str(error).splitlines()[0][:120]})") from error
    partial = folder.with_name(f"{folder.name}.partial")
    partial.mkdir(parents=True, exist_ok=True)
    writer = _WRITERS.get(name, _write_sts if name.startswith("STS1") else None)
    assert writer is not None
    for file, lines in writer(splits).items():
        (partial / file).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    partial.replace(folder)


def _clean(text: str) -> str:
    return " ".join(str(text).split())


def _two_files(negative: str, positive: str) -> Callable[[Any], dict[str, list[str]]]:
    def write(splits: Any) -> dict[str, list[str]]:
        rows = [row for split in splits.values() for row in split]
        files = ((negative, 0), (positive, 1))
        return {file: [_clean(row["text"]) for row in rows if row["label"] == label] for file, label in files}

    return write


def _write_trec(splits: Any) -> dict[str, list[str]]:
    files = (("train_5500.label", "train"), ("TREC_10.label", "test"))
    return {
        file: [f"{row['coarse_label']}:any {_clean(row['text'])}" for row in splits[split]] for file, split in files
    }


def _write_mrpc(splits: Any) -> dict[str, list[str]]:
    parts = {"train": [*splits["train"], *splits["validation"]], "test": list(splits["test"])}
    header = "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String"
    return {
        f"msr_paraphrase_{part}.txt": [
            header,
            *(f"{row['label']}\t0\t0\t{_clean(row['sentence1'])}\t{_clean(row['sentence2'])}" for row in rows),
        ]
        for part, rows in parts.items()
    }


def _write_sst2(splits: Any) -> dict[str, list[str]]:
    files = (("sentiment-train", "train"), ("sentiment-dev", "validation"), ("sentiment-test", "test"))
    return {file: [f"{_clean(row['text'])}\t{row['label']}" for row in splits[split]] for file, split in files}


def _write_sts(splits: Any) -> dict[str, list[str]]:
    rows = list(splits["test"])
    pairs = [f"{_clean(row['sentence1'])}\t{_clean(row['sentence2'])}" for row in rows]
    return {"STS.input.all.txt": pairs, "STS.gs.all.txt": [str(row["score"]) for row in rows]}


def _write_stsb(splits: Any) -> dict[str, list[str]]:
    files = (("sts-train.csv", "train"), ("sts-dev.csv", "validation"), ("sts-test.csv", "test"))
    return {
        file: [
            f"all\tall\t0\t{number}\t{row['score']}\t{_clean(row['sentence1'])}\t{_clean(row['sentence2'])}"
            for number, row in enumerate(splits[split])
        ]
        for file, split in files
    }


def _write_sick(splits: Any) -> dict[str, list[str]]:
    files = (
        ("SICK_train.txt", "train"),
        ("SICK_trial.txt", "validation"),
        ("SICK_test_annotated.txt", "test"),
    )
    header = "pair_ID\tsentence_A\tsentence_B\trelatedness_score"
    return {
        file: [
            header,
            *(
                f"{row['id']}\t{_clean(row['sentence_A'])}\t{_clean(row['sentence_B'])}\t{row['relatedness_score']}"
                for row in splits[split]
            ),
        ]
        for file, split in files
    }


def _write_snli(splits: Any) -> dict[str, list[str]]:
    names = {0: "entailment", 1: "neutral", 2: "contradiction"}
    files: dict[str, list[str]] = {}
    for part, split in (("dev", "validation"), ("test", "test")):
        rows = [row for row in splits[split] if row["label"] in names]
        files[f"s1.{part}"] = [_clean(row["premise"]) for row in rows]
        files[f"s2.{part}"] = [_clean(row["hypothesis"]) for row in rows]
        files[f"labels.{part}"] = [names[row["label"]] for row in rows]
    return files


_WRITERS: dict[str, Callable[[Any], dict[str, list[str]]]] = {
    "MR": _two_files("rt-polarity.neg", "rt-polarity.pos"),
    "CR": _two_files("custrev.neg", "custrev.pos"),
    "SUBJ": _two_files("subj.objective", "subj.subjective"),
    "TREC": _write_trec,
    "MRPC": _write_mrpc,
    "SST2": _write_sst2,
    "STSB": _write_stsb,
    "STSB-dev": _write_stsb,
    "SICK-R": _write_sick,
    "SICK-R-all": _write_sick,
    "SNLI": _write_snli,
}
