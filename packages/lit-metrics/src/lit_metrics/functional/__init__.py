"""Every metric as a function of one batch; the classes use the same kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lit_metrics._lazy import load

if TYPE_CHECKING:
    from lit_metrics.functional.classification.accuracy import accuracy as accuracy
    from lit_metrics.functional.classification.accuracy import binary_accuracy as binary_accuracy
    from lit_metrics.functional.classification.accuracy import multiclass_accuracy as multiclass_accuracy
    from lit_metrics.functional.classification.accuracy import multilabel_accuracy as multilabel_accuracy
    from lit_metrics.functional.regression.mean_squared_error import mean_squared_error as mean_squared_error
    from lit_metrics.functional.regression.mean_squared_error import mse as mse
    from lit_metrics.functional.regression.mean_squared_error import rmse as rmse

_HOMES = {
    "accuracy": "classification.accuracy",
    "binary_accuracy": "classification.accuracy",
    "mean_squared_error": "regression.mean_squared_error",
    "mse": "regression.mean_squared_error",
    "multiclass_accuracy": "classification.accuracy",
    "multilabel_accuracy": "classification.accuracy",
    "rmse": "regression.mean_squared_error",
}

__all__ = [
    "accuracy",
    "binary_accuracy",
    "mean_squared_error",
    "mse",
    "multiclass_accuracy",
    "multilabel_accuracy",
    "rmse",
]


def __getattr__(name: str) -> Any:
    return load(__name__, name, _HOMES)
