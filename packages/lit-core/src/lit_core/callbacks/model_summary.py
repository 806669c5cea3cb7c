"""What a module is made of, as a table."""

import warnings
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from lit_accelerators import isolate_rng
from lit_core.callbacks.base import Callback
from lit_core.data.transfer import move
from lit_core.modes import evaluation_mode
from lit_core.module import LightningModule

if TYPE_CHECKING:
    from lit_core.trainer import Trainer


@dataclass(frozen=True)
class Layer:
    """A row: a submodule, its parameters, their memory, and the shapes that go in and out."""

    name: str
    kind: str
    trainable: int
    frozen: int
    size_bytes: int
    mode: str
    in_sizes: str = ""
    out_sizes: str = ""


@dataclass(frozen=True)
class Summary:
    """What :func:`summarize` found; as a string, a table."""

    layers: list[Layer]
    trainable: int
    frozen: int
    parameter_bytes: int
    buffer_bytes: int
    modules_in_train_mode: int
    modules_in_eval_mode: int

    @property
    def total(self) -> int:
        """Parameters, each counted once."""
        return self.trainable + self.frozen

    @property
    def columns(self) -> list[tuple[str, list[str]]]:
        """Titles of the table and what stands below them; shapes only where they are known."""
        layers = self.layers
        columns = [
            ("Name", [layer.name for layer in layers]),
            ("Type", [layer.kind for layer in layers]),
            ("Params", [human(layer.trainable + layer.frozen) for layer in layers]),
            ("Trainable", [_share(layer) for layer in layers]),
            ("Size", [human_bytes(layer.size_bytes) for layer in layers]),
            ("Mode", [layer.mode for layer in layers]),
        ]
        if any(layer.in_sizes or layer.out_sizes for layer in layers):
            columns += [("In", [layer.in_sizes for layer in layers]), ("Out", [layer.out_sizes for layer in layers])]
        return columns

    @property
    def totals(self) -> list[str]:
        """The lines below the table."""
        return [
            f"{human(self.trainable)} trainable parameters, {human(self.frozen)} frozen, {human(self.total)} in total",
            f"{human_bytes(self.parameter_bytes)} of parameters, {human_bytes(self.buffer_bytes)} of buffers",
            f"{self.modules_in_train_mode} modules in train mode, {self.modules_in_eval_mode} in eval mode",
        ]

    def __str__(self) -> str:
        lines = _table(self.columns) if self.layers else []
        return "\n".join([*lines, *self.totals])


def summarize(module: nn.Module, max_depth: int = 1) -> Summary:
    """Count a module's parameters, and find the shapes that go through it if it has an ``example_input_array``.

    For the shapes ``forward`` runs once, in evaluation mode and without gradients; random states are left as they were.

    Args:
        module: the module.
        max_depth: levels of submodules that have a row; 0 for none, -1 for all.

    Example:
        >>> import torch
        >>> print(summarize(torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 1))))
        Name | Type   | Params | Trainable | Size | Mode
        -------------------------------------------------
        0    | Linear | 16     | all       | 64 B | train
        1    | Linear | 5      | all       | 20 B | train
        21 trainable parameters, 0 frozen, 21 in total
        84 B of parameters, 0 B of buffers
        3 modules in train mode, 0 in eval mode

    Raises:
        ValueError: for a depth below -1.
    """
    if max_depth < -1:
        raise ValueError(f"max_depth is a number of levels, 0 for none or -1 for all; got {max_depth}.")
    shown = _shown(module, max_depth)
    sizes = _shapes(module, shown) if shown else {}
    layers = [
        Layer(
            name,
            type(child).__name__,
            *_counts(child.parameters()),
            _bytes(child.parameters()),
            "train" if child.training else "eval",
            *sizes.get(name, ("", "")),
        )
        for name, child in shown
    ]
    own = list(module.parameters(recurse=False))
    if own and shown:
        layers.append(Layer("(its own)", "", *_counts(own), _bytes(own), ""))
    modes = [child.training for child in module.modules()]
    return Summary(
        layers,
        *_counts(module.parameters()),
        _bytes(module.parameters()),
        _bytes(module.buffers()),
        sum(modes),
        len(modes) - sum(modes),
    )


class ModelSummary(Callback):
    """Print a table of the module's layers when ``fit`` starts: parameters, memory, modes, shapes.

    Shapes are there if the module has an ``example_input_array``. Only process 0 prints.

    Args:
        max_depth: levels of submodules that have a row; 0 for the totals alone, -1 for all.

    Example:
        >>> from lit_core.callbacks import ModelSummary
        >>> ModelSummary(max_depth=2).max_depth
        2

    Raises:
        ValueError: for a depth below -1.
    """

    def __init__(self, max_depth: int = 1) -> None:
        self.max_depth = _check_depth(max_depth)

    def on_fit_start(self, trainer: "Trainer", module: LightningModule) -> None:
        """Print."""
        if trainer.is_global_zero:
            trainer.print(summarize(module, self.max_depth))


