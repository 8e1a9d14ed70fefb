"""MATLAB files: their variables as arrays, whichever of the two formats they are in.

Up to version 7 they are MATLAB's own format; from 7.3 they are HDF5, which h5py reads.
"""

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import loadmat

from facedet.errors import FacedetError


def load_mat(path: Path, variables: list[str]) -> dict[str, np.ndarray]:
    """Reads variables of a .mat, all of which must be there.

    Args:
        path: the file.
        variables: their names.

    Returns:
        By name, arrays as MATLAB has them (at least two axes); texts are arrays of strings, and
        cells and structs of the older format arrays of objects.

    Raises:
        FacedetError: the file or a variable is missing, or it cannot be read.
    """
    if not path.is_file():
        raise FacedetError(f"{path} is missing")
    try:
        content = loadmat(path, variable_names=variables)
    except NotImplementedError:  # what scipy says of version 7.3
        content = _load_hdf5(path, variables)
    # A truncated or foreign file makes scipy fail in a dozen ways, from zlib.error to MemoryError.
    except Exception as error:
        raise FacedetError(f"{path} cannot be read as a MATLAB file: {error}") from error
    absent = [key for key in variables if key not in content]
    if absent:
        raise FacedetError(f"{path} holds no {', '.join(absent)}")
    return content


def _load_hdf5(path: Path, variables: list[str]) -> dict[str, np.ndarray]:
    """Numbers and texts of a file of version 7.3."""
    try:
        h5py = import_module("h5py")
    except ImportError as error:
        raise FacedetError(
            f"{path} is a MATLAB file of version 7.3: pip install h5py to read it"
        ) from error
    content = {}
    try:
        with h5py.File(path, "r") as file:
            for key in variables:
                if key in file:
                    content[key] = _array(file[key], f"{path}: {key}")
    except FacedetError:
        raise
    # As for scipy above; h5py raises OSError, RuntimeError, KeyError and more.
    except Exception as error:
        raise FacedetError(f"{path} cannot be read as a MATLAB file: {error}") from error
    return content


def _array(dataset: Any, source: str) -> np.ndarray:  # noqa: ANN401
    """A variable of an HDF5 file; MATLAB writes the last axis first."""
    kind = dataset.attrs.get("MATLAB_class", b"")
    if kind in (b"cell", b"struct") or not hasattr(dataset, "shape"):
        raise FacedetError(f"{source} is no matrix: save it with MATLAB's option -v7")
    values = np.asarray(dataset[()]).T
    if kind == b"char":
        return np.array(["".join(chr(letter) for letter in values.ravel())])
    return values
