"""Plans of tensor parallelism: which linear layers are cut, by name."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any

from torch import nn

Plan = Mapping[str, Any]
"""Names of modules, with ``*`` for any one part of a name, to words of :data:`STYLES` or styles of torch."""

STYLES: Mapping[str, str] = {
    "colwise": "each process computes a part of the outputs, which stays with it",
    "colwise_gathered": "the same, and every process gets all outputs",
    "rowwise": "each process uses its part of the inputs; the results are added up in every process",
}
"""The words, and what they mean."""

_CUT = {nn.Linear: (0, 1), nn.Embedding: (1, 0)}
"""The dimension of the weight that ``colwise`` cuts, and that ``rowwise`` cuts."""


def match_plan(module: nn.Module, plan: Plan, size: int) -> dict[str, Any]:
    """The names in ``module`` that a plan means, each with what to do there.

    Args:
        module: not sharded yet.
        plan: what the user wrote; a later line wins where two mean the same module.
        size: processes among which tensors are cut.

    Raises:
        TypeError: for a style that is neither a word nor an object of torch.
        ValueError: for an unknown word, for a name that is none in ``module`` (with near ones), and for a layer that
            the word cannot cut into ``size`` parts.

    Example:
        >>> net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 4))
        >>> match_plan(net, {"0": "colwise", "2": "rowwise"}, 2)
        {'0': 'colwise', '2': 'rowwise'}
    """
    names = [name for name, _ in module.named_modules() if name]
    matched: dict[str, Any] = {}
    for pattern, style in plan.items():
        found = [name for name in names if _matches(name, pattern)]
        if not found:
            raise ValueError(
                f"plan: {pattern!r} is the name of no module in {type(module).__name__}. {_near(pattern, names)}"
            )
        for name in found:
            _check_style(name, module.get_submodule(name), style, size)
            matched[name] = style
    return matched


def apply_plan(module: nn.Module, matched: Mapping[str, Any], mesh: Any) -> None:
    """Cut the parameters of ``module`` in place, which are the same in every process of ``mesh``."""
    from torch.distributed.tensor.parallel import parallelize_module

    styles = {name: _style(style, module.get_submodule(name)) for name, style in matched.items()}
    parallelize_module(module, mesh, styles, src_data_rank=None)


def _matches(name: str, pattern: str) -> bool:
    parts, asked = name.split("."), pattern.split(".")
    return len(parts) == len(asked) and all(map(fnmatchcase, parts, asked))


def _near(pattern: str, names: Sequence[str]) -> str:
    near = get_close_matches(pattern, names, n=5, cutoff=0.5)
    return f"Near names: {', '.join(near)}." if near else f"It has {', '.join(names[:20]) or 'no modules'}."


def _check_style(name: str, module: nn.Module, style: Any, size: int) -> None:
    if not isinstance(style, str):
        from torch.distributed.tensor.parallel import ParallelStyle

        if not isinstance(style, ParallelStyle):
            raise TypeError(f"plan: {name!r} has {style!r}, which is neither a word nor a ParallelStyle of torch.")
        return
    if style not in STYLES:
        near = get_close_matches(style, STYLES, n=1)
        meant = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"plan: {style!r} at {name!r} does not exist.{meant} There are: {', '.join(STYLES)}.")
    cut = next((dims for kind, dims in _CUT.items() if isinstance(module, kind)), None)
    if cut is None:
        raise ValueError(
            f"plan: {style!r} cuts nn.Linear and nn.Embedding, but {name!r} is {type(module).__name__}. Name the "
            "layers inside it, or give a ParallelStyle of torch."
        )
    length = getattr(module, "weight").shape[cut[style == "rowwise"]]  # noqa: B009 - of nn.Module, for the type checker
    if length % size:
        raise ValueError(
            f"plan: {style!r} cuts {name!r} into {size} parts, but its dimension of {length} is no multiple of {size}."
        )


def _style(style: Any, module: nn.Module) -> Any:
    from torch.distributed.tensor import Replicate
    from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel

    if style == "colwise":
        return ColwiseParallel()
    if style == "colwise_gathered":
        return ColwiseParallel(output_layouts=Replicate())
    if style == "rowwise":
        # The inputs of an embedding are indices: each process needs all of them.
        return RowwiseParallel(input_layouts=Replicate()) if isinstance(module, nn.Embedding) else RowwiseParallel()
    return style
