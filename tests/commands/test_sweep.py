"""`facedet sweep` as it is typed: listing, exit codes, starting again, and a search."""

import pytest
from omegaconf import OmegaConf

from facedet.errors import FacedetError, InterruptedTrainingError
from facedet.sweeps.jobs import started_sweep
from facedet.sweeps.search import StudySweeper


@pytest.fixture
def sweep(cli, tmp_path, monkeypatch):
    """Runs a sweep whose trainings only count: `sweep.trained` are their seeds and rates."""
    trained, fails = [], {}

    def train(config):
        trained.append((config.seed, config.optimizer.lr))
        checkpoint = run.folder / "jobs" / config.paths.output / "checkpoints" / "last.ckpt"
        checkpoint.parent.mkdir(exist_ok=True)
        checkpoint.touch()
        if config.seed in fails:
            raise fails[config.seed]
        (checkpoint.parents[1] / "weights.safetensors").touch()
        return config.seed + config.optimizer.lr

    def run(*words):
        return cli("sweep", *words, "preset=extd_ssd_32_relu", "--dir", run.folder)

    run.trained, run.fails, run.folder = trained, fails, tmp_path / "sweep ü, (1)"
    monkeypatch.setattr("facedet.training.fit.train", train)
    monkeypatch.setattr("facedet.sweeps.listing.expected_seconds", lambda *_: 60.0)
    return run


@pytest.mark.slow
def test_started_again_it_does_what_is_left(sweep):
    sweep.fails[1] = FacedetError("the disk is full")
    result = sweep("seeds", "seeds=2")
    assert result.code == 1
    assert result.out.startswith("seeds: 2 x 500 steps of 8 crops (budget=short), about 60 s one")
    assert "\njobs: 1 failed, 1 finished\n" in result.out
    assert "the disk is full" in result.out
    # Also of a grid that has grown; the failed one only when that is asked for.
    result = sweep("seeds", "seed=0,2")
    assert (result.code, "1 finished, 1 new" in result.out) == (0, True)
    assert [seed for seed, _ in sweep.trained] == [0, 1, 2]
    sweep.fails.clear()
    assert sweep("seeds", "seeds=2").code == 1
    assert sweep("seeds", "seeds=2", "--on-error", "retry").code == 0
    assert [seed for seed, _ in sweep.trained] == [0, 1, 2, 1]


def test_a_signal_is_the_exit_code_and_the_next_start_resumes(sweep):
    sweep.fails[0] = InterruptedTrainingError("SIGINT at step 3: everything is saved")
    result = sweep("seeds", "seeds=2")
    assert (result.code, result.err) == (
        130, "facedet sweep: SIGINT at step 3: everything is saved; the same command resumes it\n",
    )  # fmt: skip
    assert [seed for seed, _ in sweep.trained] == [0]
    sweep.fails.clear()
    assert sweep("seeds", "seeds=2").code == 0


def test_a_dry_run_lists_and_writes_nothing(sweep):
    result = sweep("seeds", "seeds=2", "trainer.max_steps=5", "--dry-run")
    assert result.code == 0
    assert result.out.startswith("seeds: 2 x 5 steps of 8 crops (budget=short), about 60 s one")
    rows = [line.split() for line in result.out.splitlines()[3:5]]
    # 5 steps of 8 crops are 40 images.
    assert [(row[1], row[2], row[-1]) for row in rows] == [
        ("new", "40", "seed=0"), ("new", "40", "seed=1"),
    ]  # fmt: skip
    assert not sweep.folder.exists()


def test_complaints(cli, sweep):
    sweep("sead").check_error(2, "sead: there is no such sweep; the nearest is seeds")
    sweep("seeds", "optimiser.lr=1").check_error(2, "optimiser.lr: there is no such key")
    sweep("export-wandb", "extd_grid").check_error(2, "wandb sweep FILE")
    for words in (["seeds", "--dir", ""], ["report", ""]):
        cli("sweep", *words).check_error(2, "expected a folder, the name is empty")
    with started_sweep(sweep.folder, "seeds", [], {}):
        sweep("seeds", "seeds=1").check_error(1, "is running a sweep there: wait for it")
    assert sweep.trained == []


