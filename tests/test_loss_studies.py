"""The loss studies: every table smokes, the same seed gives the same metrics, a killed run resumes to the same end."""

import pytest

from benchmarks.loss_studies import config, digits, figures
from benchmarks.loss_studies.tables import PAPER
from contrastbench.runner import Checkpoint, Log
from contrastbench.runner.vocabulary import canonical_json, config_values

CPU = {"seed": 3, "device": "cpu"}
MNIST = {"images": 200, "epochs": 3}
TRAINED = {
    "noise_training": config.Noise(words=600, epochs=3, batch=200, vocabulary=30),
    "information": config.Information(critic="trained", steps=300, pairs=256, size=16, width=16),
    "limit": config.Limit(steps=300, starts=2, sizes=(2, 2, 2, 2)),
    "images": config.Images(loss="hcl", beta=1.0, annealed=True, positives="labels", **MNIST),
    "mining": config.Mining(hidden=16, members=4, **MNIST),
    "drlim_map": config.Map(hidden=16, **MNIST),
}


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def smoked():
    """Two rows of each stage at smoke scale, and what each cell asks for."""
    rows, asked = {}, []
    for table in PAPER.tables:
        for cell in PAPER.cells(table, "smoke"):
            run = cell.runs[0]
            asked.append((table, cell, run.key))
            if run.key not in rows and len(_of_stage(rows, run.stage)) < 2:
                result = study_of(run.stage)(
                    run.config, seed=run.seed, device="cpu", checkpoint=Checkpoint(), log=Log()
                )
                rows[run.key] = {
                    **{"stage": run.stage, "status": "done", "scale": run.scale, "seed": run.seed},
                    **{"dataset": run.dataset, "method": run.method, "config": config_values(run.config)},
                    "metrics": {name: value for name, value in result.items() if not isinstance(value, list)},
                    "series": {name: value for name, value in result.items() if isinstance(value, list)},
                }
    return rows, asked


def study_of(stage):
    return PAPER.load(PAPER.stage(stage).function)


def _of_stage(rows, stage):
    return [row for row in rows.values() if row["stage"] == stage]


def test_every_table_smokes(smoked):
    rows, asked = smoked
    assert {table for table, _, _ in asked} == set(PAPER.tables)
    for _, cell, key in asked:
        metrics = rows[key]["metrics"] if key in rows else _of_stage(rows, cell.runs[0].stage)[0]["metrics"]
        assert cell.metric in metrics
    for row in rows.values():
        canonical_json([row["metrics"], row["series"]])  # finite, and JSON


def test_every_figure_is_drawn_from_rows(smoked):
    rows, _ = smoked
    for name, draw in figures.FIGURES.items():
        found = draw(list(rows.values()))
        assert name == "estimators" or found is not None
        assert draw([]) is None


@pytest.mark.parametrize("scale", ["quick", "paper"])
def test_runs_of_a_scale_have_their_own_keys_and_known_stages(scale):
    keys = {}
    for table in PAPER.tables:
        found = PAPER.cells(table, scale)
        assert found
        for cell in found:
            for run in cell.runs:
                assert run.stage in PAPER.stages and run.scale == scale
                assert keys.setdefault(run.key, run.config) == run.config
    assert PAPER.cells("mining", "lite") == []


@pytest.mark.parametrize("stage", TRAINED)
def test_killed_and_resumed_ends_as_undisturbed(stage, tmp_path):
    study, settings = study_of(stage), TRAINED[stage]
    undisturbed = study(settings, checkpoint=Checkpoint(), log=Log(), **CPU)
    again = study(settings, checkpoint=Checkpoint(), log=Log(), **CPU)
    assert again == undisturbed

    class Killed(Checkpoint):
        def save(self, epoch, **parts):
            super().save(epoch, **parts)
            if epoch == 2:
                raise KeyboardInterrupt

    class Resumed(Checkpoint):
        def restore(self, **parts):
            began_at.append(super().restore(**parts))
            return began_at[-1]

    began_at = []
    with pytest.raises(KeyboardInterrupt):
        study(settings, checkpoint=Killed(tmp_path, every_seconds=0), log=Log(), **CPU)
    assert study(settings, checkpoint=Resumed(tmp_path, every_seconds=0), log=Log(), **CPU) == undisturbed
    assert began_at == [2]


def test_another_seed_gives_another_result():
    settings = config.Estimators(repeats=1)
    first, second = (
        study_of("estimators")(settings, seed=seed, device="cpu", checkpoint=Checkpoint(), log=Log()) for seed in (0, 1)
    )
    assert first != second


def test_annealing_goes_from_beta_to_zero_in_nine_steps():
    settings = config.Images(loss="hcl", beta=2.0, annealed=True, epochs=18)
    betas = [digits.hardness(settings, epoch) for epoch in range(18)]
    assert betas[0] == 2.0 and betas[-1] == 0.0
    assert len(set(betas)) == 9 and betas == sorted(betas, reverse=True)


def test_debiasing_removes_the_bias_and_bayes_the_most_error():
    errors = {
        name: study_of("estimators")(
            config.Estimators(estimator=name, repeats=5), seed=0, device="cpu", checkpoint=Checkpoint(), log=Log()
        )
        for name in ("biased", "dcl", "bcl")
    }
    assert errors["biased"]["bias_percent"] > 20
    assert abs(errors["dcl"]["bias_percent"]) < 5 and abs(errors["bcl"]["bias_percent"]) < 5
    assert errors["bcl"]["mse"] < errors["dcl"]["mse"] < errors["biased"]["mse"]


def test_the_optimal_critic_never_exceeds_truth_or_log_n():
    for truth, size in ((2.0, 64), (10.0, 16)):
        settings = config.Information(truth=truth, size=size, pairs=4096)
        found = study_of("information")(settings, seed=0, device="cpu", checkpoint=Checkpoint(), log=Log())
        assert 0 < found["share_of_truth_percent"] < 100 and 0 < found["share_of_log_n_percent"] < 100
