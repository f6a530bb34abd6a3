"""What the measurement of speed compares computes the same numbers."""

import pandas as pd
import pytest
import torch

from benchmarks.hard_negatives import speed
from benchmarks.loss_studies.speed.__main__ import contenders


@pytest.mark.parametrize("loss", list(contenders(16)))
def test_the_straightforward_form_agrees_with_ours(loss):
    inputs, forms = contenders(16)[loss]
    assert {"ours", "straightforward"} <= set(forms)
    torch.testing.assert_close(forms["straightforward"](*inputs), forms["ours"](*inputs), rtol=1e-4, atol=1e-5)


def test_a_measurement_replaces_its_own_lines_of_the_file_and_no_others(tmp_path):
    def line(device, precision, milliseconds):
        shared = {"contender": "eager", "encoder": "resnet18", "batch": 16}
        return {**shared, "device": device, "precision": precision, "milliseconds": milliseconds}

    file = tmp_path / "results" / "speed.csv"
    speed.write([line("cpu", "float32", 3.0), line("cpu", "bf16", 9.0)], file)
    speed.write([line("H100", "bf16", 0.01), line("cpu", "bf16", 8.0)], file)
    written = pd.read_csv(file).set_index(["device", "precision"])["milliseconds"].to_dict()
    assert written == {("cpu", "float32"): 3.0, ("H100", "bf16"): 0.01, ("cpu", "bf16"): 8.0}
