"""What ``self.log`` collects and how it is reduced. Between flushes nothing is read from a device or sent to a rank."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from lit_accelerators import Collectives
from lit_core.hooks import HOOKS
from lit_core.logging.entry import (
    Entry,
    MetricLike,
    Options,
    Reduced,
    merge,
    named_reduction,
    refuse_unknown,
    to_host,
)
from lit_core.metric_state import StatefulMetric

_Place = tuple[str, str, int | None]  # hook, name, dataloader


class Collector:
    """The buffer behind ``self.log``, one part per stage.

    The loops say where they are (:meth:`open`, :meth:`enter`, :meth:`begin_batch`); modules and callbacks log; the
    report flushes.

    Args:
        module: to find the path of metric objects, so that a rank that logged nothing still takes part in their sync.
        collectives: of the run's processes.
        find_batch_size: used for batches whose size the order does not tell; refuses the ambiguous.
        speaks: whether the metrics of this process count; not where another process sees the same samples.
    """

    def __init__(
        self,
        module: nn.Module,
        collectives: Collectives,
        find_batch_size: Callable[[Any], int],
        *,
        speaks: bool = True,
    ) -> None:
        self._module = module
        self._collectives = collectives
        self._find_batch_size = find_batch_size
        self._speaks = speaks
        self._stages: dict[str, dict[_Place, _Asked]] = {}
        self._stage = ""
        self._entries: dict[_Place, _Asked] = {}
        self._known: dict[tuple[Any, ...], _Asked] = {}
        """The entries of this stage by everything a call says, so that a repeated call finds its own at once."""
        self._hook = ""
        self._dataloader: int | None = None
        self._batch: Any = None
        self._batch_size: float | None = None
        self._whole_of: Any = None
        self._whole_size: float | None = None
        self._restored: dict[str, Entry] = {}
        self.has_step_values = False
        """Whether anything is logged ``on_step`` in the open stage."""

    # Where the run is ---------------------------------------------------------------------------------------------

    def open(self, stage: str) -> str:
        """What is logged from now on belongs to ``stage``; returns the stage before."""
        before, self._stage = self._stage, stage
        self._entries, self._known = self._stages.setdefault(stage, {}), {}
        self.has_step_values = any(entry.options.on_step for entry in self._entries.values())
        self.begin_batch(None, None)
        return before

    def enter(self, hook: str) -> str:
        """What is logged from now on is logged in ``hook``; returns the hook before."""
        before, self._hook = self._hook, hook
        return before

    def begin_batch(self, batch: Any, size: int | None, dataloader: int | None = None, hook: str | None = None) -> None:
        """Values logged from now on belong to this batch; ``size`` where the order tells it."""
        if hook is not None:
            self._hook = hook
        self._batch = batch
        self._batch_size = size
        self._dataloader = dataloader

    def begin_part(self, share: float) -> None:
        """Values logged from now on belong to a part of the batch with this share of its samples; 1.0 is the whole."""
        if self._whole_size is None or self._whole_of is not self._batch:
            self._whole_of = self._batch
            self._whole_size = self._find_weight() if self._batch_size is None else self._batch_size
        self._batch_size = self._whole_size if share == 1.0 else self._whole_size * share

    # Appending ----------------------------------------------------------------------------------------------------

    def log(
        self,
        name: str,
        value: Any,
        prog_bar: bool = False,
        logger: bool = True,
        on_step: bool | None = None,
        on_epoch: bool | None = None,
        reduce_fx: str | Callable[..., Any] = "mean",
        sync_dist: bool = False,
        add_dataloader_idx: bool = True,
        batch_size: int | None = None,
        rank_zero_only: bool = False,
        **older: Any,
    ) -> None:
        """Take one value; see ``LightningModule.log``."""
        if older:
            refuse_unknown(older)
        call = (
            self._hook,
            name,
            self._dataloader if add_dataloader_idx else None,
            prog_bar,
            logger,
            on_step,
            on_epoch,
            reduce_fx,
            sync_dist,
            rank_zero_only,
        )
        entry = self._known.get(call)
        if entry is None:
            entry, is_new = self._learn(call, value)
            if is_new and entry.logged:  # by this hook, before the run was resumed inside this epoch
                return
        if not isinstance(value, Tensor) and _is_metric(value):
            self._add_metric(entry, value)
            return
        weight = 1 if not entry.weighted else self._batch_size if batch_size is None else batch_size
        entry.add(value, self._find_weight() if weight is None else weight)

    def _learn(self, call: tuple[Any, ...], value: Any) -> tuple["_Asked", bool]:
        """The entry for a call that is seen for the first time since the stage was opened, and whether it is new."""
        place, asked = call[:3], call[3:]
        entry, is_new = self._entries.get(place), False
        if entry is None:
            entry, is_new = self._new_entry(place, asked, _is_metric(value)), True
            self._entries[place] = entry
        elif entry.asked != asked:
            raise ValueError(
                f"self.log({place[1]!r}, ...) was called in {place[0]} with other options than before: "
                f"{asked} and {entry.asked}. Use one set of options per key, or two keys."
            )
        self._known[call] = entry
        return entry, is_new

    def _find_weight(self) -> float:
        """The size of a batch that the order does not tell; 1 between batches."""
        self._batch_size = 1 if self._batch is None else self._find_batch_size(self._batch)
        return self._batch_size

    def _new_entry(self, place: _Place, asked: tuple[Any, ...], is_metric: bool) -> "_Asked":
        hook, name, dataloader = place
        prog_bar, logger, on_step, on_epoch, reduce_fx, sync_dist, rank_zero_only = asked
        rule = HOOKS[hook].log if hook in HOOKS else None
        if rule is None:
            allowed = ", ".join(h.name for h in HOOKS.values() if h.log is not None and "step" in h.name)
            where = f"in {hook}" if hook else "outside a hook"
            raise RuntimeError(
                f"self.log({name!r}, ...) was called {where}, where nothing is logged. Log in: {allowed}."
            )
        if is_metric and on_step is None and on_epoch is None:
            on_step, on_epoch = False, True
        on_step = rule.on_step if on_step is None else on_step
        on_epoch = rule.on_epoch if on_epoch is None else on_epoch
        if on_step and not rule.step_allowed:
            raise ValueError(
                f"self.log({name!r}, on_step=True) has no meaning in {hook}: hooks that run once per epoch log their "
                "reduction over the epoch (on_epoch=True, the default there)."
            )
        if not (on_step or on_epoch):
            raise ValueError(f"self.log({name!r}, on_step=False, on_epoch=False) would log nothing: set one of them.")
        reduce_fx = named_reduction(reduce_fx)
        key = name if dataloader is None else f"{name}/dataloader_idx_{dataloader}"
        for other_hook, other_name, other_dataloader in self._entries:
            if (other_name, other_dataloader) == (name, dataloader):
                raise ValueError(
                    f"The key {key!r} is logged in {hook} and in {other_hook} of the same stage: use two names."
                )
        options = Options(prog_bar, logger, on_step, on_epoch, reduce_fx, sync_dist, rank_zero_only)
        entry = _Asked(key, options, asked)
        self.has_step_values = self.has_step_values or on_step
        restored = self._restored.pop(f"{self._stage}.{key}", None)
        begins = hook.endswith("_epoch_start") or hook == "on_train_start"
        if restored is not None and (rule.step_allowed or begins):  # what the end of an epoch logs, it logs anew
            entry.take_over(restored)
            if begins:
                entry.mark_logged()
        return entry

    def _add_metric(self, entry: Entry, metric: MetricLike) -> None:
        if entry.metric is None:
            paths = [path for path, child in self._module.named_modules() if child is metric]
            if self._collectives.world_size > 1 and not paths:
                raise ValueError(
                    f"The metric logged as {entry.key!r} is no attribute of the module: with several processes a "
                    "process that logs nothing could not find it. Assign it in __init__ (self.metric = ...)."
                )
            entry.set_metric(metric, paths[0] if paths else None)
        entry.mark_logged()

    # Flushing -----------------------------------------------------------------------------------------------------

    def latest(self, stage: str, *, prog_bar_only: bool = False) -> dict[str, Tensor | float]:
        """The last value of every key logged ``on_step``, unread, under the name its row uses."""
        return {
            _forked(entry, "step"): entry.latest
            for entry in self._stages.get(stage, {}).values()
            if entry.options.on_step and entry.latest is not None and (entry.options.prog_bar or not prog_bar_only)
        }

    def flush_steps(self, stage: str, *, alone: bool = False) -> dict[str, tuple[Options, float]]:
        """Read the step values that came since the last flush; collective, since ranks may have logged other keys.

        Args:
            stage: which part.
            alone: read this process's values only, without a word to the others: where processes may run different
                numbers of batches.
        """
        waiting = [entry for key, entry in self._restored.items() if key.startswith(f"{stage}.")]
        fresh = [e for e in (*waiting, *self._stages.get(stage, {}).values()) if e.fresh and e.options.on_step]
        numbers = to_host([e.newest() for e in fresh])
        local = {_forked(e, "step"): Reduced(e.options, n, 1.0) for e, n in zip(fresh, numbers, strict=True)}
        for entry in fresh:
            entry.mark_read()
        if self._collectives.world_size > 1 and not alone:
            gathered = self._collectives.all_gather_object(local)
            local = {
                key: Reduced(part.options, _synced(key, part, gathered), 1.0)
                for rank in gathered
                for key, part in rank.items()
                if part.options.sync_dist or rank is gathered[0]
            }
        return {key: (part.options, part.total) for key, part in local.items()}

    def flush_epoch(self, stage: str, *, keep: bool = False) -> dict[str, tuple[Options, float]]:
        """Reduce everything logged ``on_epoch`` over the epoch and the ranks; collective.

        Args:
            stage: which part.
            keep: the epoch stays open, for a run that is resumed in it; otherwise begin anew.
        """
        entries: dict[str, Entry] = self._unclaimed(stage, keep=keep)
        entries |= {e.key: e for e in self._stages.get(stage, {}).values() if e.options.on_epoch}
        local, metrics = self._parts(entries)
        if self._collectives.world_size > 1:
            gathered = self._collectives.all_gather_object((local, metrics))
        else:
            gathered = [(local, metrics)]
        result: dict[str, tuple[Options, float]] = {}
        for key in dict.fromkeys(key for parts, _ in gathered for key in parts):
            parts = [rank_parts[key] for rank_parts, _ in gathered if key in rank_parts]
            result[key] = (parts[0].options, merge(parts))
        known = {key: found for _, metrics in gathered for key, found in metrics.items()}
        own = {key for key, entry in entries.items() if entry.metric is not None}
        objects: dict[str, Any] = {
            key: entries[key].metric if key in own else self._module.get_submodule(path)
            for key, (_, path) in known.items()
        }
        for key, (options, _) in known.items():
            result[key] = (options, _compute(key, objects[key] if self._speaks else _blank(objects[key])))
        if not keep:
            for metric in objects.values():  # only now: metrics of a collection may share one state
                metric.reset()
            for entry in self._stages.get(stage, {}).values():
                entry.clear()
        return {_forked_key(key, options, "epoch"): (options, value) for key, (options, value) in result.items()}

    def _unclaimed(self, stage: str, *, keep: bool) -> dict[str, Entry]:
        """Restored reductions whose keys were not logged again in this epoch: they are part of it all the same."""
        found = {key: entry for key, entry in self._restored.items() if key.startswith(f"{stage}.")}
        if not keep:
            self._restored = {key: entry for key, entry in self._restored.items() if key not in found}
        return {entry.key: entry for entry in found.values()}

    def discard(self, stage: str) -> dict[str, float]:
        """Forget what ``stage`` collected; collective as :meth:`flush_epoch`. Returns nothing: ``{}``."""
        self.flush_epoch(stage)
        return {}

    def forget(self, stage: str) -> None:
        """Forget what this process collected in ``stage``, without a word to the others; metrics stay as they are."""
        for entry in self._stages.get(stage, {}).values():
            entry.clear()

    @staticmethod
    def _parts(entries: Mapping[str, Entry]) -> tuple[dict[str, Reduced], dict[str, tuple[Options, str]]]:
        totals = {key: e.total for key, e in entries.items() if e.metric is None}
        present = {key: total for key, total in totals.items() if total is not None}
        numbers = to_host(list(present.values()))
        local = {key: entries[key].reduced(number) for key, number in zip(present, numbers, strict=True)}
        metrics = {key: (e.options, e.metric_path or "") for key, e in entries.items() if e.measures and e.logged}
        return local, metrics

    # State --------------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Running reductions of the training epoch, and values that no row has yet, for a checkpoint inside it."""
        entries = self._stages.get("train", {}).values()
        unclaimed = {key: entry.state_dict() for key, entry in self._restored.items()}
        return unclaimed | {f"train.{e.key}": e.state_dict() for e in entries if _goes_on(e)}

    def load_state_dict(self, *states: dict[str, Any]) -> None:
        """Restore what one rank, or several whose work this one takes over, had reduced.

        Each reduction goes on when its key is logged again.
        """
        self._restored = {}
        for state in states:
            for key, value in state.items():
                entry = Entry.from_state(value)
                if key in self._restored:
                    entry.join(self._restored[key])
                self._restored[key] = entry


