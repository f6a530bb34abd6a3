"""Methods compared user by user: the differences, what is written of them, and what cannot be compared."""

import hashlib
import json
import shutil
from typing import Any

import pandas as pd
import pytest
import torch

from benchmarks.sequential_recommendation import by_user
from benchmarks.sequential_recommendation.tables import PAPER
from contrastbench.runner.rows import rows_shipped

OURS = torch.tensor([[0] * 20 + [50] * 10, [0] * 30])  # ranks of 30 users: 20 find their item at once, 10 never
THEIRS = torch.tensor([[9] * 10 + [50] * 10 + [9] * 10, [0] * 30])  # 20 find it in tenth place, 10 of them others


def keep_ranks(folder, key: str, kept: dict[str, Any]) -> None:
    (folder / key).mkdir()
    torch.save(kept, folder / key / "artefact.pt")
    sha256 = hashlib.sha256((folder / key / "artefact.pt").read_bytes()).hexdigest()
    (folder / key / "row.json").write_text(json.dumps({"artefact_sha256": sha256}))


def by_user_prints(monkeypatch, capsys, *words: str) -> str:
    monkeypatch.setattr("sys.argv", ["by_user", *words])
    by_user.main()
    return capsys.readouterr().out


def test_two_runs_are_compared_user_by_user():
    hits, gains = (by_user.compare([OURS], [THEIRS], metric) for metric in ("hr10", "ndcg10"))
    assert (hits["ours"], hits["theirs"], hits["difference"]) == (66.6667, 66.6667, 0.0)
    assert (hits["over_users"], hits["over_seeds"], hits["sign_test_p"]) == ("[-31.01, +31.01]", "", "1")
    assert (hits["users_better"], hits["users_worse"]) == (10, 10)
    assert (gains["users_better"], gains["users_worse"], gains["sign_test_p"]) == (20, 10, "0.099")


def test_each_method_of_a_table_is_compared_with_its_baseline_over_their_seeds(tmp_path, monkeypatch, capsys):
    runs = {cell.method: cell.runs for cell in PAPER.cells("main", "smoke")}
    ranks = {"SASRec": OURS, "CL4SRec": THEIRS, "PopRec": THEIRS, "DuoRec": OURS}  # DuoRec's baseline is not there
    for method, each in ranks.items():
        for run in runs[method]:
            moved = each + torch.tensor([[run.seed], [0]])  # under seed 1 a tenth place becomes the eleventh
            keep_ranks(tmp_path, run.key, {"ranks": {"zeroed": moved}})
    file = tmp_path / "by_user.csv"
    by_user_prints(monkeypatch, capsys, "main", "--scale", "smoke", "--runs", str(tmp_path), "--output", str(file))
    found = pd.read_csv(file, dtype=str).set_index(["method", "metric"])
    assert {method for method, _ in found.index} == {"CL4SRec", "PopRec"} and set(found["over"]) == {"SASRec"}
    line = found.loc["CL4SRec", "hr10_zeroed"]
    assert (line["seeds"], line["theirs"], line["ours"]) == ("0 1", "66.6667", "33.3333")
    seeds = f"[{-100 / 3 - 12.7062 * 100 / 3:+.2f}, {-100 / 3 + 12.7062 * 100 / 3:+.2f}]"
    assert line["difference"] == "-33.3333" and line["over_seeds"] == seeds
    assert found.loc["PopRec", "hr10_zeroed"]["ours"] == "66.6667", "its one run is paired with both seeds"


def test_what_cannot_be_compared_gets_one_line(tmp_path, monkeypatch):
    runs = {cell.method: cell.runs[0] for cell in PAPER.cells("main", "smoke")}

    def message(ours: dict[str, Any], sha256: str = "") -> str:
        for method, kept in (("SASRec", {"ranks": {"zeroed": OURS}}), ("CL4SRec", ours)):
            shutil.rmtree(tmp_path / runs[method].key, ignore_errors=True)
            keep_ranks(tmp_path, runs[method].key, kept)
        if sha256:
            (tmp_path / runs["CL4SRec"].key / "row.json").write_text(json.dumps({"artefact_sha256": sha256}))
        monkeypatch.setattr("sys.argv", ["by_user", "main", "--scale", "smoke", "--runs", str(tmp_path)])
        with pytest.raises(SystemExit) as caught:
            by_user.main()
        return str(caught.value)

    assert message({"encoder": {}}).endswith("artefact.pt keeps no ranks under the rule 'zeroed': only runs that were "
                                             "tested do")  # fmt: skip
    few = {"ranks": {"zeroed": THEIRS[:, :20]}}
    assert message(few) == "error: the runs have 20 and 30 users; they must be of the same data"
    assert message(few, "another").endswith("artefact.pt is not what its row recorded")
    monkeypatch.setattr("sys.argv", ["by_user", "beta", "--scale", "smoke", "--runs", str(tmp_path)])
    with pytest.raises(SystemExit, match="no method here and its baseline keep ranks under the same seed"):
        by_user.main()


def test_the_differences_by_user_that_are_shipped_are_those_of_the_shipped_rows():
    results = PAPER.folder.parents[1] / "results"
    rows = {row["key"]: row["metrics"] for row in rows_shipped(results, PAPER.name)}
    found = pd.read_csv(results / PAPER.name / "by_user.csv", dtype=str)
    assert len(found)
    cells = {
        scale: [cell for table in PAPER.tables for cell in PAPER.cells(table, scale)] for scale in set(found["scale"])
    }
    for line in found.itertuples():
        for method, mean in ((line.method, line.ours), (line.over, line.theirs)):
            runs = next(c.runs for c in cells[line.scale] if (c.dataset, c.method) == (line.dataset, method))
            own = [rows[runs[int(seed)].key if len(runs) > 1 else runs[0].key] for seed in line.seeds.split()]
            values = [each[f"test_{line.metric}_percent"] for each in own]
            assert float(mean) == pytest.approx(sum(values) / len(values), abs=1e-4), (method, line.metric)
