"""Orders of short trainings, from sweeps made by hand; and the shipped trainings' parts."""

import json
from pathlib import Path
from shutil import copyfile, rmtree

import pytest
import torch

from facedet.config import compose
from facedet.errors import FacedetError
from facedet.reproduce import train
from facedet.reproduce.experiments import Run, judge, read_catalogue, verdict
from facedet.sweeps.plan import PlannedJob
from facedet.sweeps.results import Job, read_job
from facedet.weights.store import read_weights
from facedet.weights.zoo import NAMED
from reference.one_face import save_one_face

EXPERIMENTS = {experiment.id: experiment for experiment in read_catalogue()[0]}
PARTS = EXPERIMENTS["shipped"].settings["networks"]
TEACHER = Path("a, b/EXTD_64.pth")
TEACHERS = EXPERIMENTS["shipped"].settings["teachers"]
SEEDS = EXPERIMENTS["shipped"].settings["seeds"]
NAME = "extd-fpn-32-prelu"


def job(value, **overrides):
    """A finished job whose AP is `value` on all subsets, or (easy, medium, hard)."""
    values = value if isinstance(value, tuple) else (value,) * 3
    names = ("wider/easy", "wider/medium", "wider/hard")
    settings = {key.replace("__", "."): text for key, text in overrides.items()}
    return Job(Path("x"), "finished", settings, metrics=dict(zip(names, values, strict=True)))


@pytest.fixture
def results_of(monkeypatch, tmp_path):
    """Judges an experiment of the catalogue over jobs made by hand; keeps the calls."""
    calls = []

    def give(name, *jobs):
        planned = {str(number): job for number, job in enumerate(jobs)}
        monkeypatch.setattr(train, "read_job", lambda folder: planned[folder.name])
        monkeypatch.setattr(train, "read_sweep", lambda name, words: words)
        monkeypatch.setattr(
            train,
            "planned_jobs",
            lambda _: [PlannedJob(key, job.overrides, {}) for key, job in planned.items()],
        )
        experiment = EXPERIMENTS[name]
        run = Run({}, tmp_path, lambda *words: calls.append(words))
        results = judge(experiment, train.sweep(run, **experiment.settings))
        return results, verdict(results, experiment.label, "")

    give.calls = calls
    return give


SPREAD = (-0.01, 0.0, 0.01)  # what the seeds add, the same to each model


def seeded(*jobs, noise=None):
    """Each job with three seeds; `noise` by job and seed instead of what all have in common."""
    rows = noise or [SPREAD] * len(jobs)
    return [
        one._replace(
            overrides={**one.overrides, "seed": str(seed)},
            metrics={key: value + extra for key, value in one.metrics.items()},
        )
        for one, row in zip(jobs, rows, strict=True)
        for seed, extra in enumerate(row)
    ]


def cells(change=()):
    """The 18 models: FPN .6, SSD .5, PReLU +.02 with FPN and +.04 with SSD."""
    return seeded(*(
        job(
            dict(change).get((layout, width), base + gain * (act == "prelu")),
            preset=f"extd_{layout}",
            backbone__width=str(width),
            backbone__activation=act,
        )
        for layout, base, gain in (("fpn", 0.6, 0.02), ("ssd", 0.5, 0.04))
        for width in (32, 48, 64)
        for act in ("relu", "prelu", "leaky_relu")
    ))  # fmt: skip


def test_the_18_models(results_of, tmp_path):
    results, word = results_of("E7", *cells({("fpn", 48): 0.1}.items()))
    assert [result.holds for result in results[:3]] == [True, False, True]
    assert word.startswith("contradicted (short training")
    results_of.calls.clear()
    results, word = results_of("E7", *cells())
    place = str(tmp_path / "sweep")
    assert results_of.calls == [
        ("sweep", "extd_grid", "budget=short", "seed=0,1,2", "--dir", place),
        ("sweep report", place),
    ]
    assert word == "holds (short trainings)"
    # (0.6 + 0.62 + 0.6) / 3 and (0.5 + 0.54 + 0.5) / 3; the seeds' part cancels in each pair.
    assert results[0].ours == "+0.093 ± 0.000 (0.607, 0.513; 3 seeds)"
    assert results[4].ours == "+0.020 ± 0.000 (0.540, 0.500, 0.620, 0.600; 3 seeds)"
    assert len(results) == 5 + 18 * 3
    assert results[5].name == (
        "backbone.activation=relu, backbone.width=32, preset=extd_fpn, seed=0"
    )
    assert (results[5].ours, results[5].holds) == ("0.590 / 0.590 / 0.590", None)


