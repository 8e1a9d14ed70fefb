"""OpenVINO and NNCF without their telemetry, which reports to Google Analytics by default."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

# Read while the packages are imported: `CI` by openvino_telemetry, which then neither sends nor
# writes an identity of the user into the home folder, and `NNCF_CI` by NNCF.
_SWITCHES = {"CI": "true", "NNCF_CI": "1"}


@contextmanager
def no_telemetry() -> Iterator[None]:
    """Imports inside it report nothing, not even that OpenVINO was imported.

    Where the user's own program imported the packages before, its choice holds.
    """
    before = {name: os.environ.get(name) for name in _SWITCHES}
    os.environ.update(_SWITCHES)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
