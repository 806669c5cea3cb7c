"""Automatic optimization: the loss of ``training_step`` becomes an update."""

import inspect
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from lit_core.data.time import detached_state
from lit_core.hooks import overrides, step_of
from lit_core.loops.groups import Part, make_parts, turns
from lit_core.loops.optimization import Manual, Optimization, StepCounter, step_end_of
from lit_core.loops.schedulers import step_schedulers
from lit_core.module import LightningModule
from lit_core.optimizers import clear_gradients, toggled
from lit_core.run import Run

_REPLACEABLE = ("optimizer_zero_grad", "optimizer_step", "backward", "configure_gradient_clipping")
_BACKWARD_EVENTS = ("on_before_zero_grad", "on_before_backward", "on_after_backward", "on_before_optimizer_step")


def make_optimization(run: Run) -> Optimization:
    """Choose, once, how batches become updates.

    Raises:
        TypeError: if ``training_step`` does not fit the optimizers.
        ValueError: if settings contradict each other.
    """
    if not run.automatic_optimization:
        return Manual(run)
    return Plain(run) if _is_plain(run) else Automatic(run)


def _is_plain(run: Run) -> bool:
    """Whether there is one optimizer, one batch per update, and nobody who listens or replaces anything."""
    module, config, optimizers = run.module, run.config, run.optimizers.configs
    return (
        run.strategy.plain
        and len(optimizers) == 1
        and not isinstance(optimizers[0].optimizer, torch.optim.LBFGS)
        and (optimizers[0].accumulate_grad_batches or config.accumulate_grad_batches) == 1
        and optimizers[0].gradient_clip_val is config.gradient_clip_val is None
        and not any(overrides(module, name, LightningModule) for name in _REPLACEABLE)
        and all(run.hooks.calls[name] is None for name in _BACKWARD_EVENTS)
        and step_end_of(module) is None
        and not (config.truncated_bptt_steps or module.truncated_bptt_steps)
        and not _takes(module, "optimizer_idx")
    )


class Plain:
    """What a bare loop does with a batch, and nothing else: training_step, zero_grad, backward, step."""

    def __init__(self, run: Run) -> None:
        self._run, self._progress = run, run.progress
        self._step = run.strategy.setup_step(run.module, step_of(run.module, "training_step"))
        config = run.optimizers.configs[0]
        self._optimizer, self._name = config.optimizer, config.name
        self._has_schedulers = any(s.interval == "step" for s in run.optimizers.schedulers)
        self._note_times = run.times.update

    def begin_epoch(self) -> None:
        """Nothing is kept between batches."""

    def train_batch(self, batch: Any, batch_idx: int, weight: float) -> Any:
        """Work on one batch; returns what ``training_step`` returned."""
        begin = perf_counter()
        output = self._step(batch, batch_idx)
        loss = output if type(output) is Tensor else loss_of(output)
        forward = perf_counter()
        clear_gradients(self._optimizer)
        if loss is None:
            self._note_times(begin, forward, forward)
            return None
        (loss if weight == 1.0 else loss * weight).backward()
        backward = perf_counter()
        self._optimizer.step()
        progress = self._progress
        steps = progress.optimizer_steps  # counted here: a call of count_step for each batch can be measured
        steps[self._name] = steps.get(self._name, 0) + 1
        progress.global_step += 1
        if self._has_schedulers:
            step_schedulers(self._run, "step")
        self._note_times(begin, forward, backward)
        return output

    def finish_group(self) -> None:
        """Every batch is an update."""

    def close(self) -> None:
        """Nothing was put into the optimizer."""


