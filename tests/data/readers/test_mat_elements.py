"""MATLAB files made by hand, sound and damaged: scipy's C code would end the process on some."""

import zlib
from struct import pack

import numpy as np
import pytest
import scipy.sparse
from scipy.io import savemat

from facedet.data.readers import mat as mat_files
from facedet.data.readers import mat_elements
from facedet.data.readers.mat import load_mat
from facedet.errors import FacedetError

# Types of elements, and classes of matrices.
INT8, UINT8, INT32, UINT32, DOUBLE, MATRIX, COMPRESSED = 1, 2, 5, 6, 9, 14, 15
CELL, STRUCT, CHAR, SPARSE, FULL, OPAQUE = 1, 2, 4, 5, 6, 17
COMPLEX = 0x800


def element(kind, data, order="<", size=None):
    """A tag and data, filled up to eight bytes; `size` is what the tag says instead."""
    size = len(data) if size is None else size
    return pack(f"{order}II", kind, size) + data + bytes(-len(data) % 8)


def small(kind, data, order="<"):
    """Data in the tag itself: size and type share a word."""
    return pack(f"{order}I", len(data) << 16 | kind) + data.ljust(4, b"\0")


def matrix(flags, dims, *parts, name=b"", order="<"):
    head = element(UINT32, pack(f"{order}II", flags, 0), order)
    sizes = element(INT32, pack(f"{order}{len(dims)}i", *dims), order)
    body = b"".join([head, sizes, element(INT8, name, order), *parts])
    return element(MATRIX, body, order)


def doubles(*values, order="<"):
    return element(DOUBLE, pack(f"{order}{len(values)}d", *values), order)


def write(path, *elements, order="<"):
    mark = pack(f"{order}H", 0x0100) + (b"IM" if order == "<" else b"MI")
    path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(124) + mark + b"".join(elements))
    return path


def everything(order="<"):
    """A struct of a text, of cells with a matrix, a complex one and none, and of small numbers."""
    text = matrix(CHAR, (1, 3), small(UINT8, b"abc", order), order=order)
    numbers = matrix(FULL, (2, 1), doubles(1, 2, order=order), order=order)
    pair = [doubles(3, order=order), doubles(4, order=order)]
    cell = [
        numbers,
        matrix(FULL | COMPLEX, (1, 1), *pair, order=order),
        element(MATRIX, b"", order),
    ]
    few = matrix(FULL, (1, 3), small(INT8, b"\x05\x06\xff", order), order=order)
    length = small(INT32, pack(f"{order}i", 4), order)
    names = element(INT8, b"txt\0cel\0few\0", order)
    fields = [text, matrix(CELL, (1, 3), *cell, order=order), few]
    return matrix(STRUCT, (1, 1), length, names, *fields, name=b"a", order=order)


@pytest.mark.parametrize("order", ["<", ">"])
def test_sound_files_of_either_byte_order(tmp_path, order):
    plain = write(tmp_path / "plain.mat", everything(order), order=order)
    stream = pack(f"{order}II", COMPRESSED, len(zlib.compress(everything(order))))
    packed = stream + zlib.compress(everything(order))
    for path in (plain, write(tmp_path / "packed.mat", packed, order=order)):
        item = load_mat(path, ["a"])["a"][0, 0]
        assert item["txt"].tolist() == ["abc"]
        first, second, third = item["cel"].ravel()
        assert (first.tolist(), second.tolist(), third.size) == ([[1], [2]], [[3 + 4j]], 0)
        assert item["few"].tolist() == [[5, 6, -1]]


def number(data):
    return matrix(FULL, (1, 1), data, name=b"a")


def struct(length, names=b"x\0", dims=(1, 1)):
    return matrix(STRUCT, dims, small(INT32, length), element(INT8, names), NUMBER, name=b"a")


NUMBER = number(doubles(1))