def test_hydras_flags_print_the_sweeps_config(cli, monkeypatch):
    result = cli("sweep", "extd_width", "--cfg", "job", "-p", "trainer")
    assert (result.code, "max_steps: 500" in result.out) == (0, True)
    result = cli("sweep", "seeds", "--cfg", "job", "-p", "backbone", "weights=extd-plain-64-s8")
    assert (result.code, "width: 64" in result.out) == (0, True)
    monkeypatch.setenv("COMP_LINE", "facedet sweep extd_width budg")
    assert cli("sweep", "-sc", "query=bash").out.strip() == "budget="


@pytest.mark.slow
def test_a_search_is_resumed_where_it_was_killed(sweep, tmp_path):
    optuna = pytest.importorskip("optuna", reason="facedet[optuna] is not installed")
    assert sweep("lr", "hydra.sweeper.n_trials=3", "seed=7").code == 0
    whole = list(sweep.trained)
    assert len(whole) == 3
    # As it was when the second trial was running: no objective, and the third not drawn.
    sweep.folder = tmp_path / "killed"
    (sweep.folder / ".hydra").mkdir(parents=True)
    name = optuna.get_all_study_names(storage(tmp_path / "sweep ü, (1)"))[0]
    study = optuna.create_study(
        study_name=name, storage=storage(sweep.folder), direction="maximize"
    )
    study.add_trial(study_trial(optuna, 0, whole))
    study.add_trial(study_trial(optuna, 1, whole, state=optuna.trial.TrialState.RUNNING))
    assert sweep("lr", "hydra.sweeper.n_trials=3", "seed=7").code == 0
    assert sweep.trained[3:] == whole[1:]
    values = [trial.value for trial in trials(optuna, sweep)]
    assert values == [seed + rate for seed, rate in whole]


@pytest.mark.slow
def test_what_failed_in_a_search_or_was_not_begun_is_left_to_do(sweep):
    optuna = pytest.importorskip("optuna", reason="facedet[optuna] is not installed")
    words = ("lr", "hydra.sweeper.n_trials=2", "hydra.sweeper.n_jobs=2")
    sweep.fails[0] = FacedetError("the disk is full")
    assert sweep(*words, "--on-error", "stop").code == 1
    assert len(sweep.trained) == 1
    # The second is run, the first stays failed until a retry.
    assert sweep(*words).code == 1
    assert len(sweep.trained) == 2
    sweep.fails.clear()
    assert sweep(*words, "--on-error", "retry").code == 0
    assert len(sweep.trained) == 4
    assert [trial.value for trial in trials(optuna, sweep)] == [
        rate for _, rate in sweep.trained[:2]
    ]


@pytest.mark.slow
def test_a_search_with_other_settings_is_another_one(sweep):
    pytest.importorskip("optuna", reason="facedet[optuna] is not installed")
    # Batches are whole numbers, for which null is no value.
    words = ("lr", "hydra.sweeper.n_trials=2", "data.batch_size=4,8")
    sweep.fails[0] = FacedetError("the disk is full")
    assert sweep(*words, "budget=smoke").code == 1
    sweep.fails.clear()
    result = sweep(*words)  # its exit code is that of its own jobs
    assert (result.code, "\njobs: 2 finished\n" in result.out) == (0, True)
    assert sweep(*words, "data.num_workers=1").code == 0
    assert len(sweep.trained) == 4


def storage(folder):
    return f"sqlite:///{folder / '.hydra' / 'study.db'}"


def trials(optuna, sweep):
    place = storage(sweep.folder)
    (name,) = optuna.get_all_study_names(place)
    return optuna.load_study(study_name=name, storage=place).trials


def study_trial(optuna, number, whole, state=None):
    """A trial as the first search had it."""
    rate = whole[number][1]
    value = sum(whole[number]) if state is None else None
    state = optuna.trial.TrialState.COMPLETE if state is None else state
    space = {"optimizer.lr": optuna.distributions.FloatDistribution(0.0001, 0.03, log=True)}
    return optuna.trial.create_trial(
        state=state, params={"optimizer.lr": rate}, distributions=space, value=value
    )


@pytest.mark.parametrize(("objective", "way"), [("wider/hard", "MAXIMIZE"), ("loss", "MINIMIZE")])
def test_a_search_goes_where_the_objective_is_better(tmp_path, objective, way):
    pytest.importorskip("optuna", reason="facedet[optuna] is not installed")
    sweeper = StudySweeper({}, study_name="lr", storage=None)
    place = {"sweep": {"dir": str(tmp_path)}}
    config = OmegaConf.create({"hydra": place, "objective": objective, "callbacks": None})
    assert sweeper.open_study(config).direction.name == way
