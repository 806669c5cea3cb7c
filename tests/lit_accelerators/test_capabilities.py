import itertools
import re

import pytest
import torch

from lit_accelerators import (
    DDPStrategy,
    DPStrategy,
    FSDPStrategy,
    ModelParallelStrategy,
    MPSAccelerator,
    SingleDeviceStrategy,
    TruePrecision,
    capability_table,
    make_strategy,
)
from lit_accelerators.capabilities import PRECISION_NAMES, REFUSALS, STRATEGY_NAMES, check_combination, find_refusal


@pytest.mark.parametrize(("strategy", "precision"), list(itertools.product(STRATEGY_NAMES, PRECISION_NAMES)))
def test_on_the_cpu_make_strategy_says_what_the_table_says(strategy: str, precision: str) -> None:
    if precision == "float8-mixed":
        pytest.importorskip("torchao")
    refusal = find_refusal(strategy, "cpu", precision)
    devices = 1 if strategy == "single_device" else 2
    if refusal is None:
        assert make_strategy("cpu", devices, strategy=strategy, precision=precision).precision.name == precision
    else:
        with pytest.raises(ValueError, match=re.escape(refusal.reason)):
            make_strategy("cpu", devices, strategy=strategy, precision=precision)


def test_an_object_is_asked_as_a_word_is() -> None:
    with pytest.raises(ValueError, match="do not go together"):
        make_strategy(strategy=SingleDeviceStrategy(MPSAccelerator(), precision=TruePrecision(torch.float64)))


def test_each_row_refuses_something_and_says_what_to_write() -> None:
    for row in REFUSALS:
        names = [name.replace("*", "") or "ddp" for name in (row.strategy, row.accelerator)]
        precision = row.precision.replace("*", "") or "32-true"
        with pytest.raises(ValueError, match="="):
            check_combination(names[0], names[1], precision)
        assert re.search(r"(strategy|precision|accelerator)='", row.reason)


def test_the_table_shows_every_strategy_and_precision() -> None:
    header, *rows = capability_table().splitlines()

    assert header.split() == ["strategy", *PRECISION_NAMES]
    assert [row.split()[0] for row in rows] == list(STRATEGY_NAMES)
    assert {s.name for s in (DDPStrategy(), DPStrategy(), FSDPStrategy(), ModelParallelStrategy())} < set(
        STRATEGY_NAMES
    )
