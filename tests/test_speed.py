"""What the measurement of speed compares computes the same numbers."""

import pytest
import torch

from benchmarks.loss_studies.speed.__main__ import contenders


@pytest.mark.parametrize("loss", list(contenders(16)))
def test_the_straightforward_form_agrees_with_ours(loss):
    inputs, forms = contenders(16)[loss]
    assert {"ours", "straightforward"} <= set(forms)
    torch.testing.assert_close(forms["straightforward"](*inputs), forms["ours"](*inputs), rtol=1e-4, atol=1e-5)
