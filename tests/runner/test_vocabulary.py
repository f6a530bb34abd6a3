"""Runs, keys and products."""

import dataclasses

import pytest
from benchmarks.toy.config import Config

from contrastbench.runner import Cell, Run, added, product, seeded, states
from contrastbench.runner.plan import plan, write_tickets
from contrastbench.runner.vocabulary import chain, config_values, with_seed

RUN = Run("toy", Config(), 0, "quick", "Noise8", "Plain")


def test_product_takes_every_combination_with_the_last_axis_fastest():
    assert product(loss=["a", "b"], beta=[1, 2]) == [
        {"loss": "a", "beta": 1},
        {"loss": "a", "beta": 2},
        {"loss": "b", "beta": 1},
        {"loss": "b", "beta": 2},
    ]


def test_the_key_is_the_same_on_every_machine_and_day():
    assert RUN.key == "28a4083fbf38f091e89ba3f151cd5f7a8a323405639457cc6726b8a5483227ba"


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"scale": "paper"},
        {"variant": "as_code"},
        {"protocol": "clean"},
        {"protocol_version": 2},
        {"stage": "probe"},
        {"config": Config(epochs=4)},
        {"needs": {"walk": RUN}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_decides_the_result_changes_the_key(change):
    assert dataclasses.replace(RUN, **change).key != RUN.key


def test_labels_do_not_change_the_key():
    assert dataclasses.replace(RUN, dataset="other", method="other").key == RUN.key


def test_an_int_in_a_float_field_is_that_float():
    assert dataclasses.replace(RUN, config=Config(gain=1)).key == dataclasses.replace(RUN, config=Config(gain=1.0)).key


@dataclasses.dataclass(frozen=True)
class Grown(Config):
    """The toy's config some months later."""

    momentum: float = added(0.0)
    curve_epochs: tuple[int, ...] = added(())


def test_a_config_can_grow_without_a_new_key_for_the_runs_it_had():
    grown = Run("toy", Grown(), 0, "quick", "Noise8", "Plain")
    assert grown.key == RUN.key and config_values(Grown()) == config_values(Config())
    assert grown.with_config(momentum=0.9).key != RUN.key
    assert config_values(Grown(curve_epochs=(1, 2)))["curve_epochs"] == [1, 2]


def test_a_ticket_from_before_a_config_grew_is_still_read(monkeypatch):
    ticket = {"paper": "toy", "config_type": "benchmarks.toy.config:Config", "config": config_values(Config(epochs=7))}
    monkeypatch.setattr("benchmarks.toy.config.Config", Grown)
    assert states.config_of(ticket) == Grown(epochs=7)
    with pytest.raises(ValueError, match=r"differs from benchmarks.toy.config:Config in \['speed'\]"):
        states.config_of({**ticket, "config": {**ticket["config"], "speed": 1}})


def test_an_unknown_scale_names_the_possible_ones():
    with pytest.raises(ValueError, match="scale must be one of smoke, quick, lite, paper, got 'huge'"):
        dataclasses.replace(RUN, scale="huge")


def test_seeded_changes_nothing_but_the_seed():
    assert [run.seed for run in seeded(RUN, (3, 5))] == [3, 5]
    assert {dataclasses.replace(run, seed=0).key for run in seeded(RUN, (3, 5))} == {RUN.key}


WALK = Run("toy", Config(epochs=2), 0, "quick", "Noise8", "Walk")
PROBE = Run("toy", Config(), 0, "quick", "Noise8", "Plain", stage="probe", needs={"walk": WALK})
TOP = dataclasses.replace(PROBE, stage="train", needs={"probe": PROBE, "other": WALK})


def test_a_run_without_needs_has_an_empty_list_of_them_in_its_identity():
    assert RUN.identity["needs"] == []
    assert PROBE.identity["needs"] == [["walk", WALK.key]]
    assert TOP.identity["needs"] == [["other", WALK.key], ["probe", PROBE.key]]


def test_the_order_and_the_names_of_needs():
    """The order in which needs are written does not count; their names do."""
    turned = dataclasses.replace(TOP, needs=dict(reversed(TOP.needs.items())))
    assert turned.key == TOP.key
    assert dataclasses.replace(PROBE, needs={"stroll": WALK}).key != PROBE.key


def test_seeded_gives_the_seed_to_all_that_is_needed_all_the_way_down():
    for seed, run in zip((3, 5), seeded(TOP, (3, 5)), strict=True):
        assert {each.seed for each in chain([run]).values()} == {seed}
    assert len(chain(seeded(TOP, range(4)))) == 4 * 3


def test_a_need_that_is_shared_keeps_its_seed_at_any_depth():
    runs = seeded(dataclasses.replace(TOP, shared=("walk",)), (0, 1))
    assert [run.needs["probe"].seed for run in runs] == [0, 1]
    assert [run.needs["probe"].needs["walk"].seed for run in runs] == [0, 0]
    assert [run.needs["other"].seed for run in runs] == [0, 1]
    assert with_seed(runs[0], 7).needs["probe"].needs["walk"].seed == 0, "it is remembered"
    with pytest.raises(ValueError, match="unknown shared need 'strol'; there are: other, probe, walk"):
        dataclasses.replace(TOP, shared=("strol",))


def test_needs_are_of_the_same_paper_and_named_by_a_word():
    with pytest.raises(ValueError, match="a run of toy cannot need a run of another paper, got real"):
        dataclasses.replace(RUN, needs={"walk": dataclasses.replace(WALK, paper="real")})
    with pytest.raises(ValueError, match="a need's name must be a word like 'pretrain', got 'a.b'"):
        dataclasses.replace(RUN, needs={"a.b": WALK})


def test_a_run_with_two_metrics_in_a_cell_is_planned_and_written_down_once(tmp_path):
    cells = [("main", Cell(RUN.dataset, RUN.method, metric, (RUN,))) for metric in ("test_top1_percent", "test_loss")]
    planned = plan([*cells, ("more", cells[0][1])], tmp_path)
    assert [each.cells for each in planned] == [(("main", cells[0][1].name), ("more", cells[0][1].name))]
    (job,) = write_tickets(planned, tmp_path)
    assert states.read_ticket(job.folder)["cells"] == [["main", cells[0][1].name], ["more", cells[0][1].name]]


def test_a_changed_setting_shows_in_the_labels():
    changed = RUN.with_config(gain=2.0)
    assert (changed.method, changed.config.gain) == ("Plain [gain=2.0]", 2.0)
