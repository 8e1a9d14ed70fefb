"""MATLAB files of both formats."""

import sys

import numpy as np
import pytest
from scipy.io import savemat

from facedet.data.readers.mat import load_mat
from facedet.errors import FacedetError


def write_hdf5(path, **variables):
    """A file of version 7.3: the last axis first, texts as numbers, and a header before it all."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w", userblock_size=512) as file:
        for key, value in variables.items():
            is_text = isinstance(value, str)
            data = np.array([list(map(ord, value))], np.uint16) if is_text else np.asarray(value)
            dataset = file.create_dataset(key, data=data.T)
            dataset.attrs["MATLAB_class"] = np.bytes_("char" if is_text else "double")
    header = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM"
    path.write_bytes(header.ljust(512, b"\0") + path.read_bytes()[512:])
    return path


MATRIX = np.arange(6.0).reshape(3, 2)


def test_both_formats_say_the_same(tmp_path):
    savemat(tmp_path / "5.mat", {"a": MATRIX, "name": "text"})
    write_hdf5(tmp_path / "7.mat", a=MATRIX, name="text")
    for path in (tmp_path / "5.mat", tmp_path / "7.mat"):
        content = load_mat(path, ["a", "name"])
        assert content["a"].tolist() == MATRIX.tolist()
        assert content["name"].tolist() == ["text"]


def test_what_is_missing(tmp_path):
    with pytest.raises(FacedetError, match="a.mat is missing"):
        load_mat(tmp_path / "a.mat", ["a"])
    savemat(tmp_path / "5.mat", {"a": MATRIX})
    write_hdf5(tmp_path / "7.mat", a=MATRIX)
    for path in (tmp_path / "5.mat", tmp_path / "7.mat"):
        with pytest.raises(FacedetError, match=f"{path.name} holds no b, c"):
            load_mat(path, ["a", "b", "c"])


@pytest.mark.parametrize("version", ["5", "7"])
def test_damaged_files(tmp_path, version):
    path = tmp_path / f"{version}.mat"
    savemat(path, {"a": MATRIX}) if version == "5" else write_hdf5(path, a=MATRIX)
    path.write_bytes(path.read_bytes()[:600][: -40 if version == "5" else None])
    with pytest.raises(FacedetError, match="cannot be read as a MATLAB file"):
        load_mat(path, ["a"])


def test_cells_of_the_newer_format_are_refused(tmp_path):
    h5py = pytest.importorskip("h5py")
    path = write_hdf5(tmp_path / "7.mat", a=MATRIX)
    with h5py.File(path, "a") as file:
        file["a"].attrs["MATLAB_class"] = np.bytes_("cell")
    with pytest.raises(FacedetError, match="a is no matrix: save it with MATLAB's option -v7"):
        load_mat(path, ["a"])


def test_the_newer_format_with_a_size_beyond_all_memory(tmp_path):
    h5py = pytest.importorskip("h5py")
    path = write_hdf5(tmp_path / "7.mat", a=MATRIX)
    with h5py.File(path, "a") as file:
        file.create_dataset("b", shape=(2**20, 2**20), dtype="f8", chunks=(8, 8))
    with pytest.raises(FacedetError, match=r"7\.mat: b has \[1048576, 1048576\], over"):
        load_mat(path, ["b"])


def test_the_newer_format_without_its_reader(tmp_path, monkeypatch):
    path = write_hdf5(tmp_path / "7.mat", a=MATRIX)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(FacedetError, match="pip install h5py"):
        load_mat(path, ["a"])
