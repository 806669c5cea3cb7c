"""The conformance kit: laws that every metric obeys, run on anybody's metric.

`check_metric` feeds a metric the same data in different ways and compares what must be equal. It needs no test
framework; each broken law is an `AssertionError` that names the law.
"""

from __future__ import annotations

import copy
import multiprocessing
import pickle
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from lit_metrics._batches import (
    Batch,
    as_array,
    as_tuple,
    assert_same,
    concatenate,
    dtype_of,
    expect_failure,
    has_samples,
    is_float,
    scribble,
    select,
    tensors,
)
from lit_metrics._inputs import deferred_checks
from lit_metrics._sync import gloo_group
from lit_metrics.metric import Metric

__all__ = ["LAWS", "check_metric"]

_HOST_READS = ("aten::_local_scalar_dense", "aten::nonzero", "aten::equal", "aten::is_nonzero")


def check_metric(
    make_metric: Callable[[], Metric],
    inputs: Sequence[Batch],
    reference: Callable[..., Any] | None = None,
    *,
    order_matters: bool = False,
    dtypes: Sequence[torch.dtype] = (torch.float16, torch.bfloat16, torch.float64),
    rtol: float = 1e-12,
    skip: Sequence[str] = (),
    kernel: Callable[..., Any] | None = None,
    processes: int = 1,
    bad_inputs: Sequence[Batch] = (),
) -> list[str]:
    """Runs every law on a metric.

    Args:
        make_metric: Makes a new metric; called many times.
        inputs: At least two batches, each a tuple of positional arguments of `update`: tensors with samples in the
            first dimension, lists with one entry per sample (strings, dictionaries, lists), or Python numbers.
        reference: Called with the concatenated arguments; returns the expected value.
        order_matters: Whether the value may depend on the order of samples.
        dtypes: Floating-point types that inputs are converted to; each must give the value of the rounded inputs.
        rtol: Tolerance, relative and absolute, where the order of additions differs.
        skip: Names of laws that do not apply.
        kernel: Function of a batch, such as the functional form, that `torch.compile` must take as one graph.
        processes: With 2 or more, as many gloo processes must give the value of one, with uneven data and where only
            the last of them has data. They are started afresh: `make_metric` must be a class or a function of a module,
            or a `functools.partial` of one, and a script must call this below `if __name__ == "__main__":`.
        bad_inputs: Batches of the right shapes and types whose values are wrong: `update` must refuse them and change
            nothing, and where it may not look (an accelerator, `validate_args="deferred"`), `compute` must.

    Returns:
        The names of the laws that were run; one without its argument (`reference`, `kernel`, `processes`,
        `bad_inputs`) is empty, and so is `compiled_update` for list states, which grow, and for inputs that are no
        tensors.

    Raises:
        AssertionError: If a law is broken.
        ValueError: If there are fewer than two batches, `skip` names no law, or `make_metric` must be pickled and
            cannot be.

    Example:
        >>> import torch
        >>> from lit_metrics import MeanSquaredError
        >>> from lit_metrics.testing import check_metric
        >>> batches = [(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0])), (torch.tensor([3.0]), torch.tensor([3.0]))]
        >>> laws = check_metric(MeanSquaredError, batches, reference=lambda p, t: ((p - t) ** 2).mean())
        >>> "forward_equals_fresh" in laws
        True
    """
    if len(inputs) < 2:
        raise ValueError(f"inputs must hold at least two batches, got {len(inputs)}")
    if unknown := set(skip) - set(LAWS):
        raise ValueError(f"skip names no law: {sorted(unknown)}; laws are {sorted(LAWS)}")
    case = _Case(
        make_metric, list(inputs), reference, order_matters, tuple(dtypes), rtol, kernel, processes, bad_inputs
    )
    run = [name for name in LAWS if name not in skip]
    for name in run:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                LAWS[name](case)
            except AssertionError as error:
                raise AssertionError(f"law {name!r}: {error}") from error
    return run


class _Case:
    """A metric under test, and its inputs in several shapes."""

    def __init__(
        self,
        make: Callable[[], Metric],
        batches: list[Batch],
        reference: Callable[..., Any] | None,
        order_matters: bool,
        dtypes: tuple[torch.dtype, ...],
        rtol: float,
        kernel: Callable[..., Any] | None,
        processes: int,
        bad_inputs: Sequence[Batch],
    ) -> None:
        self.make = make
        self.batches = batches
        self.reference = reference
        self.order_matters = order_matters
        self.dtypes = dtypes
        self.rtol = rtol
        self.kernel = kernel
        self.processes = processes
        self.bad_inputs = bad_inputs
        self.whole = tuple(concatenate([batch[i] for batch in batches]) for i in range(len(batches[0])))
        sizes = {len(x) for x in self.whole if has_samples(x)}
        self.num_samples = sizes.pop() if len(sizes) == 1 else 0

    def fed(self, batches: Sequence[Batch]) -> Metric:
        """Returns a new metric that has seen the batches."""
        metric = self.make()
        for batch in batches:
            metric.update(*batch)
        return metric

    def value(self, batches: Sequence[Batch]) -> Any:
        """Returns the value for the batches."""
        return self.fed(batches).compute()


