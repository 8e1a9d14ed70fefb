"""Face detectors of a few hundred kilobytes, and the experiments that make them."""

__version__ = "0.1.0"
