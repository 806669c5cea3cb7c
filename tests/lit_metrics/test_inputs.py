"""What every metric accepts as input."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lit_metrics._inputs import as_tensor


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0)[::-1],
        np.arange(12).reshape(3, 4)[:, ::-2],
        np.flip(np.arange(24).reshape(2, 3, 4), axis=(0, 2)),
        np.broadcast_to(np.arange(3), (2, 3)),
        np.arange(6.0)[::2],
        np.array(2.5),
    ],
)
def test_arrays_of_any_strides_keep_their_values(array: np.ndarray) -> None:
    tensor = as_tensor(array, "preds")
    assert tensor.shape == array.shape
    assert tensor.tolist() == array.tolist()
    assert tensor.dtype == torch.from_numpy(np.ascontiguousarray(array)).dtype


def test_ordinary_arrays_and_tensors_are_not_copied() -> None:
    array, tensor = np.zeros(3), torch.zeros(3)
    assert np.shares_memory(as_tensor(array, "preds").numpy(), array)
    assert as_tensor(tensor, "preds") is tensor


def test_floats_of_python_keep_their_digits() -> None:
    assert as_tensor([0.1, 0.2], "preds").tolist() == [0.1, 0.2]
    assert as_tensor(0.1, "preds").item() == 0.1


@pytest.mark.parametrize("value", ["a", ["a", "b"], object(), {"a": 1}, [[1, 2], [3]], None])
def test_anything_else_is_a_type_error_that_names_the_argument(value: object) -> None:
    with pytest.raises(TypeError, match="target must be a tensor, an array or numbers"):
        as_tensor(value, "target")
