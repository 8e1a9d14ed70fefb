"""MATLAB files: their variables as arrays, whichever of the two formats they are in.

From version 5 to 7 they are MATLAB's own format; from 7.3 they are HDF5, which h5py reads.
"""

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import loadmat

from facedet.errors import FacedetError

_HEADER = 128  # bytes: a text, then the version and the mark of the byte order
_MAX_BYTES = 2**28  # of a file or a variable; WIDER FACE's take 10 million


def load_mat(path: Path, variables: list[str]) -> dict[str, np.ndarray]:
    """Reads variables of a .mat, all of which must be there.

    Args:
        path: the file.
        variables: their names.

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
        reason = " ".join(str(error).split())
        raise FacedetError(f"{path} cannot be read as a MATLAB file: {reason}") from error
    absent = [key for key in variables if key not in content]
    if absent:
        raise FacedetError(f"{path} holds no {', '.join(absent)}")
    return content


def _load_any(path: Path, variables: list[str]) -> dict[str, np.ndarray]:
    """The variables that a file of either format holds."""
    if path.stat().st_size > _MAX_BYTES:
        raise ValueError(f"it is larger than {_MAX_BYTES:,} bytes")
    with path.open("rb") as stream:
        header = stream.read(_HEADER)
    if header[124:] in (b"\x00\x02IM", b"\x02\x00MI"):
        return _load_hdf5(path, variables)
    # Version 4 has no mark; scipy would take any bytes for it.
    if header[126:] not in (b"IM", b"MI"):
        raise ValueError("its first bytes are not those of versions 5 to 7.3")
    return loadmat(path, variable_names=variables)


def _load_hdf5(path: Path, variables: list[str]) -> dict[str, np.ndarray]:
    """Numbers and texts of a file of version 7.3."""
    try:
        h5py = import_module("h5py")
    except ImportError as error:
        raise FacedetError(
            f"{path} is a MATLAB file of version 7.3: pip install h5py to read it"
        ) from error
    with h5py.File(path, "r") as file:
        return {key: _array(file[key], f"{path}: {key}") for key in variables if key in file}


def _array(dataset: Any, source: str) -> np.ndarray:  # noqa: ANN401
    """A variable of an HDF5 file; MATLAB writes the last axis first."""
    kind = dataset.attrs.get("MATLAB_class", b"")
    if kind in (b"cell", b"struct") or not hasattr(dataset, "shape"):
        raise FacedetError(f"{source} is no matrix: save it with MATLAB's option -v7")
    if dataset.nbytes > _MAX_BYTES:  # HDF5 fills with zeros what a damaged size claims
        raise FacedetError(f"{source} has {list(dataset.shape)}, over {_MAX_BYTES:,} bytes")
    values = np.asarray(dataset[()]).T
    if kind == b"char":
        return np.array(["".join(chr(letter) for letter in values.ravel())])
    return values


def cells(array: np.ndarray, source: str) -> list[np.ndarray]:
    """The cells of a cell array; an empty one has lost its type."""
    if array.dtype != object and array.size:
        raise FacedetError(f"{source} is {array.dtype}, not a cell array")
    cells = list(array.ravel())
    if not all(isinstance(cell, np.ndarray) for cell in cells):
        raise FacedetError(f"{source} is a struct without fields, not a cell array")
    return cells


def cell_text(cell: np.ndarray, source: str) -> str:
    """The string in a cell, of one line."""
    text = str(cell.ravel()[0]) if cell.dtype.kind == "U" and cell.size == 1 else ""
    if text.splitlines() != [text]:
        raise FacedetError(f"{source} has a name that is no text of one line")
    return text