class RichModelSummary(Callback):
    """As :class:`ModelSummary`, drawn by ``rich`` (the extra ``lit-core[rich]``).

    Args:
        max_depth: levels of submodules that have a row; 0 for the totals alone, -1 for all.
        theme_kwargs: arguments of ``rich.table.Table``.

    Raises:
        ModuleNotFoundError: if ``rich`` is not installed.
        ValueError: for a depth below -1.
    """

    def __init__(self, max_depth: int = 1, **theme_kwargs: Any) -> None:
        try:
            import rich  # noqa: F401
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                "RichModelSummary needs 'rich': install the extra lit-core[rich], or use ModelSummary."
            ) from error
        self.max_depth = _check_depth(max_depth)
        self.theme_kwargs = theme_kwargs

    def on_fit_start(self, trainer: "Trainer", module: LightningModule) -> None:
        """Print."""
        if not trainer.is_global_zero:
            return
        from rich.console import Console
        from rich.table import Table

        summary, console = summarize(module, self.max_depth), Console()
        if summary.layers:
            table = Table(**{"header_style": "bold", **self.theme_kwargs})
            columns = summary.columns
            for title, _ in columns:
                table.add_column(title, justify="right" if title in ("Params", "Size") else "left")
            for row in zip(*(cells for _, cells in columns), strict=True):
                table.add_row(*row)
            console.print(table)
        for line in summary.totals:
            console.print(line, highlight=False)


def _check_depth(max_depth: int) -> int:
    if max_depth < -1:
        raise ValueError(f"max_depth is a number of levels, 0 for none or -1 for all; got {max_depth}.")
    return max_depth


def _shown(module: nn.Module, max_depth: int) -> list[tuple[str, nn.Module]]:
    """Submodules of the upper levels, each once."""
    found: dict[int, tuple[str, nn.Module]] = {}
    for name, child in module.named_modules(remove_duplicate=False):
        if name and (max_depth == -1 or name.count(".") < max_depth):
            found.setdefault(id(child), (name, child))
    return list(found.values())


def _counts(parameters: Iterable[nn.Parameter]) -> tuple[int, int]:
    """Numbers that are trained, and that are frozen; a lazy parameter has none yet."""
    trainable = frozen = 0
    for parameter in parameters:
        count = 0 if isinstance(parameter, UninitializedParameter) else parameter.numel()
        if parameter.requires_grad:
            trainable += count
        else:
            frozen += count
    return trainable, frozen


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(
        tensor.numel() * tensor.element_size()
        for tensor in tensors
        if not isinstance(tensor, UninitializedParameter) and not torch.nn.parameter.is_lazy(tensor)
    )


def _shapes(module: nn.Module, shown: list[tuple[str, nn.Module]]) -> dict[str, tuple[str, str]]:
    """Shapes into and out of the modules, from one run of ``forward``; none if there is no example, or it fails."""
    sample = getattr(module, "example_input_array", None)
    if sample is None:
        return {}
    found: dict[str, tuple[str, str]] = {}
    device = next((tensor.device for tensor in (*module.parameters(), *module.buffers())), torch.device("cpu"))
    sample = move(sample, device)

    def note(name: str) -> Any:
        def hook(_: nn.Module, args: Any, output: Any) -> None:
            found.setdefault(name, (_shape(args[0] if len(args) == 1 else args), _shape(output)))

        return hook

    with ExitStack() as stack:
        for name, child in shown:
            stack.callback(child.register_forward_hook(note(name)).remove)
        stack.enter_context(isolate_rng())
        stack.enter_context(evaluation_mode(module))
        try:
            if isinstance(sample, dict):
                module(**sample)
            else:
                module(*(sample if isinstance(sample, (list, tuple)) else (sample,)))
        except Exception as error:
            warnings.warn(
                f"The summary has no shapes: forward failed on example_input_array ({type(error).__name__}: {error}).",
                stacklevel=2,
            )
            return {}
    return found


def _shape(value: Any) -> str:
    if isinstance(value, Tensor):
        return str(list(value.shape))
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_shape(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return ", ".join(_shape(item) for item in value)
    return "?" if value is not None else ""


def _share(layer: Layer) -> str:
    if not layer.trainable and not layer.frozen:
        return ""
    return "all" if not layer.frozen else "none" if not layer.trainable else human(layer.trainable)


def human(count: int) -> str:
    """A count in at most four digits.

    Example:
        >>> human(999), human(1500), human(2_345_678)
        ('999', '1.5 K', '2.3 M')
    """
    return _scaled(count, 1000, ("", " K", " M", " B", " T"))


def human_bytes(count: int) -> str:
    """Memory in at most four digits.

    Example:
        >>> human_bytes(20), human_bytes(2048), human_bytes(5_000_000)
        ('20 B', '2.0 KiB', '4.8 MiB')
    """
    return _scaled(count, 1024, (" B", " KiB", " MiB", " GiB", " TiB"))


def _scaled(count: int, base: int, units: tuple[str, ...]) -> str:
    value, last = float(count), len(units) - 1
    for index, unit in enumerate(units):
        digits = f"{value:.1f}" if index else str(count)
        if float(digits) < base or index == last:
            return digits + unit
        value /= base
    raise AssertionError("unreachable")


def _table(columns: list[tuple[str, list[str]]]) -> Iterator[str]:
    widths = [max(len(title), *map(len, cells)) for title, cells in columns]
    rows = [[title for title, _ in columns], *(list(row) for row in zip(*(cells for _, cells in columns), strict=True))]
    lines = [" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    yield lines[0]
    yield "-" * (sum(widths) + 3 * (len(widths) - 1))
    yield from lines[1:]
