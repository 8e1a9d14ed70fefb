"""MATLAB files: their variables as arrays, whichever of the two formats they are in.

From version 5 to 7 they are MATLAB's own format; from 7.3 they are HDF5.
"""

from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import loadmat

from facedet.errors import FacedetError, one_line

_HEADER = 128  # bytes: a text, then the version and the mark of the byte order


def load_mat(path: Path, variables: list[str]) -> dict[str, np.ndarray]:
    """Reads variables of a .mat, all of which must be there.

    Returns:
        By name, arrays as MATLAB has them (at least two axes); texts are arrays of strings, and
        cells and structs of the older format arrays of objects.

    Raises:
        FacedetError: the file or a variable is missing, it is damaged, or it cannot be read.
    """
    if not path.is_file():
        raise FacedetError(f"{path} is missing")
    try:
        content = _load_any(path, variables)
    except FacedetError:
        raise
    # A truncated or foreign file fails in a dozen ways, from zlib.error to h5py's RuntimeError.
    except Exception as error:
        raise FacedetError(f"{path} cannot be read as a MATLAB file: {one_line(error)}") from error
    absent = [key for key in variables if key not in content]
    if absent:
        raise FacedetError(f"{path} holds no {', '.join(absent)}")
    return content


def _load_any(path: Path, variables: list[str]) -> dict[str, np.ndarray]:
    """The variables that a file of either format holds."""
    with path.open("rb") as stream:
        header = stream.read(_HEADER)
    if header[124:] in (b"\x00\x02IM", b"\x02\x00MI"):
        import h5py  # type: ignore[import-untyped]

        with h5py.File(path, "r") as file:
            return {key: _array(file[key], f"{path}: {key}") for key in variables if key in file}
    # Version 4 has no mark; scipy would take any bytes for it.
    if header[126:] not in (b"IM", b"MI"):
        raise ValueError("its first bytes are not those of versions 5 to 7.3")
    return loadmat(path, variable_names=variables)


def _array(dataset: Any, source: str) -> np.ndarray:  # noqa: ANN401
    """A matrix or a text of an HDF5 file; MATLAB writes the last axis first."""
    kind = dataset.attrs.get("MATLAB_class", b"")
    if kind in (b"cell", b"struct") or not hasattr(dataset, "shape"):
        raise FacedetError(f"{source} is no matrix: save it with MATLAB's option -v7")
    values = np.asarray(dataset[()]).T
    if kind == b"char":
        return np.array(["".join(chr(letter) for letter in values.ravel())])
    return values
