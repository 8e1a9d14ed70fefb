"""The elements of a MATLAB file of version 5 to 7, checked before scipy's C code reads them.

scipy believes what a file says of itself: an unknown type makes it read beside its tables, which
ends the process, and a damaged length or size asks for any amount of memory. The layout is that of
MathWorks' "MAT-File Format": tags of a type and a length, nested in matrices, each of which may be
one zlib stream.
"""

import math
import zlib
from collections.abc import Collection, Iterator
from struct import Struct
from typing import NamedTuple

HEADER = 128  # bytes: a text, then the version and the mark of the byte order
MOST = 2**28  # bytes of a file, and of all that its streams hold; WIDER FACE's hold 10 million

_INT8, _INT32, _UINT32, _MATRIX, _COMPRESSED, _UTF8 = 1, 5, 6, 14, 15, 16
_ITEM_BYTES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8}
_LETTERS = (1, 2, 4, 16, 17, 18)
_CELL, _STRUCT, _CHAR, _OPAQUE, _NUMBERS = 1, 2, 4, 17, range(6, 16)
_COMPLEX = 0x800
_DEEPEST = 32  # the layouts that are read nest four deep
_EMPTY = 64  # the largest text or struct array without data


class _Header(NamedTuple):
    """What a matrix says before its contents."""

    kind: int  # MATLAB's class: cell, struct, char, double ...
    is_complex: bool
    dims: tuple[int, ...]  # empty for an opaque object, which says none
    name: str
    at: int  # where the contents begin


def checked_mat5(content: bytes, variables: Collection[str]) -> bytes:
    """Checks every stream and the structure of some variables.

    Numbers that were damaged in a file without compression cannot be told from others.

    Args:
        content: a whole file of version 5 to 7.
        variables: names of those that will be read. They may be cells, structs, texts and full
            matrices, to any depth.

    Returns:
        A file of those variables alone, without compression, whose every tag is true.

    Raises:
        ValueError, zlib.error: the file is damaged, or a variable is something else; says where.
    """
    order = "<" if content[126:128] == b"IM" else ">"
    if content[126:128] not in (b"IM", b"MI") or content[125 if order == "<" else 124] != 1:
        raise ValueError("its first bytes are not those of versions 5 to 7.3")
    parts = {}
    for body in _bodies(content, order):
        elements = _Elements(body, order)
        header = elements.header(8, len(body))
        if header.name in parts:
            raise ValueError(f"it holds {header.name} twice")
        if header.name in variables:
            try:
                elements.check(0, len(body))
            except ValueError as error:
                raise ValueError(f"{header.name}: {error}") from error
            parts[header.name] = body
    return b"".join([b"MATLAB 5.0 MAT-file".ljust(124), content[124:HEADER], *parts.values()])


def _bodies(content: bytes, order: str) -> Iterator[bytes]:
    """The matrices of a file, tags and all, unpacked."""
    elements, at, left = _Elements(content, order), HEADER, MOST
    while at < len(content):
        kind, start, stop = elements.full_tag(at, len(content))
        body = content[at:stop]
        if kind == _COMPRESSED:
            stream = zlib.decompressobj()  # compares the checksum when it comes to the end
            body = stream.decompress(content[start:stop], left + 1)
            left -= len(body)
            if left < 0:
                raise ValueError(f"it unpacks to more than {MOST:,} bytes")
            if not stream.eof or stream.unused_data:
                raise ValueError(f"the stream at byte {at:,} is not as long as its tag says")
        if _Elements(body, order).full_tag(0, len(body))[::2] != (_MATRIX, len(body)):
            raise ValueError(f"byte {at:,} begins no matrix")
        yield body
        at = stop


