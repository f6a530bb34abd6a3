"""Every stage of every paper on a GPU: captured equals eager, repeated equals, and resumed equals uninterrupted."""

import pytest
import torch
from stage_steps import label, makers, runs_at_smoke_scale

from contrastbench import papers
from contrastbench.runner import Checkpoint, Log
from contrastbench.runner.checkpoint import Interrupted

pytestmark = pytest.mark.gpu
STEPS = 6
on_a_gpu = [run for run in runs_at_smoke_scale() if makers(run)]


class Stopped(Checkpoint):
    """Stops the run at the end of its first epoch, as a time limit does."""

    def save(self, epoch, **parts):
        self._last_save = -float("inf")
        super().save(epoch, **parts)
        raise Interrupted


@pytest.mark.parametrize("run", on_a_gpu, ids=label)
def test_captured_equals_eager_bit_for_bit(run, gpu) -> None:
    for make in makers(run):
        kept = []
        for capture in (False, True):
            made = make(run.config, gpu)
            if made is None:
                break
            step, inputs = made
            step.capture = step.capture and capture
            for _, one in zip(range(STEPS), inputs, strict=False):
                step(**one)
            parts = [part.detach().cpu() for module in step.modules for part in module.state_dict().values()]
            kept.append([*parts, torch.tensor(step.mean_loss())])
        assert not kept or all(map(torch.equal, *kept))


@pytest.mark.parametrize("run", [run for run in on_a_gpu if not run.needs], ids=label)
def test_a_run_repeats_and_resumes_bit_for_bit(run, gpu, tmp_path) -> None:
    stage = papers.paper(run.paper).function_of(run.stage)
    whole = [stage(run.config, seed=0, device=gpu, checkpoint=Checkpoint(), log=Log()) for _ in range(2)]
    assert whole[0] == whole[1]
    try:
        stage(run.config, seed=0, device=gpu, checkpoint=Stopped(tmp_path), log=Log())
    except Interrupted:
        resumed = stage(run.config, seed=0, device=gpu, checkpoint=Checkpoint(tmp_path), log=Log())
        assert resumed == whole[0]