@pytest.mark.parametrize(
    ("hard", "mean", "word"),
    [(0.3, 0.5, "holds"), (0.5, 0.5, "contradicted"), (0.3, 0.53, "contradicted")],
)
def test_baselines(results_of, hard, mean, word):
    """FPN-64 by hard faces; SSD-32 to 64 by all, of which .02 less is comparable."""
    ssd = [job(0.485, preset=f"extd_ssd_{width}_prelu") for width in (32, 48, 64)]
    jobs = seeded(
        job((0.1, 0.1, 0.4), preset="extd_fpn_64_prelu"),
        *ssd,
        job((mean, 2 * mean - hard, hard), preset="s3fd_mobilefacenet"),
    )
    results, verdict = results_of("E8", *jobs)
    assert verdict.startswith(word)
    assert results[3].ours.startswith(f"{0.4 - hard:+.3f} ± 0.000 (0.400, {hard:.3f}; 3 seeds)")


def levels(one, three, noise=None):
    jobs = (job(one, preset="smallhardface_plain"), job(three, preset="smallhardface_three_level"))
    return seeded(*jobs, noise=noise)


def test_levels(results_of):
    assert results_of("S7", *levels(0.4, 0.3))[1].startswith("holds")
    assert {"mining=none", "experiment=smallhardface_narrow"} <= set(results_of.calls[0])
    with pytest.raises(FacedetError, match="no finished job of"):
        results_of("S7", *levels(0.4, 0.3)[:3])


def test_a_difference_within_what_seeds_make_is_undecided(results_of):
    # Differences .02, .12, .16: mean .1, deviation .0721; 4.303 * .0721 / sqrt(3) = .179.
    noise = [(0.02, 0.02, 0.06), (0.1, 0.0, 0.0)]
    results, word = results_of("S7", *levels(0.4, 0.3, noise))
    assert results[0].holds is None
    assert word == "undecided: difference +0.100 ± 0.179 (0.433, 0.333; 3 seeds)"
    # One seed says nothing of what seeds make.
    word = results_of("S7", *levels(0.4, 0.1)[::3])[1]
    assert word == "undecided: difference +0.300 ± inf (0.390, 0.090; 1 seed)"


def test_networks_that_have_learnt_nothing_are_not_judged(results_of):
    results, word = results_of("S7", *levels(0.004, 0.003, noise=[(0.0,) * 3] * 2))
    assert (results[0].holds, word) == (None, "not run: nothing learnt (AP 0.003)")


@pytest.mark.parametrize(
    ("values", "holds"),
    [
        ((0.3, 0.35, 0.4, 0.5), [True, True, True]),
        ((0.3, 0.25, 0.4, 0.5), [False, True, True]),
        ((0.3, 0.35, 0.4, 0.39), [True, True, False]),
    ],
)
def test_parts(results_of, values, holds):
    places = [("smallhardface_plain", "none"), ("smallhardface_plain", "him"),
              ("smallhardface", "none"), ("smallhardface", "him"),
              ("smallhardface_reduced", "none")]  # fmt: skip
    # Narrowing alone changes nothing here.
    jobs = zip(places, (*values, values[0]), strict=True)
    results, _ = results_of(
        "S8",
        *seeded(*(job(value, preset=preset, mining=mining) for (preset, mining), value in jobs)),
    )
    assert [result.holds for result in results[:3]] == holds


def test_real_pictures_where_they_are_at_hand(monkeypatch, tmp_path):
    calls = []
    monkeypatch.setattr(train, "read_sweep", lambda name, words: words)
    monkeypatch.setattr(train, "planned_jobs", lambda _: [])
    for budget in ("short", "paper"):
        run = Run({"wider": tmp_path / "a b"}, tmp_path, lambda *words: calls.append(words), budget)
        train.sweep(run, "extd_grid", reduced={"short": ["x=1"]})
    short, _, paper, _ = calls
    assert {"data=wider", f"data.root='{tmp_path / 'a b'}'", "x=1"} <= set(short)
    assert paper[2:4] == ("budget=paper", "seed=0,1,2")
    assert not {"data=wider", "x=1"} & set(paper)


def finished_job(folder, name, **record):
    place = folder / "jobs" / name
    (place / "checkpoints").mkdir(parents=True)
    (place / "weights.safetensors").write_text("w")
    (place / "checkpoints" / "last.ckpt").write_text("large")
    (place / "job.json").write_text(json.dumps(record))
    return place


