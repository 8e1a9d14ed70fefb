"""Keeps memory that a step has freed for the next step, instead of giving it back in between."""

import ctypes
import sys

# mallopt(3): which settings of glibc's malloc these are.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4


class _Mallinfo2(ctypes.Structure):
    """mallinfo(3): what malloc has and what of it is free, in bytes."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd",
            "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
        )
    ]  # fmt: skip


def keep_freed_memory() -> bool:
    """Makes the process keep freed memory for its next allocations.

    Feature maps are large, and glibc maps every large block from the kernel and unmaps it when it
    is freed: each step then faults in, page by page, zeroed memory that it just gave away, which
    takes more time than the arithmetic. With feature maps of one size the peak is the same; with
    ever other sizes the holes between them add up, see `give_back_above`.

    Returns:
        Whether it was possible; it is not where malloc is not glibc's.
    """
    libc = _glibc()
    if libc is None:
        return False
    libc.mallopt(_MMAP_MAX, 0)
    libc.mallopt(_TRIM_THRESHOLD, -1)
    return True


def give_back_above(limit: int = 2 * 1024**3) -> bool:
    """Gives all freed memory back once malloc keeps more than `limit` bytes of it.

    To be called between pictures: kept memory of pictures of many sizes grows without end, for a
    large map seldom fits into the holes that smaller ones left.

    Returns:
        Whether memory was given back.
    """
    libc = _glibc()
    if libc is None:
        return False
    libc.mallinfo2.restype = _Mallinfo2
    return libc.mallinfo2().fordblks > limit and bool(libc.malloc_trim(0))


def _glibc() -> ctypes.CDLL | None:
    """The C library, where it is a glibc of at least 2.33."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "mallinfo2") and hasattr(libc, "malloc_trim") else None
