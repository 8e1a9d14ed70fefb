"""MATLAB files of both formats."""

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from facedet.data.readers.mat import load_mat
from facedet.errors import FacedetError

MATRIX = np.arange(6.0).reshape(3, 2)


def write_hdf5(path, variables):
    """A file of version 7.3: the last axis first, texts as numbers, and a header before it all."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for key, value in variables.items():
            is_text = isinstance(value, str)
            data = np.array([list(map(ord, value))], np.uint16) if is_text else np.asarray(value)
            dataset = file.create_dataset(key, data=data.T)
            dataset.attrs["MATLAB_class"] = np.bytes_("char" if is_text else "double")
    header = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM"
    path.write_bytes(header.ljust(512, b"\0") + path.read_bytes()[512:])


@pytest.mark.parametrize("write", [savemat, write_hdf5])
def test_both_formats(tmp_path, write):
    path = tmp_path / "a.mat"
    with pytest.raises(FacedetError, match="a.mat is missing"):
        load_mat(path, ["a"])
    content = {"a": MATRIX, "name": "text"}
    write(path, content)
    found = load_mat(path, ["a", "name"])
    assert found["a"].tolist() == MATRIX.tolist()
    assert found["name"].tolist() == ["text"]
    with pytest.raises(FacedetError, match=r"a\.mat holds no b, c"):
        load_mat(path, ["a", "b", "c"])
    data = path.read_bytes()
    cut = data[:-40] if write is savemat else data[:600]
    # Of version 4, which has no mark: scipy would take any bytes for it.
    savemat(tmp_path / "4.mat", {"a": MATRIX}, format="4")
    for content in (b"", data[:10], data[:130], cut, (tmp_path / "4.mat").read_bytes()):
        path.write_bytes(content)
        with pytest.raises(FacedetError, match="a.mat cannot be read as a MATLAB file"):
            load_mat(path, ["a", "name"])


def test_what_the_newer_format_may_hold_besides(tmp_path):
    path = tmp_path / "7.mat"
    write_hdf5(path, {"a": MATRIX})
    with h5py.File(path, "a") as file:
        file["a"].attrs["MATLAB_class"] = np.bytes_("cell")
        file.create_dataset("b", shape=(2**30, 2**30), dtype="f8", chunks=(8, 8))
    with pytest.raises(FacedetError, match="a is no matrix: save it with MATLAB's option -v7"):
        load_mat(path, ["a"])
    # A damaged size beyond all memory.
    with pytest.raises(FacedetError, match="cannot be read as a MATLAB file"):
        load_mat(path, ["b"])
