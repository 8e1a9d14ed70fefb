"""People's own data in a training: every form gives batches, and the validation has an AP."""

import pytest
import torch
from own_roots import ROOTS, put

from facedet.config import build, compose
from facedet.metrics.wider import WiderAP
from facedet.structures import Detections

OVERRIDES = ["augmentation.size=64", "data.num_workers=0", "data.batch_size=1"]


def datamodule(form, root):
    config = compose("train", [f"data={form}", f"data.root={root}", *OVERRIDES])
    return build(config.data)


@pytest.mark.parametrize("form", ROOTS)
def test_batches_and_the_metric(tmp_path, form):
    module = datamodule(form, ROOTS[form](tmp_path))
    module.setup("fit")
    images, (target,) = next(iter(module.train_dataloader()))
    assert images.shape == (1, 3, 64, 64)
    assert not target.ignore.all()
    ((images, targets),) = module.val_dataloader()
    assert images.shape == (1, 3, 40, 20)
    metric = WiderAP(integer_quirk=False)
    # The one face, found exactly.
    metric.update([Detections(targets[0].boxes, torch.tensor([0.9]))], targets)
    found = {key: float(value) for key, value in metric.compute().items()}
    assert found == dict.fromkeys(("wider/easy", "wider/medium", "wider/hard"), 1.0)


def test_classes_are_a_word_of_the_command_line(tmp_path):
    root = ROOTS["csv"](tmp_path)
    put(root / "val.csv", "image,x,y,w,h,class\nc.jpg,1,1,5,5,head\nc.jpg,2,2,5,5,car\n")
    for value, faces in (("head", 1), ("[head,CAR]", 2), ("all", 2)):
        config = compose("train", ["data=csv", f"data.root={root}", f"data.reader.classes={value}"])
        assert build(config.data).reading("val").counts["faces"] == faces


def test_a_fifth_validates_where_there_is_no_val(tmp_path):
    root = ROOTS["csv"](tmp_path)
    (root / "val.csv").unlink()
    rows = "".join(f"{number}.jpg,1,1,9,9,0\n" for number in range(10))
    put(root / "train.csv", f"image,x1,y1,x2,y2,ignore\n{rows}")
    for number in range(10):
        put(root / "images" / "train" / f"{number}.jpg", "")
    words = ["data=csv", f"data.root={root}"]
    trained = build(compose("train", words).data)
    train, val = ({one.name for one in trained.reading(s).records} for s in ("train", "val"))
    assert (len(train), len(val), train & val) == (8, 2, set())
    # An evaluation measures those that did not train.
    evaluated = build(compose("evaluate", [*words, "weights=a"]).data)
    assert {one.name for one in evaluated.reading("val").records} == val