def _value_equals_reference(case: _Case) -> None:
    if case.reference is not None:
        expected = case.reference(*case.whole)
        assert_same(case.value([case.whole]), expected, max(case.rtol, 1e-6), "value and reference")


def _split(case: _Case) -> None:
    whole = case.value([case.whole])
    assert_same(case.value(case.batches), whole, case.rtol, "batches and everything at once")
    singles = [select(case.whole, slice(i, i + 1)) for i in range(case.num_samples)]
    if singles:
        assert_same(case.value(singles), whole, case.rtol, "one sample at a time and everything at once")


def _merge_order(case: _Case) -> None:
    expected = case.value(case.batches)
    parts = [case.fed([batch]) for batch in case.batches]
    left = case.make()
    for part in parts:
        left.merge_state(part)
    assert_same(left.compute(), expected, case.rtol, "merged one by one and updated")
    right = parts[-1].clone()
    for part in reversed(parts[:-1]):
        joined = part.clone()
        joined.merge_state(right)
        right = joined
    assert_same(right.compute(), expected, case.rtol, "merged from the right and updated")
    assert left.update_count == right.update_count == len(parts), "update counts do not add up in merging"
    if not case.order_matters:
        back = case.make()
        for part in reversed(parts):
            back.merge_state(part)
        assert_same(back.compute(), expected, case.rtol, "merged in reverse order")


def _permutation(case: _Case) -> None:
    if case.order_matters or not case.num_samples:
        return
    order = torch.randperm(case.num_samples, generator=torch.Generator().manual_seed(0))
    assert_same(
        case.value([select(case.whole, order)]), case.value([case.whole]), case.rtol, "samples in another order"
    )


def _identity(case: _Case) -> None:
    expected = case.value(case.batches)
    empty = select(case.whole, slice(0, 0))
    metric = case.make()
    metric.merge_state(case.make())
    if any(has_samples(x) for x in empty):
        metric.update(*empty)
        assert metric.update_count == 0, "an empty batch counts as an update"
    for batch in case.batches:
        metric.update(*batch)
    metric.merge_state(case.make())
    if any(has_samples(x) for x in empty):
        metric.update(*empty)
        metric(*empty)
    assert_same(metric.compute(), expected, case.rtol, "with empty batches and empty metrics merged in")


def _pickles(case: _Case) -> None:
    metric = case.fed(case.batches[:-1])
    metric.compute()
    twins = {"pickled": pickle.loads(pickle.dumps(metric)), "copied": copy.deepcopy(metric), "cloned": metric.clone()}
    for name, twin in twins.items():
        twin.update(*case.batches[-1])
        assert_same(twin.compute(), case.value(case.batches), case.rtol, f"{name} midway")
    assert_same(metric.compute(), case.value(case.batches[:-1]), 0.0, "the original after its copies went on")


def _state_dict_round_trip(case: _Case) -> None:
    metric = case.fed(case.batches[:-1])
    assert not set(metric.state_dict()) & set(metric.metric_state), "states are saved without being asked"
    metric.persistent(True)
    twin = case.make()
    twin.persistent(True)
    twin.load_state_dict(metric.state_dict(), strict=True)
    assert twin.update_count == metric.update_count, "the update count is not restored"
    for one in (metric, twin):
        one.update(*case.batches[-1])
    assert_same(twin.compute(), case.value(case.batches), case.rtol, "restored from state_dict midway")
    try:
        twin.load_state_dict({}, strict=True)
    except RuntimeError:
        return
    raise AssertionError("strict loading of an empty state_dict succeeds")


def _forward_equals_fresh(case: _Case) -> None:
    metric = case.make()
    for batch in case.batches:
        assert_same(metric(*batch), case.value([batch]), case.rtol, "forward and a fresh metric on this batch")
    assert_same(metric.compute(), case.value(case.batches), case.rtol, "compute after forward and after update")
    assert metric.update_count == len(case.batches), f"update_count is {metric.update_count} after {len(case.batches)}"