DAMAGES = [
    # scipy looks these types up beside its table.
    (number(element(25, bytes(8))), "a: byte 56 is an element of type 25,"),
    (number(element(2**15, bytes(8))), "an element of type 32,768"),
    (number(element(MATRIX, bytes(8))), "an element of type 14"),
    (matrix(CHAR, (1, 8), element(DOUBLE, bytes(8)), name=b"a"), "an element of type 9"),
    (matrix(CELL, (1, 1), doubles(1), name=b"a"), "type 9, 1 matrices deep"),
    # Room is made for what the sizes claim.
    (matrix(FULL, (2, 1), doubles(1), name=b"a"), "byte 56 holds 8 bytes for 2 numbers"),
    (matrix(FULL | COMPLEX, (1, 1), doubles(1), name=b"a"), "a tag is cut off at byte 72"),
    (matrix(CHAR, (1, 2**30), element(UINT8, b""), name=b"a"), "[1, 1073741824], with 0 bytes"),
    (matrix(CHAR, (2**30, 0), element(UINT8, b""), name=b"a"), "array of [1073741824, 0]"),
    (matrix(CELL, (2**16, 2**16), NUMBER, name=b"a"), "a tag is cut off at byte 128"),
    (matrix(FULL, (-1, -1), doubles(1), name=b"a"), "begins an array of [-1, -1]"),
    (struct(b"\2\0\0\0", b"", (1, 2**30)), "array of [1, 1073741824], with 0 bytes"),
    (matrix(FULL, (1,), doubles(1), name=b"a"), "byte 24 is no list of dimensions"),
    (matrix(FULL, (1,) * 33, doubles(1), name=b"a"), "byte 24 is no list of dimensions"),
    (matrix(CELL, (3, 1), NUMBER, NUMBER, name=b"a"), "a tag is cut off at byte 200"),
    (matrix(CELL, (1, 1), NUMBER, NUMBER, name=b"a"), "matrix at byte 0 is not as long as its"),
    # Lengths that lead astray.
    (element(MATRIX, NUMBER[8:], size=2**32 - 1), "4,294,967,295 bytes follow, 64 do"),
    (NUMBER[:-8], "byte 128 says that 64 bytes follow, 56 do"),
    (NUMBER + b"abc", "a tag is cut off at byte 200"),
    (matrix(FULL, (1, 1), small(INT8, b"abcde")[:8], name=b"a"), "5 bytes lie in a tag"),
    (matrix(FULL, (1, 5), element(INT8, b"abcde")[:-3], name=b"a"), "at byte 64 are cut off"),
    (element(DOUBLE, bytes(8)), "byte 128 begins no matrix"),
    (NUMBER + NUMBER, "it holds a twice"),
    # What nobody reads, and scipy does not check.
    (element(MATRIX, element(UINT32, bytes(16)) + NUMBER[24:]), "byte 8 is no array flags"),
    (matrix(SPARSE, (1, 1), doubles(1), name=b"a"), "full matrix, but class 5"),
    (matrix(99, (1, 1), doubles(1), name=b"a"), "full matrix, but class 99"),
    (struct(b"\0\0\0\0"), "byte 56 is no length of field names"),
    (struct(b"\4\0\0\0"), "byte 56 is no length of field names"),
    (struct(b"\2"), "byte 56 is no length of field names"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "message"), DAMAGES, ids=[message for _, message in DAMAGES])
def test_damaged_structure(tmp_path, content, message):
    path = write(tmp_path / "x.mat", content)
    with pytest.raises(FacedetError, match=r"x\.mat cannot be read as a MATLAB file") as caught:
        load_mat(path, ["a"])
    assert message in str(caught.value)


