"""From a batch to an update: automatic with one or several optimizers, or left to the user."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.optim import Optimizer

from lit_core.hooks import overrides
from lit_core.loops.schedulers import step_schedulers
from lit_core.module import LightningModule
from lit_core.optimizers import toggled
from lit_core.run import Run

_REPLACEABLE = ("optimizer_zero_grad", "optimizer_step", "backward", "configure_gradient_clipping")
_BACKWARD_EVENTS = ("on_before_zero_grad", "on_before_backward", "on_after_backward")


class Optimization(Protocol):
    """What the training loop does with a batch."""

    def begin_epoch(self) -> None:
        """A new epoch was opened."""

    def __call__(self, batch: Any, batch_idx: int, weight: float) -> Any:
        """Work on one batch; returns what the step returned."""

    def finish_group(self) -> None:
        """The epoch ended, perhaps inside an accumulation group."""

    def close(self) -> None:
        """Training is over."""


def make_optimization(run: Run) -> Optimization:
    """Choose, once, how batches become updates.

    Raises:
        TypeError: if ``training_step`` does not fit the optimizers.
        ValueError: if settings contradict manual optimization.
    """
    if not run.automatic_optimization:
        for name, unset in (("accumulate_grad_batches", 1), ("gradient_clip_val", None)):
            value = getattr(run.config, name)
            if value != unset:
                raise ValueError(
                    f"{name}={value} is for automatic optimization; in manual optimization do it in training_step "
                    "(self.clip_gradients(optimizer, ...), a step every n-th batch)."
                )
        return Manual(run)
    return Automatic(run)


class StepCounter:
    """Counts optimizer steps where they happen, in the optimizer, whoever takes them."""

    def __init__(self, run: Run) -> None:
        self._progress = run.progress
        self.steps = 0
        self._handles = [
            optimizer.register_step_post_hook(self._counter(name))
            for optimizer, name in zip(run.optimizers.optimizers, run.optimizers.names, strict=True)
        ]

    def _counter(self, name: str) -> Callable[..., None]:
        count = self._progress.count_step

        def counted(*_: Any) -> None:
            self.steps += 1
            count(name)

        return counted

    def close(self) -> None:
        """Leave the optimizers."""
        for handle in self._handles:
            handle.remove()


class Manual:
    """The user's ``training_step`` does backward and step; the clock still counts."""

    def __init__(self, run: Run) -> None:
        self._progress = run.progress
        self._counter = StepCounter(run)
        self._step = run.strategy.setup_step(run.module, run.module.training_step, gradient_sync="backward")
        self._step_end = _step_end(run.module)
        self._enter = run.collector.enter

    def begin_epoch(self) -> None:
        """Nothing is kept between batches."""

    def __call__(self, batch: Any, batch_idx: int, weight: float) -> Any:
        """Run ``training_step``; one update if any optimizer stepped in it."""
        progress, steps_before = self._progress, self._counter.steps
        self._enter("training_step")
        output = self._step(batch, batch_idx)
        if self._step_end is not None:
            self._enter("training_step_end")
            output = self._step_end(output)
        self._enter("")
        if self._counter.steps != steps_before:
            progress.global_step += 1
        return output

    def finish_group(self) -> None:
        """The user's groups are the user's."""

    def close(self) -> None:
        """Leave the optimizers."""
        self._counter.close()


