"""Tests of sentence embeddings: what they are, where they come from, and under which terms."""

from pathlib import Path

from contrastbench.data.kinds import GENSIM, DataSet, Kind

BY_DATASETS = "; or by `datasets`"
LAYOUT = "SentEval's layout, as sentences/{folder} in the data root" + BY_DATASETS
NOT_ON_HUB = ("MPQA",)  # no copy is known
TERMS = "see the original release"

_SETS = {  # name -> size, folder
    "MR": ("10,662 sentences of film reviews, 2 classes", "MR"),
    "CR": ("3,775 sentences of product reviews, 2 classes", "CR"),
    "SUBJ": ("10,000 sentences, subjective or objective", "SUBJ"),
    "MPQA": ("10,606 phrases, 2 classes of opinion", "MPQA"),
    "TREC": ("5,452 + 500 questions, 6 classes", "TREC"),
    "MRPC": ("4,076 + 1,725 pairs, paraphrases or not", "MRPC"),
    "SST2": ("67,349 phrases + 872 + 1,821 sentences, 2 classes", "SST2"),
    "STS12": ("3,108 scored pairs in 5 parts", "STS12-en-test"),
    "STS13": ("1,500 scored pairs in 3 parts", "STS13-en-test"),
    "STS14": ("3,750 scored pairs in 6 parts", "STS14-en-test"),
    "STS15": ("3,000 scored pairs in 5 parts", "STS15-en-test"),
    "STS16": ("1,186 scored pairs in 5 parts", "STS16-en-test"),
    "STSB": ("1,379 scored pairs, the benchmark's test part", "STSB"),
    "STSB-dev": ("1,500 scored pairs, the benchmark's development part", "STSB"),
    "SICK-R": ("4,927 scored pairs, the test part", "SICK"),
    "SICK-R-all": ("9,927 scored pairs, all parts", "SICK"),
    "SNLI": ("5,883 triplets of SNLI's dev and test parts", "SNLI"),
}
_STATED = {
    "MRPC": "Microsoft's own terms, to be agreed to",
    "SICK-R": "CC BY-NC-SA 3.0",
    "SICK-R-all": "CC BY-NC-SA 3.0",
    "SNLI": "CC BY-SA 4.0",
    "STSB": "scores CC BY-SA 4.0; each text part has terms of its own",
    "STSB-dev": "scores CC BY-SA 4.0; each text part has terms of its own",
}

DATA_SETS = (
    DataSet(
        "Lee",
        "sentences",
        "50 news documents, 1,225 scored pairs",
        "lee.cor and similarities0-1.txt in the gensim package",
        "gensim: LGPL-2.1; the documents are for research (Lee et al. 2005)",
        embedded=GENSIM,
        downloaded=False,
    ),
    DataSet(
        "polarity",
        "sentences",
        "200 sentences of film reviews, 2 classes",
        "pang_lee_polarity.cor in the gensim package",
        "gensim: LGPL-2.1; the sentences are for research (Pang and Lee 2005)",
        embedded=GENSIM,
        downloaded=False,
    ),
    *(
        DataSet(
            name,
            "sentences",
            size,
            LAYOUT.format(folder=folder).removesuffix(BY_DATASETS if name in NOT_ON_HUB else ""),
            _STATED.get(name, TERMS),
            downloaded=name not in NOT_ON_HUB,
        )
        for name, (size, folder) in _SETS.items()
    ),
)


def is_here(name: str, root: Path) -> bool:
    return (root / "sentences" / _SETS.get(name, ("", name))[1]).is_dir()


KIND = Kind("sentences", "contrastbench.data.sentence_tests:load_task", DATA_SETS, is_here=is_here)