def _compute_twice(case: _Case) -> None:
    metric = case.fed(case.batches[:-1])
    first = metric.compute()
    scribble(first)
    assert_same(metric.compute(), case.value(case.batches[:-1]), 0.0, "compute after its first value was overwritten")
    metric.update(*case.batches[-1])
    assert_same(metric.compute(), case.value(case.batches), case.rtol, "compute after compute and another update")


def _reset(case: _Case) -> None:
    metric = case.fed(case.batches)
    metric.compute()
    metric.reset()
    assert metric.update_count == 0, "reset leaves an update count"
    assert_same(metric.compute(), case.make().compute(), 0.0, "after reset and new")
    metric.update(*case.batches[0])
    assert_same(metric.compute(), case.value(case.batches[:1]), 0.0, "used again after reset")


def _caller_may_overwrite(case: _Case) -> None:
    metric = case.make()
    for i, batch in enumerate(case.batches):
        mine = tuple(x.clone() if isinstance(x, Tensor) else copy.deepcopy(x) for x in batch)
        if i % 2:
            metric(*mine)
        else:
            metric.update(*mine)
        scribble(mine)
    assert_same(metric.compute(), case.value(case.batches), case.rtol, "after the caller overwrote its batches")


def _float_types(case: _Case) -> None:
    for dtype in case.dtypes:
        rounded = [tuple(x.to(dtype) if is_float(x) else x for x in batch) for batch in case.batches]
        exact = [tuple(x.double() if is_float(x) else x for x in batch) for batch in rounded]
        assert_same(case.value(rounded), case.value(exact), max(case.rtol, 1e-6), f"{dtype} and float64 copies of it")
    metric = case.make()
    before = {name: dtype_of(value) for name, value in metric.metric_state.items()}
    metric.to(torch.bfloat16).half()
    assert {k: dtype_of(v) for k, v in metric.metric_state.items()} == before, "moving to bfloat16 changes state dtypes"


def _numpy_inputs(case: _Case) -> None:
    arrays = [tuple(as_array(x) for x in batch) for batch in case.batches]
    assert_same(case.value(arrays), case.value(case.batches), case.rtol, "numpy arrays and tensors")
    lists = [tuple(x.tolist() if isinstance(x, Tensor) else as_tuple(x) for x in batch) for batch in case.batches]
    assert_same(case.value(lists), case.value(case.batches), max(case.rtol, 1e-6), "lists and tensors")


def _no_graph(case: _Case) -> None:
    for call in (False, True):
        metric = case.make()
        for batch in case.batches:
            inputs = tuple(x.clone().requires_grad_() if is_float(x) else x for x in batch)
            if call:
                metric(*inputs)
            else:
                metric.update(*inputs)
        for name, tensor in tensors(metric):
            assert not tensor.requires_grad, f"state {name!r} keeps the autograd graph"


def _inference_mode(case: _Case) -> None:
    metric = case.make()
    with torch.inference_mode():
        metric.update(*case.batches[0])
        metric(*case.batches[1])
    for name, tensor in tensors(metric):
        assert not tensor.is_inference(), f"state {name!r} is an inference tensor"
    for batch in case.batches[2:]:
        metric.update(*batch)
    assert_same(metric.compute(), case.value(case.batches), case.rtol, "in and out of inference mode")


def _no_host_sync(case: _Case) -> None:
    metric = case.make()
    with _ForbidHostReads():
        for batch in case.batches:
            metric.update(*batch)
    away = case.make()
    # A meta tensor takes the path of an accelerator, and has no value to read.
    meta = [tuple(x.to("meta") if isinstance(x, Tensor) else x for x in batch) for batch in case.batches]
    with _ForbidHostReads():
        for batch in meta:
            away.update(*batch)
    if any(isinstance(x, Tensor) for x in meta[0]):
        assert away.device.type == "meta", f"states stay on {away.device} although the first batch was elsewhere"


def _failed_update(case: _Case) -> None:
    metric = case.fed(case.batches)
    with expect_failure():
        metric.update(*(object() for _ in case.batches[0]))
    with expect_failure():
        metric(*(object() for _ in case.batches[0]))
    assert_same(metric.compute(), case.value(case.batches), 0.0, "after failed updates")
    assert metric.update_count == len(case.batches), "a failed update is counted"


def _bad_inputs(case: _Case) -> None:
    expected = case.value(case.batches)
    for bad in case.bad_inputs:
        metric = case.fed(case.batches)
        with expect_failure("values out of their range"):
            metric.update(*bad)
        assert_same(metric.compute(), expected, 0.0, "after a refused update")
        with deferred_checks():
            metric.update(*bad)
        with expect_failure("compute after values out of their range that update could not look at"):
            metric.compute()
        metric.reset()
        for batch in case.batches:
            metric.update(*batch)
        assert_same(metric.compute(), expected, case.rtol, "after bad values, reset and good ones")