class _Asked(Entry):
    """An entry that remembers the options as they were written."""

    __slots__ = ("asked",)

    def __init__(self, key: str, options: Options, asked: tuple[Any, ...]) -> None:
        super().__init__(key, options)
        self.asked = asked


def _goes_on(entry: Entry) -> bool:
    """Whether a run that is resumed inside the epoch must know of this key before it is logged again, if it is."""
    if entry.metric is not None:  # its state goes on by itself, if it is one that can be saved
        known = entry.metric_path is not None and isinstance(entry.metric, StatefulMetric)
        return known and entry.logged and entry.options.on_epoch
    return (entry.options.on_epoch and entry.total is not None) or (entry.options.on_step and entry.fresh)


def _is_metric(value: Any) -> bool:
    return not isinstance(value, (Tensor, float, int)) and isinstance(value, MetricLike)


def _forked(entry: Entry, suffix: str) -> str:
    return _forked_key(entry.key, entry.options, suffix)


def _forked_key(key: str, options: Options, suffix: str) -> str:
    if not (options.on_step and options.on_epoch):
        return key
    name, slash, dataloader = key.partition("/dataloader_idx_")
    return f"{name}_{suffix}{slash}{dataloader}"


def _synced(key: str, part: Reduced, gathered: list[dict[str, Reduced]]) -> float:
    return merge([rank[key] for rank in gathered if key in rank]) if part.options.sync_dist else part.total


def _blank(metric: Any) -> Any:
    """A copy that has seen nothing: it takes part in the sync of the others."""
    blank = metric.clone() if hasattr(metric, "clone") else copy.deepcopy(metric)
    blank.reset()
    return blank


def _compute(key: str, metric: Any) -> float:
    value = metric.compute()
    if isinstance(value, Tensor) and value.numel() != 1:
        raise ValueError(
            f"The metric logged as {key!r} computed a tensor of shape {tuple(value.shape)}; self.log takes one number. "
            "Log its parts under names of their own (self.log_dict), or choose an average."
        )
    return float(value)
