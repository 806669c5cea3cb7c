"""LightningDataModule: where the data comes from, in one object that can be shared and swapped."""

from typing import Any

import torch

from lit_core.hparams import HasHParams


class LightningDataModule(HasHParams):
    """Everything about data: fetch it once, set it up in each process, give loaders.

    Example:
        >>> import torch
        >>> from torch.utils.data import DataLoader, TensorDataset
        >>> from lit_core import LightningDataModule
        >>> class Noise(LightningDataModule):
        ...     def __init__(self, batch_size: int = 4):
        ...         super().__init__()
        ...         self.save_hyperparameters()
        ...
        ...     def setup(self, stage):
        ...         self.data = TensorDataset(torch.randn(8, 2))
        ...
        ...     def train_dataloader(self):
        ...         return DataLoader(self.data, batch_size=self.hparams.batch_size, shuffle=True)
        >>> Noise(batch_size=2).hparams
        {'batch_size': 2}
    """

    def prepare_data(self) -> None:
        """Download, tokenize, write to disk; keep no state here.

        Called in one process per node, before :meth:`setup`.
        """

    def setup(self, stage: str) -> None:
        """Build datasets; called in every process.

        Args:
            stage: ``"fit"``, ``"validate"``, ``"test"`` or ``"predict"``.
        """

    def train_dataloader(self) -> Any:
        """Loader of the training batches."""
        raise NotImplementedError

    def val_dataloader(self) -> Any:
        """Loader, or list of loaders, of the validation batches."""
        raise NotImplementedError

    def test_dataloader(self) -> Any:
        """Loader, or list of loaders, of the test batches."""
        raise NotImplementedError

    def predict_dataloader(self) -> Any:
        """Loader, or list of loaders, of the batches to predict."""
        raise NotImplementedError

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Change a batch where it was loaded."""
        return batch

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Move a batch; needed only for objects that are neither tensors nor containers of them."""
        raise NotImplementedError

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Change a batch on its device."""
        return batch

    def teardown(self, stage: str) -> None:
        """Release what :meth:`setup` took."""

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint should hold of the data (plain values and tensors)."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore :meth:`state_dict`."""
