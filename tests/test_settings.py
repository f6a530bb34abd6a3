"""``--set``: what it accepts, what it refuses and with which words, and that labels stay true."""

import typing

import pytest

from benchmarks.hard_negatives.config import Config
from contrastbench import papers
from contrastbench.runner.provenance import PROJECT
from contrastbench.runner.studies import check_choices
from contrastbench.runner.vocabulary import SCALES, chain
from contrastbench.selection import select
from contrastbench.settings import allowed_values, fields_not_read, fields_of, is_in, used_where

SUITE = [name for name in papers.names() if papers.paper(name).folder.parent == PROJECT / "benchmarks"]


def cells(target, scale="quick", **settings):
    return select(target, scale, settings=settings).cells()


@pytest.mark.parametrize(
    ("target", "settings", "said"),
    [
        ("graph_contrastive/main", {"dropout": "2"}, "setting dropout must be in [0, 1), got 2.0"),
        ("graph_contrastive/main", {"epochs": "-1"}, "setting epochs must be at least 0, got -1"),
        ("graph_contrastive/main", {"batch": "-5"}, "setting batch must be at least 2, got -5"),
        ("graph_contrastive/main", {"lr": "nan"}, "setting lr must be a finite number, got nan"),
        ("graph_contrastive/main", {"lr": "inf"}, "setting lr must be a finite number, got inf"),
        ("graph_contrastive/main", {"lr": "0"}, "setting lr must be above 0, got 0.0"),
        ("graph_contrastive/main", {"beta": "1,x"}, "setting beta must be of type float, got 'x'"),
        ("graph_contrastive/main", {"variant": "as_is"}, "setting variant must be as_paper or as_code, got 'as_is'"),
        ("graph_contrastive/main/InfoGraph", {"beta": "2"}, "beta is used only where method is hard"),
        ("hard_negatives/main/SimCLR", {"beta": "2"}, "beta is used only where loss is hcl or bcl"),
        ("hard_negatives/main/untrained", {"temperature": "0.2"}, "temperature is used only where epochs is above 0"),
        ("hard_negatives/main", {"variant": "as_code"}, "unknown setting 'variant'; a run of hard_negatives has "),
        ("hard_negatives/main", {"protocol": "clean"}, "unknown setting 'protocol'; a run of hard_negatives has "),
    ],
    ids=lambda value: str(value),
)
def test_what_cannot_be_is_refused_with_what_can(target, settings, said):
    with pytest.raises(ValueError) as refused:
        cells(target, **settings)
    assert said in str(refused.value)


def test_a_sweep_makes_a_cell_of_each_value_and_each_says_which():
    swept = cells("graph_contrastive/main/Hard (paper), beta=1", beta="0.5,1,2")
    assert [cell.runs[0].config.beta for _, cell in swept] == [0.5, 1.0, 2.0]
    assert [cell.method for _, cell in swept] == [
        "Hard (paper), beta=1 [beta=0.5]",
        "Hard (paper), beta=1",  # what it is without --set
        "Hard (paper), beta=1 [beta=2.0]",
    ]
    two = cells("graph_contrastive/main/InfoGraph", lr="0.01,0.1", epochs="1,2,3", evaluate_at="0,1")
    assert len(two) == 6 and {cell.runs[0].config.evaluate_at for _, cell in two} == {(0, 1)}


def test_cells_that_do_not_use_a_setting_are_left_out_and_named():
    chosen = select("hard_negatives/main", "quick", settings={"temperature": "0.2"})
    kept = {cell.method for _, cell in chosen.cells()}
    assert kept == {f"{name} [temperature=0.2]" for name in ("SimCLR", "DCL", "HCL", "BCL")}
    assert chosen.methods_left_out() == ["raw pixels (kNN)", "untrained"]


def test_variant_and_protocol_change_the_run_with_its_config():
    ((_, cell),) = cells("graph_contrastive/main/Hard (paper), beta=1", variant="as_code", protocol="clean")
    run = cell.runs[0]
    assert (run.variant, run.config.variant) == ("as_code", "as_code")
    assert (run.protocol, run.config.protocol) == ("clean", "clean")


def test_graphcl_has_no_clean_protocol():
    with pytest.raises(ValueError, match="protocol is used only where method is untrained, infograph or hard"):
        cells("graph_contrastive/graphcl/GraphCL", "paper", protocol="clean")