class _Elements:
    """Reads tags; places are bytes from the start of `content`.

    Args:
        content: a file, or a matrix with its tag.
        order: "<" or ">", as for `struct`.
    """

    def __init__(self, content: bytes, order: str) -> None:
        self.content = content
        self.words = Struct(f"{order}II").unpack_from
        self.order = order

    def full_tag(self, at: int, end: int) -> tuple[int, int, int]:
        """Type, and where the data begin and stop, of an element that may be long."""
        if at + 8 > end:
            raise ValueError(f"a tag is cut off at byte {at:,}")
        kind, size = self.words(self.content, at)
        if at + 8 + size > end:
            raise ValueError(f"byte {at:,} says that {size:,} bytes follow, {end - at - 8:,} do")
        return kind, at + 8, at + 8 + size

    def tag(self, at: int, end: int) -> tuple[int, int, int, int]:
        """The same, where data of up to four bytes may lie in the tag; and the next place."""
        if at + 8 > end:
            raise ValueError(f"a tag is cut off at byte {at:,}")
        first = self.words(self.content, at)[0]
        if size := first >> 16:
            if size > 4:
                raise ValueError(f"byte {at:,} says that {size:,} bytes lie in a tag")
            return first & 0xFFFF, at + 4, at + 4 + size, at + 8
        kind, start, stop = self.full_tag(at, end)
        after = stop + -(stop - start) % 8
        if after > end:
            raise ValueError(f"the data at byte {start:,} are cut off")
        return kind, start, stop, after

    def data(self, at: int, end: int, *kinds: int) -> tuple[bytes, int]:
        """An element's data and the next place, where it is of the right type."""
        kind, start, stop, after = self.tag(at, end)
        if kind not in kinds:
            raise ValueError(f"byte {at:,} is an element of type {kind:,}, not {kinds[0]}")
        return self.content[start:stop], after

    def header(self, at: int, end: int) -> _Header:
        """Reads what comes after a matrix' tag."""
        flags_data, at_dims = self.data(at, end, _UINT32)
        if len(flags_data) != 8:
            raise ValueError(f"byte {at:,} is no array flags")
        flags = self.words(flags_data)[0]
        kind, dims, at_name = flags & 0xFF, (), at_dims
        if kind != _OPAQUE:
            data, at_name = self.data(at_dims, end, _INT32, _UINT32)
            # scipy has room for 32.
            if len(data) % 4 or not 2 <= len(data) // 4 <= 32:
                raise ValueError(f"byte {at_dims:,} is no list of dimensions")
            dims = Struct(f"{self.order}{len(data) // 4}i").unpack(data)
        name, start = self.data(at_name, end, _INT8, _UTF8)
        return _Header(kind, bool(flags & _COMPLEX), dims, name.decode("latin1"), start)

    def check(self, at: int, end: int, depth: int = 0) -> int:
        """Checks a matrix with all that lies in it; returns the place after it."""
        kind, start, stop = self.full_tag(at, end)
        if kind != _MATRIX or depth > _DEEPEST:
            raise ValueError(f"byte {at:,} is an element of type {kind:,}, {depth} matrices deep")
        if start == stop:
            return stop
        header = self.header(start, stop)
        if header.kind not in (_CELL, _STRUCT, _CHAR, *_NUMBERS):
            raise ValueError(
                f"byte {at:,} begins no cell, struct, text or full matrix, but class {header.kind}"
            )
        if min(header.dims) < 0:
            raise ValueError(f"byte {at:,} begins an array of {list(header.dims)}")
        place, count = header.at, math.prod(header.dims)
        if header.kind in _NUMBERS:
            for _ in range(1 + header.is_complex):
                place = self.check_numbers(place, stop, count)
        elif header.kind == _CHAR:
            letters, place = self.data(place, stop, *_LETTERS)
            _check_room(at, header.dims, len(letters))
        else:
            fields = 1
            if header.kind == _STRUCT:
                fields, place = self.count_fields(place, stop)
                _check_room(at, header.dims, (stop - place) * fields)
            for _ in range(fields * count):
                place = self.check(place, stop, depth + 1)
        if place != stop:
            raise ValueError(f"the matrix at byte {at:,} is not as long as its tag says")
        return stop

    def check_numbers(self, at: int, end: int, count: int) -> int:
        """Checks an element of so many numbers; returns the next place."""
        data, after = self.data(at, end, *_ITEM_BYTES)
        kind = self.tag(at, end)[0]
        if len(data) != count * _ITEM_BYTES[kind]:
            raise ValueError(f"byte {at:,} holds {len(data):,} bytes for {count:,} numbers")
        return after

    def count_fields(self, at: int, end: int) -> tuple[int, int]:
        """The number of a struct's fields, and the place after their names."""
        length, at_names = self.data(at, end, _INT32)
        names, after = self.data(at_names, end, _INT8, _UTF8)
        size = int.from_bytes(length, "little" if self.order == "<" else "big")
        if len(length) != 4 or size == 0 or len(names) % size:
            raise ValueError(f"byte {at:,} is no length of field names")
        return len(names) // size, after


def _check_room(at: int, dims: tuple[int, ...], data: int) -> None:
    """Refuses an array whose dimensions claim much more than there are data.

    An empty one too: scipy makes 2,000,000,000 texts of 2,000,000,000 x 0 letters.
    """
    if math.prod(dim or 1 for dim in dims) > data + _EMPTY:
        raise ValueError(
            f"byte {at:,} begins an array of {list(dims)}, with {data:,} bytes of data"
        )
