"""`facedet sweep` as it is typed: listing, exit codes, starting again, and a search."""

import pytest
from omegaconf import OmegaConf

from facedet.errors import FacedetError, InterruptedTrainingError
from facedet.sweeps.folder import SweepFolder
from facedet.sweeps.search import StudySweeper


@pytest.fixture
def sweep(cli, tmp_path, monkeypatch):
    """Runs a sweep whose trainings only count: `sweep.trained` are their seeds and rates."""
    trained, fails = [], {}

    def train(config):
        trained.append((config.seed, config.optimizer.lr))
        if config.seed in fails:
            raise fails[config.seed]
        return config.seed + config.optimizer.lr

    def run(*words):
        return cli("sweep", *words, "preset=extd_ssd_32_relu", "--dir", run.folder.path)

    run.trained, run.fails, run.folder = trained, fails, SweepFolder(tmp_path / "sweep ü, (1)")
    monkeypatch.setattr("facedet.commands.train.train", train)
    return run


@pytest.mark.slow
def test_started_again_it_does_what_is_left(sweep):
    sweep.fails[1] = FacedetError("the disk is full")
    result = sweep("seeds", "seeds=2")
    assert result.code == 1
    assert "seeds: 2 jobs in " in result.out
    assert "1 failed, 1 finished" in result.out
    assert "the disk is full" in result.out
    # Also of a grid that has grown; the failed one only when that is asked for.
    result = sweep("seeds", "seed=0,2")
    assert (result.code, "1 finished before, 1 new" in result.out) == (0, True)
    assert "1 jobs of other settings lie there too" in result.out
    assert [seed for seed, _ in sweep.trained] == [0, 1, 2]
    sweep.fails.clear()
    assert sweep("seeds", "seeds=2").code == 1
    assert sweep("seeds", "seeds=2", "--on-error", "retry").code == 0
    assert [seed for seed, _ in sweep.trained] == [0, 1, 2, 1]


def test_a_signal_is_the_exit_code_and_the_next_start_goes_on(sweep):
    sweep.fails[0] = InterruptedTrainingError("SIGINT at step 3: everything is saved")
    result = sweep("seeds", "seeds=2")
    assert (result.code, result.err) == (
        130, "facedet sweep: SIGINT at step 3: everything is saved; the same command goes on\n",
    )  # fmt: skip
    assert [seed for seed, _ in sweep.trained] == [0]
    sweep.fails.clear()
    assert sweep("seeds", "seeds=2").code == 0


def test_a_dry_run_lists_and_writes_nothing(sweep):
    result = sweep("seeds", "seeds=2", "trainer.max_steps=5", "--dry-run")
    assert result.code == 0
    rows = [line.split() for line in result.out.splitlines()[1:3]]
    # 5 steps of 4 crops are 20 images.
    assert [(row[1], row[2], row[-1]) for row in rows] == [
        ("new", "20", "seed=0"), ("new", "20", "seed=1"),
    ]  # fmt: skip
    assert not sweep.folder.path.exists()


def test_times_are_of_a_try(sweep):
    result = sweep("seeds", "seeds=1", "seed=0,0", "augmentation.size=64", "--dry-run", "--time")
    assert "hours one after the other, without validation" in result.out
    assert "1 further jobs are the same as one of these" in result.out
    sweep("seeds", "--time").check_error(2, "--time belongs to --dry-run")


def test_complaints(sweep, cli):
    sweep("sead").check_error(2, "sead: there is no such sweep; the nearest is seeds")
    sweep("seeds", "optimiser.lr=1").check_error(2, "optimiser.lr: there is no such key")
    with sweep.folder.own():
        sweep("seeds", "seeds=1").check_error(1, "is sweeping there: wait for it")
    assert sweep.trained == []


@pytest.mark.slow
def test_a_search_goes_on_where_it_was_killed(sweep, tmp_path):
    optuna = pytest.importorskip("optuna", reason="facedet[optuna] is not installed")
    assert sweep("lr", "hydra.sweeper.n_trials=3", "seed=7").code == 0
    whole = list(sweep.trained)
    assert len(whole) == 3
    # As it was when the second trial was running: no objective, and the third not drawn.
    sweep.folder = SweepFolder(tmp_path / "killed")
    sweep.folder.hydra.mkdir(parents=True)
    storage = f"sqlite:///{sweep.folder.hydra / 'study.db'}"
    study = optuna.create_study(study_name="lr", storage=storage, direction="maximize")
    study.add_trial(study_trial(optuna, 0, whole))
    study.add_trial(study_trial(optuna, 1, whole, state=optuna.trial.TrialState.RUNNING))
    assert sweep("lr", "hydra.sweeper.n_trials=3", "seed=7").code == 0
    assert sweep.trained[3:] == whole[1:]
    values = [trial.value for trial in optuna.load_study(study_name="lr", storage=storage).trials]
    assert values == [seed + rate for seed, rate in whole]


def study_trial(optuna, number, whole, state=None):
    """A trial as the first search had it."""
    rate = whole[number][1]
    value = sum(whole[number]) if state is None else None
    state = optuna.trial.TrialState.COMPLETE if state is None else state
    space = {"optimizer.lr": optuna.distributions.FloatDistribution(0.0001, 0.03, log=True)}
    return optuna.trial.create_trial(
        state=state, params={"optimizer.lr": rate}, distributions=space, value=value
    )


def test_a_search_that_cannot_be(sweep):
    pytest.importorskip("optuna", reason="facedet[optuna] is not installed")
    result = sweep("lr", "hydra.sweeper.n_trials=0")
    assert (result.code, "n_trials=0: at least 1 is needed" in result.err) == (2, True)


@pytest.mark.parametrize(("objective", "way"), [("wider/hard", "MAXIMIZE"), ("loss", "MINIMIZE")])
def test_a_search_goes_where_the_objective_is_better(tmp_path, objective, way):
    pytest.importorskip("optuna", reason="facedet[optuna] is not installed")
    sweeper = StudySweeper({}, 1, 1, 1, 0, "lr", None, {})
    place = {"sweep": {"dir": str(tmp_path)}}
    sweeper.config = OmegaConf.create({"hydra": place, "objective": objective, "callbacks": None})
    assert sweeper._study().direction.name == way