def runs_of(name):
    """Every declared run of a paper, and those that they need."""
    cells_of_scales = [cell for scale in SCALES for _, cell in select(name, scale).cells()]
    return list(chain(run for cell in cells_of_scales for run in cell.runs).values())


@pytest.mark.parametrize("name", SUITE)
def test_every_number_of_a_config_has_a_range_and_no_declared_run_is_outside(name):
    for run in {run.config: run for run in runs_of(name)}.values():
        for field, kind in fields_of(type(run.config)).items():
            allowed, value = allowed_values(run.config, field), getattr(run.config, field)
            if allowed is None:
                assert kind in (str, bool) or typing.get_args(kind)[:1] == (str,), f"{field} of {name} has no range"
            elif not fields_not_read(run, [field]) and value != ():
                items = value if isinstance(value, tuple) else (value,)
                assert all(is_in(item, allowed) for item in items), (field, value, allowed)


@pytest.mark.parametrize("name", SUITE)
def test_conditions_name_fields_that_exist(name):
    runs = runs_of(name)
    known = {field for run in runs for field in fields_of(type(run.config))} | {"stage"}
    for run in {type(run.config): run for run in runs}.values():
        for field in (*fields_of(type(run.config)), *run.needs):
            assert set(used_where(run.config, field)) <= known, (field, used_where(run.config, field))


def test_a_run_uses_what_its_own_cell_varies():
    """No declared cell is labelled by a setting that its run ignores."""
    for target in ("graph_contrastive/beta/Hard (paper), beta=1", "hard_negatives/beta/HCL beta=1"):
        ((_, first), *_) = cells(target, beta="3")
        assert first.runs[0].config.beta == 3.0


def test_a_run_does_not_need_what_its_new_settings_do_not_read():
    target = "sentence_embeddings/sts/unsupervised SimCSE"
    for model, needed in (("", {"pretrain"}), ("/a/folder", set())):
        changed = cells(target, "lite", model=model)
        assert changed and {name for _, cell in changed for run in cell.runs for name in run.needs} == needed
    with pytest.raises(ValueError, match="pretrain.epochs is used only where model is empty"):
        cells(target, "lite", model="/a/folder", **{"pretrain.epochs": "5"})


def setting_of_an_own_data_set(table, scale):
    """The cells of a table on a data set of one's own; none where the table's runs read no data set."""
    try:
        return select(table, scale, [0], {"dataset": "mine"}).cells()
    except ValueError:
        return []


@pytest.mark.parametrize("name", SUITE)
def test_no_row_is_lost_to_another_of_the_same_name(name):
    """Neither among the declared cells, nor among those of a data set of one's own, whichever cells it inherits."""
    tables = papers.paper(name).tables
    for table, scale in ((table, scale) for table in tables for scale in SCALES):
        declared = [cell for _, cell in select(f"{name}/{table}", scale, [0]).cells()]
        own = [
            cell
            for dataset in dict.fromkeys(cell.dataset for cell in declared)
            for _, cell in setting_of_an_own_data_set(f"{name}/{table}/{dataset}", scale)
        ]
        for cells in (declared, own):
            keys = {}
            for cell in cells:
                run = cell.runs[0]
                place = (cell.name, cell.metric, run.variant, run.protocol)
                assert keys.setdefault(place, run.key) == run.key, f"{table} at {scale} has two {place}"


def test_a_data_set_of_ones_own_inherits_one_cell_a_method():
    whole = select("hard_negatives/main", "lite", settings={"dataset": "mine"})
    assert [cell.method for _, cell in whole.cells() if cell.metric.startswith("test_linear")] == [
        *("untrained", "SimCLR", "DCL", "HCL", "BCL", "supervised")
    ]
    assert whole.data_sets_inherited() == (["CIFAR10"], ["CIFAR100"])
    of_the_other = select("hard_negatives/main/CIFAR100", "lite", settings={"dataset": "mine"})
    assert "HCL [settings=CIFAR100]" in {cell.method for _, cell in of_the_other.cells()}
    assert {cell.runs[0].method for _, cell in of_the_other.cells()} == {
        cell.method for _, cell in of_the_other.cells()
    }


def test_a_config_made_in_python_is_refused_where_a_field_has_none_of_its_possible_values():
    with pytest.raises(ValueError, match="unknown encoder 'vgg'; there are: small_resnet, resnet18, resnet50"):
        check_choices(Config(encoder="vgg"))
