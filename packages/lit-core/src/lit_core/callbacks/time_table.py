"""Where the time of a fit went."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from lit_core.callbacks.base import Callback
from lit_core.module import LightningModule
from lit_core.times import PHASES

if TYPE_CHECKING:
    from lit_core.trainer import Trainer

_ADVICE = {
    "data": (0.2, "give the DataLoader workers (num_workers=...) or more of them, or make its dataset cheaper"),
    "transfer": (0.2, "let the DataLoader pin its batches (pin_memory=True), or move less"),
    "validation": (0.5, "validate less often (val_check_interval, check_val_every_n_epoch) or on less"),
    "checkpoint": (0.1, "save less often, or in the background (ModelCheckpoint(background=True))"),
    "logging": (0.1, "write rows less often (log_every_n_steps) or log fewer values"),
    "callbacks": (0.1, 'see which one with Trainer(profiler="simple")'),
}
"""Share of the time from which on a phase stands out, and what helps. The others are the work itself."""


class TimeTable(Callback):
    """Print where the time went when ``fit`` is over, with a word of advice where something stands out.

    It is there by default where there is a progress bar. The Trainer measures in any case: ``trainer.times`` has the
    seconds by phase. On an accelerator work runs behind the host; a phase has the time in which the host prepared it
    or waited for it.

    Args:
        least_s: seconds of training below which nothing is printed.

    Example:
        >>> from lit_core.callbacks import TimeTable
        >>> TimeTable(least_s=60).least_s
        60
    """

    phase = "save"

    def __init__(self, least_s: float = 10.0) -> None:
        self.least_s = least_s

    def on_fit_end(self, trainer: "Trainer", module: LightningModule) -> None:
        """Print."""
        seconds = trainer.times
        if sum(seconds.values()) >= self.least_s:
            trainer.print(time_table(seconds))


def time_table(seconds: Mapping[str, float]) -> str:
    """Seconds by phase as a table, largest first; phases below a thousandth are left out.

    Args:
        seconds: what ``trainer.times`` has.

    Example:
        >>> print(time_table({"data": 6.0, "forward": 2.5, "backward": 1.5}))
        Where the time went      seconds  share
        data                         6.0  60.0%  waiting for the next batch
        forward                      2.5  25.0%  training_step
        backward                     1.5  15.0%  backward, and exchanging gradients
        all                         10.0
        60% of the time was data: give the DataLoader workers (num_workers=...) or more of them, or make its dataset \
cheaper.
    """
    total = sum(seconds.values())
    lines = [f"{'Where the time went':<22} {'seconds':>9}  share"]
    for phase, spent in sorted(seconds.items(), key=lambda item: -item[1]):
        if spent > total / 1000:
            lines.append(f"{phase:<22} {spent:>9.1f}  {spent / total:>5.1%}  {PHASES[phase]}")
    lines.append(f"{'all':<22} {total:>9.1f}")
    over = {p: seconds.get(p, 0.0) / total / least for p, (least, _) in _ADVICE.items()} if total else {}
    worst = max(over, key=lambda phase: over[phase], default=None)
    if worst is not None and over[worst] >= 1:
        lines.append(f"{seconds[worst] / total:.0%} of the time was {worst}: {_ADVICE[worst][1]}.")
    return "\n".join(lines)
