"""Which modules become units of sharding: gathered before their forward pass, freed after it."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator

from torch import nn

WrapPolicy = int | Collection[str | type[nn.Module]] | Callable[[nn.Module], bool]

_CONTAINERS = (nn.ModuleList, nn.ModuleDict, nn.ParameterList, nn.ParameterDict)  # are never called
_USES_CHILDREN_UNCALLED = (nn.MultiheadAttention,)


def choose_units(module: nn.Module, policy: WrapPolicy) -> list[nn.Module]:
    """The modules inside ``module`` that become units, inner ones before the ones that hold them.

    Args:
        module: the whole; is not among the units, since what no unit holds belongs to it.
        policy: the names of classes or the classes themselves, the least number of parameters of a unit, or a
            function that is asked for each module.

    Raises:
        TypeError: for another policy.
        ValueError: for a number below 1, or names and classes of which the module holds none.
    """
    everywhere = Counter(id(p) for _, p in module.named_parameters(remove_duplicate=False))
    candidates = [
        m
        for m in dict.fromkeys(_inner_first(module))
        if m is not module and not isinstance(m, _CONTAINERS) and _holds_its_parameters_alone(m, everywhere)
    ]
    if isinstance(policy, bool) or not (isinstance(policy, int | Collection) or callable(policy)):
        raise TypeError(
            f"wrap is a number of parameters, a collection of class names or classes, or a function; got {policy!r}."
        )
    if isinstance(policy, int):
        return _by_size(candidates, policy)
    if isinstance(policy, str):
        policy = [policy]
    if isinstance(policy, Collection):
        return _by_class(candidates, policy, module)
    chosen = policy
    return [m for m in candidates if chosen(m)]


def _inner_first(module: nn.Module) -> Iterator[nn.Module]:
    if not isinstance(module, _USES_CHILDREN_UNCALLED):
        for child in module.children():
            yield from _inner_first(child)
    yield module


def _holds_its_parameters_alone(module: nn.Module, everywhere: Counter[int]) -> bool:
    inside = Counter(id(p) for _, p in module.named_parameters(remove_duplicate=False))
    return bool(inside) and all(everywhere[key] == count for key, count in inside.items())


def _by_size(candidates: list[nn.Module], least: int) -> list[nn.Module]:
    if least < 1:
        raise ValueError(f"wrap={least}: the least number of parameters of a unit is at least 1.")
    units: list[nn.Module] = []
    taken: set[int] = set()
    for candidate in candidates:
        free = [p for p in candidate.parameters() if id(p) not in taken]
        if sum(p.numel() for p in free) >= least:
            units.append(candidate)
            taken.update(id(p) for p in free)
    return units


def _by_class(
    candidates: list[nn.Module], wanted: Collection[str | type[nn.Module]], module: nn.Module
) -> list[nn.Module]:
    names = {item for item in wanted if isinstance(item, str)}
    classes = tuple(item for item in wanted if not isinstance(item, str))
    units = [m for m in candidates if type(m).__name__ in names or isinstance(m, classes)]
    found = {type(m).__name__ for m in module.modules() if m is not module}
    missing = sorted(names - found)
    if missing or not units:
        raise ValueError(
            f"wrap={sorted(map(str, wanted))}: {', '.join(missing) or 'none of these'} can be a unit of "
            f"{type(module).__name__}, which holds {', '.join(sorted(found))}."
        )
    return units
