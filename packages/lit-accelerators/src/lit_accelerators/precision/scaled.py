"""Mixed precision with float16: as with bfloat16, and losses scaled so that small gradients do not vanish."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lit_accelerators.precision._autocast import backward_outside_autocast, in_autocast, step_and_forget_casts
from lit_accelerators.precision.base import Fn, Precision

_NEVER = 2**31 - 1
_SMALLEST = 2.0**-16  # a loss scaled down so far has no small gradients left
_LARGEST = 2.0**126  # float32 ends there


class ScaledPrecision(Precision):
    """``"16-mixed"``: the step runs inside ``torch.autocast`` with float16; parameters and optimizer stay float32.

    float16 has no room for small gradients, so the loss is multiplied by a scale and the gradients are divided by it
    before they are used. Where a gradient came out infinite or NaN, that optimizer's step is left out and the scale is
    halved; after ``growth_interval`` steps without that it is doubled. These are the rules of
    ``torch.amp.GradScaler``, which does the work. There, all optimizers of an iteration step before the scale changes;
    here every optimizer may step when it likes:

    - Gradients are divided once per step of each optimizer, at :meth:`unscale` (clipping calls it) or at the step.
    - The scale may change after each optimizer's step. Gradients that others have gathered by then (accumulation,
      losses of several optimizers computed together) are brought to the new scale: a multiplication by a power of
      two, which is exact.

    An optimizer that calls its closure several times (LBFGS) is refused. With others the closure is called once,
    before the step, as they do.

    Args:
        init_scale: scale at the beginning.
        growth_factor: what the scale is multiplied by after ``growth_interval`` good steps; > 1.
        backoff_factor: what it is multiplied by after a bad one; between 0 and 1.
        growth_interval: good steps in a row before the scale grows.

    Raises:
        ValueError: for a number out of its range.

    See Micikevicius et al., "Mixed Precision Training" (ICLR 2018), section 3.2.

    Example:
        >>> import torch
        >>> precision, model = ScaledPrecision(init_scale=1024.0), torch.nn.Linear(2, 1)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> step = precision.wrap_step(lambda x: model(x).sum(), torch.device("cpu"))
        >>> precision.backward(step(torch.ones(1, 2)))
        >>> model.weight.grad
        tensor([[1024., 1024.]])
        >>> precision.unscale(optimizer)
        >>> model.weight.grad
        tensor([[1., 1.]])
        >>> precision.optimizer_step(optimizer)
    """

    name = "16-mixed"

    def __init__(
        self,
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
    ) -> None:
        if not init_scale > 0 or not growth_factor > 1 or not 0 < backoff_factor < 1 or growth_interval < 1:
            raise ValueError(
                "ScaledPrecision needs init_scale > 0, growth_factor > 1, 0 < backoff_factor < 1 and growth_interval "
                f">= 1, got {init_scale}, {growth_factor}, {backoff_factor} and {growth_interval}."
            )
        self.scale = float(init_scale)
        self._growth_factor = growth_factor
        self._backoff_factor = backoff_factor
        self._growth_interval = growth_interval
        self._good_steps = 0
        self._forget()

    def _forget(self) -> None:
        self._modules: WeakSet[nn.Module] = WeakSet()
        self._unscalers: WeakKeyDictionary[Optimizer, _Unscaler] = WeakKeyDictionary()
        self._factor: Tensor | None = None
        self._unscaled: WeakKeyDictionary[Optimizer, bool] = WeakKeyDictionary()
        """Optimizers whose gradients have their true size and wait for the step: whether one of them is not finite."""
        self._stepped: WeakKeyDictionary[Optimizer, bool] = WeakKeyDictionary()
        """Optimizers that have stepped since the last backward pass: whether the step was left out."""
        self._stepping = False

    def __getstate__(self) -> dict[str, Any]:
        # Pickled for processes to be started: what belongs to this one's objects neither can nor should go there.
        weak = {"_modules", "_unscalers", "_factor", "_unscaled", "_stepped"}
        return {name: value for name, value in self.__dict__.items() if name not in weak}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()

    def check_device(self, device: torch.device) -> None:
        """Refuse XLA devices, which compute in bfloat16."""
        if device.type == "xla":
            raise ValueError("precision='16-mixed', but XLA devices have no float16. Write precision='bf16-mixed'.")

    def check_optimizer(self, optimizer: Optimizer) -> None:
        """Refuse optimizers whose ``step`` cannot do without a closure, such as LBFGS."""
        closure = inspect.signature(type(optimizer).step).parameters.get("closure")
        if closure is not None and closure.default is inspect.Parameter.empty:
            raise ValueError(
                f"precision='16-mixed' and {type(optimizer).__name__} do not go together: it calls its closure several "
                "times in one step, and no step can be left out or scaled anew in between. Write "
                "precision='bf16-mixed' or '32-true', or use an optimizer that steps once per backward pass."
            )

    def attach(self, optimizer: Optimizer) -> None:
        """Let ``optimizer.step()`` unscale first; where it must be left out it finds no gradients, so does nothing."""
        self.check_optimizer(optimizer)
        optimizer.register_step_pre_hook(self._before_step)

    def building(self) -> AbstractContextManager[None]:
        """Do nothing: parameters are float32."""
        return nullcontext()

    def convert_module(self, module: nn.Module) -> nn.Module:
        """Return ``module`` as it is: autocast converts inside the step.

        Raises:
            ValueError: if parameters are float16 already: their gradients cannot be scaled back.
        """
        half = [name for name, p in module.named_parameters() if p.dtype is torch.float16 and p.requires_grad]
        if half:
            raise ValueError(
                f"precision='16-mixed' needs float32 parameters, but {', '.join(half[:5])} "
                f"{'is' if len(half) == 1 else 'are'} float16. Do not call half() on the module, or write "
                "precision='16-true'."
            )
        self._modules.update(module.modules())  # each by itself: what held them all may go before they do
        return module

    def convert_batch(self, batch: Any) -> Any:
        """Return ``batch`` as it is: autocast converts inside the step."""
        return batch

    def wrap_step(self, step: Fn, device: torch.device) -> Fn:
        """Return ``step`` inside autocast of the kind of ``device``."""
        return in_autocast(step, device, torch.float16)

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Run the backward pass from the scaled loss, outside autocast also when called from inside the step.

        Raises:
            RuntimeError: if it adds to gradients that have been unscaled, and so have another size.
        """
        self._stepped.clear()
        waiting = {optimizer: _copies(optimizer) for optimizer in list(self._unscaled) if not self._given_up(optimizer)}
        if self._factor is None or self._factor.device != loss.device:
            self._factor = torch.full((), self.scale, dtype=torch.float32, device=loss.device)
        backward_outside_autocast(loss * self._factor, *args, **kwargs)
        for optimizer, before in waiting.items():
            if not _same(before, _copies(optimizer)):
                raise RuntimeError(
                    f"A backward pass added scaled gradients to those of {type(optimizer).__name__}, which had their "
                    "true size after clipping (or unscale) and waited for the step. Clip after the last backward pass "
                    "and then step, or call zero_grad in between."
                )

    def _given_up(self, optimizer: Optimizer) -> bool:
        """Whether its gradients were cleared after :meth:`unscale`, with no step; then they are forgotten here too."""
        cleared = all(parameter.grad is None or not parameter.grad.any() for parameter in _parameters(optimizer))
        if cleared:
            del self._unscaled[optimizer]
        return cleared

    def unscale(self, optimizer: Optimizer) -> None:
        """Divide the gradients of ``optimizer`` by the scale, once for each of its steps."""
        if optimizer not in self._unscaled and optimizer not in self._stepped:
            if optimizer not in self._unscalers:
                self._unscalers[optimizer] = _Unscaler(optimizer)
            self._unscaled[optimizer] = self._unscalers[optimizer].unscale(optimizer, self.scale)

    def optimizer_step(self, optimizer: Optimizer, closure: Callable[[], Any] | None = None) -> Any:
        """Step ``optimizer`` unless a gradient is infinite or NaN; the closure is called once, before.

        Returns:
            What the closure returned; without one, what ``optimizer.step`` returned, or None if the step was left out.

        Raises:
            ValueError: if the optimizer is refused by :meth:`check_optimizer`.
            RuntimeError: if gradients are infinite or NaN at the smallest scale too: the loss itself is.
        """
        if optimizer not in self._unscalers:
            self.check_optimizer(optimizer)
        result = _call(closure)
        overflowed = self._prepare(optimizer)
        if not overflowed:
            self._stepping = True
            try:
                stepped = step_and_forget_casts(optimizer)
            finally:
                self._stepping = False
            result = stepped if closure is None else result
        return result

    def _before_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> tuple[Any, Any] | None:
        """Hook of an attached optimizer; ``args`` begin with the optimizer itself."""
        if self._stepping:
            return None
        closure = args[1] if len(args) > 1 else kwargs.get("closure")
        result = _call(closure)
        if self._prepare(optimizer):
            optimizer.zero_grad(set_to_none=True)
        return (optimizer,), ({} if closure is None else {"closure": lambda: result})

    def _prepare(self, optimizer: Optimizer) -> bool:
        """Make the gradients ready for the step; returns whether it must be left out."""
        if optimizer in self._stepped:  # a second step with the same gradients, which have their true size already
            return self._stepped[optimizer]
        if not any(parameter.grad is not None for parameter in _parameters(optimizer)):
            return False
        self.unscale(optimizer)
        overflowed = self._unscaled.pop(optimizer)
        self._stepped[optimizer] = overflowed
        self._adapt(overflowed)
        return overflowed

    def _adapt(self, overflowed: bool) -> None:
        """Change the scale after a step, and bring waiting gradients to the new one."""
        before = self.scale
        if overflowed:
            self.scale, self._good_steps = before * self._backoff_factor, 0
            if self.scale < _SMALLEST:
                raise RuntimeError(
                    f"Gradients are infinite or NaN at a loss scale of {before:.3g} too, so it is not the scale: the "
                    "loss or a gradient overflows float16, or is NaN. Look at the loss (detect_anomaly), lower the "
                    "learning rate, or write precision='bf16-mixed', which has the range of float32."
                )
        else:
            self._good_steps += 1
            if self._good_steps == self._growth_interval:
                self.scale, self._good_steps = min(before * self._growth_factor, _LARGEST), 0
        if self.scale != before:
            self._factor = None
            factor = self.scale / before
            with torch.no_grad():
                for grad in self._waiting():
                    grad.mul_(factor)

    def _waiting(self) -> Iterator[Tensor]:
        """Gradients that hold scaled losses."""
        seen = {id(p) for optimizer in (*self._unscaled, *self._stepped) for p in _parameters(optimizer)}
        visited: set[nn.Module] = set()
        modules = [sub for module in self._modules for _, sub in module.named_modules(memo=visited)]
        for parameters in (*(m.parameters(recurse=False) for m in modules), *map(_parameters, self._unscalers)):
            for parameter in parameters:
                if id(parameter) not in seen and parameter.grad is not None:
                    seen.add(id(parameter))
                    yield parameter.grad

    def state_dict(self) -> dict[str, Any]:
        """The scale and what is known for changing it, under the names of ``torch.amp.GradScaler.state_dict``."""
        return {
            "scale": self.scale,
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._good_steps,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict`, or a ``torch.amp.GradScaler``, gave; an empty state changes nothing."""
        if state:
            self.scale, self._factor = float(state["scale"]), None
            self._growth_factor = state["growth_factor"]
            self._backoff_factor = state["backoff_factor"]
            self._growth_interval = state["growth_interval"]
            self._good_steps = state["_growth_tracker"]


def _call(closure: Callable[[], Any] | None) -> Any:
    if closure is None:
        return None
    with torch.enable_grad():
        return closure()


def _parameters(optimizer: Optimizer) -> Iterator[Tensor]:
    return (parameter for group in optimizer.param_groups for parameter in group["params"])


def _copies(optimizer: Optimizer) -> list[Tensor | None]:
    return [None if parameter.grad is None else parameter.grad.clone() for parameter in _parameters(optimizer)]


def _same(before: list[Tensor | None], after: list[Tensor | None]) -> bool:
    return all(
        one is other or (one is not None and other is not None and torch.equal(one.nan_to_num(), other.nan_to_num()))
        for one, other in zip(before, after, strict=True)
    )


class _Unscaler:
    """Divides the gradients of one optimizer by a scale.

    The arithmetic, for all kinds of devices, DTensors and sparse gradients, is that of torch's scaler. Its bookkeeping
    is for one iteration of all optimizers together, so each optimizer has one, which is told the scale; by backing off
    it tells what it found.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        device = next(_parameters(optimizer)).device
        self._scale = 1.0
        self._scaler = torch.amp.GradScaler(device.type, init_scale=self._scale, growth_interval=_NEVER)
        self._scaler.scale(torch.zeros((), device=device))

    def unscale(self, optimizer: Optimizer, scale: float) -> bool:
        """Returns whether a gradient is not finite; where processes hold parts of gradients, whether one is in any."""
        grads: list[Any] = [parameter.grad for parameter in _parameters(optimizer) if parameter.grad is not None]
        if any(hasattr(grad, "to_local") for grad in grads):
            return _unscale_parts([grad.to_local() if hasattr(grad, "to_local") else grad for grad in grads], scale)
        if scale != self._scale:
            self._scaler.update(scale)
            self._scale = scale
        self._scaler.unscale_(optimizer)
        self._scaler.update()
        found = bool(self._scaler.get_scale() < 0.75 * scale)
        if found:
            self._scale = 0.0  # it has backed off: to be told again
        return found


def _unscale_parts(parts: list[Tensor], scale: float) -> bool:
    """Divide parts of gradients; every process learns whether one is not finite, or they would come to differ."""
    import torch.distributed as dist

    torch._foreach_mul_(parts, 1.0 / scale)
    found = torch.stack([part.isfinite().logical_not().any() for part in parts]).any().float()
    dist.all_reduce(found, dist.ReduceOp.MAX)
    return bool(found)