class Automatic:
    """Loss in, update out: accumulation, several optimizers, clipping, schedulers.

    For each optimizer whose turn it is::

        loss = training_step                     (parameters of the other optimizers toggled off)
        zero_grad at the first batch of a group
        backward of loss / size of the group     (gradients stay local until the last batch)
        clip and step at the last batch of a group
    """

    def __init__(self, run: Run) -> None:
        module, config, calls = run.module, run.config, run.hooks.calls
        self._run, self._module, self._strategy = run, module, run.strategy
        self._progress, self._hooks = run.progress, run.hooks
        self._counter = StepCounter(run)
        self._optimizers = run.optimizers.optimizers
        several = len(self._optimizers) > 1
        self._takes_index = _takes_optimizer_idx(module, several)
        self._step = run.strategy.setup_step(
            module, module.training_step, gradient_sync="backward" if several else "step"
        )
        self._step_end = _step_end(module)
        self._enter = run.collector.enter
        self._accumulate = config.accumulate_grad_batches
        self._turns = _turns(run.optimizers.frequencies, config.accumulate_grad_batches)
        own = {name: overrides(module, name, LightningModule) for name in _REPLACEABLE}
        self._own_zero_grad = own["optimizer_zero_grad"]
        self._own_step = own["optimizer_step"]
        self._backward = module.backward if own["backward"] else run.strategy.backward
        self._optimizer_step = run.strategy.precision.optimizer_step
        self._prepares_step = (
            config.gradient_clip_val is not None
            or own["configure_gradient_clipping"]
            or calls["on_before_optimizer_step"] is not None
        )
        self._heard = {name for name in _BACKWARD_EVENTS if calls[name] is not None}
        self._has_step_schedulers = any(s.interval == "step" for s in run.optimizers.schedulers)
        self._pending = [0] * len(self._optimizers)
        """Backward passes of each optimizer since its last step."""
        self._simple = (
            len(self._optimizers) == 1
            and self._accumulate == 1
            and not (self._own_step or self._own_zero_grad or self._prepares_step or self._heard or self._step_end)
            and not self._takes_index
            and not isinstance(self._optimizers[0], torch.optim.LBFGS)
        )
        self._group_size = self._accumulate

    def begin_epoch(self) -> None:
        """Groups begin with the epoch; one that a checkpoint cut in two goes on."""
        position = 0
        if self._accumulate > 1 and self._progress.batch:
            position, size = self._place_in_group(self._progress.batch - 1)
            position = (position + 1) % size  # a group that is complete was stepped
        self._pending = [position if position and _has_gradients(o) else 0 for o in self._optimizers]

    def __call__(self, batch: Any, batch_idx: int, weight: float) -> Any:
        """Work on one batch; returns what ``training_step`` returned (a list, with several optimizers)."""
        counter = self._counter
        steps_before = counter.steps
        if self._simple:
            output = self._simple_turn(batch, batch_idx, weight)
        else:
            position, size = self._place_in_group(batch_idx) if self._accumulate > 1 else (0, 1)
            output = self._all_turns(batch, batch_idx, weight / size, position == 0, position == size - 1)
        if counter.steps != steps_before:
            self._count_update()
        return output

    def _simple_turn(self, batch: Any, batch_idx: int, scale: float) -> Any:
        """One optimizer, one batch per update, nothing replaced and nobody listening: what most training is."""
        optimizer = self._optimizers[0]
        self._enter("training_step")
        output = self._step(batch, batch_idx)
        self._enter("")
        loss = output if isinstance(output, Tensor) else _loss_of(output)
        optimizer.zero_grad()
        if loss is None:
            return None
        self._backward(loss if scale == 1.0 else loss * scale)
        self._optimizer_step(optimizer)
        return output

    def _place_in_group(self, batch_idx: int) -> tuple[int, int]:
        """Position in the accumulation group and its size; batches beyond the announced end begin new groups."""
        announced = self._run.num_batches
        index = batch_idx if batch_idx < announced else batch_idx - int(announced)
        position = index % self._accumulate
        left = announced - (index - position) if batch_idx < announced else self._accumulate
        self._group_size = int(min(self._accumulate, left))
        return position, self._group_size

    def _all_turns(self, batch: Any, batch_idx: int, scale: float, first: bool, last: bool) -> Any:
        """Every optimizer whose turn it is, with the parameters of the others toggled off; or no optimizer at all."""
        if not self._optimizers:
            self._enter("training_step")
            return self._step(batch, batch_idx)
        if len(self._optimizers) == 1:
            return self._turn(0, batch, batch_idx, scale, first, last)
        outputs = []
        for index in self._turns[self._progress.batches % len(self._turns)]:
            with toggled(self._optimizers[index], self._optimizers):
                outputs.append(self._turn(index, batch, batch_idx, scale, first, last))
        return outputs

    def _turn(self, index: int, batch: Any, batch_idx: int, scale: float, first: bool, last: bool) -> Any:
        """One optimizer's part in a batch."""
        optimizer = self._optimizers[index]
        if last and (self._own_step or isinstance(optimizer, torch.optim.LBFGS)):
            return self._turn_with_closure(index, batch, batch_idx, scale, first)
        if not last:
            with self._strategy.no_sync():
                return self._forward_backward(index, batch, batch_idx, scale, first)[0]
        output, _ = self._forward_backward(index, batch, batch_idx, scale, first)
        if self._pending[index]:
            if self._prepares_step:
                self._before_step(optimizer)
            self._optimizer_step(optimizer)
            self._pending[index] = 0
        return output

    def _turn_with_closure(self, index: int, batch: Any, batch_idx: int, scale: float, first: bool) -> Any:
        """The same where the optimizer, or the user's ``optimizer_step``, calls forward and backward itself."""
        output: Any = None

        def closure() -> Any:
            nonlocal output
            output, loss = self._forward_backward(index, batch, batch_idx, scale, first)
            if self._prepares_step and self._pending[index]:
                self._before_step(self._optimizers[index])
            return loss

        if self._own_step:
            before = self._enter("optimizer_step")
            self._module.optimizer_step(self._progress.epoch, batch_idx, self._run.wrapped[index], closure)
            self._enter(before)
        else:
            self._optimizer_step(self._optimizers[index], closure)
        self._pending[index] = 0
        return output

    def _forward_backward(self, index: int, batch: Any, batch_idx: int, scale: float, first: bool) -> tuple[Any, Any]:
        """Returns what ``training_step`` returned, and the loss in it."""
        hooks, enter = self._hooks, self._enter
        enter("training_step")
        output = self._step(batch, batch_idx, index) if self._takes_index else self._step(batch, batch_idx)
        if self._step_end is not None:
            enter("training_step_end")
            output = self._step_end(output)
        enter("")
        loss = output if isinstance(output, Tensor) else _loss_of(output)
        if first:
            self._zero_grad(index, batch_idx)
        if loss is None:
            return None, None
        scaled = loss if scale == 1.0 else loss * scale
        if self._heard:
            hooks.start("on_before_backward", scaled)
        self._backward(scaled)
        self._pending[index] += 1
        if self._heard:
            hooks.start("on_after_backward")
        return output, loss

    def _zero_grad(self, index: int, batch_idx: int) -> None:
        optimizer = self._optimizers[index]
        if self._heard:
            self._hooks.start("on_before_zero_grad", optimizer)
        if self._own_zero_grad:
            self._module.optimizer_zero_grad(self._progress.epoch, batch_idx, optimizer, index)
        else:
            optimizer.zero_grad()
        self._pending[index] = 0

    def _before_step(self, optimizer: Optimizer) -> None:
        run, config = self._run, self._run.config
        if run.hooks.calls["on_before_optimizer_step"] is not None:
            run.strategy.precision.unscale(optimizer)
            run.hooks.start("on_before_optimizer_step", optimizer)
        before = self._enter("configure_gradient_clipping")
        run.module.configure_gradient_clipping(optimizer, config.gradient_clip_val, config.gradient_clip_algorithm)
        self._enter(before)

    def _count_update(self) -> None:
        progress = self._progress
        progress.global_step += 1
        if self._has_step_schedulers:
            step_schedulers(self._run, "step", self._turns[progress.batches % len(self._turns)])

    def finish_group(self) -> None:
        """Step what an epoch shorter than announced left in an open group, weighted by the batches that came."""
        if self._accumulate == 1 or not any(self._pending) or self._run.finished():
            return
        came = self._place_in_group(self._progress.batch - 1)[0] + 1
        steps_before = self._counter.steps
        for index, optimizer in enumerate(self._optimizers):
            if self._pending[index]:
                _scale_gradients(optimizer, self._group_size / came)
                if self._prepares_step:
                    self._before_step(optimizer)
                self._optimizer_step(optimizer)
                self._pending[index] = 0
        if self._counter.steps != steps_before:
            self._count_update()

    def close(self) -> None:
        """Leave the optimizers."""
        self._counter.close()


