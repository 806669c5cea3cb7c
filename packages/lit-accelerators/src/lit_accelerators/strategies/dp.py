"""One process per node, which splits each batch over its devices."""

import functools
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from torch import Tensor, nn

from lit_accelerators.devices.base import Accelerator
from lit_accelerators.devices.cpu import CPUAccelerator
from lit_accelerators.environments.base import ClusterEnvironment
from lit_accelerators.precision.base import Precision
from lit_accelerators.strategies._parts import split_step
from lit_accelerators.strategies._whole_strategy import WholeStrategy
from lit_accelerators.strategies.base import GradientSync, Strategy
from lit_accelerators.strategies.ddp import DDPStrategy
from lit_accelerators.strategies.single_device import SingleDeviceStrategy


class DPStrategy(WholeStrategy):
    """``"dp"``: each batch is split over the devices of one process. ``"ddp2"``: so in each node, averaged between.

    The module lives on the first device and is copied to the others for each step; gradients flow back to it. Nothing
    is started, so this is the simplest way to use several GPUs, and a slow one: the first device does more than the
    others, and one Python thread feeds all of them. On the CPU the parts run one after the other: the same numbers, to
    try the code.

    Scalars that a step returns (the loss) are averaged over the parts, weighted by their sizes; tensors with one row
    per sample are concatenated. A step whose batch is split must not call backward itself.

    Args:
        accelerator: the kind of device; the CPU by default.
        indices: of the devices of this process; a batch is split into as many parts.
        precision: 32-true by default.
        environment: where the rank comes from; one process per node.
        num_nodes: nodes in the run.
        between_nodes: whether gradients are averaged between the processes of several nodes (``"ddp2"``).
        ddp_options: arguments of :class:`DDPStrategy`, with ``between_nodes``.

    Raises:
        ValueError: for several nodes without ``between_nodes``.

    Example:
        >>> import torch
        >>> strategy = DPStrategy(indices=[0, 1])
        >>> model = strategy.setup_module(torch.nn.Linear(2, 1))
        >>> step = strategy.setup_step(model, lambda batch: batch.mean())
        >>> step(torch.tensor([1.0, 2.0, 6.0]))
        tensor(3.)

    See Goyal et al., "Accurate, Large Minibatch SGD" (2017), on what a larger batch asks of the learning rate.
    """

    one_process_per_node = True

    def __init__(
        self,
        accelerator: Accelerator | None = None,
        indices: Sequence[int] = (0,),
        precision: Precision | None = None,
        environment: ClusterEnvironment | None = None,
        *,
        num_nodes: int = 1,
        between_nodes: bool = False,
        **ddp_options: Any,
    ) -> None:
        if num_nodes > 1 and not between_nodes:
            raise ValueError(
                f"strategy='dp' is for one process, but num_nodes={num_nodes}. Write strategy='ddp2', or 'ddp'."
            )
        if ddp_options and not between_nodes:
            raise TypeError(f"strategy='dp' takes no {', '.join(ddp_options)}: those are options of 'ddp2'.")
        self.name = "ddp2" if between_nodes else "dp"
        accelerator = CPUAccelerator() if accelerator is None else accelerator
        inner: Strategy = (
            DDPStrategy(accelerator, indices[:1], precision, environment, num_nodes=num_nodes, **ddp_options)
            if between_nodes
            else SingleDeviceStrategy(accelerator, indices[0], precision, environment)
        )
        super().__init__(accelerator, inner.precision, inner.environment, inner.launcher, inner.device)
        self.plain = inner.plain
        self._inner = inner
        self._devices = [accelerator.device(index) for index in indices]
        self._inside_step = False

    def setup_environment(self) -> None:
        """Claim the first device; with several nodes, form the process group."""
        self._inner.setup_environment()
        self.collectives = self._inner.collectives

    def setup_module(self, module: nn.Module) -> nn.Module:
        """Move ``module`` to the first device and convert it."""
        return self._inner.setup_module(module)

    def setup_step(
        self,
        module: nn.Module,
        step: Callable[..., Any],
        *,
        gradient_sync: GradientSync | None = "step",
        gather_parts: bool = False,
        on_part: Callable[[float], None] | None = None,
    ) -> Callable[..., Any]:
        """Return ``step`` as one that splits its batch."""
        by_parts = split_step(module, step, self._devices, gather=gather_parts, on_part=on_part)

        @functools.wraps(step)
        def watched(*args: Any, **kwargs: Any) -> Any:
            self._inside_step = True
            try:
                return by_parts(*args, **kwargs)
            finally:
                self._inside_step = False

        return self._inner.setup_step(
            module, by_parts if gradient_sync is None else watched, gradient_sync=gradient_sync
        )

    def evaluation(self, module: nn.Module) -> AbstractContextManager[None]:
        """Do nothing: every process holds the whole module."""
        return self._inner.evaluation(module)

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Run the backward pass, through all parts.

        Raises:
            RuntimeError: inside a step, which sees one part of the batch only.
        """
        if self._inside_step:
            raise RuntimeError(
                f"strategy={self.name!r} splits each batch, so a training step that calls backward would update the "
                "module once per part. Return the loss (automatic optimization), or write strategy='ddp'."
            )
        self._inner.backward(loss, *args, **kwargs)

    def no_sync(self) -> AbstractContextManager[None]:
        """Inside, gradients stay in this process."""
        return self._inner.no_sync()

    def sync_gradients(self, parameters: Sequence[Tensor]) -> None:
        """Average gradients between nodes."""
        self._inner.sync_gradients(parameters)

    def teardown(self) -> None:
        """Leave the process group, if there is one."""
        self._inner.teardown()
        self.collectives = self._inner.collectives
