"""Cameras and streams: no end, the clock's time, and always the newest picture."""

import atexit
import queue
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np

from facedet.errors import FacedetError
from facedet.inference.sources.frames import Frame, Source

_TICK = Fraction(1, 90_000)  # s
_PATIENCE = 2.0  # s for the thread to end; what waits for a server longer is left to itself
_WAKE = 0.5  # s; Windows notices Ctrl-C only between two waits


@dataclass(frozen=True)
class CameraSource(Source):
    """A camera of this machine."""

    index: int  # the system's number of it

    def frames(self) -> Iterator[Frame]:
        """The newest picture each time.

        Raises:
            FacedetError: there is no such camera, or it stopped.
        """
        return newest_frames(self, self._pictures())

    def _pictures(self) -> Iterator[np.ndarray]:
        # OpenCV's warnings about what is said below are a setting of the whole process.
        level = cv2.utils.logging.getLogLevel()
        cv2.utils.logging.setLogLevel(0)
        try:
            camera = cv2.VideoCapture(self.index)
        finally:
            cv2.utils.logging.setLogLevel(level)
        count = 0
        try:
            if not camera.isOpened():
                raise FacedetError(f"{self.name}: there is none, or another program uses it")
            while True:
                is_there, bgr = camera.read()
                if not is_there:
                    raise FacedetError(f"{self.name}: stopped after {count} frames")
                count += 1
                yield cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
        finally:
            camera.release()


def newest_frames(source: Source, pictures: Iterator[np.ndarray]) -> Iterator[Frame]:
    """Frames with the time of their arrival; a slow reader gets the newest, and misses others.

    A thread takes the pictures, RGB uint8 [H, W, 3], so that neither the reader nor its pauses hold
    them up. What they raise is raised here, after the last frame.
    """
    slot: queue.Queue[Frame | Exception | None] = queue.Queue(maxsize=1)
    is_over = threading.Event()

    def take() -> None:
        start, last = time.monotonic(), None
        try:
            for index, rgb in enumerate(pictures):
                if is_over.is_set():
                    return
                pts = round((time.monotonic() - start) / _TICK)
                frame = Frame(rgb, source, "", index, pts, _TICK, total=None)
                with suppress(queue.Empty):
                    slot.get_nowait()
                slot.put(frame)
        except Exception as error:
            last = error
        slot.put(last)

    def stop() -> None:
        is_over.set()
        with suppress(queue.Empty):  # the thread may wait for the place
            slot.get_nowait()
        thread.join(_PATIENCE)

    thread = threading.Thread(target=take, daemon=True, name=source.name)
    thread.start()
    # Python ends threads of this kind in the middle, at which OpenCV aborts the program.
    atexit.register(stop)
    try:
        while True:
            try:
                item = slot.get(timeout=_WAKE)
            except queue.Empty:
                continue
            if isinstance(item, Frame):
                yield item
            elif item is not None:
                raise item
            else:
                return
    finally:
        stop()
        atexit.unregister(stop)
