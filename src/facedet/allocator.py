"""Keeps memory that a step has freed for the next step, instead of giving it back in between."""

import ctypes
import sys

# mallopt(3): which settings of glibc's malloc these are.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
_DEFAULT_MMAP_MAX, _DEFAULT_TRIM = 65536, 128 * 1024


def keep_freed_memory(keep: bool = True) -> bool:
    """Makes the process keep freed memory for its next allocations, or, with False, give it back.

    Feature maps are large, and glibc maps every large block from the kernel and unmaps it when it
    is freed: each step then faults in, page by page, zeroed memory that it just gave away, which
    takes more time than the arithmetic. The peak is the same; what was reached stays taken.

    Args:
        keep: True to keep; False for malloc's defaults, all that is free going back at once.

    Returns:
        Whether it was possible; it is not where malloc is not glibc's.
    """
    if not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None)
    if not (hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim")):
        return False
    libc.mallopt(_MMAP_MAX, 0 if keep else _DEFAULT_MMAP_MAX)
    libc.mallopt(_TRIM_THRESHOLD, -1 if keep else _DEFAULT_TRIM)
    if not keep:
        libc.malloc_trim(0)
    return True
