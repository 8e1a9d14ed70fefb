"""What a sweep's first line says of its cost, worked by hand."""

from types import SimpleNamespace

from facedet.sweeps import effort as sweep_effort
from facedet.sweeps.effort import Effort, effort_text, efforts_of
from facedet.sweeps.plan import PlannedJob, planned_jobs, read_sweep


def test_the_first_line(monkeypatch):
    monkeypatch.setattr(sweep_effort, "_seconds_per_madd", lambda *_: 0.001)
    sweep = SimpleNamespace(choice=lambda group, default: "short")
    jobs = [PlannedJob("a", {}, {}), PlannedJob("b", {}, {})]
    # 500 x 8 x 100 and 1,000 x 8 x 200 are 0.4 and 1.6 million multiply-adds: 2,000 s.
    efforts = [Effort(500, 8, (160, 160), 100), Effort(1000, 8, (160, 160), 200)]
    assert effort_text(sweep, jobs, efforts, 2) == (
        "budget=short: 500 to 1,000 steps of 8 crops each, about 33 min one after the other at "
        "this machine's present speed, without validation"
    )
    # Of a search each trial takes what one job does.
    assert "about 40 s one" in effort_text(sweep, jobs, [Effort(50, 8, (160, 160), 10)], 10)


def test_images_and_multiply_adds():
    # 5 steps of 4 crops; EXTD-32 takes 5.4 G at 640 x 640.
    words = ["preset=extd_fpn_32_prelu", "trainer.max_steps=5", "data.batch_size=4"]
    sweep = read_sweep("seeds", [*words, "augmentation.size=640", "seed=0,1"])
    first, second = efforts_of(sweep, planned_jobs(sweep))
    assert first == second
    assert (first.images, first.size) == (20, (640, 640))
    assert first.madds == 5_397_289_600


def test_crops_of_drawn_sizes_count_as_the_middle_one():
    sweep = read_sweep("shf_mining", ["budget=paper", "data.root=/x"])
    efforts = efforts_of(sweep, planned_jobs(sweep)[:1])
    assert (efforts[0].size, efforts[0].steps) == ((800, 1200), 60_000)


def test_the_try_takes_some_time():
    sweep = read_sweep("seeds", ["preset=extd_ssd_32_relu", "augmentation.size=64", "seeds=1"])
    jobs = planned_jobs(sweep)
    assert 0 < sweep_effort._seconds_per_madd(jobs[0].config, efforts_of(sweep, jobs)[0]) < 1e-3
