"""What a training will take: scaled from one step, held against what there is."""

from types import SimpleNamespace

import pytest
import torch
from omegaconf import OmegaConf

from facedet.callbacks.distillation import Distillation
from facedet.config import build, compose
from facedet.errors import UsageError
from facedet.training import estimate as estimation
from facedet.training.estimate import GB, Estimate, check_fit, estimate
from facedet.training.trainer import build_trainer

SMALL = ("preset=extd_ssd_32_relu", "data=wider", "augmentation.size=64", "data.batch_size=2",
         "data.num_workers=0", "trainer=cpu", "trainer.limit_val_batches=1",
         "trainer.max_steps=1")  # fmt: skip


def test_what_would_fit():
    # 1 GB and 0.5 GB a crop: 16 crops need 9 GB; of 4 GB 3 are left for 6 crops, or for 16 crops
    # with 3/8 of the pixels, whose side is 640 * sqrt(3/8) = 391.9, 384 in steps of 32.
    found = Estimate(GB, GB / 2, 4 * GB, 16, 640, 640, 60.0)
    assert (found.needed, found.fitting()) == (9 * GB, (6, 384))
    assert found._replace(available=GB / 2).fitting() == (0, 0)


def test_the_limits_of_control_groups(tmp_path):
    own, root = tmp_path / "cgroup", tmp_path / "fs"
    own.write_text("8:cpu:/a\n4:memory:/c/d\n0::/a/b\n")
    for folder, most, used in (
        ("a", ("max", "1000"), ("current", "300")),
        ("a/b", ("max", "max"), ("current", "10")),
        ("memory/c", ("limit_in_bytes", "5000"), ("usage_in_bytes", "500")),
    ):
        (root / folder).mkdir(parents=True, exist_ok=True)
        for name, content in (most, used, ("stat", "anon 200\ninactive_file 50\n")):
            (root / folder / f"memory.{name}").write_text(content)
    # Less what is used, and with the 50 of the file cache that can be given back.
    assert set(estimation._cgroup_free(root, own)) == {4550, 750}
    assert list(estimation._cgroup_free(root, tmp_path / "none")) == []


def test_a_measured_step_changes_nothing(wider, tmp_path, monkeypatch):
    words = (*SMALL, f"data.root={wider}", f"paths.output={tmp_path}")
    config = compose("train", words)
    module, data = build(config.model), build(config.data)
    trainer = build_trainer(config, [])
    before = {key: value.clone() for key, value in module.state_dict().items()}
    random = torch.get_rng_state()
    found = estimate(trainer, module, data, 100)
    assert (found.batch, found.height, found.width) == (2, 64, 64)
    # Twice the crops, twice the memory of a step: 4 times the side, 16 times.
    larger = build(compose("train", [*words, "augmentation.size=256"]).data)
    ratio = estimate(trainer, module, larger, 100).per_crop / found.per_crop
    assert 8 < ratio < 20
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())
    assert all(parameter.grad is None for parameter in module.parameters())
    # Two processes share what is free and what one has.
    monkeypatch.setattr(estimation, "free_memory", lambda _: (3 * GB, GB))
    monkeypatch.setattr(type(trainer), "num_devices", 2)
    assert estimate(trainer, module, data, 100).available == 2 * GB


def test_a_teacher_takes_its_time(wider, tmp_path, monkeypatch):
    clock = SimpleNamespace(now=0.0, perf_counter=lambda: clock.now)
    monkeypatch.setattr(estimation, "time", clock)

    class Slow(torch.nn.Module):
        def forward(self, images):
            assert (images.shape, self.enlarge) == ((2, 3, 64, 64), 1.0)
            clock.now += 0.25

    config = compose("train", [*SMALL, f"data.root={wider}", f"paths.output={tmp_path}"])
    callback = Distillation(Slow(), share=0.5, confident=0.5)
    trainer = build_trainer(config, [callback])
    # The measured step has two crops, as those of the training.
    assert estimate(trainer, build(config.model), build(config.data), 100).seconds == 25


def test_what_does_not_fit_is_refused_before_the_first_step(cli, wider, tmp_path, monkeypatch):
    monkeypatch.setattr(estimation, "free_memory", lambda _: (0.7 * GB, 0.6 * GB))
    # On machines that are quick at bfloat16 the steps would take half of the memory, and fit.
    words = (*SMALL, f"data.root={wider}", f"paths.output={tmp_path / 'out'}", "data.batch_size=4",
             "trainer.precision=32-true")  # fmt: skip
    result = cli("train", *words, "augmentation.size=256")
    said = result.err.splitlines()[-1]
    assert result.code == 2
    assert said.startswith("facedet train: 4 crops of 256 x 256 px need about ")
    assert "data.batch_size=" in said
    assert "augmentation.size=" in said
    assert "would fit (estimate=warn trains all the same)" in said
    assert not (tmp_path / "out" / "checkpoints").exists()
    result = cli("train", *words, "augmentation.size=256", "estimate=warn")
    assert (result.code, "trained 1 steps" in result.out) == (0, True)
    with pytest.raises(UsageError, match="estimate=no: expected refuse, warn or off"):
        check_fit(OmegaConf.create({"estimate": "no"}), None, None, None, 0)