class Automatic:
    """Loss in, update out: accumulation, several optimizers, clipping, schedulers.

    For each optimizer whose turn it is::

        loss = training_step                     (parameters of the other optimizers toggled off)
        zero_grad at the first batch of a group
        backward of loss / size of the group     (gradients stay local until the last batch)
        clip and step at the last batch of a group

    Where ``training_step`` returns a dict of losses by optimizer name, it runs once: each loss is differentiated with
    respect to its optimizer's parameters alone, then the optimizers step in order.
    """

    def __init__(self, run: Run) -> None:
        module, config, calls = run.module, run.config, run.hooks.calls
        self._run, self._module, self._strategy = run, module, run.strategy
        self._progress, self._hooks, self._lap = run.progress, run.hooks, run.times.lap
        self._counter = StepCounter(run)
        self._parts = make_parts(run.optimizers.configs, config)
        self._optimizers = run.optimizers.optimizers
        several = len(self._parts) > 1
        self._takes_index = _takes(module, "optimizer_idx")
        self._joint = several and not self._takes_index
        self._time_steps = config.truncated_bptt_steps or module.truncated_bptt_steps or 0
        self._step = run.strategy.setup_step(
            module,
            step_of(module, "training_step"),
            gradient_sync="backward" if several or self._time_steps else "step",
            gather_parts=step_end_of(module) is not None,
            on_part=run.collector.begin_part,
        )
        self._step_end = step_end_of(module)
        self._enter = run.collector.enter
        self._turns = turns(run.optimizers.configs, config)
        own = {name: overrides(module, name, LightningModule) for name in _REPLACEABLE}
        self._own_zero_grad = own["optimizer_zero_grad"]
        self._own_step = own["optimizer_step"]
        parameters = inspect.signature(module.optimizer_step).parameters
        self._old_step = set(parameters) if "optimizer_idx" in parameters else set()
        """Parameters of an ``optimizer_step`` as PyTorch Lightning 1.0 calls it."""
        self._backward = module.backward if own["backward"] else run.strategy.backward
        self._optimizer_step = run.strategy.precision.optimizer_step
        self._own_clipping = own["configure_gradient_clipping"]
        self._heard = {name for name in _BACKWARD_EVENTS if calls[name] is not None}
        self._has_step_schedulers = any(s.interval == "step" for s in run.optimizers.schedulers)
        self._counts = [run.progress.optimizer_steps.get(part.name, 0) for part in self._parts]
        """Steps of each optimizer when the schedulers last looked."""
        self._refuse_contradictions(own)

    def _refuse_contradictions(self, own: dict[str, bool]) -> None:
        accumulates = any(part.accumulates for part in self._parts)
        if self._time_steps and (accumulates or self._joint or self._own_step):
            raise ValueError(
                f"truncated_bptt_steps={self._time_steps} steps after every split of a batch: it goes "
                "together neither with accumulate_grad_batches, nor with losses by optimizer name, nor with an "
                "optimizer_step of your own."
            )
        if self._time_steps and not _takes(self._module, "hiddens"):
            raise TypeError(
                f"truncated_bptt_steps={self._time_steps}: training_step must take hiddens, the state that the split "
                "before returned under the key 'hiddens' (training_step(self, batch, batch_idx, hiddens))."
            )
        replaced = [name for name in ("optimizer_step", "backward") if own[name]]
        lbfgs = any(isinstance(o, torch.optim.LBFGS) for o in self._optimizers)
        if self._joint and (replaced or lbfgs):
            raise TypeError(
                f"{type(self._module).__name__} has several optimizers and a training_step without optimizer_idx, "
                f"which returns all losses at once; {'LBFGS' if lbfgs else ' and '.join(replaced)} needs a step that "
                "takes optimizer_idx, or manual optimization (self.automatic_optimization = False)."
            )

    def begin_epoch(self) -> None:
        """Groups begin with the epoch; one that a checkpoint cut in two goes on."""
        for part in self._parts:
            part.begin_epoch(self._progress.epoch, self._progress.batch, self._run.num_batches)

    def train_batch(self, batch: Any, batch_idx: int, weight: float) -> Any:
        """Work on one batch; returns what ``training_step`` returned (a list, with several optimizers)."""
        self._lap("data")
        counter = self._counter
        steps_before = counter.steps
        for part in self._parts:
            part.place(batch_idx, self._run.num_batches)
        if self._time_steps:
            output = self._all_splits(batch, batch_idx, weight)
        elif self._joint:
            output = self._joint_turn(batch, batch_idx, weight)
        else:
            output = self._all_turns(batch, batch_idx, weight)
        if counter.steps != steps_before:
            self._count_update()
        self._lap("optimizer")
        return output

    def _all_splits(self, batch: Any, batch_idx: int, weight: float) -> list[Any]:
        """Truncated backpropagation through time: an update after each split, hidden states go on without graph."""
        outputs, hiddens = [], None
        for split in self._module.tbptt_split_batch(batch, self._time_steps):
            output = self._all_turns(split, batch_idx, weight, hiddens=hiddens)
            hiddens = detached_state(output[-1] if isinstance(output, list) else output)
            outputs.append(output)
        return outputs

    def _all_turns(self, batch: Any, batch_idx: int, weight: float, **more: Any) -> Any:
        """Every optimizer whose turn it is, with the parameters of the others toggled off; or no optimizer at all."""
        if not self._parts:
            return self._step(batch, batch_idx)
        if len(self._parts) == 1:
            return self._turn(self._parts[0], batch, batch_idx, weight, more)
        outputs = []
        for index in self._turns[self._progress.batches % len(self._turns)]:
            part = self._parts[index]
            with toggled(part.optimizer, self._optimizers):
                outputs.append(self._turn(part, batch, batch_idx, weight, more))
        return outputs

    def _turn(self, part: Part, batch: Any, batch_idx: int, weight: float, more: dict[str, Any]) -> Any:
        """One optimizer's part in a batch."""
        if part.last and (self._own_step or isinstance(part.optimizer, torch.optim.LBFGS)):
            return self._turn_with_closure(part, batch, batch_idx, weight, more)
        if not part.last:
            with self._strategy.no_sync():
                return self._forward_backward(part, batch, batch_idx, weight, more)[0]
        output, _ = self._forward_backward(part, batch, batch_idx, weight, more)
        self._step_part(part)
        return output

    def _turn_with_closure(self, part: Part, batch: Any, batch_idx: int, weight: float, more: dict[str, Any]) -> Any:
        """The same where the optimizer, or the user's ``optimizer_step``, calls forward and backward itself."""
        output: Any = None

        def closure() -> Any:
            nonlocal output
            output, loss = self._forward_backward(part, batch, batch_idx, weight, more)
            if part.pending:
                self._before_step(part)
            return loss

        if self._own_step:
            before = self._enter("optimizer_step")
            wrapped = self._run.wrapped[part.index]
            if self._old_step:
                given: dict[str, Any] = {"optimizer_idx": part.index, "optimizer_closure": closure}
                given |= dict.fromkeys(self._old_step & {"on_tpu", "using_native_amp", "using_lbfgs"}, False)
                self._module.optimizer_step(self._progress.epoch, batch_idx, wrapped, **given)
            else:
                self._module.optimizer_step(self._progress.epoch, batch_idx, wrapped, closure)
            self._enter(before)
        else:
            self._optimizer_step(part.optimizer, closure)
        part.close_group()
        return output

    def _forward_backward(
        self, part: Part, batch: Any, batch_idx: int, weight: float, more: dict[str, Any]
    ) -> tuple[Any, Any]:
        """Returns what ``training_step`` returned, and the loss in it."""
        self._enter("training_step")
        output = self._step(batch, batch_idx, *((part.index,) if self._takes_index else ()), **more)
        if self._step_end is not None:
            self._enter("training_step_end")
            output = self._step_end(output)
        self._lap("forward")
        loss = output if isinstance(output, Tensor) else loss_of(output)
        if part.first:
            self._zero_grad(part, batch_idx)
        if loss is None:
            return None, None
        self._run_backward(part, loss, weight / part.size)
        return output, loss

    def _joint_turn(self, batch: Any, batch_idx: int, weight: float) -> Any:
        """One forward pass, one loss per optimizer."""
        active = [self._parts[index] for index in self._turns[self._progress.batches % len(self._turns)]]
        with self._strategy.no_sync():
            self._enter("training_step")
            output = self._step(batch, batch_idx)
            if self._step_end is not None:
                self._enter("training_step_end")
                output = self._step_end(output)
            self._lap("forward")
            losses = losses_of(output, [part.name for part in self._parts])
            for part in active:
                if part.first:
                    self._zero_grad(part, batch_idx)
            due = [(part, loss) for part in active if (loss := losses.get(part.name)) is not None]
            for number, (part, loss) in enumerate(due, 1):
                inputs = [p for p in part.parameters if p.requires_grad]
                self._run_backward(part, loss, weight / part.size, inputs=inputs, retain_graph=number < len(due))
        for part in active:
            if part.last:
                self._strategy.sync_gradients(part.parameters)
                self._step_part(part)
        return output

    def _run_backward(self, part: Part, loss: Tensor, scale: float, **options: Any) -> None:
        scaled = loss if scale == 1.0 else loss * scale
        if self._heard:
            self._hooks.start("on_before_backward", scaled)
        self._backward(scaled, **options)
        part.count_backward()
        if self._heard:
            self._hooks.start("on_after_backward")
        self._lap("backward")

    def _zero_grad(self, part: Part, batch_idx: int) -> None:
        if self._heard:
            self._hooks.start("on_before_zero_grad", part.optimizer)
        if self._own_zero_grad:
            before = self._enter("optimizer_zero_grad")
            self._module.optimizer_zero_grad(self._progress.epoch, batch_idx, part.optimizer, part.index)
            self._enter(before)
        else:
            clear_gradients(part.optimizer)
        part.close_group()

    def _step_part(self, part: Part) -> None:
        if part.pending:
            self._before_step(part)
            self._optimizer_step(part.optimizer)
            part.close_group()

    def _before_step(self, part: Part) -> None:
        run = self._run
        if "on_before_optimizer_step" in self._heard:
            run.strategy.precision.unscale(part.optimizer)
            run.hooks.start("on_before_optimizer_step", part.optimizer)
        if part.clip_val is not None or self._own_clipping:
            before = self._enter("configure_gradient_clipping")
            run.module.configure_gradient_clipping(part.optimizer, part.clip_val, part.clip_algorithm)
            self._enter(before)

    def _count_update(self) -> None:
        progress = self._progress
        progress.global_step += 1
        if self._has_step_schedulers:
            counts = [progress.optimizer_steps.get(part.name, 0) for part in self._parts]
            stepped = [part.index for part in self._parts if counts[part.index] != self._counts[part.index]]
            self._counts = counts
            step_schedulers(self._run, "step", stepped)

    def finish_group(self) -> None:
        """Step what an epoch shorter than announced left in an open group, weighted by the batches that came."""
        if not any(part.accumulates and part.pending for part in self._parts) or self._run.finished():
            return
        steps_before = self._counter.steps
        for part in self._parts:
            if part.pending:
                came = part.came(self._progress.batch, self._run.num_batches)
                part.scale_gradients(part.size / came)
                self._step_part(part)
        if self._counter.steps != steps_before:
            self._count_update()

    def close(self) -> None:
        """Leave the optimizers."""
        self._counter.close()