def _step_end(module: LightningModule) -> Callable[[Any], Any] | None:
    return module.training_step_end if overrides(module, "training_step_end", LightningModule) else None


def _takes_optimizer_idx(module: LightningModule, several: bool) -> bool:
    """Whether ``training_step`` takes ``optimizer_idx``; with several automatic optimizers it must."""
    takes = "optimizer_idx" in inspect.signature(module.training_step).parameters
    if several and not takes:
        raise TypeError(
            f"{type(module).__name__} has several optimizers: either training_step takes optimizer_idx "
            "(training_step(self, batch, batch_idx, optimizer_idx)) and returns that optimizer's loss, "
            "or set self.automatic_optimization = False in __init__ and step them yourself."
        )
    return takes


def _turns(frequencies: Sequence[int], accumulate: int) -> list[Sequence[int]]:
    """Which optimizers work in the ``i``-th batch of a cycle: all in each, or each its number of batches in turn."""
    if not any(frequencies):
        return [range(max(1, len(frequencies)))]
    if not all(frequency > 0 for frequency in frequencies):
        raise ValueError(f"Give a frequency >= 1 to every optimizer or to none, got {list(frequencies)}.")
    if accumulate > 1:
        raise ValueError(
            f"accumulate_grad_batches={accumulate} and a frequency of optimizers ({list(frequencies)}) would cut each "
            "other's batches: use one of them, or self.automatic_optimization = False."
        )
    return [(index,) for index, frequency in enumerate(frequencies) for _ in range(frequency)]


def _loss_of(output: Any) -> Tensor | None:
    loss = output.get("loss", output) if isinstance(output, dict) else output
    if loss is None or isinstance(loss, Tensor):
        return loss
    got = f"a dict with the keys {sorted(map(str, output))}" if isinstance(output, dict) else type(output).__name__
    raise TypeError(f"training_step returns the loss (a tensor), a dict with the key 'loss', or None; got {got}.")


def _has_gradients(optimizer: Optimizer) -> bool:
    return any(parameter.grad is not None for group in optimizer.param_groups for parameter in group["params"])


def _scale_gradients(optimizer: Optimizer, factor: float) -> None:
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if parameter.grad is not None:
                parameter.grad.mul_(factor)
