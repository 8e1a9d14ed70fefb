"""Single pictures: of a file, of a URL, from standard input."""

import io
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPException

from facedet.data.images import decode_image, read_image
from facedet.errors import FacedetError
from facedet.inference.sources.frames import Frame, Source
from facedet.inference.sources.videos import VideoSource

STDIN = "-"
_URL_BYTES = 100_000_000
_URL_SECONDS = 30.0
_CHUNK_BYTES = 1 << 16
# What a server calls a video or a camera: multipart pictures, and playlists of pieces.
_VIDEO_TYPES = ("video/", "multipart/", "application/vnd.apple.mpegurl", "application/x-mpegurl")


@dataclass(frozen=True)
class PictureSource(Source):
    """A picture that can be read; a URL may turn out to be a video."""

    def frames(self) -> Iterator[Frame]:
        """The one picture, or the frames of a URL that its server calls a video.

        Raises:
            FacedetError: it cannot be read; names it.
        """
        if self.path is not None:
            image = read_image(self.path)
        else:
            data = sys.stdin.buffer.read() if self.name == STDIN else _fetch(self.name)
            if data is None:
                yield from VideoSource(self.name, self.stem, None).frames()
                return
            if not data:
                raise FacedetError(f"{self.name}: nothing arrived")
            image = decode_image(io.BytesIO(data), self.name)
        yield Frame(image.rgb, self, image.note)


def _fetch(url: str) -> bytes | None:
    """What the URL answers, within the limits of size and time; None: a video."""
    end = time.monotonic() + _URL_SECONDS
    data = bytearray()
    request = urllib.request.Request(url, headers={"User-Agent": "facedet"})
    try:
        with _opener().open(request, timeout=_URL_SECONDS) as answer:
            if answer.headers.get_content_type().startswith(_VIDEO_TYPES):
                return None
            while chunk := answer.read(_CHUNK_BYTES):
                data += chunk
                if len(data) > _URL_BYTES:
                    raise FacedetError(f"{url}: more than {_URL_BYTES / 1e6:.0f} MB")
                if time.monotonic() > end:
                    raise FacedetError(f"{url}: took longer than {_URL_SECONDS:.0f} s")
    except (OSError, HTTPException, ValueError) as error:
        raise FacedetError(
            f"{url} cannot be fetched ({getattr(error, 'reason', error)})"
        ) from error
    return bytes(data)


def _opener() -> urllib.request.OpenerDirector:
    """Speaks http and https only: a redirect leads to no file and no other scheme."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler, urllib.request.HTTPHandler, urllib.request.HTTPSHandler,
        urllib.request.HTTPRedirectHandler, urllib.request.HTTPErrorProcessor,
        urllib.request.HTTPDefaultErrorHandler, urllib.request.UnknownHandler,
    ):  # fmt: skip
        opener.add_handler(handler())
    return opener
