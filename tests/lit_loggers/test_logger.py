import pytest

from lit_loggers import Logger, Row


class Kept(Logger):
    """The least a logger can be."""

    name, version, log_dir = "name", 0, None

    def __init__(self):
        self.rows = []

    def write(self, row):
        self.rows.append(row)

    def log_hyperparams(self, params): ...

    def truncate(self, step, evaluated=None): ...

    def flush(self): ...

    def finalize(self, status="success"): ...


def test_coordinates_are_those_that_are_known_step_first():
    assert Row({}, 3).coordinates == {"step": 3}
    assert list(Row({}, 3, samples=1, stage="fit", epoch=0).coordinates.items()) == [
        ("step", 3),
        ("stage", "fit"),
        ("epoch", 0),
        ("samples", 1),
    ]


def test_steps_are_counted_where_none_is_given():
    logger = Kept()
    logger.log_metrics({"a": 1.0})
    logger.log_metrics({"a": 2.0}, step=10, epoch=2)
    logger.log_metrics({"a": 3.0})
    assert logger.rows == [Row({"a": 1.0}, 0), Row({"a": 2.0}, 10, epoch=2), Row({"a": 3.0}, 11)]


def test_unknown_coordinate_is_refused():
    with pytest.raises(TypeError, match="epochs"):
        Kept().log_metrics({}, step=0, epochs=1)
