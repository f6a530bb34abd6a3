"""Several processes compute what one would: loss, gradient and weights, with gloo on CPUs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from contrastbench import distributed, losses
from contrastbench.randomness import generator

STEPS = 3


def encoder():
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 36, 8), nn.BatchNorm1d(8)]
    return nn.Sequential(*layers).double()


def trained(groups):
    """Losses and gradients of a few steps, and the weights and running statistics after them."""
    own = encoder()
    model, optimizer = distributed.spread(own, groups), torch.optim.Adam(own.parameters(), lr=1e-2)
    told = {}
    for step in range(STEPS):
        views = torch.randn(2, 16, 1, 8, 8, generator=generator(0, "order", step), dtype=torch.float64)
        z_a, z_b = (distributed.gather_rows(model(distributed.part(view))) for view in views)
        loss = losses.hcl(z_a, z_b, temperature=0.5, tau_plus=0.1, beta=1.0)
        optimizer.zero_grad()
        loss.backward()
        told[f"loss {step}"] = loss.detach()
        told |= {f"gradient {step} {name}": value.grad.clone() for name, value in own.named_parameters()}
        optimizer.step()
    return told | {f"after {name}": value.clone() for name, value in own.state_dict().items()}


@pytest.fixture(scope="module")
def in_two_processes(tmp_path_factory):
    """What each of two processes under torchrun computed, by the number of groups."""
    folder = tmp_path_factory.mktemp("processes")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, __file__, str(folder)], capture_output=True, text=True, env=environment, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]
    return {groups: [each[groups] for each in told] for groups in (1, 2)}


@pytest.mark.slow
@pytest.mark.parametrize("groups", [1, 2], ids=["synchronised", "local"])
def test_two_processes_compute_what_one_does_with_the_whole_batch(in_two_processes, groups):
    alone = trained(groups)
    for told in in_two_processes[groups]:
        assert told.keys() == alone.keys()
        for name, value in alone.items():
            if groups == 1 or "running" not in name:  # those are each process's own, and rank 0's are kept
                torch.testing.assert_close(
                    told[name], value, rtol=1e-6, atol=1e-6, msg=lambda text, n=name: f"{n}: {text}"
                )


def test_local_statistics_are_another_computation_than_synchronised_ones():
    assert (trained(1)["loss 1"] - trained(2)["loss 1"]).abs() > 1e-3


def test_running_statistics_are_those_of_the_first_group(in_two_processes):
    alone, rank_0 = trained(2), in_two_processes[2][0]
    for name in (name for name in alone if "running" in name):
        torch.testing.assert_close(rank_0[name], alone[name], rtol=1e-6, atol=1e-6)


def test_one_process_without_groups_keeps_its_encoder():
    own = encoder()
    assert distributed.spread(own) is own and type(own[1]) is nn.BatchNorm2d
    batch = torch.randn(4, 2)
    assert distributed.part(batch) is batch and distributed.gather_rows(batch) is batch


if __name__ == "__main__":
    distributed.join("cpu")
    result = {groups: trained(groups) for groups in (1, 2)}
    torch.save(result, Path(sys.argv[1]) / f"{distributed.rank()}.pt")
    distributed.leave()
