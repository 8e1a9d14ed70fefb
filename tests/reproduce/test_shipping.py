"""The shipped weights' training: its parts, how they follow each other, and what is compared."""

from pathlib import Path
from shutil import copyfile

import pytest
import torch

from facedet import cli
from facedet.config import compose
from facedet.errors import FacedetError
from facedet.reproduce import shipping
from facedet.reproduce.shipping import PARTS, train_parts_of, train_shipped
from facedet.weights.zoo import NAMED
from reference.one_face import save_one_face

NAME = "extd-fpn-32-prelu"


class Trainings:
    """In place of `facedet train`: composes its words, and leaves a weights file."""

    def __init__(self) -> None:
        self.configs = []
        self.code = 0

    def __call__(self, words):
        command, *overrides = words
        assert command == "train"
        self.configs.append(compose("train", overrides))
        if not self.code:
            folder = Path(self.configs[-1].paths.output)
            folder.mkdir(parents=True)
            copyfile(NAMED[self.name].path(), folder / "weights.safetensors")
        return self.code

    @property
    def name(self):
        return f"extd-fpn-{self.configs[-1].backbone.width}-prelu"


@pytest.fixture
def trainings(monkeypatch):
    trainings = Trainings()
    monkeypatch.setattr(cli, "main", trainings)
    return trainings


@pytest.mark.parametrize("name", PARTS)
def test_each_part_starts_from_the_one_before(name, trainings, tmp_path):
    root, folder = tmp_path / "a, b", tmp_path / "a, b=c"
    last = train_parts_of(name, root, folder)
    outputs = [Path(config.paths.output) for config in trainings.configs]
    assert [output.name for output in outputs] == list(PARTS[name])
    files = [str(output / "weights.safetensors") for output in outputs]
    assert [config.weights for config in trainings.configs] == [None, *files[:-1]]
    assert str(last) == files[-1]
    for config in trainings.configs:
        assert Path(config.data.root) == root
        assert config.ckpt_path == "auto"
        assert (config.backbone.width, config.trainer.devices) == (int(name[9:11]), 1)


def test_finished_parts_are_not_trained_again(trainings, tmp_path):
    train_parts_of(NAME, tmp_path, tmp_path / "out")
    last = tmp_path / "out" / PARTS[NAME][-1] / "weights.safetensors"
    last.unlink()
    last.parent.rmdir()
    trainings.configs.clear()
    train_parts_of(NAME, tmp_path, tmp_path / "out")
    assert [Path(config.paths.output) for config in trainings.configs] == [last.parent]


def test_an_interrupted_part_ends_the_training(trainings, tmp_path):
    trainings.code = 143
    with pytest.raises(FacedetError, match=rf"{PARTS[NAME][0]}: .* 143; the same command goes on"):
        train_parts_of(NAME, tmp_path, tmp_path / "out")
    assert len(trainings.configs) == 1


@pytest.mark.parametrize("is_same", [True, False])
def test_files_are_compared(is_same, trainings, tmp_path, monkeypatch):
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    seen = []

    def measure(root, weights, folder):
        seen.append((root, weights, torch.get_num_threads()))
        return []

    monkeypatch.setattr(shipping, "_measure", measure)
    if not is_same:
        other = save_one_face(tmp_path / "other.safetensors")
        monkeypatch.setattr(shipping, "train_parts_of", lambda *arguments: other)
    outcome = train_shipped({"wider": tmp_path}, tmp_path / "out")
    left = torch.get_num_threads()
    torch.set_num_threads(threads)
    assert [result.name for result in outcome.results] == [f"{name}, SHA-256" for name in PARTS]
    # Another machine's arithmetic may round otherwise: a difference is told, and is no failure.
    assert [result.holds for result in outcome.results] == [True if is_same else None] * len(PARTS)
    # Sums in another order round differently.
    assert ([one[2] for one in seen], left) == ([1] * len(PARTS), 2)