def test_a_job_that_has_finished_elsewhere_is_not_trained_again(tmp_path):
    record = {"objective": 0.5, "metrics": {"wider/easy": 0.5}, "overrides": {"preset": "a"}}
    finished_job(tmp_path / "S7" / "sweep", "aa", **record)
    finished_job(tmp_path / "mine", "bb", **record)
    interrupted = finished_job(tmp_path / "mine", "cc", **record)
    (interrupted / "weights.safetensors").unlink()
    folder = tmp_path / "S8" / "sweep"
    planned = [PlannedJob(name, {"mining": "none"}, {}) for name in ("aa", "bb", "cc", "dd")]
    places = [tmp_path / "nowhere", tmp_path, tmp_path / "mine"]
    assert train.reuse_jobs(folder, planned, places) == 2
    assert sorted(path.name for path in (folder / "jobs").iterdir()) == ["aa", "bb"]
    job = read_job(folder / "jobs" / "aa")
    # What varies is this sweep's.
    assert (job.state, job.objective, job.overrides) == ("finished", 0.5, {"mining": "none"})
    assert not (folder / "jobs" / "bb" / "checkpoints").exists()
    assert train.reuse_jobs(folder, planned, places) == 0


def test_mining_has_nothing_to_hold_against(results_of):
    results, word = results_of(
        "S12", job(0.25, mining__threshold="0.85", mining__probability="0.7")
    )
    assert results[0].name == "mining.probability=0.7, mining.threshold=0.85"
    assert results[0].ours == "0.250 / 0.250 / 0.250"
    assert word.startswith("not run")


class Trainings:
    """In place of `facedet train`: composes its words, and leaves a weights file; keeps means."""

    def __init__(self, file):
        self.configs = []
        self.means = []
        self.file = file
        self.threads = set()

    def __call__(self, command, *words):
        if command == "weights":
            self.means.append(words)
            copyfile(self.file, words[-1])
            return
        assert command == "train"
        config = compose("train", words)
        self.configs.append(config)
        self.threads.add(torch.get_num_threads())
        folder = Path(config.paths.output)
        folder.mkdir(parents=True)
        copyfile(self.file, folder / "weights.safetensors")


@pytest.fixture
def evaluated(monkeypatch):
    """Stands in for the evaluation of what was trained."""
    report = {"images": 3, "wider/easy": 0.5, "wider/medium": 0.4, "wider/hard": 0.3}
    monkeypatch.setattr(train, "evaluate_weights", lambda *arguments: report)


@pytest.mark.parametrize("name", PARTS)
def test_each_part_starts_from_the_one_before(name, evaluated, tmp_path):
    trainings, root = Trainings(NAMED[name].path()), tmp_path / "a, b"
    folder = tmp_path / "a, b=c"
    run, parts = Run({"wider": root, "extd_64": TEACHER}, folder, trainings), PARTS[name]
    outcome = train.shipped(run, {name: parts}, TEACHERS, SEEDS)
    places, starts, means = [], [], []
    start = None
    for part in parts:
        place = folder / name / part
        of_part = [place / f"seed_{one}" for one in SEEDS.get(name, {}).get(part, ())] or [place]
        places += of_part
        starts += [start] * len(of_part)
        start = str(place / "weights.safetensors")
        if len(of_part) > 1:
            means.append(("average", *(str(one / "weights.safetensors") for one in of_part), start))
    assert [Path(config.paths.output) for config in trainings.configs] == places
    assert [config.weights for config in trainings.configs] == starts
    assert trainings.means == means
    backbone = read_weights(name).config["net"]["backbone"]
    for config, place in zip(trainings.configs, places, strict=True):
        assert Path(config.data.root) == root
        assert config.ckpt_path == "auto"
        assert config.backbone.items() >= backbone.items()
        assert config.trainer.devices == 1
        taught = config.callbacks.get("distillation")
        is_taught = any(part in TEACHERS for part in place.parts)
        assert (taught and taught.teacher.weights) == (str(TEACHER) if is_taught else None)
        assert f"seed_{config.seed}" == place.name or place.parent.name == name
    net = read_weights(name).config["net"]
    assert trainings.configs[-1].model.net.enlarge == net.get("enlarge", 1)
    assert outcome.short_of == ""
    assert outcome.values[f"{name}, wider/hard"] == "0.3000"
    # What has finished is not trained again.
    rmtree(folder / name / parts[-1])
    trainings.configs.clear()
    train.shipped(run, {name: parts}, TEACHERS, SEEDS)
    assert {config.weights for config in trainings.configs} == {starts[-1]}


def test_another_file_is_no_failure(evaluated, tmp_path):
    """Another machine's arithmetic may round otherwise."""
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    trainings = Trainings(save_one_face(tmp_path / "other.safetensors"))
    run = Run({"wider": tmp_path}, tmp_path / "out", trainings)
    outcome = train.shipped(run, {NAME: ["shipped"]}, {}, {})
    left = torch.get_num_threads()
    torch.set_num_threads(threads)
    results = judge(EXPERIMENTS["shipped"], outcome)
    assert results[0].ours != results[0].expected
    assert [result.holds for result in results] == [None] * 4
    assert outcome.short_of.startswith("a machine whose arithmetic rounds")
    # Sums in another order round differently.
    assert (trainings.threads, left) == ({1}, 2)
