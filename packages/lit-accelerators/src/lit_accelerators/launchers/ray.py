"""Processes that are Ray actors, on one machine or on a cluster."""

import importlib
import io
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

import torch

from lit_accelerators.environments._stores import serve_store
from lit_accelerators.environments.base import ClusterEnvironment
from lit_accelerators.environments.ray import actor_variables
from lit_accelerators.launchers._failures import Failure, failure_of
from lit_accelerators.launchers._random import continue_random
from lit_accelerators.launchers.base import Launcher
from lit_accelerators.seeding import rng_state

_POLL_S = 0.5
_CULPRIT_GRACE_S = 1.0
_DIED = "The actor died before its work was done."


class RayLauncher(Launcher):
    """Starts one Ray actor for each process and waits for them; this process itself runs nothing.

    It uses the Ray that this process is connected to, else the cluster of ``RAY_ADDRESS`` or of this machine, else it
    starts Ray on this machine (``ray.init()``). The actors of a node are in one bundle of a placement group.

    The function and its arguments are pickled by value, also what a script or notebook defines; packages must be
    installed where the actors run. Random numbers go on from the states of this process in each of them. What rank 0
    returns comes back with its tensors on the CPU. When one actor fails, all end, and its traceback is raised once.
    Ctrl-C is passed on to the actors; SIGTERM and SIGUSR1 are, too, as SIGUSR1.

    Args:
        environment: of this process.
        processes: actors on each node.
        num_nodes: nodes in the run.
        num_cpus: cores that Ray sets aside for each actor; torch has as many threads there.
        num_gpus: GPUs that Ray sets aside for each actor. The actors of a node see each other's, so that NCCL can
            connect them, and take the one of their local rank.
        resources: further resources of each actor, by Ray's names for them.
        wait_s: how long to wait until Ray has the resources.

    Example:
        >>> import functools
        >>> from lit_accelerators import DDPStrategy
        >>> start = functools.partial(RayLauncher, num_cpus=4, resources={"fast_disk": 1})
        >>> strategy = functools.partial(DDPStrategy, start=start)
    """

    returns_to_caller = False

    def __init__(
        self,
        environment: ClusterEnvironment,
        processes: int,
        *,
        num_nodes: int = 1,
        num_cpus: float = 1,
        num_gpus: float = 0,
        resources: dict[str, float] | None = None,
        wait_s: float = 300.0,
    ) -> None:
        self._environment = environment
        self._processes = processes
        self._num_nodes = num_nodes
        self._num_cpus, self._num_gpus = num_cpus, num_gpus
        self._resources = dict(resources or {})
        self._wait_s = wait_s

    def launch(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run ``function`` in every actor; return what rank 0 returned.

        Raises:
            ModuleNotFoundError: if Ray is not installed.
            RuntimeError: if Ray has no room for the actors.
        """
        ray = _import_ray()
        if not ray.is_initialized():
            ray.init()
        call = ray.put(ray.cloudpickle.dumps(((function, args, kwargs), rng_state())))
        group = self._reserve(ray)
        actors: list[Any] = []
        try:
            for node_rank in range(self._num_nodes):
                actors += self._start_node(ray, group, node_rank)
            places = ray.get([actor.look.remote() for actor in actors])
            variables = self._tell_ranks(places, ray.get(actors[0].serve.remote()))
            runs = [actor.run.remote(told, sys.path, call) for actor, told in zip(actors, variables, strict=True)]
            with _signals() as received:
                result = self._wait(ray, runs, places, received)
            return None if result is None else torch.load(io.BytesIO(result), map_location="cpu", weights_only=False)
        finally:
            for actor in actors:
                ray.kill(actor)
            ray.util.remove_placement_group(group)

    def _reserve(self, ray: Any) -> Any:
        """Room for the actors: a bundle for each node."""
        each = {"CPU": self._num_cpus, "GPU": self._num_gpus, **self._resources}
        bundle = {name: amount * self._processes for name, amount in each.items() if amount}
        spread = "STRICT_SPREAD" if self._num_nodes > 1 else "PACK"
        group = ray.util.placement_group([bundle] * self._num_nodes, strategy=spread)
        if not group.wait(self._wait_s):
            ray.util.remove_placement_group(group)
            has = {name: n for name, n in ray.cluster_resources().items() if name in bundle}
            raise RuntimeError(
                f"Ray has no room for {self._processes} actor(s) on each of {self._num_nodes} node(s): a node needs "
                f"{bundle}; the whole cluster has {has}, and some of it may be in use. Waited {self._wait_s:g} s. "
                "Write a smaller number of devices, start Ray with more (ray.init(num_cpus=...)), or add nodes."
            )
        return group

    def _start_node(self, ray: Any, group: Any, node_rank: int) -> list[Any]:
        kind = ray.remote(_Rank).options(
            num_cpus=self._num_cpus,
            num_gpus=self._num_gpus,
            resources=self._resources or None,
            max_restarts=0,
            scheduling_strategy=ray.util.scheduling_strategies.PlacementGroupSchedulingStrategy(
                group, placement_group_bundle_index=node_rank
            ),
        )
        return [kind.remote() for _ in range(self._processes)]

    def _tell_ranks(self, places: Sequence[dict[str, Any]], port: int) -> Iterator[dict[str, str]]:
        """The variables of each actor."""
        for rank in range(len(places)):
            node_rank, local_rank = divmod(rank, self._processes)
            told = actor_variables(
                store=f"{places[0]['host']}:{port}",
                node_rank=node_rank,
                local_rank=local_rank,
                devices=self._processes,
                num_nodes=self._num_nodes,
            )
            here = places[node_rank * self._processes :][: self._processes]
            gpus = [gpu for place in here for gpu in place["gpus"]]
            yield {**told, "CUDA_VISIBLE_DEVICES": ",".join(gpus)} if gpus else told

    def _wait(self, ray: Any, runs: list[Any], places: list[dict[str, Any]], received: list[int]) -> bytes | None:
        """Until all actors are done, or one has failed; what the first gave back."""
        pending, result = {run: rank for rank, run in enumerate(runs)}, None
        interrupted = False
        while pending:
            try:
                ready, _ = ray.wait(list(pending), num_returns=1, timeout=_POLL_S)
            except KeyboardInterrupt:
                if interrupted:
                    raise
                interrupted, ready = True, []
                _send_all(ray, places, signal.SIGINT)
            while received:
                received.clear()
                _send_all(ray, places, signal.SIGUSR1)
            for run in ready:
                told, failure = _outcome(ray, run, pending.pop(run))
                if failure is not None:
                    raise _first(ray, failure, pending).to_exception(len(runs))
                result = told if told is not None else result
        return result


class _Rank:
    """One process of a run: the class of the actors."""

    def __init__(self) -> None:
        self._store: Any = None

    def look(self) -> dict[str, Any]:
        """Where this actor is."""
        ray = _import_ray()
        context = ray.get_runtime_context()
        gpus = context.get_accelerator_ids().get("GPU", [])
        return {
            "host": ray.util.get_node_ip_address(),
            "node": context.get_node_id(),
            "pid": os.getpid(),
            "gpus": [str(gpu) for gpu in gpus],
        }

    def serve(self) -> int:
        """Serve the store of the run as long as this actor lives; returns its port."""
        self._store, port = serve_store()
        return port

    def run(self, variables: dict[str, str], path: list[str], call: bytes) -> tuple[bytes | None, Failure | None]:
        """Run the function; returns its result where this is rank 0, and why it failed if it did."""
        os.environ.update(variables)
        sys.path.extend(entry for entry in path if entry not in sys.path)
        rank = int(variables["RANK"])
        dumps = _import_ray().cloudpickle.dumps
        try:
            (function, args, kwargs), states = pickle.loads(call)
            continue_random(states)
            result = function(*args, **kwargs)
            if rank > 0 or result is None:
                return None, None
            buffer = io.BytesIO()
            torch.save(result, buffer, pickle_module=_import_ray().cloudpickle)
            return buffer.getvalue(), None
        except BaseException as error:
            # Clocks of nodes differ less than those that began to run at the start of each.
            to_wall_clock = time.time_ns() - time.monotonic_ns()
            return None, failure_of(rank, error, dumps=dumps, shift_ns=to_wall_clock)


def _import_ray() -> Any:
    try:
        ray = importlib.import_module("ray")
        importlib.import_module("ray.util.scheduling_strategies")
    except ImportError as error:
        raise ModuleNotFoundError(
            f"strategy='ray' needs Ray: install it, or lit-accelerators with its extra 'ray' ({error}).", name="ray"
        ) from None
    return ray


def _outcome(ray: Any, run: Any, rank: int) -> tuple[bytes | None, Failure | None]:
    try:
        told: tuple[bytes | None, Failure | None] = ray.get(run)
    except ray.exceptions.RayError as error:  # the actor is dead, or its node
        why = " ".join(str(error).split())
        return None, Failure(rank, time.time_ns(), f"{_DIED} Ray says: {why}", None)
    return told


def _first(ray: Any, failure: Failure, pending: dict[Any, int]) -> Failure:
    """The failure that the others follow from: an actor that died, else the earliest."""
    if failure.text.startswith(_DIED) or not pending:
        return failure
    ready, _ = ray.wait(list(pending), num_returns=len(pending), timeout=_CULPRIT_GRACE_S)
    others = [_outcome(ray, run, pending[run])[1] for run in ready]
    failures = [failure, *(other for other in others if other is not None)]
    return min(failures, key=lambda each: (not each.text.startswith(_DIED), each.time_ns))


def _send_all(ray: Any, places: list[dict[str, Any]], number: int) -> None:
    """Send the actors a signal, by a task on the node of each: the actors themselves are busy."""
    send = ray.remote(num_cpus=0)(_send)
    affinity = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
    for place in places:
        send.options(scheduling_strategy=affinity(place["node"], soft=False)).remote(place["pid"], int(number))


def _send(pid: int, number: int) -> None:
    os.kill(pid, number)


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Collects SIGTERM and SIGUSR1; if the run failed, they are raised again afterwards."""
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    seen: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        received.append(number)
        seen.append(number)

    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGUSR1") if hasattr(signal, name)]
    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield received
        seen.clear()  # who ran in the actors has done what there was to do
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if seen:
            signal.raise_signal(seen[0])
