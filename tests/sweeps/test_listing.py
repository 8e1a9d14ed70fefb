"""What is printed of a sweep: what its jobs take, worked by hand, and its result."""

from facedet.profiling.timing import Timing
from facedet.sweeps.listing import Effort, effort_of, expected_seconds, print_result
from facedet.sweeps.plan import planned_jobs, read_sweep


def configs_of(name, *words):
    return [job.config for job in planned_jobs(read_sweep(name, words))]


def test_images_and_multiply_adds():
    # 5 steps of 4 crops; EXTD-32 takes 5.4 G at 640 x 640.
    words = ["preset=extd_fpn_32_prelu", "trainer.max_steps=5", "data.batch_size=4"]
    first, second = map(effort_of, configs_of("seeds", *words, "augmentation.size=640", "seed=0,1"))
    assert first == second
    assert (first.images, first.size, first.madds) == (20, (640, 640), 5_397_289_600)
    # Of drawn crop sizes the middle one counts.
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


def test_the_result_says_why_a_job_failed(tmp_path, capsys):
    for name, file in (("a", "weights.safetensors"), ("b", "error.txt")):
        (tmp_path / "jobs" / name).mkdir(parents=True)
        (tmp_path / "jobs" / name / file).write_text("no disk\n\nTraceback\n")
    assert print_result(tmp_path, ["a"])
    assert not print_result(tmp_path, ["a", "b"])
    out = capsys.readouterr().out
    assert f"no disk  ({tmp_path / 'jobs' / 'b' / 'error.txt'})" in out
    assert "\njobs: 1 finished\n" in out
    assert out.endswith("jobs: 1 failed, 1 finished\n--on-error retry runs the failed ones again\n")
