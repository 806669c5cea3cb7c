"""The one list of hooks: what may be implemented, by whom, with which arguments, and what may be logged there.

:data:`HOOKS` is the contract between the loops and users' code. :class:`HookTable` resolves it once per run: for every
event, the bound methods that somebody really wrote. An event that nobody implements costs an empty tuple.
"""

import difflib
import dis
import inspect
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any, Literal

Owner = Literal["module", "callback", "datamodule"]
Phase = Literal["observe", "decide", "save"]

PHASES: tuple[Phase, ...] = ("observe", "decide", "save")
"""Order of callbacks inside an ``on_*_end`` event: who watches, who decides to stop, who saves the outcome."""


@dataclass(frozen=True)
class LogRule:
    """What ``self.log`` does in a hook when told nothing, and what it may be told."""

    on_step: bool
    on_epoch: bool
    step_allowed: bool = True


STEP = LogRule(on_step=True, on_epoch=False)
EVAL_STEP = LogRule(on_step=False, on_epoch=True)
EPOCH = LogRule(on_step=False, on_epoch=True, step_allowed=False)


@dataclass(frozen=True)
class Hook:
    """One name that the framework calls.

    ``args`` are those of the module's or datamodule's method; a callback's method gets ``(trainer, module)`` before
    them. ``log`` is None where logging is refused.
    """

    name: str
    args: tuple[str, ...] = ()
    owners: tuple[Owner, ...] = ("module",)
    log: LogRule | None = None
    today: str | None = None
    """Of an older or rarer name for the same moment: the event at which it is called, just before its own methods.

    ``"Trainer"`` is the end of its construction; see :func:`announce`.
    """

    after: bool = False
    """Whether it is called just after them instead."""


_BOTH: tuple[Owner, ...] = ("callback", "module")
_DATA: tuple[Owner, ...] = ("module", "datamodule")
_ALL: tuple[Owner, ...] = ("callback", "module", "datamodule")


def _mode_hooks(stage: str) -> list[Hook]:
    """The module's own say on which of its parts evaluate, and which train again."""
    return [
        Hook(f"on_{stage}_model_eval", today=f"on_{stage}_start"),
        Hook(f"on_{stage}_model_train", today=f"on_{stage}_end", after=True),
    ]


def _stage_hooks(stage: str, step_rule: LogRule | None, epoch_rule: LogRule | None) -> list[Hook]:
    batch = ("batch", "batch_idx", "dataloader_idx") if stage != "train" else ("batch", "batch_idx")
    return [
        Hook(f"on_{stage}_start", (), _BOTH, epoch_rule),
        Hook(f"on_{stage}_epoch_start", (), _BOTH, epoch_rule),
        Hook(f"on_{stage}_batch_start", batch, _BOTH, step_rule),
        Hook(f"on_{stage}_batch_end", ("outputs", *batch), _BOTH, step_rule),
        Hook(f"on_{stage}_epoch_end", (), _BOTH, epoch_rule),
        Hook(f"on_{stage}_end", (), _BOTH),
    ]