def test_matrices_of_any_depth_would_fill_the_stack(tmp_path):
    content = NUMBER
    for _ in range(100_000 // 64):
        content = matrix(CELL, (1, 1), content, name=b"a")
    with pytest.raises(FacedetError, match="type 14, 33 matrices deep"):
        load_mat(write(tmp_path / "x.mat", content), ["a"])


def test_damaged_streams(tmp_path, monkeypatch):
    stream = bytearray(zlib.compress(NUMBER))
    whole = element(COMPRESSED, bytes(stream))[: 8 + len(stream)]
    assert load_mat(write(tmp_path / "x.mat", whole), ["a"])["a"] == 1
    short = element(COMPRESSED, bytes(stream[:-1]))[: 7 + len(stream)]
    stream[-1] ^= 1
    for content, message in (
        (element(COMPRESSED, bytes(stream))[: 8 + len(stream)], "incorrect data check"),
        (short, "the stream at byte 128 is not as long as its tag says"),
        (element(COMPRESSED, zlib.compress(NUMBER) + bytes(8)), "not as long as its tag says"),
        (element(COMPRESSED, zlib.compress(NUMBER + bytes(8))), "byte 128 begins no matrix"),
    ):
        # Even where it is not the one that is wanted.
        for wanted in (["a"], []):
            with pytest.raises(FacedetError, match=r"x\.mat cannot be read") as caught:
                load_mat(write(tmp_path / "x.mat", content), wanted)
            assert message in str(caught.value)
    monkeypatch.setattr(mat_elements, "MOST", 2 * len(NUMBER) - 1)
    with pytest.raises(FacedetError, match=r"x\.mat .* unpacks to more than 143 bytes"):
        load_mat(write(tmp_path / "x.mat", whole + whole), ["b"])


def test_files_that_are_too_large(tmp_path, monkeypatch):
    path = write(tmp_path / "x.mat", NUMBER)
    monkeypatch.setattr(mat_files, "MOST", len(NUMBER))
    assert load_mat(path, ["a"])["a"] == 1
    monkeypatch.setattr(mat_files, "MOST", len(NUMBER) - 1)
    with pytest.raises(FacedetError, match=r"x\.mat .*: it is larger than 71 bytes"):
        load_mat(path, ["a"])


def test_empty_arrays_may_be_wide(tmp_path):
    path = tmp_path / "x.mat"
    savemat(path, {"a": np.zeros((0, 1000)), "b": np.zeros((1000, 0), dtype=object), "c": ""})
    content = load_mat(path, ["a", "b", "c"])
    assert [content[key].shape for key in "ab"] == [(0, 1000), (1000, 0)]
    assert content["c"].size == 0


def test_other_variables_may_be_anything(tmp_path):
    path = tmp_path / "x.mat"
    # An object that only MATLAB knows says no dimensions.
    flags = element(UINT32, pack("<II", OPAQUE, 0))
    body = flags + b"".join(element(INT8, text) for text in (b"o", b"MCOS", b"string"))
    assert load_mat(write(path, element(MATRIX, body), NUMBER), ["a"])["a"] == 1
    with pytest.raises(FacedetError, match="o: byte 0 begins no cell, .* but class 17"):
        load_mat(path, ["o"])
    savemat(path, {"s": scipy.sparse.eye_array(1000, format="csc"), "a": np.eye(2)})
    assert load_mat(path, ["a"])["a"].tolist() == [[1, 0], [0, 1]]
    with pytest.raises(FacedetError, match="s: byte 0 begins no cell, .* but class 5"):
        load_mat(path, ["s"])


def test_other_versions_and_other_files(tmp_path):
    path = tmp_path / "x.mat"
    savemat(path, {"a": np.eye(2)}, format="4")
    old = path.read_bytes()
    for content in (old, b"", b"MATLAB 5.0", bytes(4096), b"MATLAB".ljust(124) + b"\x03\x00MI"):
        path.write_bytes(content)
        with pytest.raises(FacedetError, match=r"x\.mat .*are not those of versions 5 to 7\.3"):
            load_mat(path, ["a"])


@pytest.mark.parametrize("is_packed", [False, True])
def test_every_cut_is_refused_and_no_byte_ends_the_process(tmp_path, is_packed):
    path = tmp_path / "x.mat"
    item = np.empty((1, 1), dtype=[("imgname", object), ("objects", object)])
    item[0, 0] = ("a.jpg", np.arange(4.0))
    savemat(path, {"a": item}, do_compression=is_packed)
    data = path.read_bytes()
    for size in range(len(data)):
        path.write_bytes(data[:size])
        with pytest.raises(FacedetError, match=r"x\.mat"):
            load_mat(path, ["a"])
    for at in range(124, len(data)):
        for value in (0, 255, data[at] ^ 1):
            path.write_bytes(data[:at] + bytes([value]) + data[at + 1 :])
            try:
                load_mat(path, ["a"])
            except FacedetError as error:
                said = str(error)
                assert f"{path} " in said, said
                assert len(said.splitlines()) == 1, said
