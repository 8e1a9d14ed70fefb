"""EXTD's LightningModule (arXiv 1906.06579)."""

from facedet.errors import UsageError
from facedet.modules.base import Batch, DetectionModule


class ExtdModule(DetectionModule):
    """EXTD: one parameter group, weight decay on everything, as released (§4)."""

    def on_train_batch_start(self, batch: Batch, batch_index: int) -> None:
        """Refuses a batch whose coarsest map is a single cell: it has no statistics."""
        count, _, height, width = batch[0].shape
        coarsest = self.net.neck.strides[-1]
        if count == 1 and max(height, width) <= coarsest:
            raise UsageError(
                f"data.batch_size=1 with crops of {height} x {width} px leaves one cell at stride "
                f"{coarsest}, too few to normalise: raise data.batch_size or augmentation.size; "
                "of an epoch's last batch, data.drop_last=true leaves it out"
            )
