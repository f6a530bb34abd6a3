"""Runs, keys and products."""

import dataclasses

import pytest
from benchmarks.toy.config import Config

from contrastbench import papers
from contrastbench.runner import Run, added, execute, product, seeded
from contrastbench.runner.vocabulary import resolved

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
        {"needs": (RUN,)},
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
    assert grown.key == RUN.key and resolved(Grown()) == resolved(Config())
    assert grown.with_config(momentum=0.9).key != RUN.key
    assert resolved(Grown(curve_epochs=(1, 2)))["curve_epochs"] == [1, 2]


def test_a_ticket_from_before_a_config_grew_is_still_read(monkeypatch):
    ticket = {"paper": "toy", "config_type": "benchmarks.toy.config:Config", "config": resolved(Config(epochs=7))}
    monkeypatch.setattr("benchmarks.toy.config.Config", Grown)
    assert execute._config(ticket) == Grown(epochs=7)
    with pytest.raises(ValueError, match=r"differs from benchmarks.toy.config:Config in \['speed'\]"):
        execute._config({**ticket, "config": {**ticket["config"], "speed": 1}})


def test_an_unknown_scale_names_the_possible_ones():
    with pytest.raises(ValueError, match="scale must be one of smoke, quick, lite, paper, got 'huge'"):
        dataclasses.replace(RUN, scale="huge")


def test_seeded_changes_nothing_but_the_seed():
    assert [run.seed for run in seeded(RUN, (3, 5))] == [3, 5]
    assert {dataclasses.replace(run, seed=0).key for run in seeded(RUN, (3, 5))} == {RUN.key}


def test_tables_share_runs():
    twice = [*papers.select("toy/main").cells("quick"), *papers.select("toy/main").cells("quick")]
    assert len({run.key for _, cell in twice for run in cell.runs}) == 12


def test_a_changed_setting_shows_in_the_labels():
    changed = RUN.with_config(gain=2.0)
    assert (changed.method, changed.config.gain) == ("Plain [gain=2.0]", 2.0)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"colour": "red"}, "unknown setting 'colour'; a run of toy has: epochs, size"),
        ({"epochs": "many"}, "setting epochs must be of type int, got 'many'"),
    ],
)
def test_a_bad_setting_says_what_is_possible(settings, said):
    with pytest.raises(ValueError, match=said):
        papers.with_settings(papers.select("toy/main").cells("quick"), settings)