HOOKS: dict[str, Hook] = {
    hook.name: hook
    for hook in [
        # Life of a run, in order of call
        Hook("configure_callbacks"),
        Hook("prepare_data", (), _DATA),
        Hook("setup", ("stage",), _ALL),
        Hook("configure_model"),
        Hook("configure_optimizers"),
        Hook("on_init_start", (), ("callback",), today="Trainer"),
        Hook("on_init_end", (), ("callback",), today="Trainer"),
        Hook("on_fit_start", (), _BOTH),
        Hook("on_pretrain_routine_start", (), _BOTH, today="on_fit_start", after=True),
        Hook("on_pretrain_routine_end", (), _BOTH, today="on_fit_start", after=True),
        Hook("on_sanity_check_start", (), ("callback",)),
        Hook("on_sanity_check_end", (), ("callback",)),
        *_stage_hooks("train", STEP, EPOCH),
        Hook("on_epoch_start", (), _BOTH, EPOCH, today="on_train_epoch_start"),
        Hook("on_batch_start", (), _BOTH, STEP, today="on_train_batch_start"),
        Hook("on_batch_end", (), _BOTH, STEP, today="on_train_batch_end"),
        Hook("on_epoch_end", (), _BOTH, EPOCH, today="on_train_epoch_end"),
        Hook("on_validation_model_zero_grad", today="on_validation_start"),
        *_stage_hooks("validation", EVAL_STEP, EPOCH),
        *_mode_hooks("validation"),
        *_stage_hooks("test", EVAL_STEP, EPOCH),
        *_mode_hooks("test"),
        *_stage_hooks("predict", None, None),
        *_mode_hooks("predict"),
        Hook("on_fit_end", (), _BOTH),
        Hook("teardown", ("stage",), _ALL),
        Hook("on_exception", ("exception",), ("callback", "module")),
        Hook("on_keyboard_interrupt", (), ("callback",)),
        # Data
        Hook("train_dataloader", (), _DATA),
        Hook("val_dataloader", (), _DATA),
        Hook("test_dataloader", (), _DATA),
        Hook("predict_dataloader", (), _DATA),
        Hook("on_before_batch_transfer", ("batch", "dataloader_idx"), _DATA),
        Hook("transfer_batch_to_device", ("batch", "device", "dataloader_idx"), _DATA),
        Hook("on_after_batch_transfer", ("batch", "dataloader_idx"), _DATA),
        # Steps and what becomes of their results
        Hook("tbptt_split_batch", ("batch", "split_size")),
        Hook("training_step", ("batch", "batch_idx"), log=STEP),
        Hook("training_step_end", ("step_output",), log=STEP),
        Hook("training_epoch_end", ("outputs",), log=EPOCH),
        Hook("validation_step", ("batch", "batch_idx"), log=EVAL_STEP),
        Hook("validation_step_end", ("step_output",), log=EVAL_STEP),
        Hook("validation_epoch_end", ("outputs",), log=EPOCH),
        Hook("test_step", ("batch", "batch_idx"), log=EVAL_STEP),
        Hook("test_step_end", ("step_output",), log=EVAL_STEP),
        Hook("test_epoch_end", ("outputs",), log=EPOCH),
        Hook("predict_step", ("batch", "batch_idx")),
        # Optimization of one batch, in order of call
        Hook("on_before_zero_grad", ("optimizer",), _BOTH, STEP),
        Hook("optimizer_zero_grad", ("epoch", "batch_idx", "optimizer", "optimizer_idx"), log=STEP),
        Hook("on_before_backward", ("loss",), _BOTH, STEP),
        Hook("backward", ("loss",), log=STEP),
        Hook("on_after_backward", (), _BOTH, STEP),
        Hook("on_before_optimizer_step", ("optimizer",), _BOTH, STEP),
        Hook("configure_gradient_clipping", ("optimizer", "gradient_clip_val", "gradient_clip_algorithm"), log=STEP),
        Hook("optimizer_step", ("epoch", "batch_idx", "optimizer", "optimizer_closure"), log=STEP),
        Hook("lr_scheduler_step", ("scheduler", "metric")),
        # State
        Hook("on_save_checkpoint", ("checkpoint",), _BOTH),
        Hook("on_load_checkpoint", ("checkpoint",), _BOTH),
        Hook("state_dict", (), ("callback", "datamodule")),
        Hook("load_state_dict", ("state_dict",), ("callback", "datamodule")),
    ]
}

EVENTS: tuple[str, ...] = tuple(
    name for name, hook in HOOKS.items() if "callback" in hook.owners and "state" not in name and hook.today is None
)
"""Hooks that callbacks may implement and that :class:`HookTable` dispatches."""

_LOOKS_LIKE_A_HOOK = (
    "on_",
    "configure_",
    "training_",
    "validation_",
    "test_",
    "predict_",
    "optimizer_",
    "train_",
    "val_",
)


def overrides(owner: object, name: str, base: type) -> bool:
    """Whether the class of ``owner`` gives its own ``name`` in place of the one of ``base``."""
    own = getattr(owner, name, None)
    return own is not None and getattr(own, "__func__", own) is not getattr(base, name, None)


def takes(function: Any, name: str) -> bool:
    """Whether a function has a parameter of this name that must be given."""
    found = inspect.signature(function).parameters.get(name)
    return found is not None and found.default is inspect.Parameter.empty