def loss_of(output: Any) -> Tensor | None:
    """The loss in what ``training_step`` returned.

    Raises:
        TypeError: if there is none, saying what was got.
    """
    loss = output.get("loss", output) if isinstance(output, dict) else output
    if loss is None or isinstance(loss, Tensor):
        return loss
    got = f"a dict with the keys {sorted(map(str, output))}" if isinstance(output, dict) else type(output).__name__
    raise TypeError(f"training_step returns the loss (a tensor), a dict with the key 'loss', or None; got {got}.")


def losses_of(output: Any, names: Sequence[str]) -> dict[str, Tensor | None]:
    """The losses by optimizer name in what ``training_step`` returned; none for an optimizer that shall not step.

    Raises:
        TypeError: if there are none, saying what was got.
    """
    if output is None:
        return {}
    losses = {name: output[name] for name in names if name in output} if isinstance(output, dict) else {}
    if not losses or not all(loss is None or isinstance(loss, Tensor) for loss in losses.values()):
        got = f"a dict with the keys {sorted(map(str, output))}" if isinstance(output, dict) else type(output).__name__
        raise TypeError(
            f"With the optimizers {', '.join(names)}, training_step returns a dict of losses by optimizer name, or "
            f"takes optimizer_idx and returns that optimizer's loss; got {got}. Name optimizers in "
            'configure_optimizers ({"optimizer": ..., "name": ...}), or set self.automatic_optimization = False and '
            "step them yourself."
        )
    return losses


def _takes(module: LightningModule, name: str) -> bool:
    """Whether ``training_step`` has a parameter of this name."""
    step: Callable[..., Any] = module.training_step
    return name in inspect.signature(step).parameters
