"""Experiment loggers behind one small contract."""

from lit_loggers.__about__ import __version__
from lit_loggers.csv import CSVLogger
from lit_loggers.logger import Logger, Row
from lit_loggers.registry import get_logger
from lit_loggers.tensorboard import TensorBoardLogger

__all__ = ["CSVLogger", "Logger", "Row", "TensorBoardLogger", "__version__", "get_logger"]
