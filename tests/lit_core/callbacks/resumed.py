"""Runs that are cut in two and go on, beside one that is not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from lit_core import Callback, ModelCheckpoint
from tests.lit_core.tiny import Regression, loader, trainer


def whole_and_resumed(
    folder: Path,
    make_callbacks: Callable[[], list[Callback]],
    make_module: Callable[[], Any] = lambda: Regression(dropout=0.3),
    *,
    cut: int = 2,
    epochs: int = 4,
    val: bool = True,
    **settings: Any,
) -> tuple[tuple[Any, Any, list[Callback]], tuple[Any, Any, list[Callback]]]:
    """``(trainer, module, callbacks)`` of a whole run, and of one saved after ``cut`` epochs and resumed elsewhere."""

    def run(max_epochs: int, keep: Path, path: Any = None) -> tuple[Any, Any, list[Callback]]:
        torch.manual_seed(3 if path is None else 99)
        callbacks, module = make_callbacks(), make_module()
        saver = ModelCheckpoint(keep, save_top_k=-1, filename="{epoch}")
        fitting = trainer(max_epochs=max_epochs, callbacks=[*callbacks, saver], enable_checkpointing=True, **settings)
        fitting.fit(module, loader(10, 2, shuffle=True), loader(6, 2) if val else None, ckpt_path=path)
        return fitting, module, callbacks

    whole = run(epochs, folder / "kept")
    return whole, run(epochs, folder / "again", folder / "kept" / f"epoch={cut - 1}.ckpt")
