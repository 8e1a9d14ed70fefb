from pathlib import Path

import numpy as np
import pytest
import skimage

from facedet.data.crowds import sources as crowd_sources
from facedet.data.crowds.sources import Sources, load_sources
from facedet.errors import FacedetError


@pytest.fixture(scope="module")
def sources() -> dict[str, Sources]:
    return {split: load_sources(split) for split in ("train", "val")}


def test_no_face_of_val_resembles_a_face_of_train(sources):
    # The oval spans columns 2.6 to 19.4: the first 22 columns mirror it onto itself.
    y, x = np.mgrid[:25, :22] + 0.5
    oval = ((x - 11) / 8.4) ** 2 + ((y - 13.5) / 10.5) ** 2 < 1

    def normalised(faces):
        values = faces[:, oval] - faces[:, oval].mean(axis=1, keepdims=True)
        return values / np.linalg.norm(values, axis=1, keepdims=True)

    train, val = sources["train"].faces[:, :, :22], sources["val"].faces[:, :, :22]
    assert (len(train), len(val)) == (70, 30)
    for faces in (val, val[:, :, ::-1]):
        assert (normalised(train) @ normalised(faces).T).max() < 0.72


def test_splits_share_no_patch_and_no_photograph(sources):
    train, val = sources["train"], sources["val"]
    for ours, theirs in ((train.faces, val.faces), (train.others, val.others)):
        assert not {patch.tobytes() for patch in ours} & {patch.tobytes() for patch in theirs}
    files = {split: set() for split in ("train", "val")}
    for photograph in crowd_sources.PHOTOGRAPHS:
        files[photograph.split].add(photograph.file)
    assert files["train"].isdisjoint(files["val"])
    assert len(files["train"]) + len(files["val"]) == len(crowd_sources.PHOTOGRAPHS)
    assert not set(train.events) & set(val.events)


def test_others_hold_no_part_of_a_face(sources):
    patches = np.load(Path(skimage.__file__).parent / "data" / "lfw_subset.npy").astype(np.float32)
    used = {patch.tobytes() for split in sources.values() for patch in split.others}
    # 125 shows half a face, 130 a mouth.
    assert not used & {patches[125].tobytes(), patches[130].tobytes()}
    assert not used & {patch.tobytes() for patch in patches[:100]}


def test_photographs_with_a_person_are_cropped(sources):
    # The faces end at y = 190 (astronaut) and y = 200 (camera) of 512.
    for split, event in (("train", "0--Crowd_Astronaut"), ("val", "11--Crowd_Camera")):
        picture = sources[split].photographs[sources[split].events.index(event)]
        assert picture.shape[0] <= 312
        assert picture.shape[1] == 512


def test_a_missing_file_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(crowd_sources.skimage, "__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(FacedetError, match=r"cannot be read .*lfw_subset\.npy.*reinstall"):
        load_sources("train")
