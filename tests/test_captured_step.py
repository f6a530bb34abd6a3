"""The captured step without a GPU: a pretended CUDA whose graphs record the step and take it when they are replayed.

What a capture does is imitated where it matters: nothing that is recorded is done, memory pools must be in use to be
shared, and a graph reads its inputs from the buffers that it was captured with.
"""

import contextlib
import copy
from types import SimpleNamespace

import pytest
import torch
from test_training import inputs, network, stepped, weights_of

from contrastbench import training
from contrastbench.runner.devices import Host
from contrastbench.runner.execute import settle
from contrastbench.training import TrainingStep


class Pretended:
    """The parts of ``torch.cuda`` that a step uses, on a CPU."""

    def __init__(self, monkeypatch):
        self.recording, self.captures, self.eager = None, 0, 0
        self.pools: dict[int, int] = {}  # handle -> graphs that use it
        take = TrainingStep._update

        def update(step, given, rates=None):
            if self.recording is not None:
                self.recording.steps.append(lambda: take(step, given, rates))
                return
            take(step, given, rates)

        monkeypatch.setattr(TrainingStep, "_update", update)
        stream = SimpleNamespace(wait_stream=lambda other: None)
        for name, value in {
            "device": contextlib.nullcontext,
            "Stream": lambda: stream,
            "current_stream": lambda: stream,
            "stream": contextlib.nullcontext,
            "get_rng_state": torch.get_rng_state,
            "set_rng_state": torch.set_rng_state,
            "graph_pool_handle": lambda: len(self.pools) + 1,
            "CUDAGraph": lambda: Graph(self),
            "graph": self.graph,
        }.items():
            monkeypatch.setattr(torch.cuda, name, value)

    @contextlib.contextmanager
    def graph(self, graph, pool):
        assert self.pools.get(pool, 1) > 0, "it->second->use_count > 0 INTERNAL ASSERT FAILED"  # as PyTorch has it
        self.pools[pool] = self.pools.get(pool, 0) + 1
        graph.pool, self.recording = pool, graph
        self.captures += 1
        try:
            yield
        finally:
            self.recording = None


class Graph:
    def __init__(self, pretended):
        self.pretended, self.steps, self.pool = pretended, [], None

    def replay(self):
        for step in self.steps:
            step()

    def __del__(self):
        if self.pool is not None:
            self.pretended.pools[self.pool] -= 1


@pytest.fixture
def pretended(monkeypatch):
    return Pretended(monkeypatch)


def on_pretended_gpu(model, optimizer, **options):
    step = stepped(model, optimizer, **options)

    def take(**given):
        step._steps += 1
        step._taken += 1
        step._step_on_gpu(given)

    step.take = take
    return step


def built(make=torch.optim.Adam, **options):
    model = network()
    optimizer = make(model.parameters(), lr=0.05, **options)
    return model, optimizer, on_pretended_gpu(model, optimizer)


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (torch.optim.Adam, {"weight_decay": 0.1}),
        (torch.optim.AdamW, {}),
        (torch.optim.SGD, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
        (torch.optim.SGD, {}),
    ],
)
def test_captured_steps_leave_the_weights_of_eager_ones(pretended, make, options):
    plain, optimizer, eager = built(make, **options)
    eager.capture = False
    model, scheduled, step = built(make, **options)
    for number, batch in enumerate(inputs(6)):
        for each in (optimizer, scheduled):
            each.param_groups[0]["lr"] = 0.05 / (number + 1)
        eager.take(**batch)
        step.take(**batch)
    assert pretended.captures == 1
    assert all(map(torch.equal, weights_of(plain), weights_of(model)))
    assert eager.mean_loss() == step.mean_loss()


def test_a_restored_checkpoint_gets_new_graphs_in_a_pool_of_their_own(pretended):
    whole, _, step = built()
    for batch in inputs(6):
        step.take(**batch)
    half, optimizer, step = built()
    for batch in inputs(6)[:3]:
        step.take(**batch)
    saved = copy.deepcopy((half.state_dict(), optimizer.state_dict()))
    resumed, optimizer, step = built()
    step.take(**inputs(1)[0])  # a graph of other tensors than those that the checkpoint brings
    resumed.load_state_dict(saved[0])
    optimizer.load_state_dict(saved[1])
    for batch in inputs(6)[3:]:
        step.take(**batch)
    assert all(map(torch.equal, weights_of(whole), weights_of(resumed)))


def test_more_kinds_of_inputs_than_graphs_are_not_captured_again_and_again(pretended, monkeypatch):
    monkeypatch.setattr(training, "GRAPHS", 3)
    plain, _, eager = built()
    eager.capture = False
    model, _, step = built()
    batches = inputs(5)
    for _ in range(4):
        for scale, batch in enumerate(batches):  # an epoch of five kinds
            eager.take(**batch, scale=1.0 + scale)
            step.take(**batch, scale=1.0 + scale)
    assert pretended.captures == 3
    assert all(map(torch.equal, weights_of(plain), weights_of(model)))


def test_a_schedules_old_constants_make_room_for_new_ones(pretended, monkeypatch):
    monkeypatch.setattr(training, "GRAPHS", 2)
    _, _, step = built()
    (batch,) = inputs(1)
    for epoch in range(4):
        for _ in range(10):
            step.take(**batch, scale=1.0 + epoch)
    assert pretended.captures == 4 and len(step._captured) == 2


def test_what_stops_a_capture_is_named_and_not_what_comes_of_it(pretended, monkeypatch):
    @contextlib.contextmanager
    def graph(graph, pool):
        try:
            raise torch.OutOfMemoryError("no memory left")
        finally:
            raise RuntimeError("operation failed due to a previous error during capture")
        yield

    monkeypatch.setattr(torch.cuda, "graph", graph)
    _, _, step = built()
    with pytest.raises(torch.OutOfMemoryError, match="no memory left"):
        step.take(**inputs(1)[0])


@pytest.mark.parametrize(("device", "number"), [("cuda", 0), ("cuda:3", 3)])
def test_a_worker_settles_on_the_gpu_it_is_told(monkeypatch, device, number):
    chosen, kernels = [], {}
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    for name in ("flash", "mem_efficient", "cudnn"):
        monkeypatch.setattr(torch.backends.cuda, f"enable_{name}_sdp", lambda on, name=name: kernels.update({name: on}))
    for name in ("set_num_threads", "set_deterministic_debug_mode", "manual_seed"):
        monkeypatch.setattr(torch, name, lambda value: None)
    settle(Host(device))
    assert chosen == [number] and kernels == {"flash": False, "mem_efficient": False, "cudnn": False}
