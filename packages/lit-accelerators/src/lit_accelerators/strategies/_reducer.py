"""Gradient averaging by torch's DistributedDataParallel, prepared at the backward pass instead of the forward pass.

``DistributedDataParallel.forward`` prepares its reducer for exactly one backward pass from its outputs. Training steps
of a LightningModule return what they like, run several backward passes or none, and freeze parameters in between. So
the forward pass runs through DistributedDataParallel (buffers are synchronised, ``torch.compile`` knows about it), and
the reducer is prepared from the loss, right before each backward pass.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from lit_accelerators.strategies._compression import CommHook


class SyncedModule:
    """A module whose gradients are averaged over the processes.

    The parameters that require gradients may change at any time, in every process alike: what was frozen and is not any
    more takes part from the next step on.

    Args:
        module: on its device; keeps its own names in ``state_dict``.
        find_unused: whether a backward pass may leave out parameters.
        options: of DistributedDataParallel.
        comm_hook: how gradients travel; None for as they are.
    """

    def __init__(
        self, module: nn.Module, *, find_unused: bool, options: Mapping[str, Any], comm_hook: CommHook | None = None
    ) -> None:
        self._module = module
        self._find_unused = find_unused
        self._options = dict(options)
        self._comm_hook = comm_hook
        self._parameters = list(module.parameters())
        self._names = {id(parameter): name for name, parameter in module.named_parameters()}
        self._trainable: list[bool] = []
        self._excluded: list[nn.Parameter] = []
        self._reducer: _Reducer | None = None
        self._build()

    def allow_unused(self) -> None:
        """From now on a backward pass may leave out parameters."""
        if not self._find_unused:
            self._find_unused = True
            self._build()

    def run(self, step: Callable[..., Any], local: bool, *args: Any, **kwargs: Any) -> Any:
        """The forward pass; ``local`` if its gradients will not be averaged."""
        if self._changed():
            self._build()
        if self._reducer is None:
            return step(*args, **kwargs)
        return self._reducer.run(step, local, *args, **kwargs)

    def prepare(self, loss: Tensor) -> None:
        """Call right before a backward pass whose gradients shall be averaged."""
        if self._changed():
            self._build()
        if self._reducer is not None:
            self._reducer.prepare(loss)

    def check(self) -> None:
        """Call right after such a backward pass.

        Raises:
            RuntimeError: if parameters got no gradient and so the average was never taken; names them.
        """
        if self._reducer is None:
            return
        missing = self._reducer.unfinished()
        if missing is None:
            return
        reduced = [p for p, trains in zip(self._parameters, self._trainable, strict=True) if trains]
        names = [self._names[id(reduced[index])] for index in missing if index < len(reduced)]
        raise RuntimeError(
            f"These parameters got no gradient in the backward pass: {', '.join(names) or 'unknown'}. So gradients "
            "were not averaged over the processes. Leave the parameters out of the model or freeze them "
            "(requires_grad_(False)) if they are not used; write strategy='ddp_find_unused_parameters_true', or "
            "find_unused_parameters=True, if they are used in some steps only."
        )

    def dispose(self) -> None:
        """Stop averaging."""
        if self._reducer is not None:
            self._reducer.dispose()
            self._reducer = None

    def _changed(self) -> bool:
        if self._find_unused:
            # What is frozen now may be left out, so only what was frozen at the start matters.
            return any(parameter.requires_grad for parameter in self._excluded)
        return [parameter.requires_grad for parameter in self._parameters] != self._trainable

    def _build(self) -> None:
        self.dispose()
        self._trainable = [parameter.requires_grad for parameter in self._parameters]
        self._excluded = [parameter for parameter in self._parameters if not parameter.requires_grad]
        if any(self._trainable):
            self._reducer = _Reducer(self._module, self._find_unused, self._options)
            if self._comm_hook is not None:
                self._reducer.register_comm_hook(*self._comm_hook)


class _AnyStep(nn.Module):
    """Calls a step of the module it holds, so that the step runs inside ``DistributedDataParallel.forward``."""

    def __init__(self, module: nn.Module, *, never_used: bool) -> None:
        super().__init__()
        self.module = module
        if never_used:
            # torch prints a warning at the first backward pass that leaves out no parameter; this one always is.
            like = next(module.parameters())
            self.idle = nn.ParameterList([like.new_zeros(1)])

    def forward(self, step: Callable[..., Any], results: list[Any], *args: Any, **kwargs: Any) -> None:
        # Not returned: DistributedDataParallel ties all tensors it gets back into one node of the graph, so that one
        # backward pass frees the graphs of all losses.
        results.append(step(*args, **kwargs))


class _Reducer(DistributedDataParallel):
    """DistributedDataParallel that is told of each backward pass; changes its own attributes only."""

    def __init__(self, module: nn.Module, find_unused: bool, options: Mapping[str, Any]) -> None:
        super().__init__(_AnyStep(module, never_used=find_unused), find_unused_parameters=find_unused, **options)
        # For ever: the forward pass must not prepare the reducer, prepare() does.
        self.require_backward_grad_sync = False

    def run(self, step: Callable[..., Any], local: bool, *args: Any, **kwargs: Any) -> Any:
        results: list[Any] = []
        try:
            self(step, results, *args, **kwargs)
            return results[0]
        finally:
            # As after a forward pass of DistributedDataParallel: buffers are sent unless the last pass was local.
            self.require_forward_param_sync = not local

    def prepare(self, loss: Tensor) -> None:
        # Once, after the first backward pass; later it returns at once.
        self.reducer._rebuild_buckets()  # noqa: SLF001 - torch offers no other way, here and below
        self.reducer.prepare_for_backward([loss] if self.find_unused_parameters else [])

    def unfinished(self) -> list[int] | None:
        """Indices of the parameters whose gradients the reducer still waits for; None if for none."""
        try:
            self.reducer._check_reducer_finalized()  # noqa: SLF001
        except RuntimeError as error:
            told = re.search(r"did not receive grad for rank \d+: ([\d ]+)", str(error))
            return [int(index) for index in told.group(1).split()] if told else []
        return None

    def dispose(self) -> None:
        self.reducer._remove_autograd_hooks()  # noqa: SLF001
        # At once and not with this object: a reducer that goes after its process group destroys the group while it
        # holds the GIL, and waits for a thread of gloo that wants the GIL to let go of a tensor (seen in torch 2.13).
        del self.logger, self.reducer, self.process_group
