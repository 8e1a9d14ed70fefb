"""Orders of short trainings, from sweeps made by hand."""

from pathlib import Path

import pytest

from facedet.errors import FacedetError
from facedet.reproduce import training
from facedet.reproduce.experiments import verdict
from facedet.sweeps.statistics import Job


def job(value, **overrides):
    """A finished job whose AP is `value` on all subsets, or (easy, medium, hard)."""
    values = value if isinstance(value, tuple) else (value,) * 3
    names = ("wider/easy", "wider/medium", "wider/hard")
    settings = {key.replace("__", "."): text for key, text in overrides.items()}
    return Job(Path("x"), "finished", settings, metrics=dict(zip(names, values, strict=True)))


@pytest.fixture
def sweep(monkeypatch):
    """Gives the experiments a sweep of our own jobs; keeps what was asked for."""
    asked = []

    def use(*jobs):
        def run(*words):
            asked.append(words)
            return list(jobs)

        monkeypatch.setattr(training, "run_sweep", run)
        return asked

    return use


def cells(change=()):
    """The 18 models: 0.5, FPN +0.1, PReLU +0.02 with FPN and +0.04 with SSD."""
    return [
        job(
            dict(change).get(
                (layout, width, act),
                0.5
                + 0.1 * (layout == "fpn")
                + {"fpn": 0.02, "ssd": 0.04}[layout] * (act == "prelu"),
            ),
            preset=f"extd_{layout}",
            backbone__width=str(width),
            backbone__activation=act,
        )
        for layout in ("fpn", "ssd")
        for width in (32, 48, 64)
        for act in ("relu", "prelu", "leaky_relu")
    ]


def test_the_18_models(sweep, tmp_path):
    asked = sweep(*cells())
    outcome = training.train_cells({}, tmp_path)
    assert asked == [("extd_grid", tmp_path)]
    assert verdict(outcome) == "holds (short training, 18 jobs, one seed)"
    # (0.6 + 0.62 + 0.6) / 3 and (0.5 + 0.54 + 0.5) / 3
    assert outcome.results[0].ours == "0.607 and 0.513"
    assert outcome.results[4].ours == "+0.040 and +0.020"
    assert len(outcome.results) == 5 + 18


def test_one_order_that_fails(sweep, tmp_path):
    sweep(*cells({("fpn", 48, act): 0.1 for act in ("relu", "prelu", "leaky_relu")}.items()))
    outcome = training.train_cells({}, tmp_path)
    assert [result.holds for result in outcome.results[:3]] == [True, False, True]
    assert verdict(outcome).startswith("differs (short training")


@pytest.mark.parametrize(("hard", "word"), [(0.3, "holds"), (0.5, "differs")])
def test_baselines_are_compared_on_hard_faces(sweep, tmp_path, hard, word):
    sweep(
        job((0.1, 0.1, 0.4), preset="extd_fpn_64_prelu"),
        job((0.1, 0.1, 0.35), preset="extd_ssd_64_prelu"),
        job((0.9, 0.9, hard), preset="s3fd_mobilefacenet"),
    )
    assert verdict(training.train_baselines({}, tmp_path)).startswith(word)


def test_levels(sweep, tmp_path):
    sweep(job(0.4, preset="smallhardface_plain"), job(0.3, preset="smallhardface_three_level"))
    assert verdict(training.train_levels({}, tmp_path)).startswith("holds")


@pytest.mark.parametrize(
    ("values", "holds"),
    [
        ((0.3, 0.35, 0.4, 0.5), [True, True, True]),
        ((0.3, 0.25, 0.4, 0.5), [False, True, True]),
        ((0.3, 0.35, 0.4, 0.39), [True, True, False]),
    ],
)
def test_parts(sweep, tmp_path, values, holds):
    places = [("smallhardface_plain", "none"), ("smallhardface_plain", "him"),
              ("smallhardface", "none"), ("smallhardface", "him")]  # fmt: skip
    jobs = zip(places, values, strict=True)
    sweep(*(job(value, preset=preset, mining=mining) for (preset, mining), value in jobs))
    outcome = training.train_parts({}, tmp_path)
    assert [result.holds for result in outcome.results[:3]] == holds


def test_mining_has_nothing_to_hold_against(sweep, tmp_path):
    sweep(job(0.25, mining__threshold="0.85", mining__probability="0.7"))
    outcome = training.train_mining({}, tmp_path)
    assert outcome.results[0].name == "threshold 0.85, probability 0.7"
    assert outcome.results[0].ours == "0.250"
    assert verdict(outcome).startswith("not run")


def test_a_cell_that_is_not_there(sweep, tmp_path):
    sweep(job(0.4, preset="smallhardface_plain"))
    with pytest.raises(FacedetError, match="no job of"):
        training.train_levels({}, tmp_path)
