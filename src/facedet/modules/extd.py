"""EXTD's LightningModule (arXiv 1906.06579)."""

from facedet.modules.base import DetectionModule


class ExtdModule(DetectionModule):
    """EXTD: one parameter group, weight decay on everything, as released (§4)."""