def fitted(
    function: Callable[..., Any], names: tuple[str, ...], past: Mapping[str, Callable[[], Any]] | None
) -> Callable[..., Any]:
    """``function`` as it is called today; arguments that only its older signature has are filled in.

    A function of fewer parameters than ``names`` gets the first of them; one that takes them all, and no other, is
    returned as it is.

    Args:
        function: a user's method, bound.
        names: of the arguments that it is called with.
        past: the value of each argument that older signatures have, by name.
    """
    if _takes_just(function, len(names)):
        return function
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:
        return function
    if any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in parameters):
        return function
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    more = [p.name for p in positional[len(names) :] if p.default is p.empty and p.name in (past or {})]
    if len(positional) >= len(names) and not more:
        return function
    most = min(len(names), len(positional))

    @wraps(function)
    def call(*args: Any) -> Any:
        return function(*args[:most], **{name: (past or {})[name]() for name in more})

    return call


def _takes_just(function: Any, number: int) -> bool:
    """Whether it is surely a method of so many positional parameters; quick, and False where a closer look is due."""
    plain = getattr(function, "__func__", None)
    code = getattr(plain, "__code__", None)
    if code is None or "__wrapped__" in vars(plain) or "__signature__" in vars(plain):
        return False
    return bool(code.co_argcount == number + 1 and not code.co_flags & inspect.CO_VARARGS)


def _returns_something(function: Any) -> bool:
    """Whether there is a way out of a function other than with None; True where its code cannot be seen."""
    while isinstance(function, partial):
        function = function.func
    code = getattr(inspect.unwrap(function), "__code__", None)
    if code is None:
        return True
    nothing_loaded = False
    for instruction in dis.get_instructions(code):
        if instruction.opname == "RETURN_CONST" and instruction.argval is not None:
            return True
        if instruction.opname == "RETURN_VALUE" and (instruction.is_jump_target or not nothing_loaded):
            return True
        nothing_loaded = instruction.opname == "LOAD_CONST" and instruction.argval is None
    return False


def step_of(module: Any, name: str) -> Callable[..., Any]:
    """A module's step; one that takes the batch alone is not given its index."""
    step: Callable[..., Any] = getattr(module, name)
    kinds = [p.kind for p in inspect.signature(step).parameters.values()]
    if kinds != [inspect.Parameter.POSITIONAL_OR_KEYWORD]:
        return step

    @wraps(step)
    def step_of_batch(batch: Any, *_: Any) -> Any:
        return step(batch)

    return step_of_batch


def keeps_state_as_before(callback: Any, base: type) -> bool:
    """Whether a callback's checkpoint hooks are older than ``state_dict``: one returns its state, the other takes it.

    In PyTorch Lightning before 1.6 they were ``on_save_checkpoint(trainer, pl_module)``, or with a third parameter, and
    ``on_load_checkpoint(checkpointed_state)`` or ``on_load_checkpoint(trainer, pl_module, callback_state)``.
    """
    saves, loads = overrides(callback, "on_save_checkpoint", base), overrides(callback, "on_load_checkpoint", base)
    taken = list(inspect.signature(callback.on_load_checkpoint).parameters) if loads else []
    if taken:
        return len(taken) == 1 or taken[-1] in ("callback_state", "checkpointed_state")
    return saves and len(inspect.signature(callback.on_save_checkpoint).parameters) == 2


def check_hook_names(owner: object, base: type) -> None:
    """Refuse a method that looks like a hook and is none: it would silently never be called.

    Raises:
        TypeError: naming the method and the hook that was probably meant.
    """
    for cls in type(owner).__mro__:
        if cls is base or cls.__module__.startswith("torch."):
            continue
        for name, value in vars(cls).items():
            if not name.startswith(_LOOKS_LIKE_A_HOOK) or name in HOOKS or not callable(value) or hasattr(base, name):
                continue
            near = difflib.get_close_matches(name, HOOKS, n=1, cutoff=0.87)
            if near:
                raise TypeError(
                    f"{cls.__qualname__}.{name} looks like a hook but is none, so it would never be called. "
                    f"Did you mean {near[0]!r}? If it is a method of your own, give it another name."
                )


def announce(trainer: Any, callbacks: Iterable[Any]) -> None:
    """Tell callbacks that have the hooks for it (those of PyTorch Lightning 1.0) that a Trainer was made."""
    for callback, name in itertools.product(callbacks, ("on_init_start", "on_init_end")):
        getattr(callback, name, lambda trainer: None)(trainer)


