"""Every stage of every paper on a GPU: captured equals eager, repeated equals, and resumed equals uninterrupted."""

import pytest
from stage_steps import Given, do, label, runs_on_devices

from contrastbench.runner import Log
from contrastbench.runner.checkpoint import Interrupted
from contrastbench.training import TrainingStep

pytestmark = pytest.mark.gpu


class Stopped(Given):
    """Stops the run at the end of its first epoch, as a time limit does."""

    def save(self, epoch, **parts):
        self._last_save = -float("inf")
        super().save(epoch, **parts)
        raise Interrupted


def told(run, device):
    """The metrics, and all losses on the way."""
    lines = []
    return do(run, device, Given(run), Log(watch=lines.append)), lines


@pytest.mark.parametrize("run", runs_on_devices(), ids=label)
def test_a_run_repeats_resumes_and_is_captured_bit_for_bit(run, gpu, tmp_path, monkeypatch) -> None:
    whole = told(run, gpu)
    assert whole == told(run, gpu)
    try:
        do(run, gpu, Stopped(run, tmp_path))
    except Interrupted:
        assert do(run, gpu, Given(run, tmp_path)) == whole[0]
    original = TrainingStep.__init__
    monkeypatch.setattr(TrainingStep, "__init__", lambda *args, **more: original(*args, **{**more, "capture": False}))
    assert whole == told(run, gpu), "captured and eager"
