"""Measurements: contenders take turns, lines are written with where they were measured, and all compute the same."""

import sys
from collections.abc import Iterator

import pandas as pd
import pytest
import torch

from benchmarks.loss_studies import speed
from contrastbench.timing import Line, measure, seconds_in_turns, write


def test_contenders_take_turns_and_the_first_turn_does_not_count():
    order: list[str] = []
    seconds = seconds_in_turns({name: lambda name=name: order.append(name) for name in "abc"}, turns=2)
    assert "".join(order) == "abccbaabc"
    assert seconds.keys() == set("abc") and all(each >= 0 for each in seconds.values())


def test_a_contender_that_took_long_sits_out_the_turns_that_are_left():
    calls: list[int] = []
    seconds_in_turns({"slow": lambda: calls.append(1)}, turns=5, enough_s=1e-12)
    assert len(calls) == 2, "one to warm up and one to count"


def lines(device: str, batches: tuple[int, ...] = (1, 2), width: float = 0.5) -> Iterator[Line]:
    if width < 0:
        raise ValueError(f"width must not be negative, got {width}")
    for batch in batches:
        yield {"batch": batch, "milliseconds": width}


def run(monkeypatch, *options: object) -> None:
    monkeypatch.setattr(sys, "argv", ["speed", "--device", "cpu", *map(str, options)])
    measure(lines, ("batch",), "How fast?")


def test_a_measurement_is_printed_and_written_with_device_threads_torch_and_commit(monkeypatch, tmp_path, capsys):
    file = tmp_path / "results" / "speed.csv"
    run(monkeypatch, "--batches", 4, 8, "--width", 0.25, "--output", file)
    assert capsys.readouterr().out == "batch 4, milliseconds 0.25\nbatch 8, milliseconds 0.25\n"
    written = pd.read_csv(file)
    assert written["batch"].tolist() == [4, 8] and (written["threads"] == 1).all()
    assert (
        written["device"].str.startswith("cpu (").all() and (written["torch"] == torch.__version__.split("+")[0]).all()
    )
    assert written["commit"].str.match(r"[0-9a-f]{40}").all()


def test_a_wrong_setting_is_one_line(monkeypatch):
    with pytest.raises(SystemExit, match="error: width must not be negative, got -1.0"):
        run(monkeypatch, "--width", -1)


def test_a_measurement_replaces_its_own_lines_of_the_file_and_no_others(tmp_path):
    def line(device, precision, milliseconds):
        return {"contender": "eager", "device": device, "precision": precision, "milliseconds": milliseconds}

    file = tmp_path / "results" / "speed.csv"
    measurement = ["contender", "precision", "device"]
    write([line("cpu", "float32", 3.0), line("cpu", "bf16", 9.0)], file, measurement)
    write([line("H100", "bf16", 0.01), line("cpu", "bf16", 8.0)], file, measurement)
    written = pd.read_csv(file).set_index(["device", "precision"])["milliseconds"].to_dict()
    assert written == {("cpu", "float32"): 3.0, ("H100", "bf16"): 0.01, ("cpu", "bf16"): 8.0}


@pytest.mark.parametrize("loss", list(speed.contenders(16)))
def test_the_straightforward_form_agrees_with_ours(loss):
    inputs, forms = speed.contenders(16)[loss]
    assert {"ours", "straightforward"} <= set(forms)
    torch.testing.assert_close(forms["straightforward"](*inputs), forms["ours"](*inputs), rtol=1e-4, atol=1e-5)


def test_a_contender_that_needs_too_much_memory_is_not_run():
    of_bcl = list(speed.lines("cpu", batches=(64,), losses=("bcl",), turns=1, limit_gb=1e-3))
    assert {line["contender"]: line["status"] for line in of_bcl} == {
        "straightforward": "out_of_memory",
        "ours": "done",
        "hcl, ours": "done",
    }
    assert all(line["peak_mb"] > 0 for line in of_bcl if line["status"] == "done")
