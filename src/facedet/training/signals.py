"""Signals as they were, after a training that has taken them over."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def signals_restored() -> Iterator[None]:
    """Gives Ctrl-C and SIGTERM back, after the block, to whoever had them before.

    Lightning's handler of SIGTERM outlives its training and does no more than take a note: what
    follows, be it another training, could not be ended.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, handler if handler is not None else signal.SIG_DFL)
