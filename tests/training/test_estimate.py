"""What a training will take: scaled from one step, held against what there is."""

import pytest
import torch
from omegaconf import OmegaConf

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
    found = Estimate(GB, GB / 2, 4 * GB, 16, 1, 640, 640, 60.0)
    assert found.needed == 9 * GB
    assert (found.fitting_batch(), found.fitting_side()) == (6, 384)
    # Two processes have 2 GB each, of which one crop takes a half.
    shared = found._replace(processes=2)
    assert (shared.needed, shared.fitting_batch()) == (18 * GB, 2)
    none = found._replace(available=GB / 2)
    assert (none.fitting_batch(), none.fitting_side()) == (0, 0)


def test_the_limits_of_control_groups(tmp_path):
    own, root = tmp_path / "cgroup", tmp_path / "fs"
    inner = root / "a" / "b"
    inner.mkdir(parents=True)
    own.write_text("0::/a/b\n")
    for folder, limit, used in ((root / "a", "1000", "300"), (inner, "max", "10")):
        (folder / "memory.max").write_text(limit)
        (folder / "memory.current").write_text(used)
        (folder / "memory.stat").write_text("anon 200\ninactive_file 50\n")
    # 1000 - 300, and the 50 of the file cache that can be given back.
    assert estimation._cgroup_free(root, own) == [750]
    assert estimation._cgroup_free(root, tmp_path / "none") == []


def test_a_measured_step_changes_nothing(wider, tmp_path):
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


def test_what_does_not_fit_is_refused_before_the_first_step(cli, wider, tmp_path, monkeypatch):
    monkeypatch.setattr(estimation, "available_memory", lambda _: 0.7 * GB)
    words = (*SMALL, f"data.root={wider}", f"paths.output={tmp_path / 'out'}", "data.batch_size=4")
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