def _fullgraph(case: _Case) -> None:
    if case.kernel is None:
        return
    compiled = torch.compile(case.kernel, fullgraph=True, backend="eager")
    for batch in case.batches:
        try:
            got = compiled(*batch)
        except RuntimeError as error:  # the compiler's errors are of this type
            raise AssertionError(f"the kernel does not compile into one graph: {error}") from error
        assert_same(got, case.kernel(*batch), case.rtol, "kernel compiled and as it is")


def _compiled_update(case: _Case) -> None:
    """A list state is a graph for every length, and a graph of inputs that are no tensors knows their values."""
    metric, batch = case.make(), case.batches[0]
    has_lists = any(isinstance(value, list) for value in metric.metric_state.values())
    if has_lists or not any(isinstance(x, Tensor) for x in batch):
        return
    graphs: list[Any] = []

    def backend(graph: Any, _: Any) -> Any:
        graphs.append(graph)
        return graph

    def update(*inputs: Any) -> None:
        metric.update(*inputs)

    update.__code__ = update.__code__.replace()  # what is compiled is remembered by code object
    compiled = torch.compile(update, fullgraph=True, backend=backend, dynamic=False)
    found = []
    for _ in range(4):
        try:
            compiled(*batch)
        except RuntimeError as error:  # the compiler's errors are of this type
            raise AssertionError(f"update does not compile into one graph: {error}") from error
        found.append(len(graphs))
    assert found[1] == found[3], f"update is compiled anew as it goes on: {found} graphs after as many updates"
    assert metric.update_count == 4, f"update_count is {metric.update_count} after 4 compiled updates"
    assert_same(metric.compute(), case.value([batch] * 4), case.rtol, "update compiled and as it is")


def _processes(case: _Case) -> None:
    if case.processes < 2:
        return
    try:
        pickle.dumps(case.make)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ValueError(f"processes={case.processes} needs a make_metric that can be pickled: {error}") from error
    context = multiprocessing.get_context("spawn")
    ranks = range(case.processes)
    with tempfile.TemporaryDirectory() as folder:
        arguments = [(rank, case.processes, folder, case.make, case.batches) for rank in ranks]
        workers = [context.Process(target=_be_one_of, args=each, daemon=True) for each in arguments]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(120)
        codes = [worker.exitcode for worker in workers]
        assert codes == [0] * len(workers), f"processes ended with {codes} (None: did not end)"
        found = [torch.load(Path(folder) / f"{rank}.pt", weights_only=False) for rank in ranks]
    for i, split in enumerate(("uneven data", "data in the last process only")):
        expected = case.value(case.batches)
        for rank in ranks:
            assert_same(found[rank][i], expected, case.rtol, f"{split}, process {rank} of {len(workers)} and one")
            assert_same(found[rank][i], found[0][i], 0.0, f"{split}, process {rank} and process 0")


def _be_one_of(rank: int, world_size: int, folder: str, make: Callable[[], Metric], batches: list[Batch]) -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    cuts = [0, *(len(batches) - world_size + 1 + i for i in range(world_size))]  # the first takes what is left over
    uneven = batches[max(cuts[rank], 0) : max(cuts[rank + 1], 0)]
    values = []
    with gloo_group(f"{folder}/store", rank, world_size):
        for share in (uneven, batches if rank == world_size - 1 else []):
            metric = make()
            for batch in share:
                metric.update(*batch)
            values.append(metric.compute())
    torch.save(values, Path(folder) / f"{rank}.pt")


LAWS: dict[str, Callable[[_Case], None]] = {
    "bad_inputs": _bad_inputs,
    "caller_may_overwrite": _caller_may_overwrite,
    "compiled_update": _compiled_update,
    "compute_twice": _compute_twice,
    "failed_update": _failed_update,
    "float_types": _float_types,
    "forward_equals_fresh": _forward_equals_fresh,
    "fullgraph": _fullgraph,
    "identity": _identity,
    "inference_mode": _inference_mode,
    "merge_order": _merge_order,
    "no_graph": _no_graph,
    "no_host_sync": _no_host_sync,
    "numpy_inputs": _numpy_inputs,
    "permutation": _permutation,
    "pickle": _pickles,
    "processes": _processes,
    "reset": _reset,
    "split": _split,
    "state_dict": _state_dict_round_trip,
    "value": _value_equals_reference,
}
"""The laws by name."""


class _ForbidHostReads(TorchDispatchMode):
    """Fails on operations that make the host wait for a device."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert func.name() not in _HOST_READS, f"update reads a tensor's value on the host: {func}"
        return func(*args, **(kwargs or {}))
