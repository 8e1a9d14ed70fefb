import pytest
import torch

from facedet.config import build, compose
from facedet.errors import UsageError
from facedet.structures import Target


@pytest.fixture(scope="module")
def module():
    torch.manual_seed(0)
    return build(compose("train", ["preset=extd_ssd_32_prelu", "trainer.max_steps=10"]).model)


def batch(count, size):
    images = torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8)
    flags = torch.zeros(1, dtype=torch.bool), torch.ones(1, 3, dtype=torch.bool)
    boxes = torch.tensor([[8.0, 8, 30, 34]])
    return images, [Target(boxes, *flags, index, (size, size)) for index in range(count)]


def test_a_single_cell_cannot_be_normalised(module):
    with pytest.raises(UsageError, match="data.batch_size=1 with crops of 128 x 128"):
        module.on_train_batch_start(batch(1, 128), 0)
    module.on_train_batch_start(batch(2, 128), 0)
    module.on_train_batch_start(batch(1, 129), 0)


def test_one_group_with_decay_on_everything_and_a_schedule_by_steps(module):
    configured = module.configure_optimizers()
    (group,) = configured["optimizer"].param_groups
    assert sum(p.numel() for p in group["params"]) == 56_059
    assert group["weight_decay"] == 0.0005
    assert configured["lr_scheduler"]["interval"] == "step"


def test_validation_feeds_the_metric_and_clears_it(module):
    module.eval()
    logged = {}
    module.log_dict = lambda values, **_: logged.update(values)
    with torch.no_grad():
        module.validation_step(batch(1, 96), 0)
    module.on_validation_epoch_end()
    assert set(logged) == {"wider/easy", "wider/medium", "wider/hard"}
    assert module.metric.images == 0


def test_prediction_gives_detections_in_pixels(module):
    images, targets = batch(2, 96)
    module.eval()
    with torch.no_grad():
        found, expected = module.predict_step((images, targets), 0), module.net(images)
    for one, other in zip(found, module.postprocess(expected), strict=True):
        assert one.boxes.equal(other.boxes)
        assert len(one.boxes)
