"""What the jobs of a sweep take, worked by hand."""

from facedet.profiling.timing import Timing
from facedet.sweeps.effort import Effort, effort_of, expected_seconds
from facedet.sweeps.plan import planned_jobs, read_sweep


def configs_of(name, *words):
    return [job.config for job in planned_jobs(read_sweep(name, words))]


def test_images_and_multiply_adds():
    # 5 steps of 4 crops; EXTD-32 takes 5.4 G at 640 x 640.
    words = ["preset=extd_fpn_32_prelu", "trainer.max_steps=5", "data.batch_size=4"]
    first, second = map(effort_of, configs_of("seeds", *words, "augmentation.size=640", "seed=0,1"))
    assert first == second
    assert (first.images, first.size, first.madds) == (20, (640, 640), 5_397_289_600)


def test_crops_of_drawn_sizes_count_as_the_middle_one():
    effort = effort_of(configs_of("shf_mining", "budget=paper", "data.root=/x")[0])
    assert (effort.size, effort.steps) == ((800, 1200), 60_000)


def test_the_time_of_all_jobs_is_scaled_from_one_step(monkeypatch):
    def took(step, **_):
        step()
        return Timing(0.5, 0.5, 0.5, 1)

    monkeypatch.setattr("facedet.profiling.timing.time_calls", took)
    config = configs_of("seeds", "preset=extd_ssd_32_relu", "augmentation.size=64", "seeds=1")[0]
    # Tried with two crops of 320 px, a quarter of the pixels: 200 M multiply-adds in half a second.
    efforts = [Effort(10, 8, (640, 640), 400), Effort(20, 8, (640, 640), 200)]
    # 80 x 400 and 160 x 200.
    assert expected_seconds(config, efforts) == 64_000 * 0.5 / 200
