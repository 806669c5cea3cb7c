"""A DataLoader with batches of another size."""

from typing import Any

from torch.utils.data import BatchSampler, DataLoader, IterableDataset


def with_batch_size(loader: Any, size: int) -> DataLoader[Any]:
    """The same loader, but for the number of samples in a batch.

    Args:
        loader: a ``DataLoader`` whose batches were asked for by a size.
        size: samples in a batch.

    Raises:
        ValueError: for another loader, saying what to do.

    Example:
        >>> loader = DataLoader(range(6), batch_size=2, drop_last=True)
        >>> [len(batch) for batch in with_batch_size(loader, 4)]
        [4]
    """
    if type(loader) is not DataLoader or type(loader.batch_sampler) not in (BatchSampler, type(None)):
        kind = "a DataLoader with a batch_sampler" if type(loader) is DataLoader else f"a {type(loader).__name__}"
        raise ValueError(
            f"The batch size of {kind} cannot be changed from outside: pass a plain DataLoader(batch_size=...), or "
            "write train_dataloader with self.batch_size in the module or a datamodule."
        )
    if loader.batch_size is None:
        raise ValueError("A DataLoader with batch_size=None gives what its dataset gives: there is no size to change.")
    options: dict[str, Any] = {
        name: getattr(loader, name)
        for name in (
            "num_workers",
            "collate_fn",
            "pin_memory",
            "drop_last",
            "timeout",
            "worker_init_fn",
            "multiprocessing_context",
            "generator",
            "prefetch_factor",
            "persistent_workers",
            "in_order",
        )
        if hasattr(loader, name)
    }
    if not isinstance(loader.dataset, IterableDataset):
        options["sampler"] = loader.sampler
    return DataLoader(loader.dataset, batch_size=size, **options)