@dataclass(frozen=True)
class Calls:
    """The implementations of one event, bound and in order."""

    module: tuple[Callable[..., Any], ...]
    callbacks: tuple[Callable[..., Any], ...]


class HookTable:
    """For every event, the methods of callbacks and module that are really overridden.

    ``on_*_end`` runs the module, then the callbacks by phase; every other event runs the callbacks, then the module.
    What the module logs in a hook belongs to that hook: ``enter`` is told its name before, and the last one after.
    ``past`` gives the arguments that only older signatures have: methods of PyTorch Lightning 1.0 run as they are.
    """

    def __init__(
        self,
        trainer: object,
        module: object,
        module_base: type,
        callbacks: Sequence[Any],
        callback_base: type,
        enter: Callable[[str], str],
        past: Mapping[str, Callable[[], Any]] | None = None,
    ) -> None:
        self._enter = enter
        ordered = sorted(callbacks, key=lambda callback: PHASES.index(callback.phase))
        self.calls: dict[str, Calls | None] = {}
        """By event; None where nobody implements it, so that the loops can leave it out."""
        self._owned: dict[str, list[tuple[Any, Callable[..., Any]]]] = {}
        older = {name: hook for name, hook in HOOKS.items() if hook.today is not None}
        for event in EVENTS:
            names = [name for name, hook in older.items() if hook.today == event and not hook.after]
            names += [event, *(name for name, hook in older.items() if hook.today == event and hook.after)]
            own = [
                fitted(getattr(module, name), HOOKS[event].args, past)
                for name in names
                if overrides(module, name, module_base)
            ]
            bound: list[tuple[Any, Callable[..., Any]]] = []
            for callback, name in itertools.product(ordered, names):
                if name.endswith("_checkpoint") and keeps_state_as_before(callback, callback_base):
                    continue  # its own state is saved and restored, which is no event
                if overrides(callback, name, callback_base) and callback.listens_to(event):
                    method = fitted(getattr(callback, name), ("trainer", "module", *HOOKS[event].args), past)
                    bound.append((callback, partial(method, trainer, module)))
            self._owned[event] = [*((module, method) for method in own), *bound]
            self.calls[event] = Calls(tuple(own), tuple(call for _, call in bound)) if own or bound else None

    def may_answer(self, name: str) -> bool:
        """Whether a method of this event can return anything but None, as far as its code shows."""
        calls = self.calls[name]
        return calls is not None and any(map(_returns_something, (*calls.callbacks, *calls.module)))

    def start(self, name: str, *args: Any) -> list[Any]:
        """Run callbacks, then module; returns what they returned."""
        calls = self.calls[name]
        return [] if calls is None else self._run(name, (*calls.callbacks, *calls.module), args)

    def end_module(self, name: str, *args: Any) -> None:
        """Run the module's part of an ``on_*_end`` event."""
        calls = self.calls[name]
        if calls is not None and calls.module:
            self._run(name, calls.module, args)

    def end_callbacks(self, name: str, *args: Any) -> None:
        """Run the callbacks' part of an ``on_*_end`` event, after metrics were flushed."""
        calls = self.calls[name]
        if calls is not None and calls.callbacks:
            before = self._enter(name)  # not by _run: this is called for each batch
            try:
                for call in calls.callbacks:
                    call(*args)
            finally:
                self._enter(before)

    def end(self, name: str, *args: Any) -> None:
        """Run module, then callbacks, for an event with no metrics to flush between."""
        self.end_module(name, *args)
        self.end_callbacks(name, *args)

    def close(self, begun: str, ended: str) -> None:
        """Run what belongs to ``ended`` for those alone who implement ``begun`` too.

        Who has begun something ends it; who waits for an outcome hears nothing, since there is none.
        """
        who = {id(owner) for owner, _ in self._owned[begun]}
        self._run(ended, [call for owner, call in self._owned[ended] if id(owner) in who], ())

    def _run(self, name: str, calls: Iterable[Callable[..., Any]], args: tuple[Any, ...]) -> list[Any]:
        before = self._enter(name)
        try:
            return [call(*args) for call in calls]
        finally:
            self._enter(before)
